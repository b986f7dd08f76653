"""Which worlds and conditions a claim reads, and their runs lined up by query and seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analysis.loading.records import Cell, Records
from analysis.results import Note, Split, Units
from banditrft.claims import Claim, Fields, conditions
from banditrft.claims.own import ladder, pick
from banditrft.errors import InputError
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld, LumpedWorld, WorldSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kind = Literal["sim", "llm"]
NAMES: dict[Kind, str] = {"sim": "simulated", "llm": "language models"}
"""What a verdict on all worlds of a kind is filed under."""


class UntestableError(Exception):
    """A claim, or a component, that the records of a world cannot show; `note` says why."""

    def __init__(self, name: str, **values: Any) -> None:
        super().__init__(name, values)
        self.note = Note(name, values)


def why(error: UntestableError | InputError) -> Note:
    """Why records cannot show something, from what was raised."""
    return error.note if isinstance(error, UntestableError) else Note("refused", {"why": str(error)})


@dataclass(frozen=True)
class Group:
    """The worlds one verdict reads.

    The simulated world reads hitting times and A1 in the lumped bandit and the test set in the contextual
    one; a language model is one world for all of them.

    Attributes:
        kind: "sim" or "llm".
        name: What the verdict is filed under: the model, or the simulated worlds.
        train: World of training curves; None if the study has none.
        test: World with a test set; None if the study has none.
    """

    kind: Kind
    name: str
    train: str | None
    test: str | None

    @property
    def world(self) -> str:
        """The world, of a group of one."""
        return self.train or self.test or self.name


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
        for w in _settings(records, kind)
        if isinstance(w, LLMWorld | ImportedWorld | ContextualWorld) and one_query(w) == single_query
    ]


def trained(records: Records, kind: Kind) -> list[str]:
    """Worlds of one training query, the same for every seed; contextual ones for want of them."""
    single = [w for w in _settings(records, kind) if one_query(w) and has_curves(records, w)]
    same = [w.name for w in single if not isinstance(w, ContextualWorld)]
    return same or [w.name for w in single]


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


def present(records: Records, kind: Kind) -> list[str]:
    """Worlds of a kind with records, in the order of the study."""
    return [w.name for w in _settings(records, kind)]


def _settings(records: Records, kind: Kind) -> list[WorldSettings]:
    return [w for w in records.worlds.values() if w.kind == kind and records.of(w.name)]


def each_tested(records: Records, kind: Kind, *, single_query: bool) -> list[Group]:
    """The worlds of `tested`, each on its own."""
    return [Group(kind, w, w, w) for w in tested(records, kind, single_query=single_query)]


def pools(records: Records, kind: Kind, _: Claim) -> list[Group]:
    """What a claim about a pool of training queries reads: every world that has one and a test set."""
    return each_tested(records, kind, single_query=False)


def first_worlds(records: Records, kind: Kind, _: Claim) -> list[Group]:
    """What A1 and A5 read: the first lumped and contextual world together; each language model."""
    worlds = _settings(records, kind)
    if kind == "sim":
        lumped = next((w.name for w in worlds if isinstance(w, LumpedWorld)), None)
        contextual = next((w.name for w in worlds if isinstance(w, ContextualWorld)), None)
        return [Group(kind, NAMES[kind], lumped, contextual)] if lumped or contextual else []
    found = []
    for world in worlds:
        if isinstance(world, LLMWorld):
            found.append(Group(kind, world.name, world.name, world.name))
        elif isinstance(world, ImportedWorld):
            train = world.name if has_curves(records, world) and world.single_query else None
            found.append(Group(kind, world.name, train, world.name))
    return found


def single_queries(records: Records, kind: Kind, _: Claim) -> list[Group]:
    """What a claim about curves of one query reads: the simulated worlds together; each language model."""
    train = trained(records, kind)
    if kind == "llm":
        return [Group(kind, world, world, world) for world in train]
    test = tested(records, kind, single_query=True)
    return [Group(kind, NAMES[kind], train[0] if train else None, test[0] if test else None)]


def final_train(cell: Cell) -> Floats:
    """Train Pass@1 of each run's final evaluation, NaN where an import has none."""
    known = cell.final_samples > 0
    return np.where(known, cell.final_correct / np.where(known, cell.final_samples, 1), np.nan)


def units(cell: Cell) -> Units:
    """What is replicated where runs meet several conditions: seeds, or pairs of a query and a seed."""
    return "seeds" if cell.replicate == "seed" else "pairs"


def replicate(cell: Cell) -> str | None:
    """What distinguishes such units, where their name does not say it."""
    return None if cell.replicate == "seed" else cell.replicate


def few_queries(cells: Sequence[Cell]) -> tuple[Note, ...]:
    """The note that belongs to a statement about a handful of queries."""
    count = max((len(c.base) for c in cells), default=1)
    return (Note("few queries", {"queries": count}),) if count > 1 else ()


def own_queries(cells: Sequence[Cell]) -> tuple[Note, ...]:
    """The note that belongs to a world whose training queries differ from seed to seed."""
    names = dict.fromkeys(c.world.name for c in cells if draws_a_world(c.world))
    return tuple(Note("own queries", {"world": n}) for n in names)


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


@dataclass(frozen=True)
class Pairs:
    """Runs of two conditions with a (query, seed) in common.

    Attributes:
        first: Cell of one condition.
        second: Cell of the other.
        rows_first: (N,) rows of `first`.
        rows_second: (N,) rows of `second`, the same (query, seed) in the same order.
    """

    first: Cell
    second: Cell
    rows_first: Ints
    rows_second: Ints

    @property
    def n(self) -> int:
        """Number of pairs."""
        return int(self.rows_first.size)

    @property
    def query(self) -> Ints:
        """(N,) query of each pair."""
        return self.first.query[self.rows_first]

    @property
    def seed(self) -> Ints:
        """(N,) seed of each pair."""
        return self.first.seed[self.rows_first]


def match(first: Cell, second: Cell) -> Pairs:
    """Line up two conditions.

    Raises:
        InputError: No (query, seed) in common; unpaired runs are no data for a paired protocol.
    """
    place = {key: row for row, key in enumerate(second.keys())}
    rows = [(row, place[key]) for row, key in enumerate(first.keys()) if key in place]
    if not rows:
        raise InputError(f"conditions: {first.condition!r} and {second.condition!r} share no (query, seed)")
    both = np.asarray(rows, dtype=np.int64)
    return Pairs(first, second, both[:, 0], both[:, 1])


def named(records: Records, world: str, wanted: Any, split: Split = "train") -> Cell:
    """The condition that a study's own claim names.

    Raises:
        UntestableError: There is none in this world, or it has no training curve and one is read.
    """
    names = pick(records.designs(world), wanted)
    if not names:
        raise UntestableError("no condition", wanted=repr(wanted), world=world)
    cell = records.of(world)[names[0]]
    if split == "train" and not cell.has_train:
        raise UntestableError("no training curve", condition=cell.condition, world=world)
    return cell


def two_named(records: Records, world: str, wanted: Sequence[Any], split: Split) -> tuple[Cell, Cell]:
    """Both conditions, A and B, that a claim compares; raises as `named`, and where they are the same."""
    a, b = (named(records, world, w, split) for w in wanted)
    if a is b:
        raise UntestableError("one condition", condition=a.condition, world=world)
    return a, b


def named_ladder(records: Records, world: str, wanted: Any, field: str, fewest: int) -> list[Cell]:
    """The conditions that a claim names, by a design field; raises UntestableError for too few."""
    names = ladder(records.designs(world), wanted, field)
    if len(names) < fewest:
        raise UntestableError("few rungs", fewest=fewest, world=world)
    return [records.of(world)[n] for n in names]


def final(cell: Cell, split: Split) -> Floats:
    """(N,) final Pass@1 on a split; raises UntestableError where there is no test set."""
    if split == "train":
        return final_train(cell)
    if not cell.has_test:
        raise UntestableError("no test set", world=cell.world.name)
    return cell.test


def enough(rows: Any, fewest: int) -> Any:
    """The rows; raises UntestableError where they are fewer."""
    if len(rows) < fewest:
        raise UntestableError("few runs", fewest=fewest)
    return rows
