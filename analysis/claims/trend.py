"""Type "trend": more of something adds little, per doubling (B3, B6).

Where no condition of the ladder is shown to end above its placebo there is no word, as for "no-better".
"""

import math
from functools import partial

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.gains import Split
from analysis.claims.places import fit
from analysis.claims.reading import CONVENTION, Band, Measured, beside, detectable
from analysis.claims.worlds import Floats, Kind, few_queries, kinds, points, table, tested
from analysis.estimands import FORMATS
from analysis.inference.ladder import misfit, slopes
from analysis.inference.means import Difference, mean_of, paired_difference
from analysis.loading.records import Cell, Records
from banditrft.claims import Trend, ladders
from banditrft.design import Design

PER = 3
"""Doublings that a step is counted by: eight times as much, as paper B does."""
SIDES = {"inside": "lies inside", "beyond": "lies beyond", "open": "is on neither side of"}
"""Where a slope's 95% interval lies."""


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
    ends = [c.test for c in cells]
    part = slope(cells, ends, claim.field, "test", claim.margin)
    gains = placebos.gains_gate(records, cells, "test")
    return Case(
        kind,
        world,
        (part, *([gains] if gains else [])),
        placebo=placebos.gains(records, world),
        notes=(*few_queries(cells), *uneven(cells, ends, claim.field, claim.margin)),
        no_placebo=() if gains else (placebos.needed(cells[0]),),
        stricter=() if claim.stricter is None else (slope(cells, ends, claim.field, "test", claim.stricter),),
    )


def slope(
    cells: list[Cell], ends: list[Floats], field: str, split: Split, margin: float, *, two_sided: bool = False
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
    detail, line = detectable(found, band), fit(misfit(doublings, values, 1))
    halves = [(f"{label}, points per three doublings", d) for label, d in _halves(cells, ends, field)]
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
        detail=lambda level: f"{detail(level)} Lack of fit of the straight line: {line}.",
        counts={c.condition: float(v) for c, v in zip(cells, values.mean(axis=0), strict=True)},
        secondary=tuple(
            beside(label, d, d.n) for label, d in (("last minus first condition, points", whole), *halves)
        ),
        points=points(keys, per_unit),
        estimand="slope",
        split=split,
        needs="gains",
    )


def uneven(
    cells: list[Cell], ends: list[Floats], field: str, margin: float, *, two_sided: bool = False
) -> tuple[str, ...]:
    """Notes on halves of a ladder that the slope over all of it does not stand for, by 95% intervals.

    They are said where one of the slope and the halves lies inside the margin and another one beyond it.
    Arguments as `slope`.
    """
    steps = [_value(c.design, field) for c in cells]
    _, values = table(cells, ends)
    whole = _side(mean_of(slopes(np.log2(steps), values)), margin, two_sided)
    halves = [(label, of, _side(of, PER * margin, two_sided)) for label, of in _halves(cells, ends, field)]
    if not {"inside", "beyond"} <= {whole, *(side for _, _, side in halves)}:
        return ()
    return tuple(
        f"The slope from {steps[0]:g} to {steps[-1]:g} {SIDES[whole]} the margin, but {label} the change per "
        f"three doublings is {_shown(of)}, {side} the margin of {100 * PER * margin:.3g}."
        for label, of, side in halves
        if side not in ("open", whole)
    )


def _shown(of: Difference) -> str:
    estimate, low, high = map(FORMATS["difference"], (of.estimate, *of.interval(CONVENTION / 2)))
    return f"{estimate} points (95% interval {low} to {high}, unadjusted)"


def _side(of: Difference, margin: float, two_sided: bool) -> str:
    """Where the 95% interval lies; without `two_sided` a fall beyond the margin is not told apart."""
    low, high = of.interval(CONVENTION / 2)
    if -margin <= low and high <= margin:
        return "inside"
    return "beyond" if low > margin or (two_sided and high < -margin) else "open"


def _halves(cells: list[Cell], ends: list[Floats], field: str) -> list[tuple[str, Difference]]:
    """Change per three doublings below and above the condition nearest to the ladder's middle in log2."""
    steps = [_value(c.design, field) for c in cells]
    x, (_, values) = np.log2(steps), table(cells, ends)
    split = 1 + int(np.argmin(np.abs(x[1:-1] - (x[0] + x[-1]) / 2)))
    return [
        (f"from {steps[i]:g} to {steps[j]:g}", mean_of(PER * (values[:, j] - values[:, i]) / (x[j] - x[i])))
        for i, j in ((0, split), (split, len(x) - 1))
    ]


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
