"""Hitting times, Kaplan-Meier and the log-rank inversion against plain loops, statsmodels and full enumeration."""

import itertools

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from analysis.inference.inversion import sign_tails
from analysis.inference.ratio import RatioTest, ratio_test, scores
from analysis.inference.times import (
    HittingTimes,
    at_risk,
    hitting_times,
    kaplan_meier,
    median_ratio,
    median_time,
    restricted_mean,
)
from banditrft.errors import InputError

pytestmark = pytest.mark.slow(5)


def loop_hit(rounds, values, threshold, k, horizon):
    """First of k consecutive evaluations at or above the threshold, by a plain loop."""
    seen = [(r, v) for r, v in zip(rounds, values, strict=True) if 0 < r <= horizon]
    previous = 0.0
    for i in range(len(seen) - k + 1):
        if all(v >= threshold for _, v in seen[i : i + k]):
            return previous, seen[i][0]
        previous = seen[i][0]
    return seen[len(seen) - k][0], np.inf


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("horizon", [np.inf, 40])
def test_hitting_times_equal_a_plain_loop(k, horizon):
    rng = np.random.default_rng(0)
    rounds = np.array([0, 5, 10, 20, 25, 40, 45, 60])
    values = rng.random((200, rounds.size))
    found = hitting_times(rounds, values, 0.6, consecutive=k, horizon=None if horizon == np.inf else horizon)
    expected = [loop_hit(rounds, v, 0.6, k, horizon) for v in values]
    np.testing.assert_array_equal(found.lower, [e[0] for e in expected])
    np.testing.assert_array_equal(found.upper, [e[1] for e in expected])


def test_one_lucky_evaluation_is_no_hit_and_neither_is_the_base():
    rounds = [0, 5, 10, 15, 20]
    times = hitting_times(rounds, [[1, 1, 0, 1, 0], [1, 0, 0, 1, 1], [0, 0, 0, 0, 1]], 0.9)
    assert times.hit.tolist() == [False, True, False]
    assert times.time.tolist() == [15, 12.5, 15]  # censored at the last evaluation that could be confirmed
    assert (times.horizon, times.step) == (15, 5)


@pytest.mark.parametrize(
    ("rounds", "values", "what"),
    [
        ([0, 5, 5], [[0, 0, 0]], "rise"),
        ([0, 5], [[0, 1]], "needs 2"),
        ([0, 5, 10], [[0, np.nan, 1]], "finite"),
        ([0, 5, 10], [0, 1, 1], "shape|need"),
    ],
)
def test_bad_curves_are_named(rounds, values, what):
    with pytest.raises(InputError, match=what):
        hitting_times(rounds, values, 0.9)


def test_kaplan_meier_equals_statsmodels():
    rng = np.random.default_rng(1)
    time, event = rng.integers(1, 30, 200).astype(float), rng.random(200) < 0.6
    found, theirs = kaplan_meier(time, event), SurvfuncRight(time, event.astype(int))
    np.testing.assert_array_equal(found.time, theirs.surv_times)
    np.testing.assert_allclose(found.survival, theirs.surv_prob, atol=1e-12)
    np.testing.assert_array_equal(found.at_risk, theirs.n_risk)
    assert median_time(found) == theirs.quantile(0.5)
    assert at_risk(time, [0, 10]).tolist() == [200, int((time >= 10).sum())]


def test_restricted_mean_is_the_area_under_the_curve():
    time, event = np.array([3.0, 7, 10, 10]), np.array([True, True, False, False])
    curve = kaplan_meier(time, event)
    edges = [0, *curve.time, 10]
    area = sum((b - a) * s for a, b, s in zip(edges, edges[1:], [1, *curve.survival], strict=False))
    assert restricted_mean(time, event, 10) == pytest.approx(area) == 7.5
    with pytest.raises(InputError, match="censored before"):
        restricted_mean([3.0, 5], [True, False], 10)


def test_median_ratio_covers_and_is_refused_for_few_pairs():
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        a, b = 60 * np.exp(0.4 * rng.standard_normal(24)), 30 * np.exp(0.25 * rng.standard_normal(24))
        _, low, high = median_ratio(a, b, np.repeat([0, 1], 12), resamples=400, rng=rng)
        covered += low <= 2.0 <= high
    assert 0.9 <= covered / 200 <= 1.0
    never, soon = np.full(10, np.inf), np.arange(1.0, 11.0)
    assert median_ratio(never, soon, np.zeros(10), rng=np.random.default_rng(0))[0] == np.inf
    assert np.isnan(median_ratio(never, never, np.zeros(10), rng=np.random.default_rng(0))[0])
    with pytest.raises(InputError, match="at least 10"):
        median_ratio(soon[:5], soon[:5], np.zeros(5), rng=np.random.default_rng(0))


def test_nobody_hits():
    curve = kaplan_meier([10.0, 10], [False, False])
    assert curve.time.size == 0
    assert median_time(curve) == np.inf


def times(values, horizon, step=1.0):
    """Exactly known times: the interval has no width."""
    values = np.asarray(values, dtype=float)
    hit = values < horizon
    return HittingTimes(np.where(hit, values, horizon), np.where(hit, values, np.inf), horizon, step)


def rescored(slow, fast, x):
    """Pooled times and events after both groups are re-censored at the horizon they share."""
    horizon = min(slow.horizon, x * fast.horizon)
    t = np.concatenate([slow.time, x * fast.time])
    e = np.concatenate([slow.hit, fast.hit]) & (t <= horizon)
    return np.where(e, t, horizon), e


def logrank(t, e, in_a, strata):
    """Observed minus expected events of group A, summed over strata: the textbook double loop."""
    total = 0.0
    for s in np.unique(strata):
        rows = strata == s
        for d in np.unique(t[rows & e]):
            risk, died = rows & (t >= d), rows & e & (t == d)
            total += (died & in_a).sum() - died.sum() * (risk & in_a).sum() / risk.sum()
    return total


@pytest.mark.parametrize("x", [0.8, 1.0, 1.7, 2.5])
def test_paired_p_values_equal_the_enumeration_of_all_swaps(x):
    rng = np.random.default_rng(2)
    n, strata = 6, np.array([0, 0, 0, 1, 1, 1])
    slow, fast = times(rng.gamma(4, 10, n), 45), times(rng.gamma(4, 6, n), 45)
    t, e = rescored(slow, fast, x)
    both = np.concatenate([strata, strata])
    draws = []
    for swap in itertools.product([False, True], repeat=n):
        in_a = np.concatenate([~np.array(swap), np.array(swap)])
        draws.append(logrank(t, e, in_a, both))
    observed, draws = draws[0], np.array(draws)
    # a single ratio on the grid: the curves are not made monotone over anything else
    found = ratio_test(slow, fast, strata_N=strata, margins=(x,))
    exact_above, exact_below = (draws <= observed + 1e-9).mean(), (draws >= observed - 1e-9).mean()
    assert found.p_above(x) >= exact_above - 1e-12
    assert found.p_below(x) >= exact_below - 1e-12
    at = int(np.flatnonzero(found.ratio == x)[0])
    raw_above, raw_below = _not_monotone(slow, fast, strata, found.ratio)
    assert raw_above[at] == pytest.approx(exact_above)
    assert raw_below[at] == pytest.approx(exact_below)
    np.testing.assert_allclose(found.above, np.maximum.accumulate(raw_above))


def _not_monotone(slow, fast, strata, ratios):
    """All swaps at every ratio of the grid, by the double loop (slow, small)."""
    both, n = np.concatenate([strata, strata]), strata.size
    above, below = [], []
    swaps = [np.array(s) for s in itertools.product([False, True], repeat=n)]
    for x in ratios:
        t, e = rescored(slow, fast, x)
        # the numerator is linear in the labels, so one vector of contributions serves all swaps
        unit = np.array([logrank(t, e, np.arange(2 * n) == i, both) for i in range(2 * n)])
        draws = np.array([np.where(s, unit[n:], unit[:n]).sum() for s in swaps])
        above.append((draws <= draws[0] + 1e-9).mean())
        below.append((draws >= draws[0] - 1e-9).mean())
    return np.array(above), np.array(below)


def test_statistic_agrees_with_statsmodels_logrank():
    rng = np.random.default_rng(3)
    slow, fast = times(rng.gamma(4, 10, 40), 60), times(rng.gamma(4, 9, 40), 60)
    t, e = rescored(slow, fast, 1.0)
    group = np.repeat([0, 1], 40)
    _, p = survdiff(t, e.astype(int), group)
    score_XM = scores(slow, fast, np.array([1.0]), np.zeros(80))
    variance = (score_XM**2).sum() * 40 * 40 / (80 * 79)  # of A's sum over all ways to label 40 of 80 runs
    z = score_XM[0, :40].sum() / np.sqrt(variance)
    assert 2 * ndtr(-abs(z)) == pytest.approx(p, abs=0.01)  # theirs takes the hypergeometric variance
    found = ratio_test(slow, fast, margins=(1.0,))
    assert found.p_inside(1.0, 1.0) == 1.0  # nothing lies inside an empty band


def test_interval_and_p_values_agree_at_the_margins():
    rng = np.random.default_rng(4)
    for _ in range(40):
        n = int(rng.integers(3, 30))
        slow, fast = times(rng.gamma(6, 10, n), 90), times(rng.gamma(6, 5, n), 90)
        band = (2**0.5, 2 * 2**0.5)
        found = ratio_test(slow, fast, margins=band)
        for alpha in (0.05, 0.0125):
            low, high = found.interval(alpha)
            assert (found.p_inside(*band) <= alpha) == (low >= band[0] and high <= band[1])
            assert (found.p_outside(*band) <= alpha) == (low >= band[1] or high <= band[0])


def test_degenerate_data_give_an_unbounded_interval_not_an_error():
    never = times(np.full(8, 99.0), 50)
    found = ratio_test(never, never)
    assert found.interval(0.05) == (0.0, np.inf)
    assert np.isnan(found.estimate)
    one = ratio_test(times([10.0], 50), times([5.0], 50))
    assert one.interval(0.05) == (0.0, np.inf)


def test_a_group_that_never_hits_bounds_the_ratio_from_one_side():
    slow, fast = times(np.full(10, 99.0), 50), times(np.linspace(5, 6, 10), 50)
    low, high = ratio_test(slow, fast).interval(0.05)
    assert 8 < low < 10
    assert high == np.inf


def test_equal_groups_contain_one_and_swapping_groups_inverts():
    rng = np.random.default_rng(5)
    a, b = times(rng.gamma(6, 9, 12), 100), times(rng.gamma(6, 5, 12), 100)
    forth = ratio_test(a, b)
    back = ratio_test(b, a)
    assert forth.estimate == pytest.approx(1 / back.estimate, rel=0.01)
    low, high = forth.interval(0.05)
    assert (1 / high, 1 / low) == pytest.approx(back.interval(0.05), rel=0.02)
    low, high = ratio_test(a, a).interval(0.05)
    assert low < 1 < high


def test_unequal_groups_cannot_be_paired():
    with pytest.raises(InputError, match="as many runs of A as of B"):
        ratio_test(times([1.0, 2], 9), times([1.0], 9))


def test_curves_are_p_values():
    test = RatioTest(np.array([1.0, 2.0]), np.array([0.01, 0.4]), np.array([0.9, 0.01]), 1.5, 9, 0.01)
    assert test.interval(0.05) == (1.0, 2.0)
    assert (test.p_above(0.5), test.p_above(1.5), test.p_below(3.0)) == (0.01, 0.4, 0.01)


def drawn_scores(slow, fast, x, draws, rng):
    """Mean Nelson-Aalen scores over draws of every hit inside its step, by a plain loop over runs."""
    total = 0.0
    for _ in range(draws):
        t, e = rescored(slow.drawn(rng), fast.drawn(rng), x)
        risk = np.array([(t >= other).sum() for other in t])
        total = total + np.array(
            [event - (e & (t <= own)) @ (1 / risk) for own, event in zip(t, e, strict=True)]
        )
    return total / draws


@pytest.mark.parametrize("x", [0.9, 1.5, 2.0])
def test_hits_spread_over_their_steps_score_as_many_draws_of_them_do(x):
    """Expected risk sets in place of drawn ones: apart by a share of one run, the same for both groups."""
    rng, n = np.random.default_rng(6), 60
    late = np.ceil(rng.gamma(4, 10, (2, n)) / 10) * 10
    slow, fast = (
        HittingTimes(np.where(t <= 60, t - 10, 60.0), np.where(t <= 60, t, np.inf), 60.0, 10.0) for t in late
    )
    found = scores(slow, fast, np.array([x]), np.zeros(2 * n))[0]
    expected = drawn_scores(slow, fast, x, 2000, rng)
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("n", [13, 16])
def test_convolved_signs_are_the_enumerated_ones(n):
    values = np.random.default_rng(n).normal(0.3, 1.0, (3, n))
    signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.int8)
    for row, above, below in zip(values, *sign_tails(values), strict=True):
        sums = signs @ row
        assert above == pytest.approx((sums >= row.sum() - 1e-9).mean(), rel=0.02)
        assert below == pytest.approx((sums <= row.sum() + 1e-9).mean(), rel=0.02)


def test_signs_of_equal_values_are_a_binomial_and_far_sums_keep_hoeffdings_bound():
    above, below = sign_tails(np.array([[1.0] * 11 + [-1.0] * 4, [0.0] * 15]))
    assert above.tolist() == pytest.approx([binom.sf(10, 15, 0.5), 1.0])
    assert below.tolist() == pytest.approx([binom.cdf(11, 15, 0.5), 1.0])
    above, below = sign_tails(np.ones((1, 64)))
    assert (above[0], below[0]) == (pytest.approx(np.exp(-32)), 1.0)
