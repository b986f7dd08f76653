"""Type "optimum": at a fixed number of rollouts a round, an interior batch size is best (B4)."""

import math

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.gains import between
from analysis.claims.reading import Band, Measured
from analysis.claims.worlds import Floats, Ints, Kind, few_queries, kinds, points, table, tested
from analysis.equivalence import paired_difference
from analysis.inversion import Inverted
from analysis.loading import Cell, Records
from analysis.slopes import quadratic_argmax
from banditrft.claims import Optimum, conditions, rest
from banditrft.design import Design


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
    parts: list[Component] = [_location(cells, keys, values, claim)]
    for part_id, end in (("over-few", 0), ("over-many", -1)):
        label = f"Final test Pass@1, '{cells[middle].condition}' minus '{cells[end].condition}'"
        both = values[:, [end, middle]]
        parts.append(between(part_id, label, (cells[end], cells[middle]), keys, both, Band(low=0.0)))
    placebo = placebos.gains(records, world)
    return Case(kind, world, tuple(parts), placebo=placebo, notes=few_queries(cells))


def splits(records: Records, world: str, claim: Optimum) -> list[Cell]:
    """The largest family of conditions that spend the budget and differ in nothing else, by batch size.

    A group of one has no mean to subtract: its raw reward is GRPO's advantage of a group of one, so it
    belongs to every family.
    """
    designs = records.designs(world)
    spending = [
        n
        for n in conditions(designs, claim.where)
        if designs[n].batch_size * designs[n].rollouts == claim.budget
    ]
    families = [
        [n for n in spending if _alike(designs[n], designs[head])]
        for head in spending
        if designs[head].rollouts > 1
    ]
    names = max(families, key=len, default=[])
    return sorted((records.of(world)[n] for n in names), key=lambda c: c.design.batch_size)


def _alike(design: Design, head: Design) -> bool:
    free = {"batch_size", "rollouts"} | ({"signal"} if design.rollouts == 1 else set())
    return rest(design, free) == rest(head, free)


def _location(cells: list[Cell], keys: Ints, values: Floats, claim: Optimum) -> Measured:
    doublings = [math.log2(c.design.batch_size) for c in cells]
    centre, reach = math.log2(claim.batch_size), math.log2(claim.factor)
    band = (centre - reach, centre + reach)
    test = quadratic_argmax(doublings, values, band)
    best = int(np.argmax(values.mean(axis=0)))
    gap = paired_difference(values[:, best], values[:, _where(cells, claim.batch_size)])

    def detail(level: float) -> str:
        low, high = test.interval(level)
        width = f"{high - low:.2g} doublings" if math.isfinite(high - low) else "unbounded"
        return (
            f"The bounds are {width} apart; the best cell seen is '{cells[best].condition}', "
            f"{100 * gap.estimate:.2g} points above the claimed one."
        )

    return Measured(
        id="location",
        label="Best batch size",
        kind="location",
        world=cells[0].world.name,
        conditions=tuple(c.condition for c in cells),
        test=_Powers(test),
        band=Band(2 ** band[0], 2 ** band[1]),
        n=test.n,
        unit=cells[0].unit,
        sentence=(
            f"A quadratic in log2 B through {len(cells)} splits, seed by seed; the interval holds the places "
            "where the mean slope over seeds is not told from 0 (Fieller)."
        ),
        detail=detail,
        counts={c.condition: float(v) for c, v in zip(cells, values.mean(axis=0), strict=True)},
        points=points(keys, values[:, best] - values.mean(axis=1)),
        span=(float(cells[0].design.batch_size), float(cells[-1].design.batch_size)),
    )


def _where(cells: list[Cell], batch_size: int) -> int:
    return next(i for i, c in enumerate(cells) if c.design.batch_size == batch_size)


class _Powers:
    """A position in log2 read in the unit itself."""

    def __init__(self, inner: Inverted) -> None:
        self.inner = inner

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
