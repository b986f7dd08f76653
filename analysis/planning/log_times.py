"""Log-normal law of hitting times that are seen on an evaluation grid and censored, by maximum likelihood."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LogTimes:
    """Log-normal law of one condition's times.

    Attributes:
        sd: Standard deviation of log time within a query.
        centre: Median over queries of the centre of log time.
        residual: (N,) log time less its query's centre, NaN for a censored run.
    """

    sd: float
    centre: float
    residual: Floats


def log_times(after: list[float], by: list[float | None], query: list[int]) -> LogTimes | None:
    """Maximum likelihood for interval- and right-censored log-normal times, a centre per query.

    Args:
        after: (N,) last evaluation before each hit, or the censoring round.
        by: (N,) evaluation of the hit, None for a run without one.
        query: (N,) query of each run.

    Returns:
        None where fewer than three runs, or fewer than there are queries, hit.
    """
    low = np.log(np.maximum(np.asarray(after, dtype=np.float64), 1e-9))
    high = np.log([math.inf if t is None else t for t in by])
    hit, names = np.isfinite(high), np.unique(query)
    if hit.sum() < max(3, names.size):
        return None
    at = np.searchsorted(names, query)
    middle = np.where(hit, np.log((np.asarray(after) + np.exp(np.where(hit, high, 0.0))) / 2), low)

    def loss(x: Floats) -> float:
        centre, sd = x[:-1][at], math.exp(x[-1])
        a, b = (low - centre) / sd, (high - centre) / sd
        inside = np.log(np.maximum(ndtr(b) - ndtr(a), 1e-300))
        return -float(np.where(hit, inside, log_ndtr(-a)).sum())

    start = [float(middle[at == i].mean()) for i in range(names.size)]
    found = minimize(loss, [*start, math.log(max(float(middle.std()), 0.05))], method="Nelder-Mead")
    centres = found.x[:-1]
    residual = np.where(hit, middle - centres[at], np.nan)
    return LogTimes(math.exp(float(found.x[-1])), float(np.median(centres)), residual)
