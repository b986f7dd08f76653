"""Type "trend": more of something adds little, per doubling (B3, B6, and tables).

Where no condition of the ladder is shown to end above its placebo there is no word, as for "no-better".
"""

import math
from functools import partial
from typing import Literal

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Found, Type
from analysis.claims.optimum import fit
from analysis.claims.reading import CONVENTION, Band, Measured, detectable, secondary
from analysis.claims.worlds import (
    Floats,
    Group,
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
from analysis.inference.ladder import misfit, slopes
from analysis.inference.means import Difference, mean_of, paired_difference
from analysis.loading.records import Cell, Records
from analysis.results import Note, Setting
from banditrft.claims import Trend, ladders
from banditrft.design import Design

PER = 3
"""Doublings that a step is counted by: eight times as much, as paper B does."""
Side = Literal["inside", "beyond", "open"]


def read(records: Records, group: Group, claim: Trend) -> Found:
    """The slope over the ladder against the claim's margin, and that one of its conditions learns."""
    cells = select(records, group.world, claim)
    ends = [final(c, claim.split) for c in cells]
    enough(table(cells, ends)[0], 2)
    gains = placebos.gains_gate(records, cells, claim.split)
    stricter = () if claim.stricter is None else (slope(cells, ends, claim, claim.stricter),)
    return placebos.gated(
        [slope(cells, ends, claim, claim.margin)],
        gains,
        cells[0],
        cells=cells,
        placebo=placebos.gains(records, group.world),
        notes=uneven(cells, ends, claim),
        stricter=stricter,
    )


def select(records: Records, world: str, claim: Trend) -> list[Cell]:
    """The conditions of the ladder, by the value of its field."""
    if claim.own is not None:
        return named_ladder(records, world, claim.own.conditions[0], claim.field, claim.fewest)
    cells = ladder(records, world, claim)
    if len(cells) < claim.fewest or not all(c.has_test and c.n > 1 for c in cells):
        raise UntestableError("no ladder", fewest=claim.fewest, field=claim.field)
    return cells


def slope(cells: list[Cell], ends: list[Floats], claim: Trend, margin: float) -> Measured:
    """Slope of the final Pass@1 per doubling of a design field, against a margin.

    Args:
        cells: Conditions, by the field's value.
        ends: Final Pass@1 of the runs of each.
        claim: Sets field and split, and whether a loss beyond the margin refutes as a gain does.
        margin: Equivalence margin per doubling.
    """
    steps = [_value(c.design, claim.field) for c in cells]
    doublings = [math.log2(s) for s in steps]
    keys, values = table(cells, ends)
    per_unit = slopes(doublings, values)
    found, band = mean_of(per_unit), Band(-margin, margin, gain_only=not claim.two_sided)
    whole = paired_difference(values[:, -1], values[:, 0])
    halves = [
        secondary("half", d, d.n, first=first, last=last)
        for first, last, d in _halves(cells, ends, claim.field)
    ]
    return Measured(
        id="trend",
        kind="slope",
        world=cells[0].world.name,
        conditions=tuple(c.condition for c in cells),
        test=found,
        band=band,
        n=found.n,
        units=units(cells[0]),
        replicate=replicate(cells[0]),
        counts={c.condition: float(v) for c, v in zip(cells, values.mean(axis=0), strict=True)},
        secondary=(secondary("ends", whole, whole.n), *halves),
        points=points(keys, per_unit),
        estimand="slope",
        split=claim.split,
        needs="gains",
        setting=Setting(field=claim.field, steps=tuple(steps)),
        facts={"fit": fit(misfit(doublings, values, 1))},
        at=detectable(found, band),
    )


def uneven(cells: list[Cell], ends: list[Floats], claim: Trend) -> list[Note]:
    """Notes on halves of a ladder that the slope over all of it does not stand for, by 95% intervals.

    They are made where one of the slope and the halves lies inside the margin and another one beyond it.
    Arguments as `slope`.
    """
    steps = [_value(c.design, claim.field) for c in cells]
    _, values = table(cells, ends)
    whole = _side(mean_of(slopes(np.log2(steps), values)), claim.margin, two_sided=claim.two_sided)
    halves = [
        (first, last, of, _side(of, PER * claim.margin, two_sided=claim.two_sided))
        for first, last, of in _halves(cells, ends, claim.field)
    ]
    if not {"inside", "beyond"} <= {whole, *(side for *_, side in halves)}:
        return []
    ladder = {"first": steps[0], "last": steps[-1], "whole": whole, "margin": PER * claim.margin}
    return [
        Note("half", ladder | {"start": first, "end": last, "side": side, "change": _change(of)})
        for first, last, of, side in halves
        if side not in ("open", whole)
    ]


def _change(of: Difference) -> list[float]:
    """An estimate and the ends of its 95% interval."""
    return [of.estimate, *of.interval(CONVENTION / 2)]


def _side(of: Difference, margin: float, *, two_sided: bool) -> Side:
    """Where the 95% interval lies; without `two_sided` a fall beyond the margin counts as open."""
    low, high = of.interval(CONVENTION / 2)
    if -margin <= low and high <= margin:
        return "inside"
    return "beyond" if low > margin or (two_sided and high < -margin) else "open"


def _halves(cells: list[Cell], ends: list[Floats], field: str) -> list[tuple[float, float, Difference]]:
    """Change per three doublings below and above the condition nearest to the ladder's middle in log2."""
    steps = [_value(c.design, field) for c in cells]
    x, (_, values) = np.log2(steps), table(cells, ends)
    split = 1 + int(np.argmin(np.abs(x[1:-1] - (x[0] + x[-1]) / 2)))
    return [
        (steps[i], steps[j], mean_of(PER * (values[:, j] - values[:, i]) / (x[j] - x[i])))
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


TYPES = (Type(Trend, read, pools, "no pool"),)
