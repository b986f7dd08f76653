"""Which queries are trained on: chosen by base Pass@1 alone, before fine-tuning, by a fixed rule.

The first `pool` items of the task's pool are sampled `samples` times each from the base model. Items whose
observed base Pass@1 lies in the asked-for range are eligible. The range is cut into `count` equal parts on
the log-odds scale; for the middle of each part, from the lowest up, the eligible item with the nearest
observed log-odds that is not yet taken is chosen (ties: the lower item index).
"""

from __future__ import annotations

import math

from banditrft.errors import InputError
from banditrft.runs import Query, WorldQueries, digest, queries_key
from banditrft.streams import Purpose
from banditrft.worlds import LLMWorld
from llm_runs.base_models import load_base_model
from llm_runs.tasks import Item, Task, load_task


def log_odds(correct: float, samples: int) -> float:
    """Log-odds of a count, with half a success and half a failure added."""
    return math.log((correct + 0.5) / (samples - correct + 0.5))


def choose(correct: list[int], samples: int, count: int, low: float, high: float) -> list[int]:
    """Positions of the chosen candidates, by rising target.

    Args:
        correct: Right answers of each candidate among `samples`.
        samples: Base samples per candidate.
        count: How many to choose.
        low: Lowest base Pass@1 that is eligible.
        high: Highest.

    Raises:
        InputError: fewer than `count` candidates are eligible.
    """
    free = [i for i, c in enumerate(correct) if low <= c / samples <= high]
    if len(free) < count:
        raise InputError(
            f"queries: {count} with base Pass@1 in [{low}, {high}] were asked for, but only {len(free)} of "
            f"the {len(correct)} candidates lie there; widen base_pass_at_1 or enlarge pool"
        )
    bottom, top = log_odds(low * samples, samples), log_odds(high * samples, samples)
    chosen: list[int] = []
    for part in range(count):
        target = bottom + (part + 0.5) / count * (top - bottom)
        best = min(free, key=lambda i: (abs(log_odds(correct[i], samples) - target), i))
        free.remove(best)
        chosen.append(best)
    return chosen


def test_items(task: Task, world: LLMWorld) -> list[Item]:
    """The held-out items of a world.

    Raises:
        InputError: the task's test set is smaller.
    """
    return task.items("test", world.test_items)


def resolve_queries(world: LLMWorld, root_seed: int) -> WorldQueries:
    """Choose a world's training queries and fix its test set (some 20 s of one core at the default size).

    Raises:
        InputError: unknown model or task, or the pool does not hold enough such queries.
    """
    from llm_runs.evaluation import Address, count_correct, single_thread
    from llm_runs.network.stacked import stack

    task = load_task(world.task)
    model = load_base_model(world.model, task)
    wanted = world.queries
    candidates = task.items("pool", wanted.pool)
    held_out = test_items(task, world)
    address = Address(root_seed, [0], Purpose.SELECT)
    with single_thread():
        weights = stack([model.weights()])
        strict, _ = count_correct(
            model.arch, weights, task, [candidates], wanted.samples, address, world.temperature
        )
    correct = [int(c) for c in strict[0]]
    low, high = wanted.base_pass_at_1
    chosen = choose(correct, wanted.samples, wanted.count, low, high)
    queries = [
        Query(
            item=candidates[i].index,
            prompt=candidates[i].prompt,
            answer=candidates[i].answer,
            base_pass_at_1=correct[i] / wanted.samples,
            base_samples=wanted.samples,
        )
        for i in chosen
    ]
    return WorldQueries(
        key=queries_key(world, root_seed),
        weights_hash=model.weights_sha256,
        test_hash=digest([[item.index, item.prompt, item.answer] for item in held_out]),
        queries=tuple(sorted(queries, key=lambda query: (query.base_pass_at_1, query.item))),
    )
