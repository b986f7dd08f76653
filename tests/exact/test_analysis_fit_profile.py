"""Profile-likelihood fits and intervals against likelihoods whose answers are known in closed form."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2, t

from analysis.fits.likelihood import beta_binomial, binomial, maximise, profile_interval
from banditrft.errors import InputError


def normal_loss(y):
    """Mean and log standard deviation."""
    return lambda x: y.size * x[1] + ((y - x[0]) ** 2).sum() / (2 * math.exp(2 * x[1]))


Y = np.array([1.3, 0.2, 2.9, 1.1, 0.7, 1.9, 2.2, -0.4])


def test_interval_of_a_normal_mean_is_the_closed_form():
    """Profile deviance n log(1 + (m - mean)^2/s2), s2 the maximum-likelihood variance."""
    loss = normal_loss(Y)
    fit = maximise(loss, [[0.0, 0.0]], ["mean", "log sd"], n=Y.size)
    found = profile_interval(loss, fit, "mean")
    half = math.sqrt(Y.var() * math.expm1(chi2.ppf(0.95, 1) / Y.size))
    assert (found.low, found.high) == pytest.approx((Y.mean() - half, Y.mean() + half), abs=2e-5)
    assert found.bounded == (True, True)


def test_with_degrees_of_freedom_the_interval_of_a_normal_mean_is_students():
    loss = normal_loss(Y)
    fit = maximise(loss, [[0.0, 0.0]], ["mean", "log sd"], n=Y.size)
    found = profile_interval(loss, fit, "mean", 0.9, df=Y.size - 1)
    half = t.ppf(0.95, Y.size - 1) * Y.std(ddof=1) / math.sqrt(Y.size)
    assert (found.low, found.high) == pytest.approx((Y.mean() - half, Y.mean() + half), abs=2e-5)


def test_interval_of_log_odds_solves_the_likelihood_ratio_equation():
    def loss(x):
        return -float(binomial(3, 20, 1 / (1 + math.exp(-x[0]))))

    fit = maximise(loss, [[0.0]], ["log-odds"], n=20)
    assert fit["log-odds"] == pytest.approx(math.log(3 / 17), abs=1e-4)
    assert fit.standard_error("log-odds") == pytest.approx(math.sqrt(1 / 3 + 1 / 17), rel=1e-3)

    def deviance(p):
        return 2 * float(binomial(3, 20, 3 / 20) - binomial(3, 20, p)) - chi2.ppf(0.95, 1)

    wanted = [brentq(deviance, 1e-6, 0.15), brentq(deviance, 0.15, 0.9)]
    found = profile_interval(loss, fit, "log-odds")
    assert [found.low, found.high] == pytest.approx([math.log(p / (1 - p)) for p in wanted], abs=1e-4)


def test_correlated_parameters_are_fitted_anew_along_the_profile():
    """A normal likelihood: the profile interval is estimate +- 1.96 root of the covariance's diagonal."""
    precision = np.array([[4.0, -3.8], [-3.8, 4.0]])
    centre = np.array([2.0, -1.0])

    def loss(x):
        return float((x - centre) @ precision @ (x - centre)) / 2

    fit = maximise(loss, [[0.0, 0.0]], ["a", "b"], n=10)
    half = 1.959964 * math.sqrt(np.linalg.inv(precision)[0, 0])
    found = profile_interval(loss, fit, "a")
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-4)
    assert fit.covariance == pytest.approx(np.linalg.inv(precision), rel=1e-3)


def test_a_flat_side_has_no_limit():
    """Eight of eight right: any larger log-odds are as good."""

    def loss(x):
        return -float(binomial(8, 8, expit(x[0])))

    fit = maximise(loss, [[1.0]], ["log-odds"], n=8)
    found = profile_interval(loss, fit, "log-odds")
    assert found.bounded == (True, False)
    assert found.high is None
    assert not found.identified


def test_parameters_that_only_appear_as_a_product_are_not_identified():
    def loss(x):
        return (x[0] * x[1] - 2.0) ** 2 * 50

    fit = maximise(loss, [[1.0, 1.0]], ["a", "b"], n=8, bounds=[(1e-9, np.inf), (1e-9, np.inf)])
    assert profile_interval(loss, fit, "a").bounded[1] is False
    assert math.isnan(fit.standard_error("a")) or fit.standard_error("a") > 10


def test_an_edge_of_the_parameter_space_is_a_limit():
    k, n = np.array([30, 33, 31, 32]), 64

    def loss(x):
        return -float(beta_binomial(k, n, 1 / (1 + math.exp(-x[0])), x[1]).sum())

    fit = maximise(loss, [[0.0, 0.1]], ["log-odds", "rho"], n=4, bounds=[(-np.inf, np.inf), (0.0, 0.99)])
    assert fit.at_bound("rho")
    assert math.isnan(fit.standard_error("rho"))
    assert fit.standard_error("log-odds") == pytest.approx(math.sqrt(4 / 256), rel=0.05)
    found = profile_interval(loss, fit, "rho")
    assert found.low == 0.0
    assert found.high > 0.0


def test_the_best_of_several_starts_is_kept():
    def loss(x):
        return min((x[0] - 1) ** 2, (x[0] - 9) ** 2 - 1)

    assert maximise(loss, [[0.0], [8.0]], ["x"], n=1)["x"] == pytest.approx(9.0, abs=1e-4)


def test_criteria_count_parameters_and_observations():
    loss = normal_loss(Y)
    fit = maximise(loss, [[0.0, 0.0]], ["mean", "log sd"], n=Y.size)
    assert fit.aic == pytest.approx(4 - 2 * fit.log_likelihood)
    assert fit.bic == pytest.approx(2 * math.log(8) - 2 * fit.log_likelihood)


def test_bad_arguments_are_named():
    fit = maximise(lambda x: float(x[0] ** 2), [[1.0]], ["a"], n=1)
    with pytest.raises(InputError, match=r"^name: must be one of a, got 'b'"):
        profile_interval(lambda x: float(x[0] ** 2), fit, "b")
    with pytest.raises(InputError, match=r"^level: must lie strictly between 0 and 1, got 95"):
        profile_interval(lambda x: float(x[0] ** 2), fit, "a", 95)
    with pytest.raises(InputError, match=r"^starts: the likelihood of a is zero"):
        maximise(lambda x: math.inf, [[1.0]], ["a"], n=1)
