"""Power, simulated with the tests themselves, against what `analysis.planning.power` computes beforehand."""

import functools

import numpy as np
import pytest
from calibration.laws import pairs, times
from scipy.stats import binom

from analysis.inference.fractions import Fraction, RiskDifference
from analysis.inference.ladder import place
from analysis.inference.means import paired_difference, welch_difference
from analysis.inference.ratio import ratio_test
from analysis.inference.spread import spread_ratio
from analysis.planning.power import (
    approximate_power,
    argmax_power,
    binomial_power,
    boschloo_power,
    boschloo_region,
    equivalence_power,
    needed,
    ratio_power,
    spread_power,
    t_power,
)

ALPHA = 0.05
CLOSE = 0.05
TABLE = {  # seeds for 80% power; Student without skewness: 6, 9, 18, 32, 70 and 5, 8, 12
    "equivalence, margin 2 sd": (lambda n: equivalence_power(2.0, 0.0, 1.0, n, ALPHA, groups=2), 6),
    "equivalence, margin 1.5 sd": (lambda n: equivalence_power(1.5, 0.0, 1.0, n, ALPHA, groups=2), 10),
    "equivalence, margin 1 sd": (lambda n: equivalence_power(1.0, 0.0, 1.0, n, ALPHA, groups=2), 20),
    "equivalence, margin .75 sd": (lambda n: equivalence_power(0.75, 0.0, 1.0, n, ALPHA, groups=2), 33),
    "equivalence, margin .5 sd": (lambda n: equivalence_power(0.5, 0.0, 1.0, n, ALPHA, groups=2), 72),
    "below base, 1.5 sd": (lambda n: t_power(1.5, 1.0, n, ALPHA), 6),
    "below base, 1 sd": (lambda n: t_power(1.0, 1.0, n, ALPHA), 10),
    "below base, .8 sd": (lambda n: t_power(0.8, 1.0, n, ALPHA), 13),
    "fails, .9 against .1": (lambda n: boschloo_power(0.9, 0.1, n, ALPHA), 4),
    "fails, .8 against .2": (lambda n: boschloo_power(0.8, 0.2, n, ALPHA), 8),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_planned_seeds_are_those_of_the_protocol(case):
    power, seeds = TABLE[case]
    assert needed(power) == seeds


def test_boschloo_region_is_scipys_test():
    n = 6
    region = boschloo_region(n, ALPHA)
    for a in range(n + 1):
        for b in range(n + 1):
            assert region[a, b] == (RiskDifference(Fraction(a, n), Fraction(b, n)).p_above <= ALPHA)


def test_no_seeds_are_enough_for_an_effect_of_nothing():
    assert needed(lambda n: t_power(0.0, 1.0, n, ALPHA)) is None


def t_simulated(n, sets, rng):
    found = (paired_difference(rng.normal(0.8, 1, n), np.zeros(n)) for _ in range(sets))
    return np.mean([t.p_above(0) <= ALPHA for t in found])


def equivalence_simulated(n, sets, rng, groups, margin):
    def one():
        a, b = rng.standard_normal((2, n))
        return paired_difference(a, np.zeros(n)) if groups == 1 else welch_difference(a, b)

    return np.mean([one().p_inside(margin) <= ALPHA for _ in range(sets)])


def binomial_simulated(n, sets, rng):
    return np.mean([Fraction(k, n).p_above(0.5) <= ALPHA for k in rng.binomial(n, 0.8, sets)])


def boschloo_exactly(n, _sets, _rng):
    k = np.arange(n + 1)
    pmf = np.outer(binom.pmf(k, n, 0.8), binom.pmf(k, n, 0.2))
    return sum(
        pmf[a, b] for a in k for b in k if RiskDifference(Fraction(a, n), Fraction(b, n)).p_above <= ALPHA
    )


def ratio_simulated(n, sets, rng, band):
    shown = 0
    for _ in range(sets):
        slow, fast, _ = times(rng, n, 1, 2.0, 50, 145, 0.5, sd=0.5)
        margins = tuple(m for m in band if np.isfinite(m))
        test = ratio_test(slow, fast, margins=margins, grid_step=0.05)
        shown += test.p_above(band[0]) <= ALPHA and (
            not np.isfinite(band[1]) or test.p_below(band[1]) <= ALPHA
        )
    return shown / sets


def ratio_planned(n, rng, band):
    law = {"median": 50.0, "horizon": 145.0, "step": 5.0, "rng": rng}
    return ratio_power(2.0, band, 0.5, 0.5, n, ALPHA, **law)[1]


def spread_simulated(n, sets, rng):
    shown = 0
    for _ in range(sets):
        a, b = pairs(rng, n, 0.5)
        shown += spread_ratio(2 * a, b).p_above(1.0) <= ALPHA
    return shown / sets


def argmax_simulated(n, sets, rng):
    x, shown = np.arange(9.0), 0
    for _ in range(sets):
        y = -0.1 * (x - 4) ** 2 + 0.4 * (rng.standard_normal((n, 1)) + rng.standard_normal((n, 9)))
        test = place(x, y, (3.0, 5.0)).read
        shown += max(test.p_above(3.0), test.p_below(5.0)) <= ALPHA
    return shown / sets


def argmax_planned(n, rng):
    x = np.arange(9.0)
    covariance = 0.16 * (np.eye(9) + 1)
    return argmax_power(-0.1 * (x - 4) ** 2, covariance, x, (3.0, 5.0), n, ALPHA, rng=rng)


FASTER, WITHIN = (1.0, np.inf), (np.sqrt(2), 2 * np.sqrt(2))
METHODS = {
    "One-sided t test": (
        t_simulated,
        lambda n, _: t_power(0.8, 1.0, n, ALPHA),
        (t_power, paired_difference),
        (5, 8, 16),
        4000,
    ),
    "Paired TOST": (
        functools.partial(equivalence_simulated, groups=1, margin=1.0),
        lambda n, _: equivalence_power(1.0, 0.0, 1.0, n, ALPHA),
        (equivalence_power, paired_difference),
        (5, 8, 16),
        4000,
    ),
    "Welch TOST": (
        functools.partial(equivalence_simulated, groups=2, margin=1.5),
        lambda n, _: equivalence_power(1.5, 0.0, 1.0, n, ALPHA, groups=2),
        (equivalence_power, welch_difference),
        (5, 8, 16),
        4000,
    ),
    "Exact binomial": (
        binomial_simulated,
        lambda n, _: binomial_power(0.8, 0.5, n, ALPHA),
        (binomial_power, Fraction),
        (8, 16),
        4000,
    ),
    "Boschloo": (
        boschloo_exactly,
        lambda n, _: boschloo_power(0.8, 0.2, n, ALPHA),
        (boschloo_power, RiskDifference, Fraction),
        (5, 8),
        None,
    ),
    "Permutation log-rank, faster": (
        functools.partial(ratio_simulated, band=FASTER),
        functools.partial(ratio_planned, band=FASTER),
        (ratio_power, ratio_test),
        (5, 8, 16),
        600,
    ),
    "Permutation log-rank, inside a band": (
        functools.partial(ratio_simulated, band=WITHIN),
        functools.partial(ratio_planned, band=WITHIN),
        (ratio_power, ratio_test),
        (8, 16, 32),
        600,
    ),
    "Brown-Forsythe for pairs": (
        spread_simulated,
        lambda n, rng: spread_power(2.0, 1.0, 0.5, n, ALPHA, rng=rng),
        (spread_power, spread_ratio),
        (8, 16, 32),
        600,
    ),
    "Fieller's maximum": (argmax_simulated, argmax_planned, (argmax_power, place), (8, 16, 32), 600),
    "From the width of an interval (one-sided t)": (
        t_simulated,
        lambda n, _: approximate_power(0.8, 1.0 / np.sqrt(8), 8, n, ALPHA),
        (approximate_power, paired_difference),
        (8, 16),
        4000,
    ),
}


@pytest.mark.parametrize("name", ["One-sided t test", "Paired TOST", "Welch TOST", "Exact binomial"])
def test_computed_power_is_what_happens(name):
    simulate, computed, *_ = METHODS[name]
    assert abs(simulate(8, 1000, np.random.default_rng(1)) - computed(8, None)) <= CLOSE


@pytest.mark.calibration
@pytest.mark.parametrize("name", METHODS)
def test_power(name, calibration_results):
    simulate, computed, measures, seeds, sets = METHODS[name]
    for n in seeds:
        planned = float(computed(n, np.random.default_rng([n, 1])))
        rate = float(simulate(n, sets, np.random.default_rng([n, 2])))
        kept = calibration_results.add(
            name,
            measures=measures,
            kind="power",
            case="see tests/calibration/test_power_calibration.py",
            n=n,
            nominal=planned,
            rate=rate,
            sets=sets,
            exact=name in ("One-sided t test", "Paired TOST", "Exact binomial", "Boschloo"),
        )
        assert abs(kept.rate - kept.nominal) <= CLOSE
