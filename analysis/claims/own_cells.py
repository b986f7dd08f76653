"""The conditions that a study's own claims name, and what is read off them."""

from typing import Any

from analysis.claims.worlds import Floats, final_train
from analysis.loading.records import Cell, Records
from banditrft.claims.own import AddsLittle, BestAt, Faster, MoreVariable, NoBetter
from banditrft.claims.own_tables import ladder, pick
from banditrft.errors import InputError


def one(records: Records, world: str, wanted: str | dict[str, Any], split: str = "train") -> Cell:
    """The condition that a claim names.

    Raises:
        InputError: There is none in this world, or it has no training curve and one is read.
    """
    names = pick(records.designs(world), wanted)
    if not names:
        raise InputError(f"no condition {wanted!r} in '{world}'")
    cell = records.of(world)[names[0]]
    if split == "train" and not cell.has_train:
        raise InputError(f"no training curve of {cell.condition!r} in '{world}'")
    return cell


def two(records: Records, world: str, spec: Faster | NoBetter | MoreVariable) -> tuple[Cell, Cell]:
    """Both conditions that a claim compares; raises InputError as `one`, and where they are the same."""
    split = "train" if isinstance(spec, Faster) else spec.split
    a, b = (one(records, world, wanted, split) for wanted in (spec.a, spec.b))
    if a is b:
        raise InputError(f"a and b are one condition, {a.condition!r}, in '{world}'")
    return a, b


def on_split(part_id: str, split: str) -> str:
    """Name of a component; those on the training queries say so."""
    return part_id if split == "test" else f"{part_id}-train"


def final(cell: Cell, split: str) -> Floats:
    """(N,) final Pass@1 on a split; raises InputError where there is no test set."""
    if split == "train":
        return final_train(cell)
    if not cell.has_test:
        raise InputError(f"'{cell.world.name}' has no test set")
    return cell.test


def rungs(records: Records, world: str, spec: BestAt | AddsLittle) -> tuple[list[Cell], list[Floats]]:
    """Conditions along a field, with their final Pass@1; raises InputError for fewer than three."""
    names = ladder(records.designs(world), spec.conditions, spec.field)
    if len(names) < 3:  # a line or a curve needs them
        raise InputError(f"fewer than 3 of its conditions in '{world}'")
    cells = [records.of(world)[n] for n in names]
    return cells, [final(c, spec.split) for c in cells]


def enough(rows: Any, least: int) -> Any:
    """The rows; raises InputError where they are fewer."""
    if len(rows) < least:
        raise InputError(f"fewer than {least} runs in common")
    return rows
