"""The worlds of a study in words and numbers."""

import math
from typing import Any

from analysis.claims.worlds import draws_a_world
from analysis.loading.records import Cell, Records
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld, LumpedWorld, WorldSettings


def world(records: Records, world: WorldSettings) -> dict[str, Any]:
    """One world with records: what it is, its conditions, runs, rounds and queries."""
    cells = records.of(world.name)
    first = next(iter(cells.values()))
    return {
        "name": world.name,
        "kind": world.kind,
        "describes": _describe(world),
        "conditions": {name: cell.n for name, cell in cells.items()},
        "rounds": {n: c.design.rounds for n, c in cells.items() if "rounds" not in c.unknown},
        "pool": world.train_items if isinstance(world, LLMWorld) else None,
        "base": {str(q): p for q, p in sorted(first.base.items()) if math.isfinite(p)},
        "learning": {name: _learning(cell) for name, cell in cells.items()},
    }


def _learning(cell: Cell) -> str:
    optimizer = "unknown optimizer" if "optimizer" in cell.unknown else cell.design.optimizer
    unknown = "learning_rate" in cell.unknown
    return f"{optimizer}, {'unknown step' if unknown else f'step {cell.design.learning_rate:g}'}"


def _describe(world: WorldSettings) -> str:
    if isinstance(world, LumpedWorld):
        arms = world.num_arms
        size = f"{arms:,}" if arms < 1e6 else f"{arms:.3g}"
        return f"Softmax bandit of {size} arms in {len(world.classes)} classes, simulated exactly."
    if isinstance(world, ContextualWorld):
        return (
            f"Log-linear contextual policy in {world.dimension} dimensions: {_queries(world)}, "
            f"{world.test_items:,} test contexts{', each seed its own' * draws_a_world(world)}."
        )
    if isinstance(world, ImportedWorld):
        return (
            f"Logs of {world.tool} runs of {world.model or 'a model not named'} on "
            f"{world.task or 'a task not named'}, imported; nothing was run here."
        )
    return f"Language model '{world.model}' on '{world.task}', really sampled and really trained."


def _queries(world: ContextualWorld) -> str:
    return "one training query" if world.train_items == 1 else f"{world.train_items:,} training queries"
