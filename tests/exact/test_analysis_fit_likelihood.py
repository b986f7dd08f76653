"""Beta-binomial log-likelihoods against SciPy and against sums that can be written down."""

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import betabinom, binom

from analysis.fits.likelihood import beta_binomial, binomial
from banditrft.errors import InputError

COUNTS = [(0, 8), (3, 8), (8, 8), (40, 64), (512, 512), (1, 5000)]


@pytest.mark.parametrize("rho", [0.9, 0.3, 0.05, 0.01])
@pytest.mark.parametrize("p", [1e-4, 0.2, 0.5, 0.999])
def test_values_are_those_of_scipy(p, rho):
    size = (1 - rho) / rho
    for k, n in COUNTS:
        wanted = betabinom.logpmf(k, n, p * size, (1 - p) * size)
        assert beta_binomial(k, n, p, rho) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_without_overdispersion_it_is_the_binomial():
    k, n = np.array(COUNTS).T
    assert binomial(k, n, 0.37) == pytest.approx(binom.logpmf(k, n, 0.37), rel=1e-12)


@pytest.mark.parametrize("rho", [1e-6, 1e-9, 1e-13, 1e-200])
def test_little_overdispersion_goes_over_into_the_binomial(rho):
    """To first order the log-likelihood moves by rho [k(k-1)/p + (n-k)(n-k-1)/(1-p) - n(n-1)]/2."""
    k, n, p = 40, 64, 0.5
    slope = (k * (k - 1) / p + (n - k) * (n - k - 1) / (1 - p) - n * (n - 1)) / 2
    change = beta_binomial(k, n, p, rho) - binomial(k, n, p)
    assert change == pytest.approx(rho * slope, rel=1e-2, abs=1e-12)


@pytest.mark.parametrize("rho", [0.0, 1e-12, 1e-3, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("p", [1e-9, 0.3, 1 - 1e-9])
def test_probabilities_sum_to_one(p, rho):
    assert np.exp(beta_binomial(np.arange(65), 64, p, rho)).sum() == pytest.approx(1.0, abs=1e-9)


def test_variance_is_inflated_by_the_correlation():
    k, n, p, rho = np.arange(31), 30, 0.3, 0.2
    mass = np.exp(beta_binomial(k, n, p, rho))
    mean = mass @ k
    assert mean == pytest.approx(n * p)
    assert mass @ (k - mean) ** 2 == pytest.approx(n * p * (1 - p) * (1 + (n - 1) * rho))


def test_impossible_counts_have_probability_zero():
    assert beta_binomial(1, 8, 0.0, [0.0, 0.3]).tolist() == [-np.inf, -np.inf]
    assert beta_binomial(0, 8, 0.0, [0.0, 0.3]).tolist() == [0.0, 0.0]
    assert beta_binomial(7, 8, 1.0, [0.0, 0.3]).tolist() == [-np.inf, -np.inf]


def test_arguments_broadcast():
    values = beta_binomial(np.arange(4)[:, None], 3, np.array([0.2, 0.5]), 0.1)
    assert values.shape == (4, 2)
    ways = gammaln(4) - gammaln(np.arange(4) + 1) - gammaln(4 - np.arange(4))
    assert beta_binomial(np.arange(4), 3, 0.5, 0.0) == pytest.approx(ways + 3 * np.log(0.5))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((9, 8, 0.5, 0.1), "correct"),
        ((1, 8, 1.5, 0.1), "p"),
        ((1, 8, np.nan, 0.1), "p"),
        ((1, 8, 0.5, 1.0), "rho"),
    ],
)
def test_arguments_outside_their_domain_are_named(arguments, name):
    with pytest.raises(InputError, match=f"^{name}: must lie"):
        beta_binomial(*arguments)
