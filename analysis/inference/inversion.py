"""One-sided tests of a mean, by t or by sign changes, and tests inverted for the bounds of a parameter.

A sum of values that are symmetric around 0 has, given their sizes, the law of their sum under independent
random signs, so its tails are exact p-values (Fisher 1935). Up to `ENUMERATED` values all 2^N sums are
added up. Of more values the sizes are first rounded to a lattice, on which the law is a product of N
two-point laws, convolved one by one (the shift algorithm of Streitberg and Roehmel 1986). Rounded values are
as symmetric as the values, so the test stays exact: it is the test of the rounded sum, which differs from the
sum by far less than its own standard deviation.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from analysis.inference.means import ROUNDING, raised, settled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ENUMERATED = 12
"""Values up to which all sums are added up."""
LATTICE = 4096
"""Lattice steps in the sum of the sizes, at least; 32 for each value where that is more."""
FAR = 6.0
"""Root sums of squares beyond which Hoeffding's bound, at most 2e-8 there, stands for the tail."""


@dataclass(frozen=True)
class Inverted:
    """One-sided tests of X candidate values of a parameter.

    Attributes:
        value: (X,) candidates, rising.
        above: (X,) p-value of "parameter <= value", the supremum over the hypothesis.
        below: (X,) p-value of "parameter >= value", likewise.
        estimate: Point estimate, nan where there is none.
        n: Units of replication.
    """

    value: Floats
    above: Floats
    below: Floats
    estimate: float
    n: int

    def p_above(self, x: float) -> float:
        """p-value of "parameter <= x"; the next candidate at or above x answers."""
        return float(self.above[min(int(np.searchsorted(self.value, x)), self.value.size - 1)])

    def p_below(self, x: float) -> float:
        """p-value of "parameter >= x"; the next candidate at or below x answers."""
        return float(self.below[max(int(np.searchsorted(self.value, x, side="right")) - 1, 0)])

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds, rejected candidates; infinite where none is rejected."""
        low, high = np.flatnonzero(self.above <= alpha), np.flatnonzero(self.below <= alpha)
        return (
            float(self.value[low[-1]]) if low.size else -np.inf,
            float(self.value[high[0]]) if high.size else np.inf,
        )


def invert(value_X: Floats, above_X: Floats, below_X: Floats, estimate: float, n: int) -> Inverted:
    """Collect pointwise p-values; a hypothesis "<= x" takes the largest p-value of the values it holds."""
    return Inverted(
        value_X,
        np.maximum.accumulate(above_X),
        np.maximum.accumulate(below_X[::-1])[::-1],
        estimate,
        n,
    )


def t_tails(samples_XN: Floats) -> tuple[Floats, Floats]:
    """One-sided p-values of "mean <= 0" and of "mean >= 0" of each row of N values, allowing for skewness."""
    n = samples_XN.shape[1]
    mean, variance = samples_XN.mean(axis=1), samples_XN.var(axis=1, ddof=1)
    se = np.sqrt(settled(variance, samples_XN, axis=1)) / np.sqrt(n)
    mean = np.where((se == 0) & (np.abs(mean) <= ROUNDING), 0.0, mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(se > 0, mean / se, 0.0)
    exact = np.where(mean == 0, 1.0, 2.0**-n)  # identical values carry a sign test's evidence
    above = np.where(se > 0, raised(stdtr(n - 1, -t), n - 1), np.where(mean > 0, exact, 1.0))
    below = np.where(se > 0, raised(stdtr(n - 1, t), n - 1), np.where(mean < 0, exact, 1.0))
    return np.asarray(above), np.asarray(below)


def sign_tails(values_XN: Floats) -> tuple[Floats, Floats]:
    """One-sided p-values of "mean <= 0" and of "mean >= 0" for each row of N values, symmetric around it.

    They are P(S >= sum) and P(S <= sum), where S is the sum under random signs; the least is 2^-N.
    """
    values = np.asarray(values_XN, dtype=np.float64)
    n = values.shape[1]
    if n <= ENUMERATED:
        return _enumerated(values)
    total, spread = values.sum(axis=1), np.sqrt((values**2).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.where(spread > 0, np.exp(-0.5 * (total / spread) ** 2), 1.0)
    above, below = np.where(total > 0, bound, 1.0), np.where(total < 0, bound, 1.0)
    near = (np.abs(total) <= FAR * spread) & (spread > 0)
    step = np.abs(values[near]).sum(axis=1, keepdims=True) / max(LATTICE, 32 * n)
    above[near], below[near] = _convolved(np.rint(values[near] / step).astype(np.int64))
    return above, below


def _enumerated(values_XN: Floats) -> tuple[Floats, Floats]:
    n = values_XN.shape[1]
    signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    above, below = np.empty(len(values_XN)), np.empty(len(values_XN))
    for start in range(0, len(values_XN), 64):
        rows = slice(start, start + 64)
        sums, own = signs @ values_XN[rows].T, values_XN[rows].sum(axis=1)
        slack = 1e-9 * np.abs(values_XN[rows]).sum(axis=1)
        above[rows] = (sums >= own - slack).mean(axis=0)
        below[rows] = (sums <= own + slack).mean(axis=0)
    return above, below


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
def _convolved(steps_XN: Ints) -> tuple[Floats, Floats]:
    """Both tails of each row's sum of whole numbers: the law of the sum of those with a plus sign."""
    count, n = steps_XN.shape
    above, below = np.empty(count), np.empty(count)
    for x in range(count):
        most, plus = 0, 0
        for i in range(n):
            most += abs(steps_XN[x, i])
            plus += max(steps_XN[x, i], 0)
        law, after, reach = np.zeros(most + 1), np.zeros(most + 1), 0
        law[0] = 1.0
        for i in range(n):
            size = abs(steps_XN[x, i])
            reach += size
            for k in range(size):
                after[k] = 0.5 * law[k]
            for k in range(size, reach + 1):
                after[k] = 0.5 * (law[k] + law[k - size])
            law, after = after, law
        above[x] = min(law[plus:].sum(), 1.0)
        below[x] = min(law[: plus + 1].sum(), 1.0)
    return above, below
