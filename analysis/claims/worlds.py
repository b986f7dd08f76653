"""Which worlds a claim reads, run by run: kinds with records, worlds with a test set, common seeds."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analysis.claims.finding import Group
from analysis.loading.records import Cell, Records
from banditrft.claims import Fields, conditions
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld, WorldSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kind = Literal["sim", "llm"]


def kinds(records: Records) -> list[Kind]:
    """Kinds of worlds with records, simulated first."""
    found = {w.kind for w in records.worlds.values() if records.of(w.name)}
    return [k for k in ("sim", "llm") if k in found]


def tested(records: Records, kind: Kind, *, single_query: bool) -> list[str]:
    """Worlds of a kind with a test set, in the order of the study.

    Args:
        records: Records of a study.
        kind: "sim" or "llm".
        single_query: Worlds of one training query, or else those of a pool of them.
    """
    return [
        w.name
        for w in _present(records, kind)
        if isinstance(w, LLMWorld | ImportedWorld | ContextualWorld) and one_query(w) == single_query
    ]


def trained(records: Records, kind: Kind) -> list[str]:
    """Worlds of one training query, the same for every seed; contextual ones for want of them."""
    single = [w for w in _present(records, kind) if one_query(w) and has_curves(records, w)]
    same = [w.name for w in single if not isinstance(w, ContextualWorld)]
    return same or [w.name for w in single]


def single_query_groups(records: Records, kind: Kind) -> list[Group]:
    """What a claim about one training query reads: the simulated worlds together, each language model."""
    train = trained(records, kind)
    if kind == "llm":
        return [Group(kind, world, world, world) for world in train]
    test = tested(records, kind, single_query=True)
    return [Group(kind, "simulated", train[0] if train else None, test[0] if test else None)]


def first_cell(records: Records, world: str | None, where: Fields) -> Cell | None:
    """The world's first condition whose design has these fields."""
    names = conditions(records.designs(world), where) if world else []
    return records.of(world)[names[0]] if world and names else None


def tested_cells(records: Records, kind: Kind, where: Fields) -> list[Cell]:
    """That condition in every world of one training query, where it has a test set and two runs."""
    cells = (first_cell(records, world, where) for world in tested(records, kind, single_query=True))
    return [cell for cell in cells if cell is not None and cell.has_test and cell.n > 1]


def one_query(world: WorldSettings) -> bool:
    """Whether a run has a single training query."""
    if isinstance(world, LLMWorld):
        return world.train_items is None
    if isinstance(world, ImportedWorld):
        return world.single_query
    return not isinstance(world, ContextualWorld) or (world.train_items == 1 and world.features is None)


def draws_a_world(world: WorldSettings) -> bool:
    """Whether every seed draws its own queries and test set: a spread over seeds is one over worlds too."""
    return isinstance(world, ContextualWorld) and world.features is None and world.draw is None


def has_curves(records: Records, world: WorldSettings) -> bool:
    """Whether every run of a world has a training curve; imported logs may lack them."""
    return not isinstance(world, ImportedWorld) or all(c.has_train for c in records.of(world.name).values())


def _present(records: Records, kind: Kind) -> list[WorldSettings]:
    return [w for w in records.worlds.values() if w.kind == kind and records.of(w.name)]


def final_train(cell: Cell) -> Floats:
    """Train Pass@1 of each run's final evaluation, NaN where an import has none."""
    known = cell.final_samples > 0
    return np.where(known, cell.final_correct / np.where(known, cell.final_samples, 1), np.nan)


def unit(cell: Cell) -> str:
    """What one run is."""
    return f"runs ({cell.replicate})"


def few_queries(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The note that belongs to a statement about a handful of queries."""
    count = max((len(c.base) for c in cells), default=1)
    return (f"For these {count} queries: seeds are replicates, queries are not.",) if count > 1 else ()


def own_queries(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The note that belongs to a world whose training queries differ from seed to seed."""
    names = dict.fromkeys(c.world.name for c in cells if draws_a_world(c.world))
    return tuple(
        f"In '{n}' every seed draws its own training queries: its spread includes theirs." for n in names
    )


def table(cells: Sequence[Cell], values: Sequence[Floats]) -> tuple[Ints, Floats]:
    """Values of the runs that all cells have in common.

    Args:
        cells: C conditions or worlds.
        values: One value per run of each.

    Returns:
        (N, 2) query and seed of each common run, and its (N, C) values.
    """
    places = [{key: row for row, key in enumerate(cell.keys())} for cell in cells]
    common = [key for key in places[0] if all(key in place for place in places)]
    rows = [[v[place[key]] for v, place in zip(values, places, strict=True)] for key in common]
    shape = (len(common), len(cells))
    return np.array(common, dtype=np.int64).reshape(-1, 2), np.array(rows, dtype=np.float64).reshape(shape)


def points(keys_N2: Ints, values_N: Floats) -> dict[str, list[Any]]:
    """Raw points of a component."""
    return {
        "query": keys_N2[:, 0].tolist(),
        "seed": keys_N2[:, 1].tolist(),
        "value": np.asarray(values_N).tolist(),
    }


def pair_points(keys_N2: Ints, values_N2: Floats) -> dict[str, list[Any]]:
    """Raw points of a component of two conditions: both values, and the second minus the first."""
    first, second = values_N2.T
    return points(keys_N2, second - first) | {"first": first.tolist(), "second": second.tolist()}
