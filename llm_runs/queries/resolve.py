"""Which queries are trained on: chosen by base Pass@1 alone, before fine-tuning, by a fixed rule.

The first `pool` items of the task's pool are sampled `samples` times each from the base model. Those whose
observed base Pass@1 lies in the asked-for range are eligible. The range is cut into `count` equal parts on
the log-odds scale; for the middle of each part, from the lowest up, the eligible item with the nearest
observed log-odds that is not yet taken is chosen (ties: the lower item index).

Where `items` names queries nothing is chosen; where `file` names a table of difficulties its items are the
candidates, and only the chosen are sampled, where the table is coarse; where runs train on a pool of
`train_items` nothing is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from banditrft.errors import InputError
from banditrft.runs import Query, WorldQueries, queries_key
from banditrft.streams import Purpose
from banditrft.worlds import LLMWorld
from llm_runs.interfaces import Tokenizer
from llm_runs.queries.candidates import asked_table, named_items, table_items
from llm_runs.tasks import (
    Chosen,
    Item,
    Task,
    content_hash,
    first_items,
    pool_items,
    prompt_ids,
    task_and_model,
    test_items,
)
from llm_runs.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from llm_runs.evaluation import Counts


COARSE, AGAIN = 64, 128
"""Samples per item below which a table of difficulties is coarse, and those of the second measurement."""


def resolve_queries(world: LLMWorld, root_seed: int) -> WorldQueries:
    """Fix what a world's runs train on and its test set (some 20 s of one core for the tiny models).

    Raises:
        InputError: unknown model or task, no such items, or the pool does not hold enough such queries.
    """
    task, model = task_and_model(world)
    tokenizer = load_tokenizer(model.folder, world.chat)
    test = test_items(task, tokenizer, world)
    queries: tuple[Query, ...] = ()
    stated: tuple[float, ...] = ()
    pool_hash = None
    if world.train_items is not None:
        pool = pool_items(task, tokenizer, world)
        pool_hash = content_hash(pool.items)
    else:
        pool = _candidates(task, tokenizer, world)
        correct, samples = _base(world, root_seed, pool.items, model.identity)
        queries = _select(world, pool.items, correct, samples)
        if world.queries.file is not None and samples < COARSE:
            queries, stated = _again(world, root_seed, task, queries)
    return WorldQueries(
        key=queries_key(world, root_seed),
        weights_hash=model.identity,
        test_hash=content_hash(test.items),
        queries=queries,
        pool_hash=pool_hash,
        pool_left_out=pool.left_out,
        test_left_out=test.left_out,
        told=stated,
    )


def _again(
    world: LLMWorld, root_seed: int, task: Task, queries: Sequence[Query]
) -> tuple[tuple[Query, ...], tuple[float, ...]]:
    """Queries chosen from a coarse table, measured again by other samples, and what the table said.

    Of few samples the choice favours those that were lucky, so the table's numbers are biased.
    """
    counts = base_counts(world, root_seed, [task.item(q.item) for q in queries], AGAIN, stream=1)
    fresh = [
        replace(query, base_pass_at_1=int(correct) / AGAIN, base_samples=AGAIN)
        for query, correct in zip(queries, counts.strict_SQ[0], strict=True)
    ]
    pairs = sorted(zip(fresh, queries, strict=True), key=lambda pair: (pair[0].base_pass_at_1, pair[0].item))
    return tuple(new for new, _ in pairs), tuple(old.base_pass_at_1 for _, old in pairs)


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


def base_counts(
    world: LLMWorld, root_seed: int, items: Sequence[Item], samples: int, stream: int = 0
) -> Counts:
    """How often the base model answers items rightly, (1, Q): by stream 0 queries are chosen."""
    from llm_runs.backends import open_backend
    from llm_runs.evaluation import count_correct
    from llm_runs.interfaces import Address

    with open_backend(world) as backend:
        backend.push(base=True)
        return count_correct(backend, [items], samples, Address(root_seed, [stream], Purpose.SELECT))


def _base(
    world: LLMWorld, root_seed: int, candidates: Sequence[Item], weights_hash: str
) -> tuple[list[int], int]:
    """Right answers of the base model to each candidate, and among how many samples."""
    if world.queries.file is None:
        counts = base_counts(world, root_seed, candidates, world.queries.samples)
        return [int(c) for c in counts.strict_SQ[0]], world.queries.samples
    where, table = asked_table(world)
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
