"""Differences of means against a margin: paired and Welch two one-sided tests (Schuirmann 1987).

The unit of replication is a run, (query, seed); evaluation items are not replicates. With several queries
the pairs are within queries and the spread of a difference over queries stays in its variance, which for a
statement about "these queries" errs on the careful side. Levels and p-values allow for skewness
(`analysis.inference.skewness`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from analysis.inference.skewness import lowered, raised, skewness
from banditrft.errors import InputError


@dataclass(frozen=True)
class Difference:
    """A mean difference A - B with a t distribution of `df` degrees of freedom.

    Attributes:
        estimate: Of the difference.
        se: Its standard error.
        df: Degrees of freedom.
        n: Units of replication.
        skew: Sample skewness of the units' values; 0 where the units have no value of their own.
    """

    estimate: float
    se: float
    df: float
    n: int
    skew: float = 0.0

    @property
    def _exact_p(self) -> float:
        """Identical differences carry no more evidence than a sign test gives n of them."""
        return float(2.0**-self.n)

    def p_above(self, x: float) -> float:
        """One-sided p-value of "difference <= x"."""
        if self.se == 0:
            return self._exact_p if self.estimate > x else 1.0
        return float(raised(stdtr(self.df, (x - self.estimate) / self.se), self.df))

    def p_below(self, x: float) -> float:
        """One-sided p-value of "difference >= x"."""
        if self.se == 0:
            return self._exact_p if self.estimate < x else 1.0
        return float(raised(stdtr(self.df, (self.estimate - x) / self.se), self.df))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds: the 1 - 2 alpha interval that two one-sided tests read."""
        if self.se == 0:
            half = 0.0 if self._exact_p <= alpha else float("inf")
        else:
            half = self._reach(alpha) * self.se
        return self.estimate - half, self.estimate + half

    def p_inside(self, margin: float) -> float:
        """Equivalence p-value: at most alpha iff the 1 - 2 alpha interval lies within +-margin."""
        return max(self.p_above(-margin), self.p_below(margin))

    def detectable_distance(self, alpha: float, power: float = 0.8) -> float:
        """Distance from a bound's border at which a one-sided test has this power (t approximation)."""
        return (self._reach(alpha) + float(stdtrit(self.df, power))) * self.se

    def detectable_margin(self, alpha: float, power: float = 0.8) -> float:
        """Margin within which a true difference of 0 would be shown with this power (t approximation)."""
        return (self._reach(alpha) + float(stdtrit(self.df, (1 + power) / 2))) * self.se

    def _reach(self, alpha: float) -> float:
        """Distance of a one-sided 1 - alpha bound from the estimate, in standard errors."""
        return float(-stdtrit(self.df, lowered(alpha, self.df)))


def paired_difference(a_N: npt.ArrayLike, b_N: npt.ArrayLike) -> Difference:
    """Mean of a - b over pairs.

    Raises:
        InputError: Fewer than two pairs, or groups of different size.
    """
    a, b = np.asarray(a_N, dtype=np.float64), np.asarray(b_N, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or a.size < 2:
        raise InputError(f"pairs: need N >= 2 values in both groups, got shapes {a.shape} and {b.shape}")
    d = a - b
    se = float(d.std(ddof=1) / np.sqrt(d.size))
    return Difference(float(d.mean()), se, d.size - 1.0, d.size, skewness(d))


def welch_difference(a_N: npt.ArrayLike, b_N: npt.ArrayLike) -> Difference:
    """Mean of a minus mean of b, unpaired, unequal variances (Welch 1947).

    Raises:
        InputError: Fewer than two values in a group.
    """
    a, b = np.asarray(a_N, dtype=np.float64), np.asarray(b_N, dtype=np.float64)
    if min(a.size, b.size) < 2:
        raise InputError(f"runs: need at least two per group, got {a.size} and {b.size}")
    v_a, v_b = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    spread = v_a + v_b
    df = a.size + b.size - 2.0
    if spread > 0:
        df = spread**2 / (v_a**2 / (a.size - 1) + v_b**2 / (b.size - 1))
    return Difference(float(a.mean() - b.mean()), float(np.sqrt(spread)), float(df), min(a.size, b.size))


def contrast(groups: Sequence[npt.ArrayLike], weights: Sequence[float]) -> Difference:
    """Weighted sum of the means of independent groups, unequal variances (Welch-Satterthwaite).

    Raises:
        InputError: Fewer than two values in a group, or not one weight for each.
    """
    values = [np.asarray(g, dtype=np.float64) for g in groups]
    if len(values) != len(weights) or min(v.size for v in values) < 2:
        raise InputError(
            f"runs: need one weight and at least two values per group, got {len(weights)} weights"
        )
    parts = [w**2 * v.var(ddof=1) / v.size for v, w in zip(values, weights, strict=True)]
    spread = float(sum(parts))
    df = float(sum(v.size - 1 for v in values))
    if spread > 0:
        df = spread**2 / sum(p**2 / (v.size - 1) for p, v in zip(parts, values, strict=True))
    mean = sum(w * float(v.mean()) for v, w in zip(values, weights, strict=True))
    return Difference(mean, float(np.sqrt(spread)), float(df), min(v.size for v in values))


def over_items_too(runs: Difference, items_M: npt.ArrayLike) -> Difference:
    """A mean over runs read as one over runs and items, both samples.

    The variance over items is added to that over runs; both hold the sampling of answers, so the sum errs on
    the careful side. Degrees of freedom are Satterthwaite's.

    Args:
        runs: The mean over runs with its own error.
        items_M: The same difference of each of M items, averaged over runs.

    Raises:
        InputError: Fewer than two items.
    """
    items = np.asarray(items_M, dtype=np.float64)
    if items.size < 2:
        raise InputError(f"items: need at least two, got {items.size}")
    over_runs, over_items = runs.se**2, float(items.var(ddof=1)) / items.size
    total = over_runs + over_items
    if total == 0:
        return runs
    df = total**2 / (over_runs**2 / runs.df + over_items**2 / (items.size - 1))
    return Difference(runs.estimate, float(np.sqrt(total)), df, runs.n, runs.skew)


def margin(points: float, share: float, gain: float) -> float:
    """Equivalence margin: the smaller of a fixed number of points and a share of the comparator's own gain.

    A comparator that gained nothing leaves no margin: 0, under which nothing can be shown to be equivalent.
    """
    return max(0.0, min(points, share * gain))
