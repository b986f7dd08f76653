"""Variance between queries, between seeds of a query, and of evaluation: one-way analysis of variance.

Queries are those of the study, not a sample, so their component is the variance of the means that they would
have with infinitely many seeds. Seeds are nested in queries (streams are keyed by both). The mean square
within queries holds the seeds' variance and the evaluation's; the latter is known from the counts and is
subtracted.

The seeds' interval is the wider of the chi-squared one, exact for normal values, and Bonett's (2006), which
reads the kurtosis off the values, with t for z: alone either falls to .86 for skewed or heavy-tailed values.
What concerns queries is a jackknife over runs on a logarithmic scale.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, stdtrit

from analysis.curves.resampling import Floats, Ints, checked_level, checked_strata, checked_values
from analysis.inference.equivalence import Difference
from analysis.inference.spread import jackknife
from analysis.verdict import Interval, bounded
from banditrft.errors import InputError


@dataclass(frozen=True)
class Component:
    """One source of variance.

    Attributes:
        name: What varies.
        variance: Estimate, 0 where it would be negative.
        interval: Two-sided; an end of None is not bounded or not known.
        share: Of the sum of all components; None where all are 0.
    """

    name: str
    variance: float
    interval: Interval
    share: float | None


def shares(parts: list[tuple[str, float, Interval]]) -> tuple[Component, ...]:
    """Components with their shares of the sum; negative estimates are shown as 0."""
    kept = [(name, max(value, 0.0), interval) for name, value, interval in parts]
    total = sum(value for _, value, _ in kept)
    return tuple(Component(n, v, i, v / total if total > 0 else None) for n, v, i in kept)


def nested(
    values_N: npt.ArrayLike, noise_N: npt.ArrayLike, query_N: npt.ArrayLike, level: float = 0.95
) -> tuple[Component, ...]:
    """Components "queries" (where there are several), "seeds" and "evaluation" of N runs.

    Args:
        values_N: One value per run.
        noise_N: Variance of each from evaluation alone.
        query_N: Query of each run.
        level: Two-sided confidence.

    Raises:
        InputError: Fewer than two runs in a query, shapes that disagree, values that are not finite.
    """
    values, noise = checked_values(values_N, 1), checked_values(noise_N, 1)
    if noise.shape != values.shape:
        raise InputError(f"noise: need one per value, got shapes {noise.shape} and {values.shape}")
    rows = checked_strata(query_N, values.size)
    tail = (1 - checked_level(level)) / 2
    between, within = _variances(values, rows)
    alone = float(noise.mean())
    low, high = _seeds_interval(values, rows, within, tail)
    parts: list[tuple[str, float, Interval]] = [
        ("seeds", within - alone, bounded((max(low - alone, 0.0), max(high - alone, 0.0)))),
        ("evaluation", alone, (None, None)),
    ]
    if len(rows) > 1:
        found = _over_runs(values, query_N, lambda b, _: math.log(b) if b > 0 else math.nan)
        parts.insert(0, ("queries", between, _interval(found, tail, math.exp)))
    return shares(parts)


def query_share(
    values_N: npt.ArrayLike, query_N: npt.ArrayLike, level: float = 0.95
) -> tuple[float | None, Interval]:
    """Share of the queries in the variance of a run, and its interval from a jackknife over runs.

    Args:
        values_N: One value per run.
        query_N: Query of each run, at least two queries.
        level: Two-sided confidence.

    Returns:
        Share, None where neither queries nor runs differ, and its interval; ends of None where leaving out
        a run makes a component negative.

    Raises:
        InputError: Fewer than two queries, or two runs in one.
    """
    values = checked_values(values_N, 1)
    rows = checked_strata(query_N, values.size)
    if len(rows) < 2:
        raise InputError(f"queries: a share needs two, got {len(rows)}")
    between, within = (max(v, 0.0) for v in _variances(values, rows))
    found = _over_runs(values, query_N, lambda b, w: math.log(b / w) if min(b, w) > 0 else math.nan)
    interval = _interval(found, (1 - checked_level(level)) / 2, lambda x: 1 / (1 + math.exp(-x)))
    return between / (between + within) if between + within > 0 else None, interval


def _variances(values_N: Floats, rows: list[Ints]) -> tuple[float, float]:
    """Unbiased variances between the queries' means and within queries; the former may be negative."""
    squares = sum(float(((values_N[r] - values_N[r].mean()) ** 2).sum()) for r in rows)
    within = squares / (values_N.size - len(rows))
    if len(rows) < 2:
        return 0.0, within
    means = np.array([values_N[r].mean() for r in rows])
    return float(means.var(ddof=1)) - within * float(np.mean([1 / r.size for r in rows])), within


def _seeds_interval(values_N: Floats, rows: list[Ints], within: float, tail: float) -> tuple[float, float]:
    """The wider of the chi-squared and Bonett's interval of the variance within queries."""
    n, freedom = values_N.size, values_N.size - len(rows)
    if within == 0:
        return 0.0, 0.0
    chi = [within * freedom / float(chdtri(freedom, t)) for t in (tail, 1 - tail)]
    from_middle = np.concatenate([values_N[r] - _trimmed_mean(values_N[r]) for r in rows])
    kurtosis = n * float((from_middle**4).sum()) / (within * freedom) ** 2
    se = math.sqrt(max(kurtosis - (n - 3) / n, 0.0) / freedom)
    factor = math.exp(float(stdtrit(freedom, 1 - tail)) * se)
    return min(chi[0], within / factor), max(chi[1], within * factor)


def _trimmed_mean(values_M: Floats) -> float:
    """Bonett's centre: a share of 1 / (2 sqrt(M - 4)) of the values cut off at either end."""
    cut = int(values_M.size / (2 * math.sqrt(max(values_M.size - 4, 1)))) if values_M.size > 4 else 0
    return float(np.sort(values_M)[cut : values_M.size - cut].mean())


def _over_runs(values_N: Floats, query_N: npt.ArrayLike, of: Callable[[float, float], float]) -> Difference:
    query = np.asarray(query_N)

    def statistic(kept: Ints) -> float:
        left = query[kept]
        return of(*_variances(values_N[kept], [np.flatnonzero(left == q) for q in np.unique(left)]))

    return jackknife(statistic, values_N.size)


def _interval(found: Difference, tail: float, outward: Callable[[float], float]) -> Interval:
    if not (math.isfinite(found.estimate) and math.isfinite(found.se)):
        return None, None
    low, high = found.interval(tail)
    return outward(low), outward(high)
