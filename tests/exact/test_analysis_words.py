"""What verdicts say in words: which component decides, what noise, placebos and shown gains mean."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from support import claims as fix
from support.claims import SEEDS, cell, contextual, design, lumped, notes, records, words

from analysis import wording
from analysis.claims.reading import Band, detectable
from analysis.inference.means import paired_difference
from analysis.judging import verdicts
from analysis.results import ALL, Part, deciding
from analysis.verdict import Verdict

ONE = Part(
    id="one",
    kind="difference",
    world="here",
    conditions=("a", "b"),
    verdict="supported",
    estimate=0.01,
    interval=(0.0, 0.02),
    level=0.95,
    refuting_interval=(0.0, 0.02),
    refuting_level=0.95,
    band=(-0.02, 0.02),
    p_support=0.001,
    p_refute=1.0,
    n=9,
    units="runs",
    replicate="seed",
    split="test",
    facts={"distance": 0.01, "skewness": None, "equivalence": 0.02, "shown": None},
)


def named(name, word, p_support=1.0, p_refute=1.0, world="here"):
    return replace(
        ONE,
        id=name,
        conditions=("plain", name),
        verdict=word,
        p_support=p_support,
        p_refute=p_refute,
        world=world,
    )


def verdict(world, word, *parts):
    return Verdict("A0", "Said.", "sim", world, word, 0.1, 0.1, 0.05, 1, tuple(parts), derived=world == ALL)


def test_a_supported_claim_hangs_on_its_weakest_component():
    parts = [named("sure", "supported", 1e-9), named("less sure", "supported", 0.01)]
    assert deciding(parts, "supported") is parts[1]


def test_a_refuted_claim_hangs_on_its_clearest_refutation():
    parts = [
        named("held", "supported", 1e-9),
        named("no", "refuted", 1, 0.01),
        named("never", "refuted", 1, 0.0),
    ]
    assert deciding(parts, "refuted") is parts[2]


def test_an_undecided_claim_hangs_on_the_first_open_component():
    parts = [
        named("held", "supported", 0.04),
        named("open", "undecided", 0.5),
        named("too", "undecided", 0.9),
    ]
    assert deciding(parts, "undecided") is parts[1]
    assert deciding([], "undecided") is None


def test_where_a_component_is_missing_none_of_the_others_decides():
    held = named("held", "supported", 0.001)
    found = verdict("here", "undecided", held).to_dict()
    assert deciding([held], "undecided") is None
    assert (found["label"], found["estimate"], found["n"]) == ("none of those measured", None, 9)
    assert found["decided_by"]["label"] == "none of those measured"


def test_one_supported_world_among_others_decides_by_its_own_components():
    """A8: a component that holds in a world where another fails is not what the claim hangs on."""
    parts = [
        named("learned", "supported", 0.04, world="fails"),
        named("flat", "refuted", 1, 0.0, world="fails"),
        named("learned", "supported", 1e-9, world="holds"),
        named("flat", "supported", 1e-6, world="holds"),
    ]
    told = verdict(ALL, "supported", *parts).to_dict()["decided_by"]
    assert told["label"] == "Final test Pass@1, 'flat' minus 'plain', 'holds'"


def test_the_deciding_component_is_the_verdict_s_estimate():
    weak = replace(named("weak", "supported", 0.01), estimate=0.5, n=4)
    found = verdict("here", "supported", named("strong", "supported", 1e-9), weak).to_dict()
    assert (found["label"], found["estimate"], found["n"]) == (
        "Final test Pass@1, 'weak' minus 'plain'",
        0.5,
        4,
    )
    shown = {name: found[name] for name in ("label", "estimate", "interval", "n")}
    assert found["decided_by"] == shown | {"id": "weak", "kind": "difference"}


def judged(claim, *cells):
    (found,) = verdicts(records([claim], *cells))
    return found


def noisy(plain, changed):
    """Test curves of raw runs are near 1 and GRPO's at .5, so that evaluation noise differs; each has its SD."""
    rng = np.random.default_rng(3)
    world, cells = contextual(base=0.2, draw=0), []
    for name, fields, level, sd in (("raw", {}, 0.97, plain), ("GRPO", {"signal": "grpo"}, 0.5, changed)):
        own = np.clip(level + sd * rng.standard_normal((SEEDS, 1)), 0, 1)
        of = design(optimizer="adam", rollouts=4, **fields)
        made = cell(world, name, of, start=0.2, test=0.4)
        shape = (SEEDS, fix.ROUNDS.size)
        curve = rng.binomial(64, np.broadcast_to(own, shape)) / 64
        seen = {"test_rounds": fix.ROUNDS, "test_curve_samples": np.full(shape, 64)}
        cells.append(replace(made, test_curve=curve, **seen))
    return cells


def spread_of_tests(plain, changed):
    return next(p for p in judged("A4", *noisy(plain, changed)).parts if p.id == "test-curves")


def test_a_ratio_of_spreads_that_is_evaluation_noise_says_so():
    part = spread_of_tests(0.01, 0.01)
    assert "towards 1" not in words(part)["sentence"]
    assert part.verdict == "supported"
    assert (
        "the two disagree, the ratio judged is above 1 and this one is not distinguished from it"
        in words(part)["detail"]
    )


def test_a_ratio_of_spreads_that_outlives_its_noise_says_so_too():
    part = spread_of_tests(0.01, 0.2)
    assert part.verdict == "supported"
    assert words(part)["detail"].endswith("which says the same.")


def test_a_ratio_of_spreads_that_is_nothing_but_noise_says_so():
    part = spread_of_tests(0.0, 0.0)
    assert part.verdict == "supported"
    assert words(part)["detail"].endswith(
        "no spread is left to compare: the ratio judged may be that of the noise."
    )


def test_a_placebo_that_falls_is_no_gain_that_is_not_learned():
    runs = [cell(contextual(), "G=1", design(), test=0.4)]
    found = judged("A2", *runs, cell(contextual(), "placebo", design(reward="random"), test=0.25))
    said = " ".join(wording.placebo(x)["sentence"] for x in found.placebo if x.compared is None)
    assert re.search(r"test Pass@1 changes by −\d\.\d\d points", said)
    assert "such a change needs no information in the reward" in said
    assert "not learned" not in said


@pytest.mark.parametrize(
    ("shift", "text"), [(0.01, "A gain is shown"), (-0.01, "A loss is shown"), (0.0, "")]
)
def test_equivalence_does_not_hide_a_difference(shift, text):
    values = shift + 1e-3 * np.array([-1.0, 0.0, 1.0, 0.0, -1.0, 1.0])
    difference = paired_difference(values, np.zeros(6))
    band = Band(-0.02, 0.02, gain_only=True)
    said = words(replace(ONE, facts=detectable(difference, band)(0.05)))["detail"]
    assert ("is shown (95%" in said) == bool(text)
    assert text in said
    assert ("it lies within the margin" in said) == bool(text)
    one_sided = replace(ONE, band=(0.0, 1.0), facts=detectable(difference, Band(low=0.0))(0.05))
    assert "is shown (95%" not in words(one_sided)["detail"]


def test_a1_does_not_say_that_runs_reach_one_and_counts_them_by_query():
    query = np.repeat([3, 5], SEEDS // 2)
    final = np.where((query == 5) & (np.arange(SEEDS) % 2 == 0), 0.9375, 1.0)
    found = judged("A1", cell(fix.llm(), "G=1", design(), query=query, final=final))
    (part,) = found.parts
    assert words(part)["label"] == "Runs shown to exceed train Pass@1 0.95"
    assert "reach train Pass@1 = 1" not in found.summary
    assert (
        "Runs that exceed it, by query: query 3 12 of 12, query 5 6 of 12 (the others end at 0.94 to 0.94)."
        in notes(found)
    )


def speed(hits):
    """One rollout against four: all runs get to .9, `hits` of either condition to .99."""
    late = np.where(np.arange(SEEDS)[:, None] < hits, 1.0, 0.96)
    cells = []
    for name, at, rollouts in (("G=1", 20, 1), ("G=4", 12, 4)):
        curve = np.where(at <= fix.ROUNDS, 0.96, 0.2) * np.ones((SEEDS, 1))
        curve = np.where(fix.ROUNDS >= 36, late, curve)
        cells.append(cell(lumped(), name, design(rollouts=rollouts, optimizer="adam"), curve=curve))
    return {wording.secondary(s): s for p in judged("A5", *cells).parts for s in p.secondary}


def test_a_tie_of_single_runs_is_no_estimate_of_a_ratio():
    few = speed(1)[f"ratio at train Pass@1 ≥ 0.99; 1 and 1 of {SEEDS} runs get there"]
    assert (few.estimate, few.interval) == (None, (0.0, None))
    known = speed(SEEDS)[f"ratio at train Pass@1 ≥ 0.99; {SEEDS} and {SEEDS} of {SEEDS} runs get there"]
    assert known.estimate is not None
    assert math.isfinite(known.estimate)
