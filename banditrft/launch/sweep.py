"""What is missing of a study, run by an executor of the user's choice and counted."""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import compress
from operator import not_
from pathlib import Path

from banditrft.brief import Brief
from banditrft.catalog import Status, can_reevaluate, status, write_study
from banditrft.errors import InputError, StorageError
from banditrft.launch.jobs import (
    RANK,
    Execute,
    Executor,
    Fatal,
    Job,
    Reevaluate,
    Work,
    in_shard,
    split_shared,
    stack,
)
from banditrft.launch.local import Local
from banditrft.launch.resources import Need
from banditrft.parts import sweep_parts
from banditrft.progress import Board
from banditrft.records import RUN, training_path
from banditrft.runs import Run
from banditrft.study import Study

EXECUTORS = ("local", "ray")
SAID = 5
"""Failures that an error quotes."""


@dataclass(repr=False)
class Outcome(Brief):
    """What a launch did, in runs.

    Attributes:
        found: Runs that were there before.
        done: Runs executed or re-evaluated now.
        failed: Label and error of each job that failed.
        left: Runs of other shards.
    """

    found: int = 0
    done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0


class JobsError(RuntimeError):
    """Jobs of a launch failed; all others ran and are recorded.

    Attributes:
        outcome: What the launch did.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        failed = self.outcome.failed
        lines = [f"{label}: {error}" for label, error in failed[:SAID]]
        more = [f"and {len(failed) - SAID} more"] if len(failed) > SAID else []
        return "\n".join([f"{len(failed)} jobs failed, {self.outcome.done} runs done", *lines, *more])


def choose_executor(name: str, workers: int | None = None, address: str | None = None) -> Executor:
    """An executor by its name.

    Args:
        name: "local" or "ray".
        workers: Most jobs at a time; all cores of the machine (all CPUs of the cluster) by default.
        address: Ray cluster to join, as ``ray.init`` takes it; for "ray" only.

    Raises:
        InputError: There is no such executor, or an address was given to one that has none.
    """
    if name not in EXECUTORS:
        raise InputError(f"executor: must be one of {', '.join(EXECUTORS)}, got {name}")
    if name == "ray":
        from banditrft.launch.cluster import Ray

        return Ray(address, workers)
    if address is not None:
        raise InputError(f"ray-address: needs executor ray, got {address} with executor {name}")
    return Local(workers)


def launch(
    study: Study,
    runs: Sequence[Run],
    root: Path,
    execute: Execute,
    *,
    reevaluate: Reevaluate | None = None,
    size: int | Callable[[Run], int] = 1,
    need: Callable[[Sequence[Run]], Need] | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    shard: tuple[int, int] = (1, 1),
    command: str = "",
) -> Outcome:
    """Run what is missing of a study and record it.

    Conditions that differ in the final evaluation alone share runs: each is executed once, and then evaluated
    again. Runs that are given the recorded rewards of others come after those.

    Args:
        study: The resolved study.
        runs: Its runs of one kind of world.
        root: The study's folder.
        execute: The world; a module-level function, since workers import it by name.
        reevaluate: Likewise, for runs that lack only the final evaluation.
        size: Most runs in a stack, or a function of the first of its runs.
        need: What a stack of runs holds while it runs; one CPU and little memory by default.
        workers: Local worker processes; the cores of this machine by default. One means this process.
        executor: Where jobs run; by default in that many local workers.
        shard: This shard's index from 1, and the number of shards.
        command: What the user typed, for provenance.

    Raises:
        InputError: A stale run has no checkpoint to re-evaluate, a folder in a run's place holds none, this
            process was started as one of several ranks, or the executor cannot start.
        StorageError: Records cannot be written; no more jobs are started then.
        JobsError: Jobs failed; raised when all others are done.
    """
    if RANK in os.environ:
        raise InputError(f"{RANK}: must not be set: the ranks of a job are started here, without torchrun")
    state = status(root, in_shard(runs, shard))
    _refuse_unusable(root, state, reevaluate)
    write_study(root, study, runs, command)
    first, shared = split_shared(state.missing)
    jobs = [Job((run,), redo=True) for run in state.stale]
    jobs += stack([run for run in first if run.pair is None], size)
    yoked = stack([run for run in first if run.pair is not None], size)
    later = [Job((run,), redo=True) for run in shared]
    if need is not None:
        jobs, yoked, later = (
            [replace(job, need=need(job.runs)) for job in some] for some in (jobs, yoked, later)
        )
    outcome = Outcome(found=len(state.found), left=len(status(root, runs).missing) - len(state.missing))
    sweep_parts(root)
    for run in (*state.found, *state.stale):  # kept by one of two processes after the other had recorded
        shutil.rmtree(training_path(root, run), ignore_errors=True)
    work = Work(root, study.in_force, execute, reevaluate)
    executor = executor or Local(workers)
    total = len(jobs) + len(yoked) + len(later)
    done: list[Run] = []
    with Board(f"{study.name}: {total} jobs", total) as board:
        done += _carry_out(executor, work, jobs, board, outcome)
        for dependent, wanted in ((yoked, "whose rewards it is given"), (later, "that it evaluates again")):
            ready = [_ready(root, job) for job in dependent]
            done += _carry_out(executor, work, list(compress(dependent, ready)), board, outcome)
            for job in compress(dependent, map(not_, ready)):
                _count(job, f"the run {wanted} was not executed", board, outcome)
    _check_found(root, state.found, done, outcome)
    with suppress(OSError):  # not there, or something in it waits to go on
        (root / "training").rmdir()
    if outcome.failed:
        raise JobsError(outcome)
    return outcome


def _carry_out(
    executor: Executor, work: Work, jobs: Sequence[Job], board: Board, outcome: Outcome
) -> list[Run]:
    """Have jobs executed and count them; the runs of those that went well."""
    done: list[Run] = []
    with closing(executor.run(work, jobs, board.advance)) as results:
        for job, error in results:
            _count(job, error, board, outcome)
            if isinstance(error, Fatal):
                raise StorageError(f"{error} ({outcome.done} runs done, {outcome.found} found)")
            done += () if error else job.runs
    return done


def _check_found(root: Path, found: Sequence[Run], done: Sequence[Run], outcome: Outcome) -> None:
    """Take back what was counted but is not there, since somebody moved or deleted it meanwhile."""
    lost_found, lost_done = (len(runs) - len(status(root, runs).found) for runs in (found, done))
    outcome.found -= lost_found
    outcome.done -= lost_done
    if lost := lost_found + lost_done:
        outcome.failed.append((f"{lost} runs", f"are not in {root} any more: were they moved or deleted?"))


def _count(job: Job, error: str | None, board: Board, outcome: Outcome) -> None:
    if error:
        outcome.failed.append((job.label(), error))
    else:
        outcome.done += len(job.runs)
    board.finish(job.label(), failed=error is not None)


def _ready(root: Path, job: Job) -> bool:
    """Whether the runs that a job needs are recorded: its own to evaluate them again, else their pairs."""
    needed = [run.run_id if job.redo else run.pair or run.run_id for run in job.runs]
    return all((root / run_id / RUN).exists() for run_id in needed)


def _refuse_unusable(root: Path, state: Status, reevaluate: Reevaluate | None) -> None:
    for run in state.stale:
        if reevaluate is None or not can_reevaluate(root, run):
            folder = root / run.run_id
            raise InputError(f"{folder}: has no checkpoint to re-evaluate; delete the folder to run it again")
    for run in state.missing:
        folder = root / run.run_id
        if folder.exists() and not (folder / RUN).exists():
            raise InputError(f"{folder}: holds no run.json, so no run; delete the folder to run it again")
