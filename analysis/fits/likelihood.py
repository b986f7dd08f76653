"""Log-likelihoods of success counts: binomial, and beta-binomial for counts that vary more than that.

The beta-binomial is parametrised by its mean p and the intra-class correlation rho of single answers: the
success rate of a cell is Beta(p (1-rho)/rho, (1-p)(1-rho)/rho), the count has variance n p (1-p) (1 + (n-1)
rho), and rho = 0 is the binomial (Griffiths, Biometrics 29, 1973). Values stay exact to rounding for any
rho, because rising factorials of large arguments are taken by Stirling's series instead of by differences of
log-gammas.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy

from banditrft.errors import InputError

Floats = NDArray[np.float64]
LARGE = 20.0
"""Argument from which Stirling's series is exact to rounding."""


def beta_binomial(correct: ArrayLike, n: ArrayLike, p: ArrayLike, rho: ArrayLike) -> Floats:
    """Log-probability of each count, in nats.

    Args:
        correct: Successes, 0..n; any shape, all arguments broadcast.
        n: Trials, 0 or more.
        p: Mean success rate, in [0, 1].
        rho: Intra-class correlation, in [0, 1); 0 is the binomial.

    Raises:
        InputError: An argument is outside its domain.
    """
    k, trials, mean, corr = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (correct, n, p, rho))
    )
    if not np.all((k >= 0) & (k <= trials)):
        raise InputError("correct: must lie in 0..n")
    if not np.all((mean >= 0) & (mean <= 1)):
        raise InputError(f"p: must lie in [0, 1], got {_outlier(mean, 0.0, 1.0)}")
    if not np.all((corr >= 0) & (corr < 1)):
        raise InputError(f"rho: must lie in [0, 1), got {_outlier(corr, 0.0, np.nextafter(1.0, 0.0))}")
    ways = gammaln(trials + 1.0) - gammaln(k + 1.0) - gammaln(trials - k + 1.0)
    plain = xlogy(k, mean) + xlog1py(trials - k, -mean)
    if not corr.any():
        return np.asarray(ways + plain)
    spread = np.where(corr > 0, corr, 0.5)
    size = (1.0 - spread) / spread
    clustered = (
        _rising(mean * size, k, size)
        + _rising((1.0 - mean) * size, trials - k, size)
        - _rising(size, trials, size)
    )
    return np.asarray(ways + np.where(corr > 0, clustered, plain))


def binomial(correct: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """:func:`beta_binomial` without overdispersion.

    Args:
        correct: Successes, 0..n; any shape, all arguments broadcast.
        n: Trials, 0 or more.
        p: Success rate, in [0, 1].

    Raises:
        InputError: An argument is outside its domain.
    """
    return beta_binomial(correct, n, p, 0.0)


def _rising(start: Floats, count: Floats, scale: Floats) -> Floats:
    """Log of start (start+1) ... (start+count-1) / scale^count."""
    large = start >= LARGE
    some = np.where(large, start, LARGE)
    end = some + count
    stirling = (some - 0.5) * np.log1p(count / some) + xlogy(count, end / scale) - count
    stirling = stirling + _tail(end) - _tail(some)
    few = np.where(large | (start <= 0), 1.0, start)
    direct = gammaln(few + count) - gammaln(few) - xlogy(count, scale)
    direct = np.where(start > 0, direct, np.where(count > 0, -np.inf, 0.0))
    return np.asarray(np.where(large, stirling, direct))


def _tail(x: Floats) -> Floats:
    """What Stirling's formula leaves of log-gamma, x >= 20."""
    inverse = (1.0 / x) ** 2
    series = 1 / 1260 - inverse * (1 / 1680 - inverse / 1188)
    return np.asarray((1 / 12 - inverse * (1 / 360 - inverse * series)) / x)


def _outlier(values: Floats, low: float, high: float) -> float:
    return float(values[~((values >= low) & (values <= high))].flat[0])
