"""When the mean curve first reaches a threshold: a statement about the mean, not about a typical run.

Runs that hit early and runs that hit late average to a flat mean curve, so its crossing is no mean of hitting
times (`analysis.inference.hitting` has those, with censoring). Between evaluations the mean is taken to be
straight; a mean that never reaches the threshold crosses beyond the last evaluation.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from analysis.curves.area import checked_rounds
from analysis.curves.resampling import (
    Floats,
    checked_level,
    checked_strata,
    checked_values,
    moments,
    weights,
)
from analysis.inference.survival import FEWEST


@dataclass(frozen=True)
class Crossing:
    """Round at which the mean curve first reaches the threshold.

    Attributes:
        threshold: The value to reach.
        estimate: Round, None beyond the last evaluation.
        interval: Two-sided; an upper end of None lies beyond the last evaluation.
        level: Its confidence.
        n: Runs.
        step: Largest gap between two evaluations, in rounds: the resolution.
        method: How the interval came about.
        sentence: What was found.
    """

    threshold: float
    estimate: float | None
    interval: tuple[float, float | None]
    level: float
    n: int
    step: float
    method: str
    sentence: str


def first_crossing(rounds_E: Floats, curves_RE: Floats, threshold: float) -> Floats:
    """Round at which each of R curves first reaches the threshold, straight in between; infinite if never.

    Args:
        rounds_E: Rising rounds.
        curves_RE: One curve per row.
        threshold: Value to reach; a curve that begins there crosses at the first round.
    """
    above = curves_RE >= threshold
    after = above.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    row = np.arange(curves_RE.shape[0])
    low, high = curves_RE[row, before], curves_RE[row, after]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(after > before, (threshold - low) / (high - low), 0.0)
    found = rounds_E[before] + part * (rounds_E[after] - rounds_E[before])
    return np.where(above.any(axis=1), found, np.inf)


def mean_crossing(
    rounds_E: npt.ArrayLike,
    values_NE: npt.ArrayLike,
    threshold: float,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    rng: np.random.Generator,
    strata_N: npt.ArrayLike | None = None,
) -> Crossing:
    """Crossing of the mean curve of N runs with its interval.

    From ten runs on a percentile bootstrap over whole runs; below, the rounds between which the t interval
    of the mean, evaluation by evaluation, holds the threshold.

    Args:
        rounds_E: Rounds of the evaluations.
        values_NE: One curve per run.
        threshold: Value that the mean is to reach.
        level: Two-sided confidence.
        resamples: Bootstrap samples; unused below ten runs.
        rng: Their source.
        strata_N: Query of each run. None is one query.

    Raises:
        InputError: Rounds that do not rise, fewer than two runs (in a query), values that are not finite.
    """
    values = checked_values(values_NE, 2)
    rounds = checked_rounds(rounds_E, values.shape[1])
    rows = checked_strata(strata_N, values.shape[0])
    checked_level(level)
    mean, se, df = moments(values, rows)
    if values.shape[0] < FEWEST:
        half = stdtrit(df, (1 + level) / 2) * se
        low, high = first_crossing(rounds, np.stack([mean + half, mean - half]), threshold)
        method = "where the t interval of the mean holds the threshold"
    else:
        means = np.concatenate([b @ values for b in weights(rows, resamples, rng)]) / values.shape[0]
        drawn = first_crossing(rounds, means, threshold)
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
        method = f"percentile bootstrap, {resamples} resamples of runs"
    found = float(first_crossing(rounds, mean[None, :], threshold)[0])
    last = float(rounds[-1])
    estimate, interval = _finite(found), (min(float(low), last), _finite(float(high)))
    return Crossing(
        threshold=threshold,
        estimate=estimate,
        interval=interval,
        level=level,
        n=values.shape[0],
        step=float(np.diff(rounds).max()),
        method=method,
        sentence=_sentence(threshold, estimate, interval, level, values.shape[0], last),
    )


def _sentence(
    threshold: float,
    estimate: float | None,
    interval: tuple[float, float | None],
    level: float,
    n: int,
    last: float,
) -> str:
    beyond = f"beyond round {last:g}"
    upper = beyond if interval[1] is None else f"{interval[1]:.1f}"
    if estimate is None:
        said = f"The mean of {n} runs does not reach {threshold:g} by round {last:g}"
        return f"{said} ({level:.0%} interval from {interval[0]:.1f} to {upper})."
    said = f"The mean of {n} runs reaches {threshold:g} at round {estimate:.1f}"
    return f"{said} ({level:.0%} interval {interval[0]:.1f} to {upper})."


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
