"""Type "trend": more of something adds little, per doubling (B3, B6)."""

import math
from functools import partial

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.reading import Band, Measured, beside, detectable
from analysis.claims.worlds import Floats, Kind, few_queries, kinds, points, table, tested
from analysis.inference.equivalence import paired_difference
from analysis.inference.slopes import mean_of, slopes
from analysis.loading.records import Cell, Records
from banditrft.claims import Trend, ladders
from banditrft.design import Design


def find(records: Records, claim: Trend) -> list[Finding]:
    """Judge the claim in every world with a test set."""
    found = []
    for kind in kinds(records):
        cases = [_case(records, kind, world, claim) for world in tested(records, kind, single_query=False)]
        found += findings(
            claim, cases or [absent(kind, "no world with a pool of training queries and a test set.")]
        )
    return found


def _case(records: Records, kind: Kind, world: str, claim: Trend) -> Case:
    cells = ladder(records, world, claim)
    if len(cells) < claim.fewest or not all(c.has_test and c.n > 1 for c in cells):
        why = f"no {claim.fewest} conditions with a test set that differ in {claim.field} alone."
        return Case(kind, world, (), (why,))
    part = slope(cells, [c.test for c in cells], claim.field, "test", claim.margin)
    return Case(kind, world, (part,), placebo=placebos.gains(records, world), notes=few_queries(cells))


def slope(
    cells: list[Cell], ends: list[Floats], field: str, split: str, margin: float, *, two_sided: bool = False
) -> Measured:
    """Slope of the final Pass@1 per doubling of a design field, against a margin.

    Args:
        cells: Conditions, by the field's value.
        ends: Final Pass@1 of the runs of each.
        field: The design field.
        split: What is measured, for people.
        margin: Equivalence margin per doubling.
        two_sided: Whether a fall beyond it refutes as a gain does.
    """
    doublings = [math.log2(_value(c.design, field)) for c in cells]
    keys, values = table(cells, ends)
    per_unit = slopes(doublings, values)
    found, band = mean_of(per_unit), Band(-margin, margin, gain_only=not two_sided)
    whole = paired_difference(values[:, -1], values[:, 0])
    return Measured(
        id="trend",
        label=f"Slope of final {split} Pass@1 per doubling of {field}, "
        f"{_value(cells[0].design, field):g} to {_value(cells[-1].design, field):g}",
        kind="slope",
        world=cells[0].world.name,
        conditions=tuple(c.condition for c in cells),
        test=found,
        band=band,
        n=found.n,
        unit=cells[0].unit,
        sentence=(
            f"Every seed meets all {len(cells)} conditions and has its own least-squares slope; two "
            f"one-sided t tests over seeds, with a margin of {100 * margin:.2g} points per doubling."
        ),
        detail=detectable(found, band),
        counts={c.condition: float(v) for c, v in zip(cells, values.mean(axis=0), strict=True)},
        secondary=(beside("last minus first condition, points", whole, whole.n),),
        points=points(keys, per_unit),
    )


def ladder(records: Records, world: str, claim: Trend) -> list[Cell]:
    """The longest family of conditions that differ in the claim's field, in its order."""
    step = partial(_value, field=claim.field)
    known = {n: c.design for n, c in records.of(world).items() if claim.field not in c.unknown}
    families = ladders(known, claim.where, {claim.field, *claim.free}, step)
    names = families[0] if families else []
    different = {step(records.designs(world)[n]) for n in names}
    return [records.of(world)[n] for n in names] if len(different) == len(names) else []


def _value(design: Design, field: str) -> float:
    return float(np.asarray(getattr(design, field)))
