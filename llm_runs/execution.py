"""Runs of one design carried out, and finished runs evaluated again.

Runs are stacked where their model allows it, and go on from where each was stopped. Where the learner is
sharded, as many processes as `shards` compute a job together. They are started as torchrun would start them
(`banditrft.launch.workers`), and all of them call the same function: rank 0 does what one process would do
(runs the loop, samples, grades, keeps states and records); the others hold their shards of the learner and
`follow`. That was tested on CPU ranks with gloo only, never on a GPU.

A finished run's checkpoint holds weights only, under transformers' own names. What a run in progress needs to
go on is `llm_runs.states`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.launch.jobs import Report
from banditrft.records import Final, RunTables, checkpoint_path, read_checkpoint
from banditrft.runs import Run
from banditrft.worlds import LLMWorld, check_supported
from llm_runs import learners
from llm_runs.backends import device_of, fitted, open_backend, sharded_learner, single_thread, stackable
from llm_runs.base_models import find_model
from llm_runs.evaluation import Measure, train_items
from llm_runs.loop import train
from llm_runs.rounds import Recorder
from llm_runs.states import resumable


@contextmanager
def joined(world: LLMWorld) -> Iterator[int]:
    """Be one of the processes that compute a job of a world.

    Yields:
        This process's rank; 0 where the learner is not sharded and no other process takes part.

    Raises:
        InputError: The learner is sharded and this process was not started as one of its ranks, there are
            more or fewer of them than shards, or too few GPUs.
    """
    if world.shards == 1:
        yield 0
        return
    from torch import distributed

    device_of(world)
    ranks = int(os.environ.get("WORLD_SIZE", world.shards))
    if ranks != world.shards:
        raise InputError(f"shards: must be the number of ranks, {ranks}, got {world.shards}")
    rank, _ = learners.join_ranks(world.device)
    yield rank
    distributed.destroy_process_group()  # not after an error: the other ranks may be anywhere


def follow(world: LLMWorld, design: Design) -> None:
    """Take part, as a rank other than the first, for as long as that one has a backend of the design open."""
    model, limits = fitted(world)[1::2]
    with single_thread(world):
        sharded_learner(world, model, design, limits).follow()


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
        InputError: see `shared_world` and `joined`; an unknown model or task; a state that is
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


def evaluate_checkpoint(run: Run, folder: Path | str) -> Final | None:
    """The final evaluation of a finished run, from the weights it kept.

    Args:
        run: The run, with the evaluation that is now asked for.
        folder: The run's folder of records.

    Returns:
        The evaluation; None in a rank other than the first.

    Raises:
        InputError: no such model or task, or the checkpoint is damaged or of another model.
    """
    world = shared_world([run])
    with joined(world) as rank:
        if rank == 0:
            return _evaluate(world, run, Path(folder))
        follow(world, run.design)
        return None


def _evaluate(world: LLMWorld, run: Run, folder: Path) -> Final:
    weights = read_checkpoint(folder)
    with open_backend(world, run.design) as backend:
        record = Recorder([run], backend.task.work_share)
        measure = Measure([run], backend, train_items([run], backend), record)
        backend.push(base=True)
        measure.base()
        try:
            backend.learner.load_checkpoint(0, weights)
        except InputError as error:
            raise InputError(f"{checkpoint_path(folder)}: {error}") from None
        backend.push()
        measure.final()
    tables = record.frames(0)
    return Final(tables["final"], tables["items"])
