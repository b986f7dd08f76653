"""Runs of one design carried out: stacked where their model allows it, from where each was stopped.

Where the learner is sharded, all ranks of a job call `execute`, and the first does what one process would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from banditrft.errors import InputError
from banditrft.launch.jobs import Report
from banditrft.records import RunTables
from banditrft.runs import Run
from banditrft.worlds import LLMWorld, check_supported
from llm_runs.backends import stackable
from llm_runs.base_models import find_model
from llm_runs.loop import train
from llm_runs.ranks import follow, joined
from llm_runs.states.files import resumable


def shared_world(runs: Sequence[Run]) -> LLMWorld:
    """The world of a stack, once it is known that its runs may be stacked.

    Raises:
        InputError: the runs differ in world, design, evaluation or root seed, or the design cannot be run.
    """
    if len({(run.world, run.design, run.evaluation, run.root_seed) for run in runs}) != 1:
        raise InputError("runs of a stack must share world, design, evaluation and root_seed")
    world = runs[0].world
    if not isinstance(world, LLMWorld):
        raise InputError(f"world {world.name!r}: not a language-model world")
    check_supported(runs[0].design, world)
    return world


def execute(
    runs: Sequence[Run], report: Report | None = None, training: Path | None = None
) -> list[RunTables]:
    """Train and evaluate runs of one design, going on from where they were stopped.

    Args:
        runs: The runs; those that stand at the same round are stacked where their model allows it, which
            changes no bit.
        report: Called with the fraction done.
        training: The study's folder, for states to go on from; None keeps none.

    Returns:
        Tables of each run; none in a rank other than the first.

    Raises:
        InputError: see `shared_world` and `llm_runs.ranks.joined`; an unknown model or task; a state that is
            damaged or cannot be kept.
    """
    world = shared_world(runs)
    with joined(world) as rank:
        if rank == 0:
            return _execute(world, runs, report, training)
        for _ in runs:  # they do not stack
            follow(world, runs[0].design)
        return []


def _execute(
    world: LLMWorld, runs: Sequence[Run], report: Report | None, training: Path | None
) -> list[RunTables]:
    together = stackable(world, find_model(world.model, world.revision))
    stacks: dict[tuple[int, int], list[int]] = {}
    for index, run in enumerate(runs):
        done = 0 if training is None else resumable(training, run)
        stacks.setdefault((done, 0 if together else index), []).append(index)
    tables: dict[int, RunTables] = {}
    for (done, _), indices in stacks.items():
        before, size = len(tables), len(indices)

        def tick(fraction: float, before: int = before, size: int = size) -> None:
            if report is not None:
                report((before + size * fraction) / len(runs))

        made = train(world, [runs[i] for i in indices], tick, training, done)
        tables |= zip(indices, made, strict=True)
    return [tables[i] for i in range(len(runs))]
