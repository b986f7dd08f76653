"""Type "optimum": an interior value is best: a batch size at fixed rollouts (B4), any field (tables).

The place counts where the condition that is claimed to be best is shown to end above its placebo.
"""

import math
from dataclasses import replace

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Found, Type
from analysis.claims.components import between
from analysis.claims.reading import CONVENTION, Band, Measured
from analysis.claims.worlds import (
    Floats,
    Group,
    Ints,
    UntestableError,
    enough,
    final,
    named_ladder,
    points,
    pools,
    replicate,
    table,
    units,
)
from analysis.inference.inversion import Inverted
from analysis.inference.ladder import SLACK, BestRungs, Both, Misfit, Place, place
from analysis.inference.means import paired_difference
from analysis.loading.records import Cell, Records
from analysis.results import Part, Secondary, Setting, Split, Values, finite
from banditrft.claims import Optimum, conditions, rest
from banditrft.design import Design


def read(records: Records, group: Group, claim: Optimum) -> Found:
    """The place of the best value, the claimed one against both ends of the ladder, and that it learns."""
    cells = select(records, group.world, claim)
    steps = [_value(c, claim.field) for c in cells]
    middle = steps.index(claim.best)
    keys, values = table(cells, [final(c, claim.split) for c in cells])
    enough(keys, 2)
    where = location(cells, keys, values, claim.field, claim.best, claim.factor, claim.split)
    gains = placebos.gains_gate(records, [cells[middle]], claim.split)
    parts = [where, *ends(cells, keys, values, middle, claim.split)]
    placebo = placebos.gains(records, group.world)
    return placebos.gated(parts, gains, cells[middle], cells=cells, placebo=placebo)


def select(records: Records, world: str, claim: Optimum) -> list[Cell]:
    """The conditions of the ladder by the value of its field, the claimed one among them."""
    if claim.own is not None:
        return named_ladder(records, world, claim.own.conditions[0], claim.field, claim.fewest)
    cells = splits(records, world, claim)
    holds = any(c.design.batch_size == claim.batch_size for c in cells)
    if len(cells) < claim.fewest or not holds or not all(c.has_test and c.n > 1 for c in cells):
        raise UntestableError("no splits", fewest=claim.fewest, budget=claim.budget, size=claim.batch_size)
    return cells


def splits(records: Records, world: str, claim: Optimum) -> list[Cell]:
    """The largest family of conditions that spend the budget and differ in nothing else, by batch size.

    A group of one has no mean to subtract: its raw reward is GRPO's advantage of a group of one, so it
    belongs to every family. Of two conditions with one batch size the first counts.
    """
    designs = records.designs(world)
    spending = [
        n
        for n in conditions(designs, claim.where)
        if not {"batch_size", "rollouts"} & {*records.of(world)[n].unknown}
        and designs[n].batch_size * designs[n].rollouts == claim.budget
    ]
    families = [
        [n for n in spending if _alike(designs[n], designs[head])]
        for head in spending
        if designs[head].rollouts > 1
    ]
    names = max(families, key=len, default=[])
    found = {c.design.batch_size: c for c in (records.of(world)[n] for n in reversed(names))}
    return [found[size] for size in sorted(found)]


def _alike(design: Design, head: Design) -> bool:
    free = {"batch_size", "rollouts"} | ({"signal"} if design.rollouts == 1 else set())
    return rest(design, free) == rest(head, free)


class Placed(Measured):
    """A place on a ladder; where its interval is the whole of it there is no estimate."""

    def part(self, level: float, refuting_level: float) -> Part:
        """The component read at the given error rates."""
        found = super().part(level, refuting_level)
        return replace(found, estimate=None) if found.interval == self.span else found


def location(
    cells: list[Cell], keys: Ints, values: Floats, field: str, at: float, factor: float, split: Split = "test"
) -> Measured:
    """Where the final Pass@1 is best along a design field, against a value of it and a factor around it.

    Read from a quadratic's maximum and the set of best conditions together, or from the set alone where the
    quadratic is shown not to fit.

    Args:
        cells: C conditions, by the field's value.
        keys: Query and seed of each of the N common runs.
        values: (N, C) their final Pass@1.
        field: The design field.
        at: Claimed place, one of its values.
        factor: How far from it the optimum may lie.
        split: What is measured.

    Raises:
        InputError: Too few runs or conditions, or final evaluations that are missing.
    """
    steps = [_value(c, field) for c in cells]
    centre, reach = math.log2(at), math.log2(factor)
    band = (centre - reach, centre + reach)
    found = place([math.log2(s) for s in steps], values, band)
    best, span = int(np.argmax(values.mean(axis=0))), (steps[0], steps[-1])
    gap = paired_difference(values[:, best], values[:, steps.index(at)])
    names = [c.condition for c in cells]
    means = {c: float(v) for c, v in zip(names, values.mean(axis=0), strict=True)}
    return Placed(
        id="location",
        kind="location",
        world=cells[0].world.name,
        conditions=tuple(names),
        test=_Powers(found.read),
        band=Band(2 ** band[0], 2 ** band[1]),
        n=found.rungs.n,
        units=units(cells[0]),
        replicate=replicate(cells[0]),
        counts=means | ({"lack_of_fit_p": found.fit.p} if found.fit.tested else {}),
        secondary=_alone(found, span),
        points=points(keys, values[:, best] - values.mean(axis=1)),
        span=span,
        estimand="place",
        split=split,
        needs="gains",
        setting=Setting(field=field, steps=tuple(steps)),
        facts={"bent": found.bent, "fit": fit(found.fit), "gap": gap.estimate},
        at=lambda level: _rests_on(found, names, steps, band, level),
    )


def fit(of: Misfit) -> Values:
    """A test of fit as plain values."""
    return {
        "tested": of.tested,
        "f": finite(of.f),
        "df": list(of.df),
        "p": finite(of.p),
        "of": of.of,
        "whole": of.whole,
    }


def _rests_on(
    found: Place, names: list[str], steps: list[float], band: tuple[float, float], level: float
) -> Values:
    """What the place rests on at an error rate: which values may be best, how far the interval reaches."""
    x, may = found.rungs.x_C, found.rungs.members(level)
    best = int(x.searchsorted(found.rungs.estimate))
    low, high = found.read.interval(level)
    first, last = int(x.searchsorted(low)), int(x.searchsorted(high))
    edges = any(abs(e - b) < SLACK for e, b in zip((low, high), band, strict=True))
    return {
        "best": names[best],
        "may": [n for n, kept in zip(names, may, strict=True) if kept],
        "near": [names[i] for i in (best - 1, best + 1) if 0 <= i < len(names)],
        "whole": bool(low <= x[0] and high >= x[-1]),
        "doublings": float(min(high, x[-1]) - max(low, x[0])),
        "between": [steps[max(first - 1, 0)], steps[min(last + 1, len(steps) - 1)]],
        "on_edge": found.bent and edges,
        "certain": bool(found.bent and (band[0] <= x).all() and (x <= band[1]).all()),
    }


def _alone(found: Place, span: tuple[float, float]) -> tuple[Secondary, ...]:
    """Each reading by itself with its 95% interval; both ends of the set have one error rate."""
    readings: list[tuple[str, Inverted | BestRungs, float]] = [("curve alone", found.curve, CONVENTION / 2)]
    if not found.bent:
        readings.append(("set alone", found.rungs, CONVENTION))
    return tuple(_reading(name, _Powers(test), error, span) for name, test, error in readings)


def _reading(name: str, test: "_Powers", error: float, span: tuple[float, float]) -> Secondary:
    low, high = (min(max(end, span[0]), span[1]) for end in test.interval(error))
    estimate = None if (low, high) == span else finite(test.estimate)
    return Secondary(name, estimate, (low, high), 1 - CONVENTION, test.n)


def ends(cells: list[Cell], keys: Ints, values: Floats, middle: int, split: Split) -> list[Measured]:
    """The claimed optimum against both ends of the ladder."""
    found = []
    for part_id, end in (("over-few", 0), ("over-many", -1)):
        name = part_id if split == "test" else f"{part_id}-train"
        compared, both = (cells[end], cells[middle]), values[:, [end, middle]]
        found.append(between(name, compared, keys, both, Band(low=0.0), split=split, needs="gains"))
    return found


def _value(cell: Cell, field: str) -> float:
    return float(getattr(cell.design, field))


class _Powers:
    """A position in log2 read in the unit itself."""

    def __init__(self, inner: Inverted | BestRungs | Both) -> None:
        self.inner = inner
        self.n = inner.n

    @property
    def estimate(self) -> float:
        return float(2**self.inner.estimate)

    def p_above(self, x: float) -> float:
        return self.inner.p_above(math.log2(x))

    def p_below(self, x: float) -> float:
        return self.inner.p_below(math.log2(x))

    def interval(self, alpha: float) -> tuple[float, float]:
        low, high = self.inner.interval(alpha)
        return float(2**low), float(2**high)


TYPES = (Type(Optimum, read, pools, "no pool"),)
