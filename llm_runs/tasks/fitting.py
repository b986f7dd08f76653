"""Prompts as a model's tokens, and which of a set's prompts fit: none is cut, none goes missing unnoticed."""

from __future__ import annotations

from typing import Literal, NamedTuple

from banditrft.errors import InputError
from llm_runs.tasks.base import Item, Task
from llm_runs.tokenizers import Tokenizer


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
