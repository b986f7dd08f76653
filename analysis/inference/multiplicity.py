"""Holm's step-down over the primary claims of a report, Benjamini-Hochberg over the secondary ones.

Both give the level at which each claim's interval is read.

A claim can be decided two ways, and the two hypotheses it would reject ("the claim is false", "the claim is
true") are never both true; so each claim enters with the smaller of its two p-values and the family counts
claims. The interval of a decided claim is read at the level its step used, that of every other claim at the
level where Holm stopped: then p and interval cannot disagree. A p-value that misses its step by rounding
alone is at it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from banditrft.errors import InputError

ROUNDING = 1e-12
"""Relative difference up to which a p-value counts as equal to the level it is compared with."""


@dataclass(frozen=True)
class Adjusted:
    """One claim afterwards: its adjusted p-value, the level of its interval, whether it is decided."""

    p: float
    level: float
    rejected: bool


def holm(p_M: list[float], alpha: float = 0.05) -> list[Adjusted]:
    """Holm's procedure (1979).

    Raises:
        InputError: A p-value outside [0, 1].
    """
    values = _checked(p_M)
    results: list[Adjusted | None] = [None] * values.size
    running, stopped = 0.0, None
    for rank, index in enumerate(np.argsort(values, kind="stable")):
        p, remaining = float(values[index]), values.size - rank
        step = alpha / remaining
        running = min(1.0, max(running, remaining * p))
        if stopped is None and p > step * (1 + ROUNDING):
            stopped = step
        if stopped is None:
            results[index] = Adjusted(min(running, alpha), max(step, p), True)
        else:
            results[index] = Adjusted(running, stopped, False)
    return [r for r in results if r is not None]


def benjamini_hochberg(p_M: list[float], rate: float = 0.05) -> list[Adjusted]:
    """Benjamini and Hochberg's procedure (1995) over secondary claims: the false discovery rate.

    With R of M rejected, every interval is read at the level rate * max(R, 1) / M, at which the rejected
    ones and no others exclude their hypothesis, and at which the intervals of the rejected ones have a false
    coverage-statement rate of at most `rate` (Benjamini and Yekutieli 2005). Both hold for independent or
    positively dependent p-values.

    Raises:
        InputError: A p-value outside [0, 1].
    """
    values = _checked(p_M)
    if not values.size:
        return []
    from statsmodels.stats.multitest import fdrcorrection  # takes .3 s to load

    adjusted = fdrcorrection(values, rate)[1]
    below = adjusted <= rate * (1 + ROUNDING)
    adjusted[below] = np.minimum(adjusted[below], rate)
    level = rate * max(int(below.sum()), 1) / max(values.size, 1)
    level = max(level, float(values.max(initial=0.0, where=below)))
    return [Adjusted(float(p), level, bool(r)) for p, r in zip(adjusted, below, strict=True)]


def bonferroni(p: float, parts: int) -> float:
    """p-value of a union of `parts` hypotheses from the smallest of theirs."""
    return min(1.0, p * parts)


def _checked(p_M: list[float]) -> npt.NDArray[np.float64]:
    values = np.asarray(p_M, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):
        raise InputError(f"p: must lie in [0, 1], got {p_M}")
    return values
