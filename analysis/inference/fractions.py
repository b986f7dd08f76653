"""Exact inference on fractions of runs: Clopper and Pearson (1934), Boschloo's comparison of two (1970).

Runs of several fixed queries are independent but need not share one success probability; the binomial tail
then still bounds the tail of the count beyond its mean (Hoeffding 1956), so a bound on the average fraction
stays valid.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv
from scipy.stats import boschloo_exact

from banditrft.errors import InputError


@dataclass(frozen=True)
class Fraction:
    """`successes` of `n` independent runs."""

    successes: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.n or self.n < 1:
            raise InputError(
                f"fraction: need 0 <= successes <= n and n >= 1, got {self.successes} of {self.n}"
            )

    @property
    def estimate(self) -> float:
        """Observed fraction."""
        return self.successes / self.n

    def lower(self, alpha: float) -> float:
        """One-sided 1 - alpha Clopper-Pearson lower bound."""
        return float(lower_bound(self.successes, self.n, alpha))

    def upper(self, alpha: float) -> float:
        """One-sided 1 - alpha Clopper-Pearson upper bound."""
        return float(upper_bound(self.successes, self.n, alpha))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""
        return self.lower(alpha), self.upper(alpha)

    def p_above(self, x: float) -> float:
        """Exact p-value of "fraction <= x": at most alpha iff the lower bound reaches x."""
        return float(tail(self.successes, self.n, x))

    def p_below(self, x: float) -> float:
        """Exact p-value of "fraction >= x"."""
        return float(tail(self.n - self.successes, self.n, 1.0 - x))


def tail(k: npt.ArrayLike, n: npt.ArrayLike, p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """P(Binomial(n, p) >= k)."""
    k, n, p = (np.asarray(v, dtype=np.float64) for v in (k, n, p))
    return np.asarray(np.where(k <= 0, 1.0, betainc(np.maximum(k, 1.0), n - np.maximum(k, 1.0) + 1.0, p)))


def lower_bound(k: npt.ArrayLike, n: npt.ArrayLike, alpha: float) -> npt.NDArray[np.float64]:
    """One-sided 1 - alpha Clopper-Pearson lower bound, elementwise; 0 at k = 0."""
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    return np.where(k <= 0, 0.0, betaincinv(np.maximum(k, 1.0), n - k + 1.0, alpha))


def upper_bound(k: npt.ArrayLike, n: npt.ArrayLike, alpha: float) -> npt.NDArray[np.float64]:
    """One-sided 1 - alpha Clopper-Pearson upper bound, elementwise; 1 at k = n."""
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    return np.where(
        k >= n, 1.0, betaincinv(np.minimum(k, n - 1.0) + 1.0, np.maximum(n - k, 1.0), 1.0 - alpha)
    )


def reaches(
    correct_N: npt.ArrayLike, samples_N: npt.ArrayLike, threshold: float, alpha: float = 0.05
) -> npt.NDArray[np.bool_]:
    """Whether each run's one-sided lower bound on Pass@1 exceeds the threshold (A1: .95 needs 495 of 512)."""
    return np.asarray(lower_bound(correct_N, samples_N, alpha) > threshold)


def least_successes(n: int, null: float, alpha: float) -> int:
    """Fewest successes of n that put the one-sided lower bound above `null`; n + 1 when even n do not."""
    above = tail(np.arange(n + 1), n, null) <= alpha
    return int(np.argmax(above)) if above.any() else n + 1


def detectable_fraction(n: int, null: float, alpha: float, power: float = 0.8) -> float:
    """Smallest true fraction that n runs would show to exceed `null` with this power; nan when none would."""
    need = least_successes(n, null, alpha)
    return float("nan") if need > n else float(betaincinv(need, n - need + 1.0, power))


@dataclass(frozen=True)
class RiskDifference:
    """Fraction of A minus fraction of B, two independent groups of runs.

    "Difference <= 0" is tested by Boschloo (1970), which is exact and uniformly more powerful than Fisher's
    test. "Difference <= x" for x > 0 is rejected where A's lower bound exceeds B's upper bound by x, both
    Clopper-Pearson at half the level. Together they are one exact one-sided test for every x, so a bound
    leaves 0 exactly when Boschloo rejects it.
    """

    a: Fraction
    b: Fraction

    @property
    def estimate(self) -> float:
        """Observed difference."""
        return self.a.estimate - self.b.estimate

    @cached_property
    def p_above(self) -> float:
        """p-value of "A fails at most as often as B"."""
        return self._boschloo("greater")

    @cached_property
    def p_below(self) -> float:
        """p-value of "A fails at least as often as B"."""
        return self._boschloo("less")

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""
        low = self.a.lower(alpha / 2) - self.b.upper(alpha / 2)
        high = self.a.upper(alpha / 2) - self.b.lower(alpha / 2)
        return (
            max(low, 0.0) if self.p_above <= alpha else min(low, -1e-12),
            min(high, 0.0) if self.p_below <= alpha else max(high, 1e-12),
        )

    def _boschloo(self, alternative: str) -> float:
        a, b = self.a, self.b
        table = [[a.successes, b.successes], [a.n - a.successes, b.n - b.successes]]
        if a.successes + b.successes in (0, a.n + b.n):
            return 1.0
        return min(1.0, float(boschloo_exact(table, alternative=alternative).pvalue))
