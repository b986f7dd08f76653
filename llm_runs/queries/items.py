"""Items of a task as a world asks for them: the first of a set, a pool, the test set, by index, by table.

Items whose prompts are longer than the task's `prompt_max` are passed over in pool, candidates and test set
(`llm_runs.tasks.fitting`), and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from banditrft.errors import InputError
from banditrft.runs import digest, sampling_key
from banditrft.worlds import LLMWorld
from llm_runs.queries.difficulty import Table, read
from llm_runs.tasks import Item, Task
from llm_runs.tasks.fitting import fitting
from llm_runs.tokenizers import Tokenizer


class Chosen(NamedTuple):
    """Items whose prompts fit, and how many were left out since theirs do not."""

    items: list[Item]
    left_out: int


def first_items(
    task: Task, tokenizer: Tokenizer, split: str, count: int | Literal["all"], field: str
) -> Chosen:
    """The first items of a set that fit, or all of them.

    Raises:
        InputError: Fewer fit; names the field that asked.
    """
    try:
        found = fitting(task, tokenizer, split, count)
    except InputError as error:
        raise InputError(f"{field}: {error}") from None
    return Chosen([task.item(index) for index in found.indices], found.left_out)


def test_items(task: Task, tokenizer: Tokenizer, world: LLMWorld) -> Chosen:
    """The held-out items of a world; raises InputError as `first_items`."""
    return first_items(task, tokenizer, "test", world.test_items, "test_items")


def pool_items(task: Task, tokenizer: Tokenizer, world: LLMWorld) -> Chosen:
    """The queries that a run trains on where it trains on a pool; raises InputError as `first_items`."""
    if world.train_items is None:
        raise TypeError(f"world {world.name!r} trains on one query")
    return first_items(task, tokenizer, "pool", world.train_items, "train_items")


def content_hash(items: Sequence[Item]) -> str:
    """sha256 of what items ask and how they are answered, hex."""
    return digest(
        [[i.index, i.prompt, i.answer, *([list(map(list, i.messages))] if i.messages else [])] for i in items]
    )


def table_items(task: Task, world: LLMWorld) -> list[Item]:
    """The items of the table of difficulties that a world names.

    Raises:
        InputError: The file is no such table, was measured with another task or other settings of sampling,
            or its questions are not the task's.
    """
    where, table = asked_table(world)
    told = table.header
    if (told.task, told.settings, told.temperature) != (task.name, sampling_key(world), world.temperature):
        raise InputError(
            f"{where} was measured with another task, temperature or other settings of sampling: "
            f"{told.task}, {told.temperature}"
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


def asked_table(world: LLMWorld) -> tuple[str, Table]:
    """The table of difficulties that a world names, and what errors call it."""
    file = str(world.queries.file)
    try:
        return f"queries.file: {file}", read(Path(file))
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
