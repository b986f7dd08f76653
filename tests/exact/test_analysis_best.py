"""The set of best conditions and the test of lack of fit against hand computations and scipy; which is read."""

import numpy as np
import pytest
from scipy import stats

from analysis.inference.ladder import Both, best_rungs, misfit, orthogonal, place
from analysis.inference.means import raised
from banditrft.errors import InputError

X = np.arange(9.0)


def noisy(mean, n, sd=0.01, seed=0):
    mean = np.asarray(mean, dtype=np.float64)
    return mean + sd * np.random.default_rng(seed).standard_normal((n, mean.size))


def test_lack_of_fit_is_hotellings():
    rng = np.random.default_rng(1)
    y = rng.normal(0, 1, (20, 6)) @ rng.normal(0, 1, (6, 6))
    x = np.array([0.0, 1.0, 3.0, 4.0, 6.0, 7.0])
    found = misfit(x, y, 2)
    left = y - np.polynomial.polynomial.polyval(
        x, np.polynomial.polynomial.polyfit(x, y.T, 2)
    )  # residuals of each unit span the same three contrasts
    z = left @ np.linalg.svd(left - left.mean(axis=0))[2][:3].T
    t2 = 20 * z.mean(axis=0) @ np.linalg.solve(np.cov(z.T), z.mean(axis=0))
    assert found.f == pytest.approx(t2 * 17 / (3 * 19))
    assert found.df == (3, 17)
    assert found.p == pytest.approx(stats.f.sf(found.f, 3, 17))
    assert found.whole


def test_one_contrast_is_the_t_test_of_the_second_difference():
    y = noisy([0.1, 0.3, 0.35], 12, sd=0.1)
    found = misfit([0.0, 1.0, 2.0], y, 1)
    assert found.p == pytest.approx(stats.ttest_1samp(y @ [1.0, -2.0, 1.0], 0).pvalue)


def test_lack_of_fit_knows_no_polynomial_and_no_scale():
    y = noisy(np.zeros(9), 30, sd=0.1)
    bare = misfit(X, y, 2)
    moved = misfit(3 * X + 50, 7 * (y + 0.4 - 0.2 * X + 0.03 * X**2), 2)
    assert moved.f == pytest.approx(bare.f)
    assert misfit(X, y + 0.01 * X**3, 2).f > 10 * bare.f


@pytest.mark.parametrize(
    ("n", "asked", "whole"), [(2, 0, False), (5, 2, False), (12, 5, False), (13, 6, True), (200, 6, True)]
)
def test_few_units_are_asked_for_fewer_contrasts(n, asked, whole):
    found = misfit(X, noisy(np.zeros(9), n), 2)
    assert found.df == ((asked, n - asked) if asked else (0, 0))
    assert (found.tested, found.whole, found.of) == (asked > 0, whole, 6)
    assert np.isnan(found.p) == (asked == 0)


def test_the_first_contrast_asked_is_the_cubic_one():
    y = noisy(0 * X, 3)
    z = y @ orthogonal(X)[:, 3]
    assert misfit(X, y, 2).p == pytest.approx(stats.ttest_1samp(z, 0).pvalue)


def test_contrasts_that_no_unit_differs_in_are_left_out():
    y = np.concatenate(
        [noisy(np.zeros(4), 30), np.ones((30, 5))], axis=1
    )  # a ladder that ends at the ceiling
    assert 1 <= misfit(X, y, 2).df[0] < 6
    assert not misfit(X, np.ones((30, 9)), 2).tested


def test_a_rung_is_left_out_by_the_best_of_the_paired_tests():
    y = noisy([0.4, 0.42, 0.41], 10, sd=0.02, seed=3)
    found = best_rungs([3.0, 4.0, 5.0], y)
    for c in range(3):
        others = [j for j in range(3) if j != c]
        each = [stats.ttest_rel(y[:, j], y[:, c], alternative="greater").pvalue for j in others]
        assert found.p_C[c] == pytest.approx(min(1.0, 2 * raised(min(each), 9)))
    assert found.estimate == 4.0


def test_the_set_is_never_empty_and_holds_the_best_seen():
    for seed in range(50):
        y = noisy(np.zeros(5), 6, seed=seed)
        kept = best_rungs(np.arange(5.0), y).members(0.4)
        assert kept[np.argmax(y.mean(axis=0))]


@pytest.mark.parametrize(
    ("best", "band", "inside"), [(5, (4.0, 6.0), True), (4, (4.0, 6.0), True), (3, (4.0, 6.0), False)]
)
def test_ends_of_the_band_lie_inside_it(best, band, inside):
    mean = np.where(np.arange(9) == best, 0.6, 0.5)
    found = best_rungs(X, noisy(mean, 20), band)
    assert found.interval(0.01) == (best, best)
    assert (max(found.p_above(band[0]), found.p_below(band[1])) <= 0.01) == inside
    assert (min(found.p_above(band[1]), found.p_below(band[0])) <= 0.01) != inside


def test_bounds_of_the_set_are_what_its_tests_reject():
    for seed in range(40):
        y = noisy(0.5 - 0.002 * (X - 4) ** 2, 8, sd=0.02, seed=seed)
        found = best_rungs(X, y, (3.0, 5.0))
        for alpha in (0.01, 0.05, 0.2):
            low, high = found.interval(alpha)
            assert (low >= 3.0 and high <= 5.0) == (max(found.p_above(3.0), found.p_below(5.0)) <= alpha)
            assert (low > 5.0) == (found.p_above(5.0) <= alpha)
            assert (high < 3.0) == (found.p_below(3.0) <= alpha)


def test_a_curve_that_may_fit_is_read_together_with_the_set_and_one_that_does_not_is_not():
    fits, bends = 0.5 - 0.01 * (X - 5) ** 2, 0.5 - 0.02 * np.abs(X - 4) * np.where(X < 4, 3, 1)
    band = (4.0, 6.0)
    bent = place(X, noisy(bends, 30), band)
    assert bent.bent
    assert bent.read is bent.rungs
    for both in (
        place(X, noisy(fits, 30), band),
        place(X, noisy(fits, 2), band),
        place(X[:3], noisy(fits[:3], 30), band),
    ):
        assert not both.bent
        assert (both.read.estimate, both.read.n) == (both.curve.estimate, both.curve.n)


def test_reading_both_is_never_more_liberal_than_either():
    for seed in range(40):
        y = noisy(0.5 - 0.002 * (X - 4) ** 2, 8, sd=0.02, seed=seed)
        found = place(X, y, (3.0, 5.0))
        both = Both(found.curve, found.rungs)
        for alpha in (0.01, 0.05, 0.2):
            lows, highs = zip(found.curve.interval(alpha), found.rungs.interval(alpha), strict=True)
            assert both.interval(alpha) == (min(lows), max(highs))
            shown = max(both.p_above(3.0), both.p_below(5.0)) <= alpha
            assert shown == (both.interval(alpha)[0] >= 3.0 and both.interval(alpha)[1] <= 5.0)
        for x in (3.0, 5.0):
            assert both.p_above(x) == max(found.curve.p_above(x), found.rungs.p_above(x))
            assert both.p_below(x) == max(found.curve.p_below(x), found.rungs.p_below(x))


def test_a_misfitting_quadratic_points_elsewhere_and_the_set_does_not():
    mean = np.array([0.887, 0.914, 0.924, 0.929, 0.931, 0.930, 0.928, 0.926, 0.918])
    found = place(X, noisy(mean, 200, sd=0.002), (4.0, 6.0))
    low, high = found.curve.interval(0.001)
    assert not low <= 4.0 <= high
    assert found.read.interval(0.001) == (4.0, 4.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: misfit([0.0, 0.0, 1.0], np.ones((4, 3)), 1),
        lambda: misfit([0.0, 1.0, 2.0], np.full((4, 3), np.nan), 1),
        lambda: best_rungs([0.0, 1.0], np.ones((1, 2))),
        lambda: best_rungs([1.0, 0.0], np.ones((4, 2))),
        lambda: best_rungs([0.0, 1.0], np.array([[1.0, np.nan], [1.0, 2.0]])),
    ],
)
def test_a_ladder_that_cannot_be_read_is_an_input_error(call):
    with pytest.raises(InputError, match="need"):
        call()
