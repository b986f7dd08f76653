"""How many seeds a test needs: the power of each test of `analysis.inference` before the data are there.

Where a power function is known it is evaluated: t tests (noncentral t), equivalence (the probability of
both one-sided tests, by quadrature over the standard deviation), the exact binomial and Boschloo's test
(sums over all outcomes). For the permutation log-rank, the paired Brown-Forsythe test and Fieller's maximum
there is none for few seeds; there data sets of n pairs are drawn from a stated law, and the power is the
share that the very test rejects at its margin, with a Monte Carlo error of at most half a point at the
default. `tests/calibration` holds every figure to within five points of an independent simulation.

All functions take the error rate of one side, as a verdict reads it; t bounds then allow for skewness
(`analysis.inference.means`).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, ndtr, stdtrit
from scipy.stats import binom, chi2, hypergeom

from analysis.inference.fractions import least_successes
from analysis.inference.inversion import sign_tails, t_tails
from analysis.inference.ladder import place
from analysis.inference.means import ROUNDING, lowered
from analysis.inference.ratio import pair_scores
from analysis.inference.times import HittingTimes
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
TARGET = 0.80
"""Power that a study is planned for."""
MOST = 2048
"""Seeds beyond which a claim is not worth planning for."""
NUISANCE = 512
"""Grid of the common success probability in Boschloo's test."""
SETS = 1000
"""Data sets; a Monte Carlo error of 1.3 points at a power of .8."""
FEW = 10
"""Pairs below which spreads are compared by sign changes."""
BEYOND = (1.0, 0.9, 0.75, 0.5)
"""A border is rejected where all ratios beyond it are: the test takes the largest of their p-values."""


def t_power(effect: float, sd: float, n: int, alpha: float) -> float:
    """Power of a one-sided one-sample or paired t test.

    Args:
        effect: True distance from the margin, in the direction of the claim.
        sd: Standard deviation of one unit's value, or of a pair's difference.
        n: Units, at least 2.
        alpha: One-sided error rate.
    """
    _check(sd, n)
    if sd <= ROUNDING * max(abs(effect), 1.0):
        return float(effect > 0 and 2.0**-n <= alpha)
    from statsmodels.stats.power import ttest_power  # takes .3 s to load

    level = float(lowered(alpha, n - 1))
    return float(ttest_power(effect / sd, n, level, alternative="larger"))


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
    if se <= ROUNDING * max(margin, 1.0):
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


def ratio_power(
    ratio: float,
    band: tuple[float, float],
    sd: float,
    correlation: float,
    n: int,
    alpha: float,
    *,
    median: float = 1.0,
    horizon: float = np.inf,
    step: float = 0.0,
    sets: int = SETS,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Power to show a ratio of hitting times above a band's lower end, and below its upper end.

    Times are log-normal with one spread, partners correlated as shared random streams make them.

    Args:
        ratio: True ratio T_A / T_B.
        band: Ends of the band, infinity for none.
        sd: Standard deviation of log time within a condition.
        correlation: Of the log times of a pair.
        n: Pairs.
        alpha: Error rate of each side.
        median: A's median time, in rounds.
        horizon: Round at which runs are censored.
        step: Rounds between evaluations, 0 for exact times.
        sets: Data sets.
        rng: Their source.

    Returns:
        Chances that "ratio <= low" is rejected, and that both ends are.
    """
    above = inside = 0
    for _ in range(sets):
        times = draw_times(ratio, sd, correlation, n, median, horizon, step, rng)
        low = all(_tails(times, band[0] * f)[0] <= alpha for f in BEYOND)
        above += low
        if low and band[1] < np.inf:
            inside += all(_tails(times, band[1] / f)[1] <= alpha for f in BEYOND)
    return above / sets, (inside if band[1] < np.inf else above) / sets


def _tails(times: tuple[HittingTimes, HittingTimes], at: float) -> tuple[float, float]:
    """p-values of "ratio <= at" and "ratio >= at", each at this one ratio."""
    below, above = sign_tails(pair_scores(*times, at))
    return float(above[0]), float(below[0])


def draw_times(
    ratio: float,
    sd: float,
    correlation: float,
    n: int,
    median: float,
    horizon: float,
    step: float,
    rng: np.random.Generator,
) -> tuple[HittingTimes, HittingTimes]:
    """Log-normal hitting times of n pairs, A slower by the ratio, seen on a grid and censored."""
    a, own = rng.standard_normal((2, n))
    b = correlation * a + np.sqrt(max(0.0, 1 - correlation**2)) * own
    return (
        _seen(median * np.exp(sd * a), horizon, step),
        _seen(median / ratio * np.exp(sd * b), horizon, step),
    )


def _seen(time_N: Floats, horizon: float, step: float) -> HittingTimes:
    upper = np.ceil(time_N / step) * step if step > 0 else time_N
    hit = upper <= horizon
    last = np.where(hit, np.maximum(upper - step, 0.0) if step > 0 else time_N, horizon)
    return HittingTimes(last, np.where(hit, upper, np.inf), horizon, step)


def spread_power(
    ratio: float,
    margin: float,
    correlation: float,
    n: int,
    alpha: float,
    *,
    sets: int = SETS,
    rng: np.random.Generator,
) -> float:
    """Power of the paired Brown-Forsythe test to show an SD ratio above a margin, normal values.

    Args:
        ratio: True ratio of standard deviations.
        margin: Ratio to be exceeded.
        correlation: Of a pair's values.
        n: Pairs.
        alpha: One-sided error rate.
        sets: Data sets.
        rng: Their source.
    """
    shared, own = rng.standard_normal((2, sets, n))
    a = ratio * (correlation * shared + np.sqrt(max(0.0, 1 - correlation**2)) * own)
    from_a, from_b = (np.abs(v - np.median(v, axis=1, keepdims=True)) for v in (a, shared))
    tails = sign_tails if n < FEW else t_tails
    return float((tails(from_a - margin * from_b)[0] <= alpha).mean())


def argmax_power(
    mean_C: npt.ArrayLike,
    covariance_CC: npt.ArrayLike,
    x_C: npt.ArrayLike,
    band: tuple[float, float],
    n: int,
    alpha: float,
    *,
    sets: int = SETS,
    rng: np.random.Generator,
) -> float:
    """Power to show that the maximum along a ladder lies inside a band, by the reading of a verdict.

    Args:
        mean_C: Mean of each condition.
        covariance_CC: Covariance of one seed's values.
        x_C: Position of each condition.
        band: Ends of the band.
        n: Seeds.
        alpha: Error rate of each side.
        sets: Data sets.
        rng: Their source.
    """
    mean = np.asarray(mean_C, dtype=np.float64)
    y_SNC = rng.multivariate_normal(mean, np.asarray(covariance_CC), size=(sets, n), method="svd")
    tests = (place(x_C, y, band, candidates=101).read for y in y_SNC)
    return sum(max(t.p_above(band[0]), t.p_below(band[1])) <= alpha for t in tests) / sets
