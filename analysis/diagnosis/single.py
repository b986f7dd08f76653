"""Signatures of a single condition as tests, each with a border that is stated and tested both ways.

"Present" is shown when all its parts are, each at the full level (intersection-union); "absent" when one part
is shown not to hold, at the level divided by their number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.diagnosis.look import Look, either, number, points
from analysis.inference.fractions import Fraction
from analysis.inference.means import Difference, paired_difference

Floats = npt.NDArray[np.float64]
LEARNED = 0.05
"""Train Pass@1 has risen when it has by more than this."""
MARGIN = 0.02
"""Test Pass@1 has changed when it has by more than this, the margin of the claims."""
TOP, STILL_RISING = 0.95, 0.02
"""A plateau lies below the first and rises by less than the second per sixth of the run."""
NEAR_ZERO = 0.05


@dataclass(frozen=True)
class Measures:
    """One condition, U units.

    Attributes:
        world: Its world.
        condition: Its name.
        unit: What a unit is.
        n: Number of units.
        start: (U,) train Pass@1 at the first evaluations; None without a training curve.
        level: (U,) mean train Pass@1 over the last quarter.
        late: (U,) its change from the fifth to the last sixth; None with fewer than six evaluations.
        change: (U,) change of test Pass@1, last minus first evaluation; None without two.
        base: Right answers of the base policy on the training queries; None where it was not evaluated.
    """

    world: str
    condition: str
    unit: str
    n: int
    start: Floats | None
    level: Floats | None
    late: Floats | None
    change: Floats | None
    base: Fraction | None

    @property
    def rise(self) -> Floats | None:
        """(U,) change of train Pass@1 from the start to the last quarter."""
        return None if self.start is None or self.level is None else self.level - self.start


def mean_of(values_N: Floats) -> Difference:
    """Mean of one number per unit."""
    return paired_difference(values_N, np.zeros_like(values_N))


def _look(m: Measures, name: str, **found: object) -> Look:
    return Look(name, m.world, m.condition, **found)  # type: ignore[arg-type]


def _lacking(m: Measures, name: str, parts: Mapping[str, Floats | Fraction | None]) -> Look | None:
    """A look that cannot be: one run, or something is not recorded."""
    if m.n < 2:
        return _look(m, name, why_open="one run, and the run is the unit")
    gone = [what for what, value in parts.items() if value is None]
    return _look(m, name, why_open=f"the records hold no {' and no '.join(gone)}") if gone else None


def plateau(m: Measures) -> Look:
    """Train Pass@1 rises, then stands still below 1."""
    name = "train plateau below 1"
    lacking = _lacking(m, name, {"training curve": m.rise, "six evaluations of it": m.late})
    if lacking or m.rise is None or m.level is None or m.late is None:
        return lacking or _look(m, name, why_open="no training curve")
    rise, level, late = mean_of(m.rise), mean_of(m.level), mean_of(m.late)
    top = int(np.sum(m.level >= TOP))
    said = f"train Pass@1 of the last quarter is {level.estimate:.3f} [{_range(level)}] after {points(rise)}"
    return _look(
        m,
        name,
        p_present=max(rise.p_above(LEARNED), level.p_below(TOP), late.p_below(STILL_RISING)),
        p_absent=either(rise.p_below(LEARNED), level.p_above(TOP), late.p_above(STILL_RISING)),
        evidence={
            "level": number(level),
            "rise": number(rise),
            "late_change": number(late),
            "at_top": top,
            "n": m.n,
        },
        said=f"{said}, and {points(late)} in the last sixth ({top} of {m.n} {m.unit} end above {TOP:g})",
        present=f"it learns, then stands still below {TOP:g}",
        absent=f"it reaches {TOP:g}, or still rises, or never rose",
    )


def _test_against_train(
    m: Measures,
    name: str,
    moved: Callable[[Difference], float],
    stayed: Callable[[Difference], tuple[float, ...]],
    **words: str,
) -> Look:
    """A signature of the test set while train Pass@1 rises.

    Args:
        m: The condition.
        name: Of the signature.
        moved: p-value that the change of test Pass@1 is the signature's.
        stayed: p-values that it is not.
        words: What "present" and "absent" mean.
    """
    lacking = _lacking(m, name, {"training curve": m.rise, "pair of test evaluations": m.change})
    if lacking or m.rise is None or m.change is None:
        return lacking or _look(m, name, why_open="no test evaluations")
    rise, change = mean_of(m.rise), mean_of(m.change)
    return _look(
        m,
        name,
        p_present=max(rise.p_above(LEARNED), moved(change)),
        p_absent=either(rise.p_below(LEARNED), *stayed(change)),
        evidence={"rise": number(rise), "test_change": number(change), "n": m.n},
        said=f"train changes by {points(rise)} and test by {points(change)}",
        **words,
    )


def falling(m: Measures) -> Look:
    """Test Pass@1 falls while train Pass@1 rises."""
    return _test_against_train(
        m,
        "test falls while train rises",
        lambda change: change.p_below(-MARGIN),
        lambda change: (change.p_above(-MARGIN),),
        present="training on these queries makes the others worse",
        absent=f"no fall of more than {100 * MARGIN:g} points while train rises",
    )


def flat(m: Measures) -> Look:
    """Test Pass@1 stays where it is while train Pass@1 rises."""
    return _test_against_train(
        m,
        "flat test curve",
        lambda change: change.p_inside(MARGIN),
        lambda change: (change.p_above(MARGIN), change.p_below(-MARGIN)),
        present=f"what is learned does not carry over (within {100 * MARGIN:g} points)",
        absent=f"test moves by more than {100 * MARGIN:g} points, or train does not rise",
    )


def no_improvement(m: Measures) -> Look:
    """Nothing is learned, from a base near 0."""
    name = "zero improvement"
    lacking = _lacking(m, name, {"training curve": m.rise, "evaluation of the base policy": m.base})
    if lacking or m.rise is None or m.base is None:
        return lacking or _look(m, name, why_open="no evaluation of the base policy")
    rise, base = mean_of(m.rise), m.base
    said = f"train changes by {points(rise)} from a base Pass@1 of {base.estimate:.4f} [{_range(base)}]"
    return _look(
        m,
        name,
        p_present=max(rise.p_below(LEARNED), base.p_below(NEAR_ZERO)),
        p_absent=either(rise.p_above(LEARNED), base.p_above(NEAR_ZERO)),
        evidence={"rise": number(rise), "base": number(base), "n": m.n},
        said=said,
        present="the policy hardly ever sees a right answer to learn from",
        absent="it improves, or its base is not near 0 and the reason is another",
    )


OF_ONE: tuple[Callable[[Measures], Look], ...] = (plateau, falling, flat, no_improvement)
"""Signatures of a single condition."""


def _range(test: Difference | Fraction) -> str:
    low, high = test.interval(0.025)
    return f"{low:.3f}, {high:.3f}"
