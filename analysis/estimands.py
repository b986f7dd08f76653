"""What an estimate can be, how it is read and how it is shown: a row per kind, and nothing by kind elsewhere.

A new kind of estimate is a row here, a name in `Kind`, and a power function in `analysis.planning`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from analysis.formats import NAMED, Show, fraction, points, position, ratio

Kind = Literal["fraction", "ratio", "difference", "spread", "slope", "risk", "location", "share"]


def _itself(x: float) -> float:
    return x


@dataclass(frozen=True)
class Estimand:
    """One kind of estimate.

    Attributes:
        means: What it is.
        assumes: What its test takes for granted.
        span: Least and largest value that it can have, where intervals end that have no bound.
        null: The value of "no effect"; None where there is none.
        show: A value in words, in its unit.
        axis: What an axis says.
        unit: Stands after a value, with a space before it; empty for none.
        factor: Turns a value into the unit of its axis.
        log: Whether the axis is logarithmic.
        open: Ends of a band that say nothing, since no value lies beyond them.
        strip: Ends of its axis in a card; None where they follow from the values.
        students: Whether its bounds are Student's.
        inward: The scale on which its intervals are symmetric.
    """

    means: str
    assumes: str
    span: tuple[float, float]
    null: float | None
    show: Show
    axis: str
    unit: str = ""
    factor: float = 1.0
    log: bool = False
    open: tuple[float | None, float | None] = (None, None)
    strip: tuple[float, float] | None = None
    students: bool = False
    inward: Callable[[float], float] = _itself

    def said(self, value: float) -> str:
        """A value with its unit."""
        return f"{self.show(value)}{self.unit}"


ESTIMANDS: dict[Kind, Estimand] = {
    "fraction": Estimand(
        means="a fraction of runs",
        assumes="Fractions of runs: a run either does it or not, with one probability per condition; over "
        "several queries this is the mean over these queries.",
        span=(0.0, 1.0),
        null=0.5,
        show=fraction,
        axis="fraction of runs",
        strip=(0.0, 1.0),
    ),
    "ratio": Estimand(
        means="a ratio of times",
        assumes="Ratios of times: one factor stretches the whole distribution of times; the two runs of a "
        "pair are exchangeable once the factor is taken out; runs are censored only at the horizon.",
        span=(0.0, math.inf),
        null=1.0,
        show=ratio,
        axis="ratio of times",
        log=True,
        strip=(0.45, 4.4),
    ),
    "difference": Estimand(
        means="a difference in Pass@1",
        assumes="Differences of Pass@1: the mean difference over runs is close to normal, which one run "
        "far from the others would spoil where there are few.",
        span=(-1.0, 1.0),
        null=0.0,
        show=points,
        axis="points",
        unit=" points",
        factor=100.0,
        open=(-1.0, 1.0),
        students=True,
    ),
    "spread": Estimand(
        means="a ratio of standard deviations",
        assumes="Ratios of spread: the two distributions have one shape, so that mean absolute deviations "
        "and SDs have the same ratio; samples of an evaluation are independent.",
        span=(0.0, math.inf),
        null=1.0,
        show=ratio,
        axis="ratio of spreads",
        log=True,
        open=(0.0, None),
        inward=lambda x: -1 / x,
    ),
    "slope": Estimand(
        means="a change of Pass@1 along a scale",
        assumes="Slopes: the units' own slopes have a mean that is close to normal; a straight line is a "
        "summary, not a law.",
        span=(-1.0, 1.0),
        null=0.0,
        show=points,
        axis="points",
        unit=" points",
        factor=100.0,
        open=(-1.0, 1.0),
        students=True,
    ),
    "risk": Estimand(
        means="a difference of fractions of runs",
        assumes="Differences of risk: the runs of the two conditions are independent; where they share "
        "random streams, the test is careful.",
        span=(-1.0, 1.0),
        null=0.0,
        show=points,
        axis="points of runs",
        unit=" points",
        factor=100.0,
        open=(-1.0, 1.0),
    ),
    "location": Estimand(
        means="a place on a scale",
        assumes="Location of an optimum: the differences between conditions have means over runs that are "
        "close to normal; a quadratic may narrow nothing, only widen what holds without a curve.",
        span=(-math.inf, math.inf),
        null=None,
        show=position,
        axis="place",
        log=True,
        students=True,
    ),
    "share": Estimand(
        means="a share of variance",
        assumes="Shares of variance: for these worlds and conditions; another choice of either gives "
        "another share.",
        span=(0.0, 1.0),
        null=0.5,
        show=fraction,
        axis="share",
        strip=(0.0, 1.0),
        students=True,
        inward=lambda x: math.log(x / (1 - x)),
    ),
}
FORMATS: dict[str, Show] = NAMED | {kind: of.show for kind, of in ESTIMANDS.items()}
"""How a number reads, by its kind or by the name of its format."""
