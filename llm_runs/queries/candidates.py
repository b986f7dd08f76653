"""Items that training queries are taken from, named by index or in a table of difficulties.

A table of difficulties is one JSON file that says how often a base model answered each item rightly, and
which weights, task, temperature and random numbers that was measured with (`llm_runs.queries.difficulty`
measures it). A study may pick its training queries from it (`queries = {file = ...}`) instead of sampling the
base model again. The first items of a task's pool are `llm_runs.tasks.fitting`'s. No torch is loaded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from banditrft.errors import InputError, RecordError
from banditrft.files import read_json
from banditrft.passk import wilson
from banditrft.runs import sampling_key
from banditrft.worlds import LLMWorld
from llm_runs.tasks import Item, Task

FORMAT = 1
"""Version of the file."""


class Difficulty(NamedTuple):
    """One item: `correct_*` of `n` responses were right."""

    item: int
    prompt: str
    answer: str
    n: int
    correct_strict: int
    correct_lenient: int


@dataclass(frozen=True)
class Header:
    """What a table was measured with; two measurements of equal headers give the same numbers.

    Attributes:
        model: As given.
        weights_hash: Hash of the base model (`llm_runs.base_models.BaseModel.identity`).
        task: Name of the task.
        settings: Hash of what else decides its questions and responses (`banditrft.runs.sampling_key`).
        split: "pool" or "test".
        temperature: Of sampling.
        engine: "torch" or "vllm".
        samples: Responses per item.
        root_seed: Of the random streams.
        left_out: Items whose prompts are longer than the task's `prompt_max`.
    """

    model: str
    weights_hash: str
    task: str
    settings: str
    split: str
    temperature: float
    engine: str
    samples: int
    root_seed: int
    left_out: int


@dataclass(frozen=True)
class Difficulties:
    """Difficulties of some items, in the task's order."""

    header: Header
    rows: tuple[Difficulty, ...]

    def intervals(self, level: float = 0.95) -> list[tuple[float, float]]:
        """Wilson's interval of each item's strict Pass@1."""
        low, high = wilson([r.n for r in self.rows], [r.correct_strict for r in self.rows], level)
        return list(zip(low.tolist(), high.tolist(), strict=True))


def read_difficulties(path: Path) -> Difficulties:
    """Read a table strictly.

    Raises:
        InputError: Missing, unreadable, of another format, or with counts that contradict themselves.
    """
    try:
        value: dict[str, Any] = read_json(path)
        if value.pop("format", None) != FORMAT:
            raise InputError(f"{path}: must be a table of difficulties, format {FORMAT}")
        rows = tuple(Difficulty(**row) for row in value.pop("items"))
        table = Difficulties(Header(**value), rows)
    except RecordError as error:
        raise InputError(str(error)) from None
    except (TypeError, KeyError) as error:
        raise InputError(f"{path}: is not a table of difficulties ({error})") from None
    for row in rows:
        counts = (row.n, row.correct_strict, row.correct_lenient)
        if not all(isinstance(c, int) and 0 <= c <= row.n for c in counts) or row.n < 1:
            raise InputError(f"{path}: item {row.item}: counts must lie in 0..n with n >= 1, got {counts}")
    if not rows:
        raise InputError(f"{path}: must hold at least one item, got none")
    return table


def table_items(task: Task, world: LLMWorld) -> list[Item]:
    """The items of the table of difficulties that a world names.

    Raises:
        InputError: The file is no such table, was measured with another task or other settings of sampling,
            or its questions are not the task's.
    """
    where, table = asked_table(world)
    header = table.header
    if (header.task, header.settings, header.temperature) != (
        task.name,
        sampling_key(world),
        world.temperature,
    ):
        raise InputError(
            f"{where} was measured with another task, temperature or other settings of sampling: "
            f"{header.task}, {header.temperature}"
        )
    items = []
    for row in table.rows:
        try:
            items.append(named_item(task, row.item))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        if (items[-1].prompt, items[-1].answer) != (row.prompt, row.answer):
            raise InputError(f"{where}: item {row.item} asks something else than the task")
    return items


def asked_table(world: LLMWorld) -> tuple[str, Difficulties]:
    """The table of difficulties that a world names, and what errors call it."""
    file = str(world.queries.file)
    try:
        return f"queries.file: {file}", read_difficulties(Path(file))
    except InputError as error:
        raise InputError(f"queries.file: {error}") from None


def named_item(task: Task, index: int) -> Item:
    """A training query by its index.

    Raises:
        InputError: There is no such item, or it is held out for testing.
    """
    item = task.item(index)
    if task.split_of(index) == "test":
        raise InputError(f"must not be held-out items of task {task.name!r}, got {index}")
    return item


def named_items(task: Task, indices: Sequence[int]) -> list[Item]:
    """The training queries that `queries.items` names; raises InputError as `named_item`."""
    try:
        return [named_item(task, index) for index in indices]
    except InputError as error:
        raise InputError(f"queries.items: {error}") from None
