"""Type "optimum": at a fixed number of rollouts a round, an interior batch size is best (B4).

The place counts where the condition that is claimed to be best is shown to end above its placebo.
"""

import math
from dataclasses import replace

import numpy as np

from analysis.claims import placebos, places
from analysis.claims.cases import Case, Component, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.gains import Split, between
from analysis.claims.reading import CONVENTION, Band, Measured
from analysis.claims.worlds import Floats, Ints, Kind, few_queries, kinds, points, table, tested
from analysis.inference.inversion import Inverted
from analysis.inference.ladder import BestRungs, Both, Place, place
from analysis.inference.means import paired_difference
from analysis.loading.records import Cell, Records
from analysis.verdict import Part, Secondary, finite
from banditrft.claims import Optimum, conditions, rest
from banditrft.design import Design

BEST = "Best "
"""Begins the label of a place; the field stands after it."""


def find(records: Records, claim: Optimum) -> list[Finding]:
    """Judge the claim in every world with a test set."""
    found = []
    for kind in kinds(records):
        cases = [_case(records, kind, world, claim) for world in tested(records, kind, single_query=False)]
        found += findings(
            claim, cases or [absent(kind, "no world with a pool of training queries and a test set.")]
        )
    return found


def _case(records: Records, kind: Kind, world: str, claim: Optimum) -> Case:
    cells = splits(records, world, claim)
    middle = next((i for i, c in enumerate(cells) if c.design.batch_size == claim.batch_size), None)
    if len(cells) < claim.fewest or middle is None or not all(c.has_test and c.n > 1 for c in cells):
        why = (
            f"no {claim.fewest} splits of {claim.budget} rollouts around {claim.batch_size} queries, tested."
        )
        return Case(kind, world, (), (why,))
    keys, values = table(cells, [c.test for c in cells])
    parts: list[Component] = [
        location(cells, keys, values, "batch_size", float(claim.batch_size), claim.factor, "test"),
        *ends(cells, keys, values, middle, "test"),
    ]
    gains = placebos.gains_gate(records, [cells[middle]], "test")
    return Case(
        kind,
        world,
        (*parts, *([gains] if gains else [])),
        placebo=placebos.gains(records, world),
        notes=few_queries(cells),
        no_placebo=() if gains else (placebos.needed(cells[middle]),),
    )


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
        label=BEST + field.replace("_", " "),
        kind="location",
        world=cells[0].world.name,
        conditions=tuple(names),
        test=_Powers(found.read),
        band=Band(2 ** band[0], 2 ** band[1]),
        n=found.rungs.n,
        unit=cells[0].unit,
        sentence=places.sentence(found, field, len(cells)),
        detail=lambda level: places.detail(found, names, steps, band, gap.estimate, level),
        counts=means | ({"lack_of_fit_p": found.fit.p} if found.fit.tested else {}),
        secondary=_alone(found, span),
        points=points(keys, values[:, best] - values.mean(axis=1)),
        span=span,
        estimand="place",
        split=split,
        needs="gains",
    )


def _alone(found: Place, span: tuple[float, float]) -> tuple[Secondary, ...]:
    """Each reading by itself with its 95% interval; both ends of the set have one error rate."""
    readings: list[tuple[str, Inverted | BestRungs, float]] = [(places.CURVE, found.curve, CONVENTION / 2)]
    if not found.bent:
        readings.append((places.RUNGS, found.rungs, CONVENTION))
    return tuple(_beside(label, _Powers(test), error, span) for label, test, error in readings)


def _beside(label: str, test: "_Powers", error: float, span: tuple[float, float]) -> Secondary:
    low, high = (min(max(end, span[0]), span[1]) for end in test.interval(error))
    estimate = None if (low, high) == span else finite(test.estimate)
    return Secondary(label, estimate, (low, high), 1 - CONVENTION, test.n)


def field_of(label: str) -> str:
    """The design field that a place's label names."""
    return label.removeprefix(BEST).replace(" ", "_")


def ends(cells: list[Cell], keys: Ints, values: Floats, middle: int, split: Split) -> list[Component]:
    """The claimed optimum against both ends of the ladder."""
    found: list[Component] = []
    for part_id, end in (("over-few", 0), ("over-many", -1)):
        label = f"Final {split} Pass@1, '{cells[middle].condition}' minus '{cells[end].condition}'"
        both = values[:, [end, middle]]
        part_id = part_id if split == "test" else f"{part_id}-train"
        compared = (cells[end], cells[middle])
        found.append(between(part_id, label, compared, keys, both, Band(low=0.0), split=split, needs="gains"))
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
