"""With the data fixed, no name and no root seed has a part in a p-value, an interval or a band."""

from dataclasses import replace

import numpy as np
import pytest
from support.claims import SEEDS, cell, contextual, design, lumped, records

from analysis.curves.conditions import summaries
from analysis.inference.resampling import of_data
from analysis.judging import verdicts
from analysis.planning.components import component
from analysis.reporting.content.curves import bands
from banditrft.claims.own import TYPES

ROUNDS = np.arange(0.0, 41.0, 4.0)


def learning(middle_N):
    return 1 / (1 + np.exp(-0.8 * (ROUNDS - np.asarray(middle_N)[:, None])))


def cells():
    rng = np.random.default_rng(0)
    own = 8 * np.exp(0.3 * rng.standard_normal(SEEDS))
    slower = own * 2 * np.exp(0.1 * rng.standard_normal(SEEDS))
    return [
        cell(world, f"G={g}", design(rollouts=g), curve=learning(at), test=0.3 + 0.01 * g * rng.standard_normal(SEEDS))
        for world in (contextual(),)
        for g, at in ((1, slower), (4, own), (8, 0.9 * own))
    ]  # fmt: skip


CLAIMS = {
    "faster": {"a": "G=4", "b": "G=1", "margin": 1.5},
    "no-better": {"a": "G=4", "b": "G=1", "margin": 0.02},
    "more-variable": {"a": "G=4", "b": "G=1", "margin": 1.0},
    "below-base": {"a": "G=4", "margin": 0.01},
    "fails": {"a": "G=1", "b": "G=4", "margin": 0.2, "horizon": 16},
    "optimum": {"conditions": ["G=1", "G=4", "G=8"], "field": "rollouts", "at": 4, "margin": 2.0},
    "trend": {"conditions": ["G=1", "G=4", "G=8"], "field": "rollouts", "margin": 0.01},
}


def study(own, *, root_seed=0, ledger=()):
    of = records(ledger, *own)
    return replace(of, study={**of.study, "root_seed": root_seed})


def numbers(records, kind, name="U1", statement="as stated"):
    """The numbers of one claim's verdict, and its power with five seeds."""
    table = {"id": name, "statement": statement, "type": kind, **CLAIMS[kind]}
    with_it = replace(records, study={**records.study, "own_claims": [table]})
    (found,) = verdicts(with_it)
    planned = [component(with_it, part) for part in found.parts]
    read = [
        ((p.verdict, p.estimate, p.facts), (p.p_support, p.p_refute, p.interval, p.refuting_interval))
        for p in found.parts
    ]
    return read, [None if p.power is None else p.power(5) for p in planned]


def test_every_type_of_table_is_here():
    assert set(CLAIMS) == set(TYPES)


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_claims_numbers_are_those_of_its_data(kind):
    own = cells()
    first = numbers(study(own), kind)
    assert numbers(study(own, root_seed=7), kind, name="renamed", statement="in other words") == first
    turned = numbers(study(own[::-1]), kind)  # conditions stand in another order
    assert turned == first


def test_the_ledgers_speed_claim_reads_neither_names_nor_seeds():
    rng = np.random.default_rng(1)
    own = 8 * np.exp(0.3 * rng.standard_normal(SEEDS))
    two = [
        cell(lumped(), f"G={g}", design(rollouts=g, optimizer="adam"), curve=learning(f * own))
        for g, f in ((1, 2.0), (4, 1.0))
    ]

    def read(own, root_seed):
        (found,) = (v for v in verdicts(study(own, root_seed=root_seed, ledger=["A5"])) if v.parts)
        return [(p.p_support, p.p_refute, p.interval, [s.interval for s in p.secondary]) for p in found.parts]

    first = read(two, 0)
    assert len(first[0][3]) > 2
    assert read([replace(c, condition=f"renamed {c.condition}") for c in two], 5) == first


def test_one_word_whatever_the_seed_where_hits_are_seen_on_a_coarse_grid():
    """8 pairs, a grid of 10 rounds, truth 1.68, margin 1.5: with drawn hits 7 of 25 changed word with the seed."""
    rng, words = np.random.default_rng(2), []
    rounds = np.arange(0.0, 151.0, 10.0)
    for _ in range(25):
        fast, luck = np.exp(0.25 * rng.standard_normal((2, 8)))
        times = {"G=4": 40 * fast, "G=1": 40 * 1.68 * fast * luck, "placebo": np.full(8, 1e6)}
        designs = {"G=4": {"rollouts": 4}, "G=1": {}, "placebo": {"reward": "random"}}
        both = [
            replace(
                cell(lumped(), name, design(**designs[name]), query=np.zeros(8)),
                rounds=rounds,
                train=1.0 * (rounds >= at[:, None]),
                train_samples=np.full((8, rounds.size), 64),
            )
            for name, at in times.items()
        ]
        table = {"type": "faster", "a": "G=4", "b": "G=1", "margin": 1.5, "statement": "as stated"}
        said = set()
        for root_seed, name in ((0, "U1"), (1, "U1"), (0, "U2"), (9, "U3")):
            of = study(both, root_seed=root_seed)
            own = {**of.study, "own_claims": [{**table, "id": name}]}
            (found,) = verdicts(replace(of, study=own))
            said.add((found.verdict, found.parts[0].p_support))
        assert len(said) == 1
        words.append(found.verdict)
    assert {"supported", "undecided"} <= set(words)


def test_bands_and_summaries_are_those_of_their_data():
    own = cells()
    renamed = [replace(c, condition=f"other {c.condition}") for c in own]
    first, other = (bands(study(c, root_seed=s)) for c, s in ((own, 0), (renamed, 3)))
    assert [(b["low"], b["high"]) for b in first] == [(b["low"], b["high"]) for b in other]
    first, other = (summaries(study(c, root_seed=s), "contextual") for c, s in ((own, 0), (renamed, 3)))
    assert [(s.area, s.crossing, s.final, s.improvement) for s in first] == [
        (s.area, s.crossing, s.final, s.improvement) for s in other
    ]


def test_a_generator_of_data_reads_values_and_shapes_alone():
    values = np.array([0.5, 0.25, np.nan, 0.0])
    drawn = of_data(values).random()
    assert of_data(values.tolist()).random() == drawn
    assert of_data(np.array([0.5, 0.25, -np.nan, -0.0])).random() == drawn
    assert of_data(values[None]).random() != drawn
    assert of_data(values, 1).random() != drawn
