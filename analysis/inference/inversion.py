"""A one-parameter family of tests inverted: monotone p-values over candidate values, and their bounds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from analysis.inference.skewness import raised

Floats = npt.NDArray[np.float64]


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
    mean, se = samples_XN.mean(axis=1), samples_XN.std(axis=1, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(se > 0, mean / se, 0.0)
    exact = np.where(mean == 0, 1.0, 2.0**-n)  # identical values carry a sign test's evidence
    above = np.where(se > 0, raised(stdtr(n - 1, -t), n - 1), np.where(mean > 0, exact, 1.0))
    below = np.where(se > 0, raised(stdtr(n - 1, t), n - 1), np.where(mean < 0, exact, 1.0))
    return np.asarray(above), np.asarray(below)
