"""How a test is read against a band, and the components of a claim that come of it.

A `Test` says of every value x whether the parameter is shown to lie above or below it, a `Band` which
values support a claim and which refute it; `Measured` is a component before its level is known.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from analysis.estimands import ESTIMANDS, Kind
from analysis.inference.means import Difference, beyond
from analysis.inference.ratio import RatioTest
from analysis.results import (
    NO_SETTING,
    Comparator,
    Interval,
    Part,
    Quantity,
    Secondary,
    Setting,
    Split,
    Units,
    Values,
    bounded,
    decide,
    finite,
)

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
class OneSided:
    """A ratio of times read by its one-sided bounds."""

    test: RatioTest

    @property
    def estimate(self) -> float:
        """Point estimate."""
        return self.test.estimate

    def p_above(self, x: float) -> float:
        """p-value of "ratio <= x"."""
        return self.test.p_above(x)

    def p_below(self, x: float) -> float:
        """p-value of "ratio >= x"."""
        return self.test.p_below(x)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""
        return self.test.interval(2 * alpha)


@dataclass(frozen=True)
class Band:
    """Where a parameter must lie; an empty one, with its ends at one value, is neither met nor missed.

    Attributes:
        low: Lower end, minus infinity for none.
        high: Upper end, infinity for none.
        gain_only: Inside a band of two ends only values above it refute the claim; below it stays open.
    """

    low: float = -math.inf
    high: float = math.inf
    gain_only: bool = False
    two_sided: ClassVar[bool] = False

    def p_support(self, test: Test) -> float:
        """p-value of "the parameter lies outside"."""
        if self.low == self.high:
            return 1.0
        above = test.p_above(self.low) if self.low > -math.inf else 0.0
        return max(above, test.p_below(self.high) if self.high < math.inf else 0.0)

    def p_refute(self, test: Test) -> float:
        """p-value of "the parameter lies inside" (of "not above", for `gain_only`)."""
        if self.low == self.high:
            return 1.0
        above = test.p_above(self.high) if self.high < math.inf else 1.0
        below = test.p_below(self.low) if self.low > -math.inf and not self.gain_only else 1.0
        return min(1.0, self.refuting_sides * min(above, below))

    @property
    def refuting_sides(self) -> int:
        """Sides on which a value may refute; each then gets its share of the error rate."""
        return 2 if self.low > -math.inf and self.high < math.inf and not self.gain_only else 1


@dataclass(frozen=True)
class TimesBand(Band):
    """Where a ratio of times must lie, read by its two-sided intervals."""

    two_sided: ClassVar[bool] = True

    def p_support(self, test: Any) -> float:
        """p-value of "the ratio lies outside"."""
        return float(test.p_inside(self.low, self.high))

    def p_refute(self, test: Any) -> float:
        """p-value of "the ratio lies inside"."""
        return float(test.p_outside(self.low, self.high))

    @property
    def refuting_sides(self) -> int:
        """The interval has both sides already."""
        return 1


def _nothing(_: float) -> Values:
    return {}


@dataclass(frozen=True)
class Measured:
    """A component of a claim before its level is known; the fields are those of `Part`.

    Attributes:
        test: The estimate with its bounds and p-values.
        band: Where it must lie.
        span: What the parameter can be, where its kind does not say it.
        at: Facts that depend on the error rate of the verdict.
    """

    id: str
    kind: Kind
    world: str
    conditions: tuple[str, ...]
    test: Test
    band: Band
    n: int
    units: Units
    replicate: str | None = None
    counts: dict[str, float] = field(default_factory=dict)
    secondary: tuple[Secondary, ...] = ()
    points: dict[str, list[Any]] = field(default_factory=dict)
    span: tuple[float, float] | None = None
    estimand: Quantity = "final"
    split: Split | None = None
    comparator: Comparator = "condition"
    needs: str | None = None
    setting: Setting = NO_SETTING
    worlds: tuple[str, ...] = ()
    facts: Values = field(default_factory=dict)
    at: Callable[[float], Values] = _nothing
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
        refuting = refuting_level / self.band.refuting_sides
        return Part(
            id=self.id,
            kind=self.kind,
            world=self.world,
            conditions=self.conditions,
            verdict=decide(self.p_support, self.p_refute, level, refuting_level),
            estimate=finite(self.test.estimate),
            interval=self._within(self.test.interval(level)),
            level=1 - level,
            refuting_interval=self._within(self.test.interval(refuting)),
            refuting_level=1 - refuting,
            band=self._within((self.band.low, self.band.high)),
            p_support=self.p_support,
            p_refute=self.p_refute,
            n=self.n,
            units=self.units,
            replicate=self.replicate,
            counts=self.counts,
            secondary=self.secondary,
            points=self.points,
            two_sided=self.band.two_sided,
            estimand=self.estimand,
            split=self.split,
            comparator=self.comparator,
            needs=self.needs,
            setting=self.setting,
            worlds=self.worlds,
            facts=self.facts | self.at(level),
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
        return replace(
            found,
            id=self.id,
            world=self.world,
            verdict="supported" if found.verdict == "supported" else "undecided",
            p_support=self.p_support,
            p_refute=1.0,
            facts=found.facts | {"arms": len(self.arms)},
            gate=True,
        )


def secondary(
    reading: str, test: Test, n: int, *, world: str | None = None, kind: Kind | None = None, **values: Any
) -> Secondary:
    """A neighbouring reading with its conventional 95% interval; the values are what its label names."""
    interval = bounded(test.interval(CONVENTION / 2))
    return Secondary(reading, finite(test.estimate), interval, 1 - CONVENTION, n, kind, world, values)


def detectable(test: Difference, band: Band) -> Callable[[float], Values]:
    """What 80% power would take, in probability, at the level that the verdict gets.

    Of a band around 0 also whether the parameter is shown not to be 0, and of skewed values how much.
    """

    def at(level: float) -> Values:
        skewness = float(test.skew) if beyond(test.skew, test.n) else None
        found: Values = {"distance": test.detectable_distance(level), "skewness": skewness}
        if band.refuting_sides == 1 and not band.gain_only:
            return found
        return found | {"equivalence": test.detectable_margin(level), "shown": _not_none(test, band)}

    return at


def _not_none(test: Difference, band: Band) -> list[float] | None:
    """The 95% interval where it leaves out 0: a band around 0 is not "none"."""
    low, high = test.interval(CONVENTION / 2)
    return [low, high] if band.low < 0 < band.high and not low <= 0 <= high else None
