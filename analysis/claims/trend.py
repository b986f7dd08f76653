"""Type "trend": more of something adds little, per doubling (B3, B6)."""

import math
from functools import partial

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.reading import Band, Measured, beside, detectable
from analysis.claims.worlds import Kind, few_queries, kinds, points, table, tested
from analysis.equivalence import paired_difference
from analysis.loading import Cell, Records
from analysis.slopes import mean_of, slopes
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
    doublings = [math.log2(_value(c.design, claim.field)) for c in cells]
    keys, values = table(cells, [c.test for c in cells])
    per_unit = slopes(doublings, values)
    slope, band = mean_of(per_unit), Band(-claim.margin, claim.margin, gain_only=True)
    whole = paired_difference(values[:, -1], values[:, 0])
    part = Measured(
        id="trend",
        label=f"Slope of final test Pass@1 per doubling of {claim.field}, "
        f"{_value(cells[0].design, claim.field):g} to {_value(cells[-1].design, claim.field):g}",
        kind="slope",
        world=world,
        conditions=tuple(c.condition for c in cells),
        test=slope,
        band=band,
        n=slope.n,
        unit=cells[0].unit,
        sentence=(
            f"Every seed meets all {len(cells)} conditions and has its own least-squares slope; two "
            f"one-sided t tests over seeds, with a margin of {100 * claim.margin:.2g} points per doubling."
        ),
        detail=detectable(slope, band),
        counts={c.condition: float(v) for c, v in zip(cells, values.mean(axis=0), strict=True)},
        secondary=(beside("last minus first condition, points", whole, whole.n),),
        points=points(keys, per_unit),
    )
    return Case(kind, world, (part,), placebo=placebos.gains(records, world), notes=few_queries(cells))


def ladder(records: Records, world: str, claim: Trend) -> list[Cell]:
    """The longest family of conditions that differ in the claim's field, in its order."""
    step = partial(_value, field=claim.field)
    families = ladders(records.designs(world), claim.where, {claim.field, *claim.free}, step)
    names = families[0] if families else []
    different = {step(records.designs(world)[n]) for n in names}
    return [records.of(world)[n] for n in names] if len(different) == len(names) else []


def _value(design: Design, field: str) -> float:
    return float(np.asarray(getattr(design, field)))
