"""Error rates at the border of the tests behind the claims' types, on simulated truth.

At a nominal 5% per side, bounds are three Monte Carlo standard errors wide. What is only approximate is held to
the rates measured once with 400 to 600 data sets: paired Brown-Forsythe at most .065; SD over noise .058, but
.085 for its upper bound where the seeds' own values are skewed and nine tenths of the variance; Fieller .073;
variance share .058.
"""

import numpy as np
import pytest
from scipy.stats import binom

from analysis.inference.fractions import Fraction, RiskDifference
from analysis.inference.ladder import quadratic_argmax, slopes
from analysis.inference.means import lowered, mean_of
from analysis.inference.spread import log_variance_ratio, noise_over_sd, spread_ratio

pytestmark = pytest.mark.slow(6)


def bound(nominal, sets):
    return nominal + 3 * np.sqrt(nominal * (1 - nominal) / sets)


def draw(rng, shape, kind):
    """Standardised values, normal or skewed."""
    return rng.standard_normal(shape) if kind == "normal" else (rng.gamma(2, 1, shape) - 2) / np.sqrt(2)


@pytest.mark.parametrize(
    ("n", "queries", "ratio", "corr", "kind"),
    [
        (8, 1, 1.0, 0.0, "normal"),
        (16, 4, 1.0, 0.5, "normal"),
        (16, 4, 2.0, 0.5, "normal"),
        (32, 1, 2.0, 0.0, "skewed"),
    ],
)
def test_spread_ratio_at_the_truth(n, queries, ratio, corr, kind):
    sets, low, high = 150, 0, 0
    query = np.repeat(np.arange(queries), n // queries)
    for s in range(sets):
        rng = np.random.default_rng([s, n, queries])
        own, shared = draw(rng, (2, n), kind)
        a = np.sqrt(1 - corr**2) * own + corr * shared
        test = spread_ratio(10.0 * query + ratio * a, 10.0 * query + shared, query, margins=(ratio,))
        low += test.p_above(ratio) <= 0.05
        high += test.p_below(ratio) <= 0.05
    assert max(low, high) / sets <= bound(0.05, sets)


@pytest.mark.parametrize(
    ("n", "queries", "ratio", "kind", "nominal"),
    [
        (8, 1, np.sqrt(2), "normal", 0.05),
        (16, 4, np.sqrt(2), "normal", 0.05),
        (64, 1, np.sqrt(2), "skewed", 0.06),
        (64, 1, 3.0, "skewed", 0.085),
    ],
)
def test_sd_over_noise_at_the_truth(n, queries, ratio, kind, nominal):
    sets, low, high = 300, 0, 0
    query = np.repeat(np.arange(queries), n // queries)
    for s in range(sets):
        rng = np.random.default_rng([s, n, 7])
        values = 10.0 * query + np.sqrt(ratio**2 - 1) * draw(rng, n, kind) + rng.standard_normal(n)
        inverse = noise_over_sd(values, np.ones(n), query)
        low += inverse.p_below(1 / ratio) <= 0.05
        high += inverse.p_above(1 / ratio) <= 0.05
    assert low / sets <= bound(0.06, sets)
    assert high / sets <= bound(nominal, sets)


def test_seeds_that_add_nothing_are_never_called_random():
    sets, shown, refuted = 300, 0, 0
    for s in range(sets):
        rng = np.random.default_rng([s, 3])
        inverse = noise_over_sd(rng.binomial(64, 0.4, 40) / 64, np.full(40, 0.24 / 64))
        shown += inverse.p_below(1 / np.sqrt(2)) <= 0.05
        refuted += inverse.p_above(1 / np.sqrt(2)) <= 0.05
    assert shown / sets <= 0.01
    assert refuted / sets >= 0.5


@pytest.mark.parametrize("edge", [-0.02 / 3, 0.02 / 3])
def test_trend_error_at_the_edge_of_the_margin(edge):
    sets, shown = 1500, 0
    x = np.log2([1, 8, 16, 32, 64])
    for s in range(sets):
        rng = np.random.default_rng([s, 5])
        y = 0.4 + edge * x + 0.03 * rng.standard_normal((8, 1)) + 0.005 * rng.standard_normal((8, 5))
        slope = mean_of(slopes(x, y))
        shown += max(slope.p_above(-0.02 / 3), slope.p_below(0.02 / 3)) <= 0.05
    level = float(lowered(0.05, 7))  # at which normal values are read, so that skewed ones hold at .05
    assert 2 * level - bound(level, sets) <= shown / sets <= bound(level, sets)


@pytest.mark.parametrize(("n", "best", "sd"), [(8, 5.0, 0.5), (16, 4.0, 1.0), (64, 4.0, 2.0)])
def test_optimum_at_the_truth(n, best, sd):
    sets, low, high = 300, 0, 0
    x = np.arange(9.0)
    for s in range(sets):
        rng = np.random.default_rng([s, n, 9])
        y = -0.1 * (x - best) ** 2 + sd * rng.standard_normal((n, 1)) + sd * rng.standard_normal((n, 9))
        test = quadratic_argmax(x, y, (best,))
        low += test.p_above(best) <= 0.05
        high += test.p_below(best) <= 0.05
    assert max(low, high) / sets <= bound(0.055, sets)


def test_a_flat_curve_has_no_located_optimum():
    sets, shown = 300, 0
    x = np.arange(9.0)
    for s in range(sets):
        rng = np.random.default_rng([s, 10])
        test = quadratic_argmax(x, rng.standard_normal((12, 9)), (4.0, 6.0))
        shown += max(test.p_above(4.0), test.p_below(6.0)) <= 0.05
    assert shown / sets <= bound(0.05, sets)


@pytest.mark.parametrize(("n", "rate"), [(8, 0.3), (12, 0.5)])
def test_boschloo_between_equal_rates(n, rate):
    chance = np.array(
        [RiskDifference(Fraction(a, n), Fraction(b, n)).p_above for a in range(n + 1) for b in range(n + 1)]
    )
    weight = np.outer(*[binom.pmf(np.arange(n + 1), n, rate)] * 2).ravel()
    assert weight[chance <= 0.05].sum() <= 0.05  # exact, by enumeration


@pytest.mark.parametrize(("n", "ratio"), [(8, 1.0), (12, 4.0), (64, 9.0)])
def test_variance_share_at_the_truth(n, ratio):
    sets, low, high = 300, 0, 0
    worlds, designs = np.sqrt(ratio) * np.array([-0.1, 0, 0.1]), np.array([-0.1, 0, 0.1])
    for s in range(sets):
        rng = np.random.default_rng([s, n, 11])
        noise = 0.05 * rng.standard_normal((n, 3, 3)) + 0.05 * rng.standard_normal((n, 1, 1))
        test = log_variance_ratio(worlds[None, :, None] + designs[None, None, :] + noise)
        low += test.p_above(np.log(ratio)) <= 0.05
        high += test.p_below(np.log(ratio)) <= 0.05
    assert max(low, high) / sets <= bound(0.055, sets)
