"""Means of zeros and ones back to counts: only where the number of samples is known and the mean fits it."""

import math
from collections.abc import Sequence

from banditrft.errors import RecordError

PRECISION = 2e-7
"""Relative error of a mean taken in single precision."""
MOST = 4096
"""Largest number of samples that is proposed."""


def whole(mean: float, n: int, where: str, decimals: int | None = None) -> int:
    """The count of ones whose mean over n samples this is.

    Args:
        mean: In [0, 1].
        n: Samples, at least 1.
        where: File and row, for errors.
        decimals: Digits after the point that the log prints; None is full precision.

    Raises:
        RecordError: Not in [0, 1]; not a whole count within the printed precision; or too few digits to tell
            counts of n samples apart.
    """
    if not (math.isfinite(mean) and 0 <= mean <= 1 + PRECISION):
        raise RecordError(f"{where}: a mean of zeros and ones must lie in [0, 1], got {mean!r}")
    slack = n * max(PRECISION, 0.0 if decimals is None else 0.5 * 10.0**-decimals) + 1e-6
    if slack >= 0.5:
        raise RecordError(
            f"{where}: {decimals} decimals cannot tell counts of {n} samples apart, got {mean!r}"
        )
    count = round(mean * n)
    if abs(mean * n - count) > slack:
        raise RecordError(
            f"{where}: must be a whole count of {n} samples, got mean {mean!r} = {mean * n:.4f} of them"
        )
    return count


def fewest(means: Sequence[float]) -> int | None:
    """The smallest number of samples, at most 4096, that makes every mean a whole count, if there is one."""
    for n in range(1, MOST + 1):
        if all(abs(m * n - round(m * n)) <= n * PRECISION + 1e-6 for m in means):
            return n
    return None
