"""Which queries are trained on: chosen by base Pass@1 alone, before fine-tuning, by a fixed rule.

The first `pool` items of the task's pool are sampled `samples` times each from the base model. Items whose
observed base Pass@1 lies in the asked-for range are eligible. The range is cut into `count` equal parts on
the log-odds scale; for the middle of each part, from the lowest up, the eligible item with the nearest
observed log-odds that is not yet taken is chosen (ties: the lower item index). Where `items` names queries
nothing is chosen; where `file` names a table of difficulties (`llm_runs.difficulty`) its items are the
candidates and nothing is sampled; where runs train on a pool of `train_items` neither is.

Items whose prompts are longer than the task's `prompt_max` are passed over in pool, candidates and test set
(`llm_runs.tasks.fitting`), and counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from banditrft.errors import InputError
from banditrft.runs import Query, WorldQueries, digest, queries_key, sampling_key
from banditrft.streams import Purpose
from banditrft.worlds import LLMWorld
from llm_runs.base_models import find_model
from llm_runs.difficulty import Table, read
from llm_runs.tasks import Item, Task, task_of
from llm_runs.tasks.fitting import fitting, prompt_ids
from llm_runs.tokenizers import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from llm_runs.evaluation import Counts


class Chosen(NamedTuple):
    """Items whose prompts fit, and how many were left out since theirs do not."""

    items: list[Item]
    left_out: int


def log_odds(correct: float, samples: int) -> float:
    """Log-odds of a count, with half a success and half a failure added."""
    return math.log((correct + 0.5) / (samples - correct + 0.5))


def choose(
    correct: list[int],
    samples: int,
    count: int,
    low: float,
    high: float,
    advice: str = "widen base_pass_at_1 or enlarge pool",
) -> list[int]:
    """Positions of the chosen candidates, by rising target.

    Args:
        correct: Right answers of each candidate among `samples`.
        samples: Base samples per candidate.
        count: How many to choose.
        low: Lowest base Pass@1 that is eligible.
        high: Highest.
        advice: What an error says to do.

    Raises:
        InputError: fewer than `count` candidates are eligible.
    """
    free = [i for i, c in enumerate(correct) if low <= c / samples <= high]
    if len(free) < count:
        raise InputError(
            f"queries: {count} with base Pass@1 in [{low}, {high}] were asked for, but only {len(free)} of "
            f"the {len(correct)} candidates lie there; {advice}"
        )
    bottom, top = log_odds(low * samples, samples), log_odds(high * samples, samples)
    chosen: list[int] = []
    for part in range(count):
        target = bottom + (part + 0.5) / count * (top - bottom)
        best = min(free, key=lambda i: (abs(log_odds(correct[i], samples) - target), i))
        free.remove(best)
        chosen.append(best)
    return chosen


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


def resolve_queries(world: LLMWorld, root_seed: int) -> WorldQueries:
    """Fix what a world's runs train on and its test set (some 20 s of one core for the tiny models).

    Raises:
        InputError: unknown model or task, no such items, or the pool does not hold enough such queries.
    """
    task, model = task_of(world), find_model(world.model, world.revision)
    tokenizer = load_tokenizer(model.folder, world.chat)
    test = test_items(task, tokenizer, world)
    queries: tuple[Query, ...] = ()
    pool_hash = None
    if world.train_items is not None:
        pool = pool_items(task, tokenizer, world)
        pool_hash = content_hash(pool.items)
    else:
        pool = _candidates(task, tokenizer, world)
        correct, samples = _base(world, root_seed, pool.items, model.identity)
        queries = _select(world, pool.items, correct, samples)
    return WorldQueries(
        key=queries_key(world, root_seed),
        weights_hash=model.identity,
        test_hash=content_hash(test.items),
        queries=queries,
        pool_hash=pool_hash,
        pool_left_out=pool.left_out,
        test_left_out=test.left_out,
    )


def content_hash(items: Sequence[Item]) -> str:
    """sha256 of what items ask and how they are answered, hex."""
    return digest(
        [[i.index, i.prompt, i.answer, *([list(map(list, i.messages))] if i.messages else [])] for i in items]
    )


def _candidates(task: Task, tokenizer: Tokenizer, world: LLMWorld) -> Chosen:
    wanted = world.queries
    if wanted.file is not None:
        return Chosen(table_items(task, world), 0)
    if not wanted.items:
        return first_items(task, tokenizer, "pool", wanted.pool, "queries.pool")
    items = named_items(task, wanted.items)
    for item in items:
        prompt_ids(task, tokenizer, item)
    return Chosen(items, 0)


def table_items(task: Task, world: LLMWorld) -> list[Item]:
    """The items of the table of difficulties that a world names.

    Raises:
        InputError: The file is no such table, was measured with another task or other settings of sampling,
            or its questions are not the task's.
    """
    where, table = _table(world)
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


def _table(world: LLMWorld) -> tuple[str, Table]:
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


def base_counts(world: LLMWorld, root_seed: int, items: Sequence[Item], samples: int) -> Counts:
    """How often the base model answers items rightly, (1, Q): the samples by which queries are chosen."""
    from llm_runs.backends import open_backend
    from llm_runs.engines.base import Address
    from llm_runs.evaluation import count_correct

    with open_backend(world) as backend:
        backend.push()
        return count_correct(backend, [items], samples, Address(root_seed, [0], Purpose.SELECT))


def _base(
    world: LLMWorld, root_seed: int, candidates: Sequence[Item], weights_hash: str
) -> tuple[list[int], int]:
    """Right answers of the base model to each candidate, and among how many samples."""
    if world.queries.file is None:
        counts = base_counts(world, root_seed, candidates, world.queries.samples)
        return [int(c) for c in counts.strict_SQ[0]], world.queries.samples
    where, table = _table(world)
    if table.header.weights_hash != weights_hash:
        raise InputError(f"{where} was measured with another model: {table.header.model}")
    return [row.correct_strict for row in table.rows], table.header.samples


def _select(
    world: LLMWorld, candidates: Sequence[Item], correct: list[int], samples: int
) -> tuple[Query, ...]:
    wanted = world.queries
    chosen = list(range(len(candidates)))
    if not wanted.items:
        if wanted.file is None:
            advice = "widen base_pass_at_1 or enlarge pool"
        else:
            advice = "widen base_pass_at_1 or give a table of more items"
        chosen = choose(correct, samples, wanted.count, *wanted.base_pass_at_1, advice)
    queries = [
        Query(
            item=candidates[i].index,
            prompt=candidates[i].prompt,
            answer=candidates[i].answer,
            base_pass_at_1=correct[i] / samples,
            base_samples=samples,
        )
        for i in chosen
    ]
    return tuple(sorted(queries, key=lambda query: (query.base_pass_at_1, query.item)))
