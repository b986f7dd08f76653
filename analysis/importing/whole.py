"""Means of rewards back to counts of right answers: only where the mean is a whole count of the samples.

A mean reward counts right answers only if there are two rewards, one for a wrong and one for a right answer,
and both are known: the `Scale`. Which two they are is read off the log's own minimum and maximum, or said by
the user.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

from banditrft.design import Reward
from banditrft.errors import InputError, RecordError
from banditrft.rewards import honest

PRECISION = 2e-7
"""Relative error of a mean taken in single precision."""
MOST = 4096
"""Largest number of samples that is proposed."""
CERTAIN = 0.1
"""Largest rounding error of a count, in answers, at which a number of samples is proposed."""


@dataclass(frozen=True)
class Scale:
    """Rewards of a wrong and of a right answer."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(
                f"scale: the reward of a wrong answer must be below that of a right one, got {self}"
            )

    def __str__(self) -> str:
        return f"{self.low:g} and {self.high:g}"

    @property
    def values(self) -> set[float]:
        """The two rewards."""
        return {self.low, self.high}

    def share(self, mean: float) -> float:
        """Share of right answers behind a mean reward."""
        return (mean - self.low) / (self.high - self.low)


PLAIN = Scale()
OF_REWARD = {name: Scale(rewards.low, rewards.high) for name, rewards in honest().items()}
"""Scale by `Design.reward`."""
NO_COUNT = frozenset(get_args(Reward)) - honest().keys()
"""Values of `Design.reward` whose mean is no share of right answers."""


def seen(values: Iterable[float]) -> Scale | None:
    """The scale that rewards seen in a log show; None where they could be those of several.

    Zeros, ones, or both are 0 and 1. Two other values are a scale if the lower is at most 0 and the higher at
    least 1; rewards of -1 and 0 alone may be those of a run that was never right.
    """
    found = sorted(set(values))
    if set(found) <= PLAIN.values:
        return PLAIN
    return Scale(*found) if len(found) == 2 and found[0] <= 0 and found[1] >= 1 else None


class Mean(NamedTuple):
    """A mean of `width` times as many rewards as a step has; `where` is file and row."""

    value: float
    width: int
    where: str


def whole(mean: float, n: int, where: str, decimals: int | None = None, scale: Scale = PLAIN) -> int:
    """The count of right answers whose mean reward over n samples this is.

    Args:
        mean: Mean reward, between the two of the scale.
        n: Samples, at least 1.
        where: File and row, for errors.
        decimals: Digits after the point that the log prints; None is full precision.
        scale: Rewards of a wrong and a right answer.

    Raises:
        RecordError: Outside the scale; not a whole count within the printed precision; or too few digits to
            tell counts of n samples apart.
    """
    share = scale.share(mean)
    if not (math.isfinite(mean) and 0 <= share <= 1 + PRECISION):
        of = "zeros and ones" if scale == PLAIN else f"rewards of {scale}"
        raise RecordError(
            f"{where}: a mean of {of} must lie in [{scale.low:g}, {scale.high:g}], got {mean!r}; "
            "--scale LOW HIGH says what a wrong and a right answer are worth"
        )
    slack = _slack(n, decimals, scale)
    if slack >= 0.5:
        digits = "single precision" if decimals is None else f"{decimals} decimals"
        raise RecordError(f"{where}: {digits} cannot tell counts of {n} samples apart, got {mean!r}")
    count = round(share * n)
    if abs(share * n - count) > slack:
        raise RecordError(
            f"{where}: must be a whole count of {n} samples, got mean {mean!r} = {share * n:.4f} of them"
        )
    return min(max(count, 0), n)


def _slack(n: int, decimals: int | None, scale: Scale) -> float:
    """Largest error of a count, in answers."""
    printed = 0.0 if decimals is None else 0.5 * 10.0**-decimals / (scale.high - scale.low)
    return n * max(PRECISION, printed) + 1e-6


def fewest(means: Sequence[Mean], decimals: int | None = None, scale: Scale = PLAIN) -> int | None:
    """The fewest samples a step, at most 4096, that make every mean a whole count, if there are any."""
    widest = max((m.width for m in means), default=1)
    for n in range(1, MOST + 1):
        if _slack(n * widest, decimals, scale) > CERTAIN:
            return None
        if all(_fits(scale.share(m.value) * n * m.width, n * m.width, decimals, scale) for m in means):
            return n
    return None


def _fits(count: float, n: int, decimals: int | None, scale: Scale) -> bool:
    return -0.5 < count < n + 0.5 and abs(count - round(count)) <= _slack(n, decimals, scale)


def offer(option: str, means: Sequence[Mean], decimals: int | None, scale: Scale = PLAIN) -> str:
    """What an option would have to be, for a message; empty where nothing fits or anything does."""
    n = fewest(means, decimals, scale)
    return f"{option} {n} is the fewest that makes every mean a whole count" if n and n > 1 else ""
