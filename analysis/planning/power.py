"""How many seeds a test needs: the power of each test of `analysis.inference` before the data are there.

Where a power function is known it is evaluated: t tests (noncentral t), equivalence (the probability of both
one-sided tests, by quadrature over the standard deviation), the exact binomial and Boschloo's test (sums over
all outcomes). For the permutation log-rank, the paired Brown-Forsythe test and Fieller's maximum there is
none for few seeds; there `analysis.planning.power_draws` simulates the very test at its margin.
`tests/calibration` holds every figure to within five points of an independent simulation.

All functions take the error rate of one side, as a verdict reads it; t bounds then allow for skewness
(`analysis.inference.means`).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, ndtr, stdtrit
from scipy.stats import binom, chi2, hypergeom, nct

from analysis.inference.fractions import least_successes
from analysis.inference.means import lowered
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
TARGET = 0.80
"""Power that a study is planned for."""
MOST = 2048
"""Seeds beyond which a claim is not worth planning for."""
NUISANCE = 512
"""Grid of the common success probability in Boschloo's test."""


def t_power(effect: float, sd: float, n: int, alpha: float) -> float:
    """Power of a one-sided one-sample or paired t test.

    Args:
        effect: True distance from the margin, in the direction of the claim.
        sd: Standard deviation of one unit's value, or of a pair's difference.
        n: Units, at least 2.
        alpha: One-sided error rate.
    """
    _check(sd, n)
    if sd == 0:
        return float(effect > 0 and 2.0**-n <= alpha)
    return float(nct.sf(-stdtrit(n - 1, lowered(alpha, n - 1)), n - 1, effect * np.sqrt(n) / sd))


def equivalence_power(
    margin: float, effect: float, sd: float, n: int, alpha: float, *, groups: int = 1
) -> float:
    """Power of two one-sided t tests: the chance that both one-sided bounds lie inside the margin.

    Args:
        margin: Half-width of the band.
        effect: True value, 0 in its middle.
        sd: Standard deviation of a pair's difference; with two groups, of a value within each.
        n: Pairs, or units in each group.
        alpha: Error rate of each side.
        groups: 1 for pairs, 2 for independent groups of equal size and variance (Welch's then has 2n - 2
            degrees of freedom).
    """
    _check(sd, n)
    df, se = groups * (n - 1), sd * np.sqrt(groups / n)
    if se == 0:
        return float(abs(effect) < margin and 2.0**-n <= alpha)
    ratio, weight = _sd_ratio(df)
    half = -stdtrit(df, lowered(alpha, df)) * ratio
    high, low = (margin - effect) / se - half, (-margin - effect) / se + half
    return float(weight @ np.where(high > low, ndtr(high) - ndtr(low), 0.0))


def binomial_power(fraction: float, null: float, n: int, alpha: float) -> float:
    """Power of the exact binomial test of "the fraction is at most `null`" at a true fraction."""
    need = least_successes(n, null, alpha)
    return 0.0 if need > n else float(betainc(need, n - need + 1.0, fraction)) if fraction < 1 else 1.0


def boschloo_power(a: float, b: float, n: int, alpha: float) -> float:
    """Power of Boschloo's one-sided test that A's fraction exceeds B's, n runs each, by enumeration."""
    k = np.arange(n + 1)
    reject = boschloo_region(n, alpha)
    return float(binom.pmf(k, n, a) @ reject @ binom.pmf(k, n, b))


def boschloo_region(n: int, alpha: float) -> npt.NDArray[np.bool_]:
    """(n + 1, n + 1) outcomes (successes of A, of B) that reject "A's fraction is at most B's" at `alpha`.

    Tables are ordered by Fisher's one-sided p-value; the region is the largest set of the smallest ones
    whose probability stays within `alpha` for every common fraction (Boschloo 1970).
    """
    k = np.arange(n + 1)
    a, b = (v.ravel() for v in np.meshgrid(k, k, indexing="ij"))
    fisher = hypergeom.sf(a - 1, 2 * n, a + b, n)
    common = np.linspace(0, 1, NUISANCE + 1)[1:-1]
    pmf = binom.pmf(k[:, None], n, common)
    order = np.argsort(fisher, kind="stable")
    size = np.cumsum(pmf[a[order]] * pmf[b[order]], axis=0).max(axis=1)
    ranked = fisher[order]
    last = np.searchsorted(ranked, ranked * (1 + 1e-12), side="right") - 1  # ties stand or fall together
    region = np.zeros(a.size, dtype=np.bool_)
    region[order] = size[last] <= alpha
    return region.reshape(n + 1, n + 1)


def approximate_power(distance: float, se: float, known: int, n: int, alpha: float) -> float:
    """Power of a t-like test from its standard error at `known` units, taken to shrink as 1 / sqrt(n).

    For estimates without a power function of their own: shares of variance, SD ratios by jackknife, Welch
    contrasts.
    """
    return t_power(distance, se * np.sqrt(known), n, alpha)


def needed(
    power_of: Callable[[int], float], target: float = TARGET, least: int = 2, most: int = MOST
) -> int | None:
    """Fewest units with this power, None beyond `most`; found by doubling, then by halving.

    Exact tests of counts have power that dips as n grows; the answer then is where it is first reached on
    the way down from a power of two that reaches it.

    Args:
        power_of: Units -> power, rising but for such dips.
        target: Power wanted.
        least: Fewest units the test takes.
        most: Where the search ends.
    """
    high = least
    while power_of(high) < target:
        if high >= most:
            return None
        high = min(2 * high, most)
    low = max(least, high // 2)
    while low < high:
        middle = (low + high) // 2
        if power_of(middle) >= target:
            high = middle
        else:
            low = middle + 1
    return high


def _sd_ratio(df: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the law of (sample SD) / (SD) with `df` degrees of freedom."""
    at = (np.arange(2000) + 0.5) / 2000
    return np.sqrt(chi2.ppf(at, df) / df), np.full(at.size, 1 / at.size)


def _check(sd: float, n: int) -> None:
    if n < 2 or not sd >= 0:
        raise InputError(f"power: need n >= 2 and a standard deviation >= 0, got {n} and {sd}")
