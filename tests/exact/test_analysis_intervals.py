"""Binomial bounds, equivalence and Holm against scipy, statsmodels and enumeration."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from analysis.inference.binomials import (
    Fraction,
    detectable_fraction,
    least_successes,
    lower_bound,
    reaches,
    tail,
)
from analysis.inference.equivalence import Difference, margin, paired_difference, welch_difference
from analysis.inference.multiplicity import bonferroni, holm
from banditrft.errors import InputError


def test_bounds_equal_statsmodels():
    for n in (1, 5, 64, 512):
        for k in {0, 1, n // 2, n - 1, n}:
            low, high = proportion_confint(k, n, alpha=0.1, method="beta")
            found = Fraction(k, n)
            assert found.lower(0.05) == pytest.approx(0.0 if k == 0 else low, abs=1e-10)
            assert found.upper(0.05) == pytest.approx(1.0 if k == n else high, abs=1e-10)


def test_p_values_equal_scipy_and_decide_as_the_bounds_do():
    for k in range(17):
        found = Fraction(k, 16)
        assert found.p_above(0.5) == pytest.approx(stats.binomtest(k, 16, 0.5, alternative="greater").pvalue)
        assert found.p_below(0.5) == pytest.approx(stats.binomtest(k, 16, 0.5, alternative="less").pvalue)
        for alpha in (0.05, 0.0125):
            assert (found.p_above(0.5) <= alpha) == (found.lower(alpha) >= 0.5)
            assert (found.p_below(0.5) <= alpha) == (found.upper(alpha) <= 0.5)


def test_a_run_needs_495_of_512():
    assert reaches([494, 495, 512], [512, 512, 512], 0.95).tolist() == [False, True, True]


def test_lower_bound_covers_exactly_by_enumeration():
    for n in (5, 16, 64):
        bounds = lower_bound(np.arange(n + 1), n, 0.05)
        for p in np.linspace(0.001, 0.999, 199):
            missed = stats.binom.pmf(np.flatnonzero(bounds > p), n, p).sum()
            assert missed <= 0.05 + 1e-12


def test_power_statements_of_a_fraction():
    assert least_successes(16, 0.5, 0.05) == 12
    assert least_successes(3, 0.5, 0.05) == 4  # even 3 of 3 do not show it
    at = detectable_fraction(16, 0.5, 0.05)
    assert stats.binom.sf(11, 16, at) == pytest.approx(0.8)
    assert np.isnan(detectable_fraction(3, 0.5, 0.05))
    assert tail([0, 3], 5, 0.5).tolist() == pytest.approx([1.0, 0.5])


def test_paired_and_welch_equivalence_equal_statsmodels():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 0.02, 12), rng.normal(0.301, 0.03, 12)
    p, (_, p_low, _), (_, p_high, _) = ttost_paired(a, b, -0.02, 0.02)
    found = paired_difference(a, b)
    assert (found.p_above(-0.02), found.p_below(0.02)) == pytest.approx((p_low, p_high), abs=1e-10)
    assert found.p_inside(0.02) == pytest.approx(p, abs=1e-10)
    p, _, _ = ttost_ind(a, b[:9], -0.02, 0.02, usevar="unequal")
    assert welch_difference(a, b[:9]).p_inside(0.02) == pytest.approx(p, abs=1e-10)


def test_equivalence_p_and_interval_agree():
    rng = np.random.default_rng(1)
    for _ in range(200):
        found = paired_difference(rng.normal(0, 0.02, 6), rng.normal(rng.normal(0, 0.02), 0.01, 6))
        for alpha in (0.05, 0.01):
            low, high = found.interval(alpha)
            assert (found.p_inside(0.02) <= alpha) == (low >= -0.02 and high <= 0.02)
            assert (found.p_above(0.02) <= alpha) == (low >= 0.02)


def test_identical_differences_are_no_proof_from_two_pairs():
    two, many = paired_difference([0.5, 0.5], [0.5, 0.5]), paired_difference([0.5] * 9, [0.5] * 9)
    assert two.p_inside(0.02) == 0.25
    assert two.interval(0.05) == (-np.inf, np.inf)
    assert many.interval(0.05) == (0.0, 0.0)
    assert many.p_inside(0.02) == 2.0**-9
    with pytest.raises(InputError, match="N >= 2"):
        paired_difference([0.5], [0.4])


def test_margin_is_the_smaller_of_points_and_share_and_none_without_a_gain():
    assert margin(0.02, 0.2, 0.5) == 0.02
    assert margin(0.02, 0.2, 0.05) == pytest.approx(0.01)
    assert margin(0.02, 0.2, -0.1) == 0.0
    assert Difference(0.0, 0.001, 9, 10).p_inside(0.0) >= 0.5


def test_detectable_margin_has_the_power_it_says():
    rng = np.random.default_rng(2)
    found = paired_difference(rng.normal(0, 1, 20), np.zeros(20))
    width = found.detectable_margin(0.05)
    draws = rng.normal(0, found.se * np.sqrt(20), (4000, 20))
    shown = [paired_difference(d, np.zeros(20)).p_inside(width) <= 0.05 for d in draws]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.03)


def test_holm_equals_statsmodels_and_reads_intervals_at_the_level_it_used():
    rng = np.random.default_rng(3)
    for _ in range(20):
        p = (rng.random(5) ** 3).tolist()
        found = holm(p)
        rejected, adjusted, _, _ = multipletests(p, 0.05, "holm")
        assert [f.rejected for f in found] == rejected.tolist()
        assert [f.p for f in found] == pytest.approx(adjusted.tolist())
        assert all((value <= f.level) == f.rejected for value, f in zip(p, found, strict=True))
    assert holm([]) == []
    assert bonferroni(0.4, 3) == 1.0
    with pytest.raises(InputError, match="lie in"):
        holm([1.2])
