"""Means and differences of means: t bounds that allow for skewness, equivalence (Schuirmann 1987), contrasts.

The unit of replication is a run, (query, seed); evaluation items are not replicates. With several queries
the pairs are within queries and the spread of a difference over queries stays in its variance, which for a
statement about "these queries" errs on the careful side.

A one-sided t test errs where values are skewed against it: at a nominal .05 and skewness 1/2 it rejects
.071 to .078 of true hypotheses at 5 units and .060 to .063 at 32. Few units do not show their skewness, so
the level is lowered for all: a bound at level alpha is Student's at a smaller level, at which gamma,
log-normal and beta values of skewness up to `ALLOWED` either way are still within alpha. On the scale of
normal scores z the level moves by

    d(z) = REACH (2 z^2 + 1) / (6 sqrt(n)) / (1 + (z^2 / n)^2 / 2),

the first Edgeworth term of Student's statistic (Johnson 1978, Hall 1992) at a skewness of REACH, which is
more than `ALLOWED` because values with lighter tails than a gamma's need more. It is damped where it
overshoots, since far out the tail of few values is a constant times Student's (Hotelling 1961); the damping
was fitted to simulated gamma and beta values at 2 to 200 units and levels .2 to .0005 (docs/log.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
ALLOWED = 0.5
"""Skewness, third central moment over the cubed standard deviation, at which bounds still hold."""
REACH = 0.6
"""Skewness in the Edgeworth term."""
ROUNDING = 1e-12
"""Standard deviation, relative to the largest value and to 1, up to which values differ by rounding alone."""
STEPS = 20
"""Fixed-point steps; each leaves less than a fifth of the error, since |d'(z)| < .2."""


def lowered(alpha: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """Level of Student's bound with `df` degrees of freedom whose error is at most `alpha` under skewness.

    Args:
        alpha: One-sided error rates in (0, 1).
        df: Degrees of freedom, positive; one value more counts as the number of units.
    """
    z = -ndtri(np.asarray(alpha, dtype=np.float64))
    return np.asarray(ndtr(-(z + _shift(z, df))))


def raised(p: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """p-value of Student's own under skewness: at most alpha iff Student's is at most `lowered(alpha)`.

    Args:
        p: Student's one-sided p-values in [0, 1].
        df: Degrees of freedom, as for :func:`lowered`.
    """
    students = -ndtri(np.asarray(p, dtype=np.float64))
    z = np.clip(students, -1e3, 1e3)
    for _ in range(STEPS):
        z = students - _shift(z, df)
    return np.asarray(ndtr(-z))


def skewness(values_N: npt.ArrayLike) -> float:
    """Sample skewness, Fisher's G1; 0 for fewer than three values or equal ones."""
    values = np.asarray(values_N, dtype=np.float64)
    n, centred = values.size, values - values.mean()
    second = float((centred**2).sum())
    if n < 3 or settled(second / (n - 1), values) == 0:
        return 0.0
    third = float((centred**3).sum()) * n / ((n - 1) * (n - 2))
    return float(third / (second / (n - 1)) ** 1.5)


def settled(variance: npt.ArrayLike, *values: npt.ArrayLike, axis: int | None = None) -> Floats:
    """Variances, 0 where they are of rounding alone: equal values seldom have equal sums of squares.

    Args:
        variance: Variances.
        values: What they were computed from.
        axis: Axis of the values that they are over; None is all.
    """
    scale = np.max([np.abs(v).max(axis=axis) for v in values], axis=0)
    return np.where(np.abs(variance) <= (ROUNDING * np.maximum(scale, 1.0)) ** 2, 0.0, variance)


def beyond(skew: float, n: int) -> bool:
    """Whether n units show a skewness beyond what bounds allow for, by more than its standard error."""
    return bool(abs(skew) - ALLOWED > np.sqrt(6 / n))


def _shift(z: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    square, n = np.square(np.minimum(np.abs(z), 1e3)), np.asarray(df, dtype=np.float64) + 1.0
    return np.asarray(REACH * (2 * square + 1) / (6 * np.sqrt(n)) / (1 + (square / n) ** 2 / 2))


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
        return self._p(x, self.estimate - x)

    def p_below(self, x: float) -> float:
        """One-sided p-value of "difference >= x"."""
        return self._p(x, x - self.estimate)

    def _p(self, x: float, distance: float) -> float:
        """One-sided p-value from the distance to x, positive where the estimate lies beyond."""
        if self.se == 0:
            return self._exact_p if distance > ROUNDING * max(abs(x), abs(self.estimate), 1.0) else 1.0
        return float(raised(stdtr(self.df, -distance / self.se), self.df))

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
    sd = float(np.sqrt(settled(d.var(ddof=1), a, b)))
    if sd == 0:
        none = np.abs(d) <= ROUNDING * np.maximum(np.abs(a), 1.0)
        return Difference(float(np.where(none, 0.0, d).mean()), 0.0, d.size - 1.0, d.size)
    return Difference(float(d.mean()), float(sd / np.sqrt(d.size)), d.size - 1.0, d.size, skewness(d))


def mean_of(values_N: npt.ArrayLike) -> Difference:
    """A mean with its t distribution."""
    values = np.asarray(values_N, dtype=np.float64)
    return paired_difference(values, np.zeros_like(values))


def welch_difference(a_N: npt.ArrayLike, b_N: npt.ArrayLike) -> Difference:
    """Mean of a minus mean of b, unpaired, unequal variances (Welch 1947).

    Raises:
        InputError: Fewer than two values in a group.
    """
    a, b = np.asarray(a_N, dtype=np.float64), np.asarray(b_N, dtype=np.float64)
    if min(a.size, b.size) < 2:
        raise InputError(f"runs: need at least two per group, got {a.size} and {b.size}")
    return contrast([a, b], [1.0, -1.0])


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
    parts = [w**2 * float(settled(v.var(ddof=1), v)) / v.size for v, w in zip(values, weights, strict=True)]
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
    over_runs, over_items = runs.se**2, float(settled(items.var(ddof=1), items)) / items.size
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
