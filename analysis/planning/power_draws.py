"""Power by drawing data and running the test itself at its margin, all data sets at once.

Each draws `sets` data sets of n pairs from a stated law; the share that the test rejects has a Monte Carlo
error of at most half a point at the default.
"""

import numpy as np
import numpy.typing as npt

from analysis.inference.inversion import sign_tails, t_tails
from analysis.inference.ladder import place
from analysis.inference.ratio import pair_scores
from analysis.inference.times import HittingTimes

Floats = npt.NDArray[np.float64]
SETS = 1000
"""Data sets; a Monte Carlo error of 1.3 points at a power of .8."""
FEW = 10
"""Pairs below which spreads are compared by sign changes."""
BEYOND = (1.0, 0.9, 0.75, 0.5)
"""A border is rejected where all ratios beyond it are: the test takes the largest of their p-values."""


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
