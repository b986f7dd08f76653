"""How far the conditions of a verdict end from the placebo, where no component of it says so.

Secondary and unadjusted; a comparison, for effects need not add up.
"""

from collections.abc import Sequence

import numpy as np

from analysis.claims.placebos import caution, matched
from analysis.claims.random_curves import FEWEST, area
from analysis.claims.worlds import final_train, table
from analysis.estimands import FORMATS
from analysis.inference.means import paired_difference
from analysis.inference.spread import spread_ratio
from analysis.loading.records import Cell, Records
from analysis.verdict import Part, Placebo, bounded, finite
from banditrft.errors import InputError

TAIL = 0.025


def excess(records: Records, parts: Sequence[Part]) -> tuple[Placebo, ...]:
    """Every condition that the parts read against the placebo of its world, once for each kind of reading.

    Ladders of more than two conditions give their first and last. Parts about several worlds give none.
    """
    read = {(p.world, p.conditions[-1], _reading(p)) for p in parts if p.comparator == "placebo"}
    found: dict[tuple[str, str, str], list[Placebo]] = {}
    for part in parts:
        cells, reading = records.of(part.world), _reading(part)
        ends = part.conditions if len(part.conditions) <= 2 else (part.conditions[0], part.conditions[-1])
        for name in ends:
            key = (part.world, name, reading)
            if name in cells and key not in found and key not in read:
                found[key] = _over(records, cells[name], reading)
    return tuple(item for own in found.values() for item in own)


def _reading(part: Part) -> str:
    """What a part is about: the spread of runs, or the final Pass@1 of a split."""
    return "spread" if part.kind == "spread" else (part.split or "test")


def _over(records: Records, cell: Cell, reading: str) -> list[Placebo]:
    found = []
    for placebo in matched(records, cell, "test" if reading == "test" else "train"):
        try:
            found.append(_spread(placebo, cell) if reading == "spread" else _gain(placebo, cell, reading))
        except InputError:  # too few runs in common, or no test set
            continue
    return found


def _gain(placebo: Cell, cell: Cell, split: str) -> Placebo:
    values = [c.test if split == "test" else final_train(c) for c in (placebo, cell)]
    _, both = table((placebo, cell), values)
    if not np.isfinite(both).all():
        raise InputError(f"'{cell.condition}' has no {split} evaluation")
    found = paired_difference(both[:, 1], both[:, 0])
    low, high = found.interval(TAIL)
    form = FORMATS["difference"]
    said = "above" if low > 0 else "below" if high < 0 else "not told from"
    return Placebo(
        label=f"Gain over the placebo in final {split} Pass@1, '{cell.condition}' in '{cell.world.name}'",
        condition=placebo.condition,
        estimate=finite(found.estimate),
        interval=bounded((low, high)),
        n=found.n,
        sentence=(
            f"Its {split} Pass@1 ends {form(found.estimate)} points from the placebo's (95% interval "
            f"{form(finite(low))} to {form(finite(high))}, {found.n} {cell.unit}, unadjusted): {said} it."
            f"{caution(placebo, cell)}"
        ),
        world=cell.world.name,
        compared=cell.condition,
    )


def _spread(placebo: Cell, cell: Cell) -> Placebo:
    if not (cell.has_train and placebo.has_train):
        raise InputError(f"'{cell.condition}' has no training curve")
    keys, both = table((placebo, cell), (area(placebo), area(cell)))
    if len(keys) < FEWEST:
        raise InputError("too few runs in common")
    found = spread_ratio(both[:, 1], both[:, 0], keys[:, 0])
    low, high = found.interval(TAIL)
    form = FORMATS["spread"]
    shown = (max(low, 0.0), high)
    return Placebo(
        label=f"Spread of the area under the training curve over the placebo's, '{cell.condition}' in "
        f"'{cell.world.name}'",
        condition=placebo.condition,
        estimate=finite(found.estimate),
        interval=bounded(shown),
        n=found.n,
        sentence=(
            f"Its runs spread {form(finite(found.estimate))} times as far as the placebo's "
            f"(95% interval {form(finite(shown[0]))} to {form(finite(shown[1]))}, {found.n} {cell.unit}, "
            f"unadjusted).{caution(placebo, cell)}"
        ),
        kind="spread",
        world=cell.world.name,
        compared=cell.condition,
    )
