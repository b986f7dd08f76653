"""Coverage and error rates on simulated truth; a few hundred data sets each.

Bounds are three Monte Carlo standard errors wide.
"""

import numpy as np
import pytest
from scipy.special import ndtr

from analysis.inference.means import paired_difference, welch_difference
from analysis.inference.multiplicity import holm
from analysis.inference.ratio import ratio_test
from analysis.inference.times import HittingTimes

pytestmark = pytest.mark.slow(15)


def on_grid(t, horizon, step):
    """Times seen on an evaluation grid and censored at the horizon."""
    upper = np.ceil(t / step) * step
    hit = upper <= horizon
    return HittingTimes(np.where(hit, upper - step, horizon), np.where(hit, upper, np.inf), horizon, step)


def sample(rng, n, queries, ratio, median, horizon, corr, sd=0.4):
    """Log-normal times, queries of different difficulty, partners correlated as by shared streams."""
    query = np.repeat(np.arange(queries), n // queries)
    scale = median * np.exp(np.linspace(-0.4, 0.4, queries))[query] if queries > 1 else np.full(n, median)
    a, b = rng.standard_normal((2, n))
    b = corr * a + np.sqrt(1 - corr**2) * b
    slow, fast = scale * np.exp(sd * a), scale / ratio * np.exp(sd * b)
    return on_grid(slow, horizon, 5.0), on_grid(fast, horizon, 5.0), query


CASES = [  # pairs, queries, true ratio, median of the slow group, horizon, correlation
    (8, 1, 2.0, 50, 145, 0.0),
    (16, 4, 2.0, 50, 145, 0.5),
    (16, 4, 2.0, 120, 145, 0.5),  # about a third of the slow runs censored
    (64, 4, 1.8, 50, 145, 0.5),
]


@pytest.mark.parametrize(("n", "queries", "ratio", "median", "horizon", "corr"), CASES)
def test_ratio_interval_covers_the_truth(n, queries, ratio, median, horizon, corr):
    sets, low, high = 250, 0, 0
    for s in range(sets):
        rng = np.random.default_rng([s, n, median])
        slow, fast, query = sample(rng, n, queries, ratio, median, horizon, corr)
        test = ratio_test(slow, fast, strata_N=query, margins=(ratio,), grid_step=0.05)
        low += test.p_above(ratio) <= 0.025
        high += test.p_below(ratio) <= 0.025
    error = np.sqrt(0.05 * 0.95 / sets)
    assert (low + high) / sets <= 0.05 + 3 * error
    assert max(low, high) / sets <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / sets)


def test_censoring_would_bias_what_dropping_and_capping_do_but_not_the_inversion():
    estimates, dropped, capped = [], [], []
    for s in range(60):
        rng = np.random.default_rng(s)
        slow, fast, _ = sample(rng, 64, 1, 2.0, 145, 145, 0.0)  # half of the slow runs censored
        estimates.append(ratio_test(slow, fast).estimate)
        dropped.append(np.median(slow.time[slow.hit]) / np.median(fast.time[fast.hit]))
        capped.append(slow.time.mean() / fast.time.mean())
    assert np.exp(np.mean(np.log(estimates))) == pytest.approx(2.0, abs=0.08)
    assert np.mean(dropped) < 1.7
    assert np.mean(capped) < 1.7


@pytest.mark.parametrize("edge", [-0.02, 0.02])
@pytest.mark.parametrize("paired", [True, False])
def test_equivalence_error_at_the_edge_of_the_margin(edge, paired):
    sets, rng = 4000, np.random.default_rng(7)
    test = paired_difference if paired else welch_difference
    shown = 0
    for _ in range(sets):
        a, b = rng.normal(edge, 0.006, 8), rng.normal(0, 0.004, 8)
        shown += test(a, b).p_inside(0.02) <= 0.05
    assert shown / sets <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)
    assert shown / sets >= 0.03  # not conservative here: the other bound is far away


def test_holm_over_two_way_verdicts_keeps_the_family_error_rate():
    """Every claim true or false at random, at and beyond its border: a wrong word is rare in the whole family."""
    rng, sets, alpha = np.random.default_rng(8), 20_000, 0.05
    for shifts in ([0, 0, 0, 0], [0, 2.2, 2.2, 2.2], [0, -2.2, 2.2, 0], [0.3, -0.3, 2.5, -2.5]):
        wrong = 0
        z = rng.standard_normal((sets, 4)) + np.array(shifts)
        support, refute = ndtr(-z), ndtr(z)  # "supported" is right above 0, "refuted" below
        for s in range(sets):
            after = holm(np.minimum(support[s], refute[s]).tolist(), alpha)
            words = np.where(support[s] < refute[s], 1, -1) * [a.rejected for a in after]
            # at the border itself the claim is false: only "supported" is wrong there
            truth = np.where(np.array(shifts) > 0, 1, -1)
            wrong += bool(np.any((words != 0) & (words != truth)))
        assert wrong / sets <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / sets)
