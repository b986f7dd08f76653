"""How a test is read against a band, and the components of a claim that come of it.

A `Test` says of every value x whether the parameter is shown to lie above or below it, a `Band` which
values support a claim and which refute it; `Measured` is a component before its level is known.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

from analysis.estimands import ESTIMANDS, FORMATS, Kind
from analysis.inference.means import ALLOWED, Difference, beyond
from analysis.verdict import Comparator, Interval, Part, Quantity, Secondary, bounded, decide, finite

CONVENTION = 0.05
"""Error rate of each bound of a secondary reading is half of this."""


class Test(Protocol):
    """An estimate whose one-sided bounds and p-values belong together."""

    @property
    def estimate(self) -> float:
        """Point estimate, nan where there is none."""

    def p_above(self, x: float) -> float:
        """p-value of "parameter <= x"."""

    def p_below(self, x: float) -> float:
        """p-value of "parameter >= x"."""

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""


@dataclass(frozen=True)
class Transformed:
    """A test of another scale's parameter, such as a ratio tested by its logarithm."""

    inner: Difference
    inward: Callable[[float], float]
    outward: Callable[[float], float]

    @property
    def known(self) -> bool:
        """Whether there is an estimate with a finite error."""
        return math.isfinite(self.inner.estimate) and math.isfinite(self.inner.se)

    @property
    def estimate(self) -> float:
        """Point estimate."""
        return self.outward(self.inner.estimate) if self.known else float("nan")

    def p_above(self, x: float) -> float:
        """p-value of "parameter <= x"."""
        return self.inner.p_above(self.inward(x)) if self.known else 1.0

    def p_below(self, x: float) -> float:
        """p-value of "parameter >= x"."""
        return self.inner.p_below(self.inward(x)) if self.known else 1.0

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""
        low, high = self.inner.interval(alpha) if self.known else (-math.inf, math.inf)
        return self.outward(low), self.outward(high)


def ratio_of(log_ratio: Difference) -> Transformed:
    """A positive ratio tested by its logarithm."""
    return Transformed(log_ratio, math.log, math.exp)


def over(inverse: Difference) -> Transformed:
    """A positive ratio tested by its inverse; unbounded where the inverse may be 0."""
    negative = replace(inverse, estimate=-inverse.estimate)
    return Transformed(negative, lambda x: -1 / x, lambda y: -1 / y if y < 0 else math.inf)


@dataclass(frozen=True)
class Band:
    """Where a parameter must lie.

    Attributes:
        low: Lower end, minus infinity for none.
        high: Upper end, infinity for none.
        gain_only: Inside a band of two ends only values above it refute the claim; below it stays open.
    """

    low: float = -math.inf
    high: float = math.inf
    gain_only: bool = False

    def p_support(self, test: Test) -> float:
        """p-value of "the parameter lies outside"."""
        above = test.p_above(self.low) if self.low > -math.inf else 0.0
        return max(above, test.p_below(self.high) if self.high < math.inf else 0.0)

    def p_refute(self, test: Test) -> float:
        """p-value of "the parameter lies inside" (of "not above", for `gain_only`)."""
        above = test.p_above(self.high) if self.high < math.inf else 1.0
        below = test.p_below(self.low) if self.low > -math.inf and not self.gain_only else 1.0
        return min(1.0, self.refuting_sides * min(above, below))

    @property
    def refuting_sides(self) -> int:
        """Sides on which a value may refute; each then gets its share of the error rate."""
        return 2 if self.low > -math.inf and self.high < math.inf and not self.gain_only else 1


@dataclass(frozen=True)
class Measured:
    """A component of a claim before its level is known; the fields are those of `Part`.

    `span` is what the parameter can be, where its kind does not say it.
    """

    id: str
    label: str
    kind: Kind
    world: str
    conditions: tuple[str, ...]
    test: Test
    band: Band
    n: int
    unit: str
    sentence: str
    detail: Callable[[float], str]
    counts: dict[str, float] = field(default_factory=dict)
    secondary: tuple[Secondary, ...] = ()
    points: dict[str, list[Any]] = field(default_factory=dict)
    span: tuple[float, float] | None = None
    estimand: Quantity = "final"
    split: Literal["train", "test"] | None = None
    comparator: Comparator = "condition"
    needs: str | None = None
    gate: ClassVar[bool] = False

    @property
    def p_support(self) -> float:
        """p-value against "the component is false"."""
        return self.band.p_support(self.test)

    @property
    def p_refute(self) -> float:
        """p-value against "the component is true"."""
        return self.band.p_refute(self.test)

    def part(self, level: float, refuting_level: float) -> Part:
        """The component read at the given error rates."""
        return Part(
            id=self.id,
            label=self.label,
            kind=self.kind,
            world=self.world,
            conditions=self.conditions,
            verdict=decide(self.p_support, self.p_refute, level, refuting_level),
            estimate=finite(self.test.estimate),
            interval=self._within(self.test.interval(level)),
            level=1 - level,
            refuting_interval=self._within(self.test.interval(refuting_level / self.band.refuting_sides)),
            refuting_level=1 - refuting_level / self.band.refuting_sides,
            band=self._within((self.band.low, self.band.high)),
            p_support=self.p_support,
            p_refute=self.p_refute,
            n=self.n,
            unit=self.unit,
            detail=self.detail(level),
            sentence=self.sentence,
            counts=self.counts,
            secondary=self.secondary,
            points=self.points,
            estimand=self.estimand,
            split=self.split,
            comparator=self.comparator,
            needs=self.needs,
        )

    def _within(self, interval: tuple[float, float]) -> Interval:
        """An interval cut to what the parameter can be."""
        low, high = self.span or ESTIMANDS[self.kind].span
        return bounded((min(max(interval[0], low), high), max(min(interval[1], high), low)))


@dataclass(frozen=True)
class Gate:
    """What must be shown before other components may speak: that one of some conditions does something.

    The condition with the smallest p-value is shown, and pays for having been picked (Bonferroni). It never
    refutes: where it is not shown, what needs it stays open.

    Attributes:
        id: Name inside the claim.
        arms: A component for each condition.
        whole: World that it is filed under, where the conditions are those of several.
    """

    id: str
    arms: tuple[Measured, ...]
    whole: str | None = None
    needs: ClassVar[str | None] = None
    gate: ClassVar[bool] = True

    @property
    def world(self) -> str:
        """World that it is filed under."""
        return self.whole or self.arms[0].world

    @property
    def p_support(self) -> float:
        """p-value of "none of them does"."""
        return min(1.0, len(self.arms) * min(a.p_support for a in self.arms))

    @property
    def p_refute(self) -> float:
        """It refutes nothing."""
        return 1.0

    def part(self, level: float, _: float) -> Part:
        """The best condition's component, read at its share of the error rate."""
        share = level / len(self.arms)
        found = min(self.arms, key=lambda a: (a.p_support, -a.test.estimate)).part(share, share)
        many = f" The best of {len(self.arms)} conditions, at its share of the error rate."
        return replace(
            found,
            id=self.id,
            world=self.world,
            verdict="supported" if found.verdict == "supported" else "undecided",
            p_support=self.p_support,
            p_refute=1.0,
            sentence=found.sentence + (many if len(self.arms) > 1 else ""),
            gate=True,
        )


def beside(label: str, test: Test, n: int, world: str | None = None) -> Secondary:
    """A neighbouring reading with its conventional 95% interval."""
    interval = bounded(test.interval(CONVENTION / 2))
    return Secondary(label, finite(test.estimate), interval, 1 - CONVENTION, n, world)


def _not_none(test: Difference, band: Band) -> str:
    """That a gain or a loss is shown, where it is: a band around 0 is not "none"."""
    low, high = test.interval(CONVENTION / 2)
    if not band.low < 0 < band.high or low <= 0 <= high:
        return ""
    form, word = FORMATS["difference"], "gain" if low > 0 else "loss"
    within = "; it lies within the margin" if band.low < low and high < band.high else ""
    return f" A {word} is shown (95% interval {form(low)} to {form(high)} points){within}."


def skewed(test: Difference) -> str:
    """That values are more skewed than bounds allow for, where they show it."""
    if not beyond(test.skew, test.n):
        return ""
    return (
        f" The values' skewness is {test.skew:.2g}, beyond the {ALLOWED:g} that the bounds allow for: "
        "their error rate may be above its nominal one."
    )


def detectable(test: Difference, band: Band) -> Callable[[float], str]:
    """What 80% power would take, in points, at the level that the verdict gets.

    Of a band around 0 also whether the parameter is told from 0.
    """

    def said(level: float) -> str:
        if band.refuting_sides == 1 and not band.gain_only:
            reach = 100 * test.detectable_distance(level)
            return (
                f"At this spread a true value {reach:.2g} points beyond the margin is shown with 80% power."
                f"{skewed(test)}"
            )
        reach = 100 * test.detectable_margin(level)
        return (
            f"At this spread equivalence within {reach:.2g} points is shown with 80% power, and a difference "
            f"of {100 * test.detectable_distance(level):.2g} points is told from none.{_not_none(test, band)}"
            f"{skewed(test)}"
        )

    return said
