"""Spread, slopes, optima, failures and shares against hand computations, scipy and what they reduce to."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.inference.fractions import Fraction, RiskDifference
from analysis.inference.inversion import invert, sign_tails, t_tails
from analysis.inference.ladder import line, quadratic_argmax, slopes
from analysis.inference.means import contrast, lowered, mean_of, welch_difference
from analysis.inference.spread import (
    deviations,
    jackknife,
    log_sd_ratio,
    log_variance_ratio,
    main_effects,
    noise_over_sd,
    pooled_variance,
    share,
    spread_ratio,
)
from banditrft.errors import InputError


def test_tails_are_scipys_one_sample_t():
    x = np.random.default_rng(0).normal(0.3, 1, (5, 12))
    above, below = t_tails(x)
    for row, a, b in zip(x, above, below, strict=True):
        students = [stats.ttest_1samp(row, 0, alternative=side).pvalue for side in ("greater", "less")]
        assert lowered([a, b], 11) == pytest.approx(students, abs=1e-12)


def test_identical_values_carry_a_sign_tests_evidence():
    above, below = t_tails(np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [-2.0, -2.0, -2.0]]))
    assert above.tolist() == [0.125, 1.0, 1.0]
    assert below.tolist() == [1.0, 1.0, 0.125]


def test_sign_changes_by_hand():
    x = np.array([3.0, -1.0, 2.0])
    sums = [
        sum(s * v for s, v in zip(signs, x, strict=True)) for signs in itertools.product((1, -1), repeat=3)
    ]
    above, below = sign_tails(x[None])
    assert above[0] == sum(s >= 4 for s in sums) / 8 == 2 / 8
    assert below[0] == sum(s <= 4 for s in sums) / 8


def test_bounds_and_p_values_of_an_inversion_agree():
    values = np.linspace(0, 4, 401)
    x = np.random.default_rng(1).normal(2, 1, 20)
    found = invert(values, *t_tails(x - values[:, None]), float(x.mean()), 20)
    for alpha in (0.01, 0.05, 0.2):
        low, high = found.interval(alpha)
        assert found.p_above(low) <= alpha < found.p_above(low + 0.011)
        assert found.p_below(high) <= alpha < found.p_below(high - 0.011)
        exact = x.mean() + stats.t.ppf(lowered(alpha, 19), 19) * x.std(ddof=1) / math.sqrt(20)
        assert low == pytest.approx(exact, abs=0.011)


def test_brown_forsythe_at_one_is_the_paired_t_test_of_the_deviations():
    rng = np.random.default_rng(2)
    a, b, query = rng.normal(0, 2, 40), rng.normal(5, 1, 40), np.repeat([0, 1], 20)
    test = spread_ratio(a, b, query)
    wanted = stats.ttest_rel(deviations(a, query), deviations(b, query), alternative="greater").pvalue
    assert lowered(test.p_above(1.0), 39) == pytest.approx(wanted, rel=1e-9)
    low, high = test.interval(0.05)
    assert low < test.estimate < high
    assert (low >= 1.0) == (test.p_above(1.0) <= 0.05)


def test_spread_ratio_knows_a_scale_and_no_place():
    rng = np.random.default_rng(3)
    b = rng.normal(0, 1, 30)
    test = spread_ratio(7 - 3 * b, b + 100)
    assert test.estimate == pytest.approx(3.0)
    assert test.interval(0.025) == pytest.approx((3.0, 3.0), rel=0.01)


def test_few_pairs_change_signs():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 9, 6), rng.normal(0, 1, 6)
    test = spread_ratio(a, b)
    assert test.p_above(1.0) in {k / 64 for k in range(1, 65)}


def test_pooled_variance_within_strata():
    assert pooled_variance(np.array([1.0, 3.0, 10.0, 12.0, 14.0]), np.array([0, 0, 1, 1, 1])) == (2 + 8) / 3


def test_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(5).normal(0, 1, 25)
    found = jackknife(lambda rows: float(x[rows].mean()), 25)
    assert found.estimate == pytest.approx(x.mean())
    assert found.se == pytest.approx(x.std(ddof=1) / 5)


def test_sd_ratios_with_and_without_noise():
    rng = np.random.default_rng(6)
    x = rng.normal(0, 3, 4000)
    noise = np.full(4000, 1.0)
    assert noise_over_sd(x, noise).estimate == pytest.approx(1 / 3.0, rel=0.05)
    y = rng.normal(0, math.sqrt(2), 4000)  # of which 1 is noise
    assert math.exp(log_sd_ratio(x, noise, y, noise).estimate) == pytest.approx(math.sqrt(8), rel=0.1)
    assert math.isnan(log_sd_ratio(x, noise * 100, y, noise).estimate)


def test_slopes_are_least_squares():
    rng = np.random.default_rng(7)
    x, y = np.array([0.0, 3.0, 4.0, 5.0]), rng.normal(0, 1, (6, 4))
    assert slopes(x, y) == pytest.approx([stats.linregress(x, row).slope for row in y])
    found, wanted = line(x, y[0]), stats.linregress(x, y[0])
    assert (found.estimate, found.se, found.df) == pytest.approx((wanted.slope, wanted.stderr, 2.0))
    assert mean_of(slopes(x, y)).n == 6


def test_argmax_of_a_noiseless_quadratic():
    x = np.arange(9.0)
    y = np.stack([-((x - 5) ** 2), -2 * (x - 5) ** 2, -3 * (x - 5) ** 2])
    found = quadratic_argmax(x, y, (4.0, 6.0))
    assert found.estimate == pytest.approx(5.0)
    low, high = found.interval(0.2)
    assert 4.9 < low <= 5.0 <= high < 5.1


def test_fieller_bounds_are_the_roots_of_the_t_test():
    rng = np.random.default_rng(8)
    x = np.arange(7.0)
    y = -((x - 3) ** 2) / 10 + rng.normal(0, 0.3, (30, 7))
    found = quadratic_argmax(x, y)
    _, b, c = np.linalg.lstsq(np.vander(x, 3, increasing=True), y.T, rcond=None)[0]
    t = -stats.t.ppf(lowered(0.05, 29), 29)
    vbb, vcc, vbc = b.var(ddof=1) / 30, c.var(ddof=1) / 30, np.cov(b, c)[0, 1] / 30
    roots = np.sort(
        np.roots(
            [
                4 * c.mean() ** 2 - 4 * t**2 * vcc,
                4 * b.mean() * c.mean() - 4 * t**2 * vbc,
                b.mean() ** 2 - t**2 * vbb,
            ]
        ).real
    )
    assert found.interval(0.05) == pytest.approx(roots.tolist(), abs=0.01)


def test_a_convex_curve_has_its_maximum_at_the_better_end():
    x = np.arange(5.0)
    y = np.stack([(x - 1) ** 2, (x - 1) ** 2 + 0.1 * x])
    assert quadratic_argmax(x, y).estimate == 4.0
    assert quadratic_argmax(x, -np.eye(2) @ y + 0).estimate == pytest.approx(1.0, abs=0.1)


def test_boschloo_is_scipys_and_its_bounds_agree():
    risk = RiskDifference(Fraction(9, 10), Fraction(2, 10))
    wanted = stats.boschloo_exact([[9, 2], [1, 8]], alternative="greater").pvalue
    assert risk.p_above == pytest.approx(wanted)
    assert risk.estimate == pytest.approx(0.7)
    for alpha in (wanted / 2, wanted * 1.01, 0.05):
        low, high = risk.interval(alpha)
        assert (low >= 0) == (risk.p_above <= alpha)
        assert low < 0.7 < high


def test_no_failure_anywhere_decides_nothing():
    for k in (0, 20):
        risk = RiskDifference(Fraction(k, 20), Fraction(k, 20))
        assert risk.p_above == risk.p_below == 1.0
        low, high = risk.interval(0.05)
        assert low < 0 < high


def test_main_effects_by_hand():
    table = np.array([[0.6, 0.6], [0.0, 0.2]])  # worlds .6 and .1, conditions .3 and .4
    assert main_effects(table) == pytest.approx((0.125, 0.005))
    y = table + np.random.default_rng(9).normal(0, 1e-6, (5, 2, 2))
    assert share(log_variance_ratio(y).estimate) == pytest.approx(25 / 26, rel=1e-4)


def test_contrast_of_two_groups_is_welch():
    rng = np.random.default_rng(10)
    a, b = rng.normal(1, 2, 9), rng.normal(0, 1, 14)
    found, wanted = contrast([a, b], [1.0, -1.0]), welch_difference(a, b)
    assert (found.estimate, found.se, found.df) == pytest.approx((wanted.estimate, wanted.se, wanted.df))


@pytest.mark.parametrize(
    "call",
    [
        lambda: spread_ratio([1.0, 2.0], [1.0, 2.0]),
        lambda: jackknife(lambda rows: 0.0, 2),
        lambda: slopes([1.0, 1.0], np.ones((3, 2))),
        lambda: quadratic_argmax([1.0, 2.0], np.ones((3, 2))),
        lambda: line([1.0, 2.0], [1.0, 2.0]),
        lambda: log_variance_ratio(np.ones((2, 3, 3))),
        lambda: contrast([[1.0, 2.0]], [1.0, 1.0]),
    ],
)
def test_too_little_is_an_input_error(call):
    with pytest.raises(InputError, match="need"):
        call()
