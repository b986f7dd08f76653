"""The curve of a condition in numbers: area, crossing of a threshold, interquartile mean, improvement.

The area is the mean of Pass@1 over the rounds, one number per run. The crossing is a statement about the
mean curve, not about a typical run: runs that hit early and runs that hit late average to a flat mean
curve, so its crossing is no mean of hitting times (`analysis.inference.times` has those, with censoring).
Between evaluations the mean is taken to be straight; a mean that never reaches the threshold crosses beyond
the last evaluation.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from analysis.claims.worlds import Floats, final_train, table
from analysis.curves.aggregates import Aggregate, iqm_interval, probability_of_improvement
from analysis.inference.resampling import (
    FEWEST_RESAMPLED,
    checked_level,
    checked_strata,
    checked_values,
    moments,
    of_data,
    weights,
)
from analysis.loading.records import Cell, Records
from banditrft.errors import InputError

THRESHOLD = 0.9
"""Train Pass@1 whose crossing is shown, the ledger's own."""


@dataclass(frozen=True)
class Area:
    """Mean normalised area of N runs.

    Attributes:
        estimate: In the curve's own unit: 1 is a curve that is 1 throughout.
        interval: Two-sided.
        level: Its confidence.
        n: Runs.
        method: How the interval came about.
        sentence: What was found.
    """

    estimate: float
    interval: tuple[float, float]
    level: float
    n: int
    method: str
    sentence: str


def checked_rounds(rounds_E: npt.ArrayLike, evaluations: int) -> Floats:
    """Rounds of E >= 2 evaluations, strictly rising.

    Raises:
        InputError: They are not.
    """
    rounds = np.asarray(rounds_E, dtype=np.float64)
    if rounds.shape != (evaluations,) or evaluations < 2 or not (np.diff(rounds) > 0).all():
        raise InputError(
            f"rounds: need {max(evaluations, 2)} that rise, one per evaluation, got {rounds.tolist()}"
        )
    return rounds


def normalised_area(rounds_E: npt.ArrayLike, values_NE: npt.ArrayLike) -> Floats:
    """Area under each run's curve by the trapezoid rule, over the length of the rounds, (N,).

    Args:
        rounds_E: Rounds of the evaluations, at least two, rising.
        values_NE: One curve per run.

    Raises:
        InputError: Rounds that do not rise or do not match the values, values that are not finite.
    """
    values = checked_values(values_NE, 2, fewest=1)
    rounds = checked_rounds(rounds_E, values.shape[1])
    return np.asarray(np.trapezoid(values, rounds, axis=1) / (rounds[-1] - rounds[0]), dtype=np.float64)


def mean_area(
    rounds_E: npt.ArrayLike,
    values_NE: npt.ArrayLike,
    *,
    level: float = 0.95,
    strata_N: npt.ArrayLike | None = None,
) -> Area:
    """Mean normalised area over runs with its t interval.

    Args:
        rounds_E: Rounds of the evaluations.
        values_NE: One curve per run.
        level: Two-sided confidence.
        strata_N: Query of each run; the spread between queries is then no error. None is one query.

    Raises:
        InputError: As :func:`normalised_area`; or fewer than two runs (in a query).
    """
    areas_N = normalised_area(rounds_E, values_NE)
    rows = checked_strata(strata_N, areas_N.size)
    mean, se, df = (float(v[0]) for v in moments(areas_N[:, None], rows))
    half = float(stdtrit(df, (1 + checked_level(level)) / 2)) * se
    within = f" within {len(rows)} queries" if len(rows) > 1 else ""
    return Area(
        estimate=mean,
        interval=(mean - half, mean + half),
        level=level,
        n=areas_N.size,
        method=f"t interval over runs{within}",
        sentence=(
            f"Averaged over the rounds Pass@1 is {mean:.3f} ({level:.0%} interval {mean - half:.3f} to "
            f"{mean + half:.3f}, {areas_N.size} runs)."
        ),
    )


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
    if values.shape[0] < FEWEST_RESAMPLED:
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
        sentence=_crossing_sentence(threshold, estimate, interval, level, values.shape[0], last),
    )


def _crossing_sentence(
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


@dataclass(frozen=True)
class Summary:
    """One condition in one world.

    Attributes:
        world: Name of the world.
        condition: Name in the study.
        area: Mean train Pass@1 over the rounds; None without a train curve, as the next.
        crossing: When the mean train Pass@1 reaches `THRESHOLD`.
        final: Interquartile mean of final test Pass@1, of train Pass@1 without a test set; None without both.
        improvement: Probability that a run ends above one of the world's first condition; None for that.
        reference: That condition.
    """

    world: str
    condition: str
    area: Area | None
    crossing: Crossing | None
    final: Aggregate | None
    improvement: Aggregate | None
    reference: str


def summaries(records: Records, world: str, level: float = 0.95) -> tuple[Summary, ...]:
    """Every condition with at least two runs of each of its queries, in the order of the study.

    Resamples are decided by the condition's own numbers alone.

    Args:
        records: Records of a study.
        world: Name of the world.
        level: Confidence of the intervals.
    """
    cells = [c for c in records.of(world).values() if np.unique(c.query, return_counts=True)[1].min() >= 2]
    return tuple(_summary(cell, cells[0], level) for cell in cells)


def _summary(cell: Cell, first: Cell, level: float) -> Summary:
    strata, area, crossing, final = cell.query, None, None, None
    if cell.has_train:
        area = mean_area(cell.rounds, cell.train, level=level, strata_N=strata)
        rng = of_data(cell.rounds, cell.train, strata)
        crossing = mean_crossing(cell.rounds, cell.train, THRESHOLD, level=level, rng=rng, strata_N=strata)
    ends = _final(cell)
    if ends is not None:
        final = iqm_interval(ends, level=level, rng=of_data(ends, strata), strata_N=strata)
    return Summary(
        world=cell.world.name,
        condition=cell.condition,
        area=area,
        crossing=crossing,
        final=final,
        improvement=None if cell is first else _improvement(cell, first, level),
        reference=first.condition,
    )


def _final(cell: Cell) -> Floats | None:
    """Final test Pass@1, or train Pass@1 without a test set; None where a run has neither."""
    if np.isfinite(cell.test).all():
        return cell.test
    return final_train(cell) if (cell.final_samples > 0).all() else None


def _improvement(cell: Cell, first: Cell, level: float) -> Aggregate | None:
    """Of the runs that both have; None where a query keeps fewer than two, or one has no test set."""
    ends, others = _final(cell), _final(first)
    if ends is None or others is None or np.isfinite(cell.test).all() != np.isfinite(first.test).all():
        return None
    keys, values = table((cell, first), (ends, others))
    if not len(keys) or np.unique(keys[:, 0], return_counts=True)[1].min() < 2:
        return None
    return probability_of_improvement(values[:, 0], values[:, 1], strata_N=keys[:, 0], level=level)
