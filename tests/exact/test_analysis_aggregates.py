"""Interquartile means and the probability of improvement against SciPy, plain loops and their own limits."""

import numpy as np
import pytest
from scipy.stats import brunnermunzel, mannwhitneyu, trim_mean

from analysis.curves.aggregates import (
    iqm,
    iqm_band,
    iqm_interval,
    probability_of_improvement,
    sort_runs,
    trimmed_means,
)
from analysis.inference.resampling import weights
from banditrft.errors import InputError


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 30, 101])
def test_the_interquartile_mean_is_scipys_trimmed_mean(n):
    values = np.random.default_rng(n).random(n)
    assert iqm(values) == pytest.approx(trim_mean(values, 0.25), abs=1e-14)


def test_resampled_interquartile_means_are_those_of_the_repeated_runs():
    """With whole weights the loop must give the trimmed mean of the runs written out that many times."""
    rng = np.random.default_rng(0)
    values = np.round(rng.random((11, 4)), 1)  # ties
    counts = rng.multinomial(11, np.full(11, 1 / 11), size=50)
    found = trimmed_means(sort_runs(values), counts.astype(float), 11 // 4)
    for row, weight in zip(found, counts, strict=True):
        np.testing.assert_allclose(row, trim_mean(np.repeat(values, weight, axis=0), 0.25), atol=1e-12)


def test_fractional_weights_cut_a_run_in_two():
    found = trimmed_means(
        sort_runs(np.array([[0.0], [1.0], [2.0], [3.0]])), np.array([[1.5, 0.5, 0.5, 1.5]]), 1
    )
    assert found[0, 0] == pytest.approx((0.5 * 0 + 0.5 * 1 + 0.5 * 2 + 0.5 * 3) / 2)


def test_every_resample_uses_the_same_runs_at_all_evaluations():
    """A whole run is resampled: two evaluations with the same values have the same draws."""
    values = np.random.default_rng(0).random((12, 1)) * np.ones(2)
    block = next(weights([np.arange(12)], 100, np.random.default_rng(1)))
    drawn = trimmed_means(sort_runs(values), block, 3)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])


@pytest.mark.parametrize(("n", "method"), [(6, "t interval"), (20, "percentile")])
def test_intervals_hold_the_estimate_and_say_how(n, method):
    values = np.random.default_rng(0).random(n)
    found = iqm_interval(values, rng=np.random.default_rng(1))
    assert found.interval[0] < found.estimate < found.interval[1]
    assert method in found.method
    band = iqm_band(values[:, None], rng=np.random.default_rng(1))
    assert band.low_E[0] < band.mean_E[0] < band.high_E[0]


def test_outliers_do_not_move_the_middle_half():
    values = np.full(16, 0.5)
    values[:3] = 0.0
    assert iqm(values) == 0.5
    assert iqm_band(values[:, None], rng=np.random.default_rng(0)).mean_E == (0.5,)


def test_improvement_is_mann_whitneys_u_over_the_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.binomial(8, 0.6, 14) / 8, rng.binomial(8, 0.5, 9) / 8
    found = probability_of_improvement(a, b, paired=False)
    assert found.estimate == pytest.approx(mannwhitneyu(a, b).statistic / (14 * 9), abs=1e-12)


def test_unpaired_error_is_brunner_and_munzels():
    """Their interval on the plain scale and ours on the log-odds meet in the standard error."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.3, 1, 400), rng.normal(0, 2, 500)
    found = probability_of_improvement(a, b, paired=False)
    statistic = brunnermunzel(b, a).statistic
    se = (found.estimate - 0.5) / statistic
    low, high = found.interval
    assert (high - low) / (2 * 1.965) == pytest.approx(se, rel=0.01)


def test_pairs_that_share_luck_tell_more():
    rng = np.random.default_rng(2)
    luck = rng.standard_normal(60)
    a, b = luck + 0.2 + 0.3 * rng.standard_normal(60), luck + 0.3 * rng.standard_normal(60)
    paired, apart = (probability_of_improvement(a, b, paired=p) for p in (True, False))
    assert paired.estimate == apart.estimate
    assert paired.interval[0] > apart.interval[0]


def test_improvement_is_averaged_within_queries_and_turns_round():
    a, b = np.array([1.0, 2, 11, 12]), np.array([1.5, 3, 10, 13])
    query = [0, 0, 1, 1]
    found = probability_of_improvement(a, b, strata_N=query)
    assert found.estimate == pytest.approx((1 / 4 + 2 / 4) / 2)  # 2 > 1.5; 11 > 10 and 12 > 10
    back = probability_of_improvement(b, a, strata_N=query)
    assert back.estimate == pytest.approx(1 - found.estimate)
    assert back.interval == pytest.approx((1 - found.interval[1], 1 - found.interval[0]))


def test_complete_separation_ends_at_clopper_and_pearsons_bound():
    found = probability_of_improvement(np.arange(5.0) + 10, np.arange(5.0))
    assert (found.estimate, found.interval) == (1.0, (pytest.approx(0.025 ** (1 / 5)), 1.0))
    assert probability_of_improvement(np.ones(5), np.ones(5)).interval == (0.0, 1.0)


def test_unequal_pairs_and_single_runs_are_named():
    with pytest.raises(InputError, match="same pairs"):
        probability_of_improvement([1.0, 2], [1.0, 2, 3])
    with pytest.raises(InputError, match="at least two runs"):
        iqm_interval([1.0, 2, 3], rng=np.random.default_rng(0), strata_N=[0, 0, 1])
    with pytest.raises(InputError, match="finite"):
        iqm([1.0, np.inf])
