"""Simultaneous bands for mean learning curves: with the stated confidence the whole curve lies inside.

Pass@1 is bounded, and its mean over runs is skewed near its ends, so edges are symmetric in log-odds. The
standard error of a mean is at least what the evaluations' own samples give it. Every evaluation gets at least
the t interval of Sidak's (1967) level. From five runs on whole runs are also resampled, the deviation of each
resampled mean is taken in its own standard errors (bootstrap-t), and the quantile of the largest over
evaluations widens the band where it says so. It never narrows it, since few runs make poor quantiles.

What no band can do: n runs do not show what fewer than about one run in n does. Where the mean is so near 0
or 1 that less than `AWAY` run's worth of Pass@1 lies on the other side, the normal theory has nothing to
stand on; there the edges are drawn but the confidence is not about them (`Band.holds_E`). Rare runs that are
late for a plateau below 1 hide in evaluation noise, and values without it are refused: their band covered
.28 to .71 where all plateaus were equal.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, stdtrit

from analysis.inference.resampling import (
    Floats,
    Ints,
    checked_level,
    checked_strata,
    checked_values,
    moments,
    weights,
)
from banditrft.errors import InputError

AWAY = 1.0
"""Runs' worth of Pass@1 on either side of the mean that the band needs."""
RESAMPLED = 5
"""Runs from which on they are resampled."""


@dataclass(frozen=True)
class Band:
    """A mean curve at E evaluations with its simultaneous band.

    Attributes:
        mean_E: Mean over runs.
        low_E: Lower edge.
        high_E: Upper edge.
        n: Runs.
        method: How the edges came about.
        level: Confidence that the mean curve lies inside wherever the band holds.
        holds_E: Evaluations that the confidence is about.
    """

    mean_E: tuple[float, ...]
    low_E: tuple[float, ...]
    high_E: tuple[float, ...]
    n: int
    method: str
    level: float
    holds_E: tuple[bool, ...]


def mean_band(
    values_NE: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    rng: np.random.Generator,
    samples_NE: npt.ArrayLike,
    strata_N: npt.ArrayLike | None = None,
) -> Band:
    """Mean Pass@1 over N runs at E evaluations with a simultaneous band.

    Args:
        values_NE: One curve per run, in [0, 1].
        level: Confidence for all evaluations together.
        resamples: Bootstrap samples; unused below five runs.
        rng: Their source.
        samples_NE: Samples behind each value, at least 1.
        strata_N: Query of each run; runs are resampled within it. None is one query.

    Raises:
        InputError: Fewer than two runs (in a stratum), values outside [0, 1], or a level outside (0, 1).
    """
    values = checked_curves(values_NE)
    n = values.shape[0]
    samples = np.asarray(samples_NE)
    if samples.shape != values.shape or samples.min() < 1:
        raise InputError(f"samples: need at least 1 behind each value, got shape {samples.shape}")
    rows = checked_strata(strata_N, n)
    checked_level(level)
    mean, se, df = moments(values, rows)
    total = samples.sum(axis=0)
    centre, error = in_log_odds(mean, se, total)
    holds = n * np.minimum(mean, 1 - mean) >= AWAY
    factor = sidak(df, level)
    method = f"t intervals at Sidak's level over {values.shape[1]} evaluations"
    if n >= RESAMPLED and holds.any():
        peaks = _peaks(values[:, holds], total[holds], centre[holds], rows, resamples, rng)
        factor = np.maximum(factor, float(np.quantile(peaks, level, method="inverted_cdf")))
        method += f", or the largest studentised deviation of {resamples} resamples of runs if wider"
    half = factor * error
    return Band(
        mean_E=tuple(mean.tolist()),
        low_E=tuple(np.minimum(expit(centre - half), mean).tolist()),
        high_E=tuple(np.maximum(expit(centre + half), mean).tolist()),
        n=n,
        method=f"{method}; edges in log-odds",
        level=level,
        holds_E=tuple(holds.tolist()),
    )


def checked_curves(values_NE: npt.ArrayLike) -> Floats:
    """Curves of Pass@1 of at least two runs.

    Raises:
        InputError: Another shape, or a value that is not in [0, 1].
    """
    values = checked_values(values_NE, 2)
    if values.min() < 0 or values.max() > 1:
        raise InputError(f"values: must lie in [0, 1], got {values.min():g} to {values.max():g}")
    return values


def in_log_odds(mean_E: Floats, se_E: Floats, samples_E: npt.NDArray[np.number]) -> tuple[Floats, Floats]:
    """Log-odds of a mean and their standard error, which is at least the evaluations' own.

    Half a success and half a failure are added to the samples, so that 0 and 1 have log-odds.

    Args:
        mean_E: Mean Pass@1.
        se_E: Its standard error over runs.
        samples_E: Samples of all runs together.
    """
    rate = (mean_E * samples_E + 0.5) / (samples_E + 1)
    spread = rate * (1 - rate)
    return logit(rate), np.sqrt(np.maximum(se_E**2, spread / samples_E)) / spread


def sidak(df_E: Floats, level: float) -> Floats:
    """Two-sided t quantile at which E intervals hold together: each at level ** (1 / E).

    Conservative whatever the dependence of normal means (Sidak 1967).
    """
    tail = -np.expm1(np.log(level) / max(df_E.size, 1)) / 2
    return np.asarray(-stdtrit(df_E, tail), dtype=np.float64)


def _peaks(
    values_NE: Floats,
    samples_E: npt.NDArray[np.number],
    centre_E: Floats,
    rows: list[Ints],
    resamples: int,
    rng: np.random.Generator,
) -> Floats:
    """Largest absolute deviation of each resample's mean log-odds in its own standard errors, (R,).

    Means and squares of a stratum are matrix products of weights and values. Of m runs m - 1 are drawn, so
    the variance of a resample's values times (m - 1) / (m - 2) estimates that of the runs.
    """
    n = values_NE.shape[0]
    parts = [(r, np.concatenate([values_NE[r], values_NE[r] ** 2], axis=1)) for r in rows]
    found = []
    for block_RN in weights(rows, resamples, rng):
        mean_RE = np.zeros((block_RN.shape[0], values_NE.shape[1]))
        squared_RE = np.zeros_like(mean_RE)
        for r, both in parts:
            m = r.size
            first, second = np.split(block_RN[:, r] @ both / m, 2, axis=1)
            variance = np.maximum(second - first**2, 0.0) * (m - 1) / max(m - 2, 1)
            mean_RE += m / n * first
            squared_RE += (m / n) ** 2 * variance / m
        centre_RE, error_RE = in_log_odds(mean_RE, np.sqrt(squared_RE), samples_E)
        found.append(np.abs((centre_RE - centre_E) / error_RE).max(axis=1))
    return np.concatenate(found)
