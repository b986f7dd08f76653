"""What queries of one condition have in common: the gain of a typical query, and what reaches the test set.

Both are small normal models fitted by maximum likelihood with profile intervals on Student's cutoff: of Q
queries' log-gains with their own errors, and of R runs' test displacements against their train displacements.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit_data import Counts
from analysis.fits.bandit_query import QueryFit
from analysis.fits.profile import maximise, profile_interval

Floats = NDArray[np.float64]
LEAST = 1e-6
"""Smallest spread that is told from none."""


@dataclass(frozen=True)
class GainOfQueries:
    """Gain, log-odds per unit of learning signal and learning rate, over the queries of a condition.

    Attributes:
        median: Of a typical query.
        low: Lower limit; None where one query is all there is.
        high: Upper limit; likewise.
        between: Standard deviation of log-gains between queries; None with one query.
        error: Standard error of the log of `median`.
        queries: Number of queries.
    """

    median: float
    low: float | None
    high: float | None
    between: float | None
    error: float
    queries: int


@dataclass(frozen=True)
class TransferToTest:
    """Displacement of the test set's log-odds per unit of the training query's (theory §6).

    Attributes:
        slope: Transfer.
        low: Lower limit.
        high: Upper limit.
        error: Standard error.
        residual: Standard deviation of test log-odds around the line, between runs.
        runs: Number of runs.
    """

    slope: float
    low: float | None
    high: float | None
    error: float
    residual: float
    runs: int


def gain_of_queries(fits: Sequence[QueryFit], level: float = 0.95) -> GainOfQueries:
    """Random-effects estimate over queries whose steps are identified, at least one.

    Args:
        fits: One fit per query.
        level: Nominal coverage.
    """
    log_Q = np.array([math.log(f.gain) for f in fits])
    error_Q = np.array([step_error(f) for f in fits])
    if len(fits) == 1:
        low, high = (None if x is None else x / fits[0].learning_rate for x in fits[0].step_interval)
        return GainOfQueries(fits[0].gain, low, high, None, float(error_Q[0]), 1)

    def loss(x: Floats) -> float:
        variance_Q = error_Q**2 + x[1] ** 2
        return float((np.log(variance_Q) + (log_Q - x[0]) ** 2 / variance_Q).sum()) / 2.0

    start = [float(log_Q.mean()), float(log_Q.std()) + 0.01]
    bounds = [(-np.inf, np.inf), (LEAST, np.inf)]
    fit = maximise(loss, [start], ("mean", "between"), n=len(fits), bounds=bounds)
    found = profile_interval(loss, fit, "mean", level, df=len(fits) - 1)
    error = math.sqrt(1.0 / float((1.0 / (error_Q**2 + fit["between"] ** 2)).sum()))
    low, high = (None if x is None else math.exp(x) for x in (found.low, found.high))
    return GainOfQueries(math.exp(fit["mean"]), low, high, fit["between"], error, len(fits))


def step_error(fit: QueryFit) -> float:
    """Standard error of a log-step, that of the profile interval where the curvature's is smaller."""
    from scipy.stats import norm, t

    found = fit.intervals["log_step"]
    if found.low is None or found.high is None:
        return math.inf
    free = len(fit.seeds) - 1
    quantile = t.ppf(0.5 + found.level / 2, free) if free else norm.ppf(0.5 + found.level / 2)
    return (found.high - found.low) / (2.0 * float(quantile))


def transfer_to_test(
    fits: Sequence[QueryFit], counts: Sequence[Counts], level: float = 0.95
) -> TransferToTest | None:
    """Slope through the origin of test against train displacement, in log-odds, over runs.

    Args:
        fits: One fit per query.
        counts: Their counts.
        level: Nominal coverage.

    Returns:
        None without a test set, with one run, or where no run moved.
    """
    tested_N22 = np.concatenate([c.test_R22 for c in counts])
    train_N = np.concatenate([f.displacement for f in fits])
    if (tested_N22[:, :, 1] == 0).any() or train_N.size < 2 or not np.abs(train_N).max() > LEAST:
        return None
    logit_N2 = test_log_odds(tested_N22)
    moved_N = logit_N2[:, 1] - logit_N2[:, 0]

    def loss(x: Floats) -> float:
        return float(((moved_N - x[0] * train_N) ** 2).sum() * math.exp(-2 * x[1]) / 2 + moved_N.size * x[1])

    slope = float(moved_N @ train_N / (train_N @ train_N))
    residual = max(float(np.std(moved_N - slope * train_N)), LEAST)
    fit = maximise(loss, [[slope, math.log(residual)]], ("slope", "log residual"), n=moved_N.size)
    found = profile_interval(loss, fit, "slope", level, df=moved_N.size - 1)
    spread = math.exp(fit["log residual"]) * math.sqrt(moved_N.size / (moved_N.size - 1))
    error = spread / math.sqrt(float(train_N @ train_N))
    return TransferToTest(fit["slope"], found.low, found.high, error, spread, moved_N.size)


def test_log_odds(tested_N22: Floats) -> Floats:
    """Log-odds of test Pass@1 of the base and at the end, (N, 2), half an answer added to each side."""
    k_N2, n_N2 = tested_N22[:, :, 0], tested_N22[:, :, 1]
    return np.asarray(np.log((k_N2 + 0.5) / (n_N2 - k_N2 + 0.5)))
