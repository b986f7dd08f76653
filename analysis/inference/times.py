"""When runs first reach a threshold: hitting times seen at some rounds, and their survival curves.

A run hits at the first of `consecutive` successive evaluations at or above the threshold. The hit lies
between the evaluation before and that evaluation (interval-censored), and a run without a hit is
right-censored at the last evaluation that could still have been confirmed. Nothing here smooths a curve,
and the base evaluation of round 0 never counts: what the base model can do is not learning.

Runs leave observation only at a common horizon, so Kaplan-Meier is one minus the empirical distribution
there, but the estimator below holds for any right-censoring (tests compare it with statsmodels'
SurvfuncRight).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.inference.resampling import FEWEST_RESAMPLED
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HittingTimes:
    """Hitting times of N runs under one condition, in rounds.

    Attributes:
        lower: (N,) last evaluation before the hit, or the censoring round of a run without one.
        upper: (N,) evaluation of the hit, infinite for a run without one.
        horizon: last evaluation at which a hit can be confirmed; a run without a hit is known to exceed it.
        step: largest gap between two evaluations, the resolution of every time.
    """

    lower: Floats
    upper: Floats
    horizon: float
    step: float

    @property
    def hit(self) -> Bools:
        """Whether the run hit by the horizon."""
        return np.isfinite(self.upper)

    @property
    def time(self) -> Floats:
        """Middle of the interval that holds the hit, the censoring round for a run without one.

        Rounding up to the grid adds half a step to both groups, which would pull a ratio of times towards
        1.
        """
        return np.where(self.hit, (self.lower + np.where(self.hit, self.upper, 0.0)) / 2, self.lower)

    def drawn(self, rng: np.random.Generator) -> "HittingTimes":
        """The same runs with each hit placed at random inside its step, as if it had been seen exactly."""
        width = np.where(self.hit, self.upper, self.lower) - self.lower
        at = self.lower + (1.0 - rng.random(width.size)) * width
        return HittingTimes(at, np.where(self.hit, at, np.inf), self.horizon, self.step)


def hitting_times(
    rounds_E: npt.ArrayLike,
    passes_NE: npt.ArrayLike,
    threshold: float,
    *,
    consecutive: int = 2,
    horizon: float | None = None,
) -> HittingTimes:
    """Hitting times of N runs evaluated at the same E rounds.

    Args:
        rounds_E: rounds of the evaluations, strictly rising; round 0 (the base model) is left out.
        passes_NE: Pass@1 of each run at each evaluation, in [0, 1].
        threshold: Pass@1 to reach, in [0, 1].
        consecutive: evaluations in a row at or above the threshold that make a hit.
        horizon: evaluations after this round are not read; none is the last one.

    Raises:
        InputError: Rounds that do not rise, shapes that disagree, values that are not finite, or too few
            evaluations.
    """
    rounds = np.asarray(rounds_E, dtype=np.float64)
    passes = np.asarray(passes_NE, dtype=np.float64)
    if rounds.ndim != 1 or passes.ndim != 2 or passes.shape[1] != rounds.size:
        raise InputError(
            f"evaluations: need rounds (E) and values (N, E), got {rounds.shape} and {passes.shape}"
        )
    if np.any(np.diff(rounds) <= 0):
        raise InputError(f"evaluations: rounds must rise, got {rounds.tolist()}")
    if not np.all(np.isfinite(passes)):
        raise InputError("evaluations: every value must be finite, got a NaN or an infinity")
    if consecutive < 1:
        raise InputError(f"consecutive: must be at least 1, got {consecutive}")
    keep = (rounds > 0) & (rounds <= (np.inf if horizon is None else horizon))
    seen, above = rounds[keep], passes[:, keep] >= threshold
    starts = seen.size - consecutive + 1
    if starts < 1:
        raise InputError(
            f"evaluations: a hitting time needs {consecutive} evaluations after round 0, got {seen.size}"
        )
    views = np.lib.stride_tricks.sliding_window_view(above, consecutive, axis=1)
    windows = np.asarray(views.all(axis=2), dtype=np.bool_)
    hit = np.asarray(windows.any(axis=1), dtype=np.bool_)
    first = windows.argmax(axis=1)
    before = np.concatenate([[0.0], seen])
    last = float(seen[starts - 1])
    return HittingTimes(
        lower=np.where(hit, before[first], last),
        upper=np.where(hit, seen[first], np.inf),
        horizon=last,
        step=float(np.max(np.diff(before[: starts + 1]))),
    )


@dataclass(frozen=True)
class Survival:
    """A Kaplan-Meier curve: P(T > t) just after each distinct event time.

    Attributes:
        time: distinct event times, rising.
        survival: share of runs still without a hit.
        at_risk: runs observed just before each time.
        events: hits at each time.
        n: runs in all.
    """

    time: Floats
    survival: Floats
    at_risk: Ints
    events: Ints
    n: int

    def band(self, level: float = 0.95) -> float:
        """Half-width of the simultaneous Dvoretzky-Kiefer-Wolfowitz band (Massart's constant).

        It covers the whole curve at once when runs are independent and leave only at the common horizon.
        """
        return float(np.sqrt(np.log(2.0 / (1.0 - level)) / (2.0 * self.n)))


def kaplan_meier(time_N: npt.ArrayLike, event_N: npt.ArrayLike) -> Survival:
    """Kaplan-Meier estimate from times and event flags; a run censored at an event's time is still at risk.

    Raises:
        InputError: No runs, or shapes that disagree.
    """
    times, events = _checked(time_N, event_N)
    distinct = np.unique(times[events])
    deaths = np.array([np.sum(events & (times == t)) for t in distinct], dtype=np.int64)
    present = np.array([np.sum(times >= t) for t in distinct], dtype=np.int64)
    survival = np.asarray(np.cumprod(1.0 - deaths / present), dtype=np.float64)
    return Survival(distinct, survival, present, deaths, times.size)


def at_risk(time_N: npt.ArrayLike, at_A: npt.ArrayLike) -> Ints:
    """Runs neither hit nor censored before each of the given times, the row of an at-risk table."""
    times = np.asarray(time_N, dtype=np.float64)
    return np.asarray([np.sum(times >= t) for t in np.asarray(at_A, dtype=np.float64)], dtype=np.int64)


def median_time(curve: Survival) -> float:
    """First time at which half of the runs have hit; infinite when that lies beyond the horizon."""
    below = np.flatnonzero(curve.survival <= 0.5 + 1e-12)
    return float(curve.time[below[0]]) if below.size else float("inf")


def restricted_mean(time_N: npt.ArrayLike, event_N: npt.ArrayLike, horizon: float) -> float:
    """Mean rounds without a hit up to the horizon (RMST): area under the Kaplan-Meier curve.

    Raises:
        InputError: A run is censored before the horizon, where the area is not known without a model.
    """
    times, events = _checked(time_N, event_N)
    if np.any(~events & (times < horizon)):
        raise InputError(
            f"horizon: a run is censored before {horizon:g}, its restricted mean is not observed"
        )
    return float(np.mean(np.minimum(times, horizon)))


def median_ratio(
    slow_N: npt.ArrayLike,
    fast_N: npt.ArrayLike,
    strata_N: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Ratio of median times of N pairs with a percentile bootstrap interval, pairs resampled within strata.

    Args:
        slow_N: Times of A, infinite where censored.
        fast_N: Times of B, the same pairs.
        strata_N: Query of each pair.
        level: Two-sided confidence.
        resamples: Bootstrap samples.
        rng: Their source.

    Returns:
        Estimate, lower and upper end; infinite or nan where a median lies beyond the horizon.

    Raises:
        InputError: Fewer than ten pairs, where a percentile bootstrap undercovers.
    """
    slow, fast, strata = (np.asarray(v, dtype=np.float64) for v in (slow_N, fast_N, strata_N))
    if slow.size < FEWEST_RESAMPLED or slow.shape != fast.shape or slow.shape != strata.shape:
        raise InputError(
            f"pairs: a bootstrap needs at least {FEWEST_RESAMPLED} of them, got {slow.shape}, {fast.shape}"
        )
    groups = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    rows = np.concatenate([g[rng.integers(0, g.size, (resamples, g.size))] for g in groups], axis=1)
    with np.errstate(invalid="ignore"):
        draws = np.median(slow[rows], axis=1) / np.median(fast[rows], axis=1)
        estimate = float(np.median(slow) / np.median(fast))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return estimate, float(low), float(high)


def _checked(time_N: npt.ArrayLike, event_N: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    times, events = np.asarray(time_N, dtype=np.float64), np.asarray(event_N, dtype=np.bool_)
    if times.ndim != 1 or times.shape != events.shape or times.size == 0:
        raise InputError(
            f"times: need N >= 1 times and N event flags, got shapes {times.shape} and {events.shape}"
        )
    return times, events
