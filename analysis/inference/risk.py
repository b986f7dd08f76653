"""Does A fail more often than B? Boschloo's exact test, and exact bounds that agree with it."""

from dataclasses import dataclass
from functools import cached_property

from scipy.stats import boschloo_exact

from analysis.inference.binomials import Fraction


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
