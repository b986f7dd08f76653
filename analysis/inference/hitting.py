"""When a run first reaches a threshold, read off an evaluation curve that is seen only at some rounds.

A run hits at the first of `consecutive` successive evaluations at or above the threshold. The hit lies
between the evaluation before and that evaluation (interval-censored), and a run without a hit is
right-censored at the last evaluation that could still have been confirmed. Nothing here smooths a curve,
and the base evaluation of round 0 never counts: what the base model can do is not learning.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


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
        horizon: look at no evaluation after this round; none is the last one.

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
