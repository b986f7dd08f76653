"""The least p-value of every test, against the test itself on the clearest data; what lint and power say of it."""

import numpy as np
import pytest
from click.testing import CliRunner
from support.claims import ROUNDS, SEEDS, cell, design, lumped, records

from analysis.inference import spread
from analysis.inference.fractions import Fraction, RiskDifference
from analysis.inference.means import paired_difference
from analysis.inference.ratio import ratio_test
from analysis.inference.times import HittingTimes
from analysis.judging import verdicts
from analysis.planning.attainable import warnings
from analysis.planning.seeds import plan
from banditrft.claims import CLAIMS, SpreadRatio, own_claim, parse_own, protocols
from banditrft.cli.lint import command
from banditrft.study import parse_study


def own(kind, **fields):
    table = {"id": "U", "type": kind, "statement": "as stated", "a": "G=4", **fields}
    return own_claim(parse_own(table, "own_claims"))


def least(claim, seeds, queries=1):
    return claim.least_p(queries, seeds)


@pytest.mark.parametrize("n", range(1, 9))
def test_pairs_of_times_have_two_to_the_minus_n(n):
    def times(at):
        return HittingTimes(np.full(n, at - 1.0), np.full(n, at), 1000.0, 1.0)

    test = ratio_test(times(500.0), times(5.0), margins=(2.0,))
    assert test.p_above(2.0) == least(own("faster", b="G=1", margin=2.0), n)[0] == 2.0**-n
    assert test.p_inside(2.0, 2.0**9) >= least(CLAIMS["A5"], n)[0]


@pytest.mark.parametrize("queries", [1, 2])
@pytest.mark.parametrize("seeds", range(3, 10))
def test_spreads_are_sign_changes_without_the_median(seeds, queries):
    n, query = seeds * queries, np.repeat(np.arange(queries), seeds)
    wanted = least(own("more-variable", b="G=1", margin=1.0), seeds, queries)[0]
    narrow = np.tile(np.arange(seeds, dtype=float), queries)
    best = spread.spread_ratio(100 * narrow, narrow, query).p_above(1.0)
    assert best == pytest.approx(wanted) if n < SpreadRatio.permutation_below else wanted == 0.0
    if n < SpreadRatio.permutation_below:  # and no data do better
        rng = np.random.default_rng(n)
        found = [
            spread.spread_ratio(
                1e3 * rng.standard_normal(n), rng.standard_normal(n), query, candidates=3
            ).p_above(1.0)
            for _ in range(100)
        ]
        assert min(found) >= wanted - 1e-12


def test_the_sizes_at_which_spreads_are_tested_are_those_of_the_test():
    assert protocols.FEWEST_IN_SPREAD == spread.FEWEST
    assert spread.spread_ratio.__kwdefaults__["permutation_below"] == SpreadRatio.permutation_below


@pytest.mark.parametrize("n", range(1, 8))
def test_fractions_are_powers_of_their_margin_and_boschloos_is_four_to_the_minus_n(n):
    alone, against = own("fails", margin=0.6), own("fails", margin=0.1, b="G=1")
    assert least(alone, n) == pytest.approx((Fraction(n, n).p_above(0.6), Fraction(0, n).p_below(0.6)))
    assert least(CLAIMS["A1"], n) == pytest.approx((Fraction(n, n).p_above(0.5), Fraction(0, n).p_below(0.5)))
    apart = RiskDifference(Fraction(n, n), Fraction(0, n)).p_above
    learns = 0.5**n  # by the sign test that b is ahead of its placebo in each of n pairs
    assert least(against, n)[0] == pytest.approx(max(0.1**n, apart, learns), rel=1e-3)
    assert least(against, n)[1] == pytest.approx(min(1, 2 * 0.9**n, max(2 * apart, learns)), rel=1e-3)


@pytest.mark.parametrize(("n", "word"), [(4, "undecided"), (5, "supported")])
def test_four_seeds_decide_nothing_about_failing(n, word):
    """The clearest data: all fail, none of the others does, and the placebo learns nothing."""
    names = (("{0, 1}", "zero-one", 0.97), ("{-1, 0}", "minus-one-zero", 0.1), ("placebo", "random", 0.1))
    cells = [
        cell(lumped(), name, design(reward=reward), query=np.zeros(n), curve=np.full(ROUNDS.size, level))
        for name, reward, level in names
    ]
    (found,) = verdicts(records(["A7"], *cells))
    assert found.verdict == word
    assert found.p == pytest.approx(least(CLAIMS["A7"], n)[0]) == pytest.approx(0.5**n)


def test_students_t_has_none_from_two_runs_on():
    test = paired_difference([1.0, 1.0 + 1e-9], [0.0, 0.0])
    assert test.p_above(0.0) < 1e-6
    claim = own("no-better", b="G=1", margin=0.02)
    assert (least(claim, 2), least(claim, 1)) == ((0.0, 0.0), (1.0, 1.0))


STUDY = """
name = "few"
seeds = {seeds}
[design]
learning_rate = 0.1
rounds = 40
[[conditions]]
name = "G=1"
[[conditions]]
name = "G=4"
rollouts = 4
[[conditions]]
name = "placebo"
reward = "random"
[[sim]]
world = "contextual"
name = "w"
"""
CLAIM = """
[[own_claims]]
id = "{id}"
type = "{type}"
statement = "as stated"
a = "G=4"
b = "G=1"
margin = {margin}
"""


def said(seeds, *claims):
    tables = [CLAIM.format(id=f"U{i}", type=kind, margin=margin) for i, (kind, margin) in enumerate(claims)]
    return warnings(parse_study(STUDY.format(seeds=seeds) + "".join(tables)))


SPREAD, SPEED, TEST = ("more-variable", 1.0), ("faster", 1.2), ("no-better", 0.02)


@pytest.mark.parametrize(
    ("seeds", "claims", "words"),
    [
        (
            5,
            [SPREAD],
            ["'U0' in 'w' cannot be decided with 5 seeds", "is 0.062; 6 seeds are the fewest that can"],
        ),
        (6, [SPREAD], []),
        (2, [SPREAD], ["can give is 1; 6 seeds"]),
        (4, [SPEED], ["can give is 0.062; 5 seeds"]),
        (5, [SPEED], []),
        (5, [SPEED, SPEED], ["can give is 0.031, corrected for 1 other claims; 6 seeds", "'U1'"]),
        (5, [SPEED, TEST], []),  # the other claim may be decided first and leaves it the whole level
        (3, [("fails", 0.9)], ["cannot be supported", "can give is 0.73; 29 seeds"]),
        (3, [("fails", 0.5)], ["cannot be decided", "can give is 0.12; 5 seeds"]),
        (3, [("fails", 0.1)], ["cannot be decided", "can give is 0.12; 5 seeds"]),
        (1, [TEST], ["cannot be decided with 1 seeds", "2 seeds are the fewest"]),
    ],
)
def test_a_claim_that_no_data_can_decide_is_told_with_the_seeds_that_can(seeds, claims, words):
    found = said(seeds, *claims)
    assert bool(found) == bool(words)
    assert all(word in " ".join(found) for word in words)


def test_support_may_be_out_of_reach_where_a_refutation_is_not():
    (found,) = said(2, ("fails", 0.9))
    assert "cannot be supported with 2 seeds" in found
    assert "29 seeds are the fewest" in found  # .9^28 = .052


def test_lint_says_it(tmp_path):
    file = tmp_path / "few.toml"
    file.write_text(STUDY.format(seeds=5) + CLAIM.format(id="U", type="more-variable", margin=1.0))
    shown = CliRunner().invoke(command, [str(file)], standalone_mode=False).output
    assert "warning: claims: 'U' in 'w' cannot be decided with 5 seeds, whatever the data" in shown


def test_power_says_it():
    rng = np.random.default_rng(0)
    curves = [0.5 + scale * rng.standard_normal((SEEDS, 1)) * np.ones(ROUNDS.size) for scale in (0.01, 0.1)]
    cells = [
        cell(lumped(), f"G={g}", design(rollouts=g), curve=c) for g, c in zip((1, 4), curves, strict=True)
    ]
    of = records((), *cells)
    of.study["own_claims"] = [
        {"id": "U", "type": "more-variable", "statement": "s", "a": "G=4", "b": "G=1", "margin": 1.0}
    ]
    (few,), (enough,) = (plan(of, {"lumped": seeds}) for seeds in (5, 6))
    assert few.power == 0.0
    assert "cannot be decided with 5 seeds" in few.impossible
    assert (enough.impossible, few.seeds) == (None, enough.seeds)
