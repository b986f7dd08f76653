"""Prompts in a model's tokens, and the items of a pool or test set whose prompts fit.

No prompt is cut. Items whose prompts are longer than the task's `prompt_max` are passed over and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from banditrft.errors import InputError
from banditrft.runs import digest
from banditrft.worlds import LLMWorld
from llm_runs.interfaces import Item, Tokenizer
from llm_runs.tasks.base import Task


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


class Fitting(NamedTuple):
    """Items of a set whose prompts fit, in the set's order, and how many before them or among them do not."""

    indices: list[int]
    left_out: int


def prompt_ids(task: Task, tokenizer: Tokenizer, item: Item) -> list[int]:
    """Tokens of an item's prompt.

    Raises:
        InputError: It is longer than `prompt_max`, empty, or cannot be written in the model's tokens.
    """
    ids = tokenizer.encode(item)
    if not 0 < len(ids) <= task.prompt_max:
        raise InputError(
            f"item {item.index}: its prompt must have 1 to {task.prompt_max} tokens, got {len(ids)}"
        )
    return ids


def fitting(task: Task, tokenizer: Tokenizer, split: str, count: int | Literal["all"]) -> Fitting:
    """The first `count` items of a set whose prompts fit into `prompt_max` tokens, or all that do.

    Raises:
        InputError: The set is unknown, or fewer fit.
    """
    kept: list[int] = []
    left_out = 0
    size, seen = task.size(split), 0
    upto = size if count == "all" else min(count, size)
    while seen < size and len(kept) != count:
        for index in task.indices(split, upto)[seen:]:
            if len(kept) == count:
                break
            fits = 0 < len(tokenizer.encode(task.item(index))) <= task.prompt_max
            kept += [index] * fits
            left_out += not fits
        seen, upto = upto, min(2 * upto, size)
    if not kept or (count != "all" and len(kept) < count):
        raise InputError(
            f"{split} items: of the {task.size(split)} of task {task.name!r}, {len(kept)} fit into "
            f"prompt_max = {task.prompt_max} tokens, {count} were asked for"
        )
    return Fitting(kept, left_out)
