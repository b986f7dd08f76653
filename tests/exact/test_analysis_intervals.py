"""Binomial bounds, equivalence and Holm against scipy, statsmodels and enumeration."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from analysis.claims.reading import Band, detectable
from analysis.inference.fractions import (
    Fraction,
    detectable_fraction,
    least_successes,
    lower_bound,
    reaches,
    tail,
)
from analysis.inference.inversion import t_tails
from analysis.inference.means import (
    ALLOWED,
    Difference,
    beyond,
    lowered,
    margin,
    paired_difference,
    raised,
    skewness,
    welch_difference,
)
from analysis.inference.multiplicity import benjamini_hochberg, bonferroni, holm
from banditrft.errors import InputError

pytestmark = pytest.mark.slow(10)


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
    both = lowered([found.p_above(-0.02), found.p_below(0.02)], 11)
    assert both == pytest.approx([p_low, p_high], abs=1e-10)
    assert lowered(found.p_inside(0.02), 11) == pytest.approx(p, abs=1e-10)
    p, _, _ = ttost_ind(a, b[:9], -0.02, 0.02, usevar="unequal")
    found = welch_difference(a, b[:9])
    assert lowered(found.p_inside(0.02), found.df) == pytest.approx(p, abs=1e-10)


SKEW = 0.49
SIGMA = 0.16087  # of the logarithm of a log-normal of this skewness
LAWS = {  # values of mean 0: normal, and three families of skewness .49
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "gamma": lambda rng, shape: rng.gamma(4 / SKEW**2, 1.0, shape) - 4 / SKEW**2,
    "log-normal": lambda rng, shape: np.exp(SIGMA * rng.standard_normal(shape)) - np.exp(SIGMA**2 / 2),
    "beta": lambda rng, shape: rng.beta(2.75, 6.36, shape) - 2.75 / 9.11,
}


@pytest.mark.parametrize("law", ["gamma", "log-normal", "beta"])
def test_the_skewed_laws_are_as_skewed_as_they_say(law):
    assert skewness(LAWS[law](np.random.default_rng(0), 400_000)) == pytest.approx(SKEW, abs=0.02)


@pytest.mark.parametrize("n", [5, 8, 16, 32])
@pytest.mark.parametrize("law", LAWS)
def test_one_sided_errors_hold_for_skewed_values(law, n):
    """Student's own are .060 to .070 at a nominal .05 on the side that the values lean away from."""
    sets = 40_000
    rates = np.mean(np.array(t_tails(LAWS[law](np.random.default_rng(n), (sets, n)))) <= 0.05, axis=1)
    assert max(rates) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / sets)
    if law == "normal":  # and not much is lost where nothing is skewed
        assert min(rates) >= 0.027


@pytest.mark.parametrize("df", [1, 2, 4.5, 7, 31, 199])
def test_a_lowered_level_and_a_raised_p_value_are_each_others_inverse(df):
    alpha = np.array([0.4, 0.05, 0.01, 1e-4, 1e-9])
    assert raised(lowered(alpha, df), df) == pytest.approx(alpha, rel=1e-12)
    p = raised(np.linspace(0, 1, 1001), df)
    assert (np.diff(p) > 0).all()
    assert (p[0], p[-1]) == (0.0, 1.0)
    assert (lowered(alpha, df) < alpha).all()


def test_a_lowered_level_by_hand():
    z = 1.6448536  # of .05; at 16 units 0.6 (2 z^2 + 1) / 24 / (1 + (z^2 / 16)^2 / 2) = .15804
    assert lowered(0.05, 15) == pytest.approx(stats.norm.sf(z + 0.15804), abs=1e-5)
    assert lowered(0.05, 1e9) == pytest.approx(0.05, abs=1e-5)


def test_values_more_skewed_than_the_bounds_allow_for_are_told():
    values = np.random.default_rng(0).gamma(0.5, 1.0, 40)
    assert skewness(values) == pytest.approx(stats.skew(values, bias=False))
    assert beyond(skewness(values), 40)
    assert not beyond(ALLOWED + 0.1, 40)
    facts = detectable(paired_difference(values, 0 * values), Band(low=0.0))(0.05)
    assert facts["skewness"] == pytest.approx(skewness(values))
    assert detectable(paired_difference([1.0, 2, 3], [1.0, 1, 1]), Band(low=0.0))(0.05)["skewness"] is None


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


@pytest.mark.parametrize(
    ("procedure", "p", "alpha", "decided"),
    [
        (benjamini_hochberg, [0.04, 0.03, 0.05], 0.05, [True, True, True]),
        (benjamini_hochberg, [0.1, 0.1, 0.3 / 3], 0.1, [True, True, True]),
        (benjamini_hochberg, [0.3, 0.06], 0.12, [False, True]),
        (benjamini_hochberg, [0.04, 0.03, 0.0500001], 0.05, [False, False, False]),
        (holm, [0.35 / 3, 0.35, 0.35 / 2], 0.35, [True, True, True]),
        (holm, [0.1 / 3, 0.1 / 2, 0.1], 0.1, [True, True, True]),
        (holm, [0.0500001 / 2, 0.01], 0.05, [True, True]),
        (holm, [0.0500001, 0.01], 0.05, [False, True]),
    ],
)
def test_p_values_at_their_step_are_decided_and_read_at_that_level(procedure, p, alpha, decided):
    found = procedure(p, alpha)
    assert [f.rejected for f in found] == decided
    assert [f.p <= alpha for f in found] == decided
    assert [value <= f.level for value, f in zip(p, found, strict=True)] == decided


def test_every_step_of_both_procedures_is_reached_from_its_own_fraction():
    for count in range(1, 60):
        for alpha in (0.05, 0.01, 0.07, 0.1):
            steps = [alpha * k / count for k in range(1, count + 1)]
            assert all(f.rejected and f.p <= alpha for f in benjamini_hochberg(steps, alpha))
            steps = [alpha / k for k in range(1, count + 1)]
            found = holm(steps, alpha)
            assert all(f.rejected and f.p <= alpha for f in found)
            assert all(p <= f.level for p, f in zip(steps, found, strict=True))
