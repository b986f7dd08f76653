"""Quantiles of a sum of independent geometric waits with different success probabilities (theory §2).

Two methods for two extremes: few waits of any length (exact, by repeated squaring of the ladder's transition
matrix), and very many waits (Lugannani and Rice's saddlepoint formula).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

MAX_DOUBLINGS = 62


def by_doubling(
    success_N: NDArray[np.float64], failure_N: NDArray[np.float64], levels: Sequence[float]
) -> tuple[int, ...]:
    """Exact quantiles in O(N^3 log T): powers P, P^2, P^4, ... of the transition matrix, then binary descent.

    Args:
        success_N: Success probability on each of N rungs.
        failure_N: One minus it.
        levels: Probabilities in (0, 1).

    Returns:
        For each level the smallest t with P(T <= t) >= level, in rounds.
    """
    N = len(success_N)
    power = np.zeros((N + 1, N + 1))
    index = np.arange(N)
    power[index, index], power[index, index + 1], power[N, N] = failure_N, success_N, 1.0
    powers = [power]
    while powers[-1][0, N] < max(levels) and len(powers) < MAX_DOUBLINGS:
        powers.append(powers[-1] @ powers[-1])
    out = []
    for level in levels:
        row, t = np.eye(1, N + 1)[0], 0
        for exponent in range(len(powers) - 1, -1, -1):
            later = row @ powers[exponent]
            if later[N] < level:
                row, t = later, t + 2**exponent
        out.append(t + 1)
    return tuple(out)


def by_saddlepoint(
    success_N: NDArray[np.float64], failure_N: NDArray[np.float64], levels: Sequence[float]
) -> tuple[int, ...]:
    """Approximate quantiles by the Lugannani-Rice formula with the continuity correction of a lattice law.

    The cumulant function is K(s) = sum of log p + s - log(1 - (1-p) e^s), finite for e^s < 1/max(1-p). For
    each level the equation P(T <= t) = level is solved over the saddlepoint s, in which t = K'(s) rises.

    Args:
        success_N: Success probability on each of N rungs.
        failure_N: One minus it.
        levels: Probabilities in (0, 1).

    Returns:
        For each level the quantile, in whole rounds.
    """
    limit = float(-np.log(failure_N.max()))
    mean = float(np.sum(1.0 / success_N))
    sd = float(np.sqrt(np.sum(failure_N / success_N**2)))

    def tilt(s: float) -> tuple[float, float, float]:
        """K(s), K'(s) and K''(s)."""
        remain_N = -np.expm1(np.log(failure_N) + s)
        ratio_N = (1.0 - remain_N) / remain_N
        value = float(np.sum(np.log(success_N) + s - np.log(remain_N)))
        return value, float(np.sum(1.0 + ratio_N)), float(np.sum(ratio_N * (1.0 + ratio_N)))

    def upper_tail(s: float) -> float:
        """P(T >= K'(s)), the first continuity correction."""
        value, t, curvature = tilt(s)
        w = np.sign(s) * np.sqrt(max(2.0 * (s * t - value), 0.0))
        v = -np.expm1(-s) * np.sqrt(curvature)
        return float(1.0 - ndtr(w) + np.exp(-w * w / 2.0) / np.sqrt(2.0 * np.pi) * (1.0 / v - 1.0 / w))

    # the formula is 0/0 at s = 0: step over a neighbourhood worth 1e-3 standard deviations
    gap = 1e-3 / sd
    bottom, top = -12.0 / sd, min(12.0 / sd, limit * (1.0 - 1e-9))

    def later(level: float) -> float:
        """The t at which P(T >= t) = 1 - level."""
        if upper_tail(gap) > 1.0 - level:
            return tilt(brentq(lambda s: upper_tail(s) - (1.0 - level), gap, top))[1]
        if upper_tail(-gap) < 1.0 - level:
            return tilt(brentq(lambda s: upper_tail(s) - (1.0 - level), bottom, -gap))[1]
        return mean + 1.0

    return tuple(max(len(success_N), math.ceil(later(level)) - 1) for level in levels)
