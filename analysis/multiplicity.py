"""Holm's step-down over the claims of a report, with the level at which each claim's interval is read.

A claim can be decided two ways, and the two hypotheses it would reject ("the claim is false", "the claim is
true") are never both true; so each claim enters with the smaller of its two p-values and the family counts
claims. The interval of a decided claim is read at the level its step used, that of every other claim at the
level where Holm
stopped: then p and interval cannot disagree.
"""

from dataclasses import dataclass

import numpy as np

from banditrft.errors import InputError


@dataclass(frozen=True)
class Adjusted:
    """One claim after Holm: its adjusted p-value, the level of its interval, whether it is decided."""

    p: float
    level: float
    rejected: bool


def holm(p_M: list[float], alpha: float = 0.05) -> list[Adjusted]:
    """Holm's procedure (1979).

    Raises:
        InputError: A p-value outside [0, 1].
    """
    values = np.asarray(p_M, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):
        raise InputError(f"p: must lie in [0, 1], got {p_M}")
    results: list[Adjusted | None] = [None] * values.size
    running, stopped = 0.0, None
    for rank, index in enumerate(np.argsort(values, kind="stable")):
        remaining = values.size - rank
        running = min(1.0, max(running, remaining * float(values[index])))
        if stopped is None and values[index] > alpha / remaining:
            stopped = alpha / remaining
        results[index] = Adjusted(running, stopped or alpha / remaining, stopped is None)
    return [r for r in results if r is not None]


def bonferroni(p: float, parts: int) -> float:
    """p-value of a union of `parts` hypotheses from the smallest of theirs."""
    return min(1.0, p * parts)
