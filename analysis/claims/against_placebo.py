"""How far the conditions of a verdict end from the placebo: a comparison, for effects need not add up.

Secondary and unadjusted: the preregistered verdict is about the base policy or another condition, and stays.
"""

from collections.abc import Sequence

import numpy as np

from analysis.claims.random_curves import FEWEST, area
from analysis.claims.worlds import final_train, table
from analysis.formats import FORMATS
from analysis.inference.equivalence import paired_difference
from analysis.inference.spread import spread_ratio
from analysis.loading.records import Cell, Records
from analysis.verdict import Part, Placebo, bounded, finite
from banditrft.claims import placebo_conditions, rest
from banditrft.errors import InputError

OWN = {"reward", "yoked_to", "rate", "false_positive", "false_negative"}
"""Fields in which a placebo differs from any condition."""
TAIL = 0.025


def excess(records: Records, parts: Sequence[Part]) -> tuple[Placebo, ...]:
    """Every condition that the parts read against the placebo of its world, once for each kind of reading.

    Ladders of more than two conditions give their first and last. Parts about several worlds give none.
    """
    found: dict[tuple[str, str, str], Placebo] = {}
    for part in parts:
        cells = records.of(part.world)
        ends = part.conditions if len(part.conditions) <= 2 else (part.conditions[0], part.conditions[-1])
        for name in ends:
            reading = _reading(part)
            key = (part.world, name, reading)
            if name in cells and key not in found:
                item = _over(cells, cells[name], reading)
                if item is not None:
                    found[key] = item
    return tuple(found.values())


def _reading(part: Part) -> str:
    """What a part is about: the spread of runs, or the final Pass@1 of a split."""
    if part.kind == "spread":
        return "spread"
    on_test = part.kind in ("difference", "slope", "location") and " train Pass@1" not in part.label
    return "test" if on_test else "train"


def _over(cells: dict[str, Cell], cell: Cell, reading: str) -> Placebo | None:
    designs = {name: c.design for name, c in cells.items()}
    names = placebo_conditions(designs)
    if not names or cell.condition in names:
        return None
    placebo = cells[min(names, key=lambda n: len(_differing(cells[n], cell)))]
    try:
        return _spread(placebo, cell) if reading == "spread" else _gain(placebo, cell, reading)
    except InputError:  # too few runs in common, or no test set
        return None


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
            f"{_caution(placebo, cell)}"
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
            f"unadjusted).{_caution(placebo, cell)}"
        ),
        kind="spread",
        world=cell.world.name,
        compared=cell.condition,
    )


def _differing(placebo: Cell, cell: Cell) -> list[str]:
    first, second = rest(placebo.design, OWN), rest(cell.design, OWN)
    return [name for name, value in first.items() if second[name] != value]


def _caution(placebo: Cell, cell: Cell) -> str:
    differing = _differing(placebo, cell)
    return f" The placebo differs also in {', '.join(differing)}." if differing else ""
