"""Where runs execute: in this process or in local worker processes, with progress and a clean Ctrl-C.

Jobs are independent and their results do not depend on who computes them, so this module decides only *where*
and *when*. A job that fails is reported and does not stop the others.
"""

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from banditrft.catalog import can_reevaluate, status, write_study
from banditrft.errors import InputError, RecordError
from banditrft.parts import sweep_parts
from banditrft.progress import Board
from banditrft.provenance import now, provenance
from banditrft.records import RunTables, write_final, write_run
from banditrft.runs import Run
from banditrft.study import Study

Report = Callable[[float], None]
Execute = Callable[[Sequence[Run], Report], list[RunTables]]
"""A world: a stack of runs of one design -> their tables, reporting the fraction done."""
Reevaluate = Callable[[Run, Path], Any]
"""A run and its folder -> the table of another final evaluation."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_POLL_S = 0.2
_reports: Any = None


@dataclass(frozen=True)
class Job:
    """A stack of runs that one worker executes together; `redo` re-evaluates one from its checkpoint."""

    runs: tuple[Run, ...]
    redo: bool = False

    def label(self) -> str:
        """One line for people."""
        first = self.runs[0]
        more = f" and {len(self.runs) - 1} more" if len(self.runs) > 1 else ""
        return first.label() + more


@dataclass
class Outcome:
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


def stack(runs: Sequence[Run], size: int) -> list[Job]:
    """Group runs that share a world, a design and an evaluation into jobs of at most `size` runs."""
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault((run.world, run.design, run.evaluation), []).append(run)
    return [
        Job(tuple(group[start : start + size]))
        for group in groups.values()
        for start in range(0, len(group), size)
    ]


def in_shard(runs: Sequence[Run], shard: tuple[int, int]) -> list[Run]:
    """Every n-th run from the i-th, over unique ids: shards partition a study whatever is there already."""
    index, count = shard
    unique = list({(run.run_id, run.evaluation_id): run for run in runs}.values())
    return unique[index - 1 :: count]


def launch(
    study: Study,
    runs: Sequence[Run],
    root: Path,
    execute: Execute,
    *,
    reevaluate: Reevaluate | None = None,
    size: int = 1,
    workers: int | None = None,
    shard: tuple[int, int] = (1, 1),
    command: str = "",
) -> Outcome:
    """Run what is missing of a study and record it.

    Args:
        study: The resolved study.
        runs: Its runs of one kind of world.
        root: The study's folder.
        execute: The world; a module-level function, since workers import it by name.
        reevaluate: Likewise, for runs that lack only the final evaluation.
        size: Most runs in a stack.
        workers: Worker processes; the cores of this machine by default. One means this process.
        shard: This shard's index from 1, and the number of shards.
        command: What the user typed, for provenance.

    Raises:
        InputError: A stale run has no checkpoint to re-evaluate, or a folder in a run's place holds none.
    """
    mine = in_shard(runs, shard)
    state = status(root, mine)
    for run in state.stale:
        if reevaluate is None or not can_reevaluate(root, run):
            folder = root / run.run_id
            raise InputError(f"{folder}: has no checkpoint to re-evaluate; delete the folder to run it again")
    for run in state.missing:
        folder = root / run.run_id
        if folder.exists() and not (folder / "run.json").exists():
            raise InputError(f"{folder}: holds no run.json, so no run; delete the folder to run it again")
    write_study(root, study, runs, command)
    jobs = [Job((run,), redo=True) for run in state.stale] + stack(state.missing, size)
    outcome = Outcome(found=len(state.found), left=len(status(root, runs).missing) - len(state.missing))
    sweep_parts(root)
    work = _Work(root, study.claims, execute, reevaluate)
    workers = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    with Board(f"{study.name}: {len(jobs)} jobs", len(jobs)) as board:
        results = _here(work, jobs, board) if workers <= 1 else _pooled(work, jobs, workers, board, root)
        for job, error in results:
            if error:
                outcome.failed.append((job.label(), error))
            else:
                outcome.done += len(job.runs)
            board.finish(job.label(), failed=error is not None)
    return outcome


@dataclass(frozen=True)
class _Work:
    """Executes and records one job; picklable."""

    root: Path
    claims: tuple[str, ...]
    execute: Execute
    reevaluate: Reevaluate | None

    def __call__(self, job: Job, report: Report) -> None:
        started = now()
        if job.redo and self.reevaluate:
            (run,) = job.runs
            folder = self.root / run.run_id
            write_final(folder, run, self.reevaluate(run, folder))
            return
        tables = self.execute(job.runs, report)
        origin = provenance(self.claims, started)
        refused = []
        for run, table in zip(job.runs, tables, strict=True):
            try:
                write_run(self.root, run, table, origin)
            except RecordError as error:  # the others of the stack are whole
                refused.append(f"{run.label()}: {error}")
        if refused:
            raise InputError("; ".join(refused))


Result = tuple[Job, str | None]


def _here(work: _Work, jobs: Sequence[Job], board: Board) -> Iterator[Result]:
    for job in jobs:
        yield job, _guarded(work, job, partial(board.advance, job.label()))


def _guarded(work: _Work, job: Job, report: Report) -> str | None:
    try:
        work(job, report)
    except InputError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - one failing job must not stop the others; it is reported
        print(traceback.format_exc(), file=sys.stderr)  # noqa: T201
        return f"{type(error).__name__}: {error}"
    return None


def _pooled(work: _Work, jobs: Sequence[Job], workers: int, board: Board, root: Path) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")
    reports = context.SimpleQueue()
    with _single_threaded():
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start_worker, initargs=(reports,)
        )
        pending: dict[Future[str | None], Job] = {pool.submit(_in_worker, work, job): job for job in jobs}
        try:
            while pending:
                done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                while not reports.empty():
                    board.advance(*reports.get())
                for future in done:
                    job = pending.pop(future)
                    error = future.exception()
                    yield job, f"{type(error).__name__}: {error}" if error else future.result()
        except BaseException:
            processes = list(getattr(pool, "_processes", {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
            sweep_parts(root)
            raise
        pool.shutdown()


def _start_worker(reports: Any) -> None:
    global _reports  # noqa: PLW0603 - the only way to hand a queue to a pool's workers
    _reports = reports
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_worker(work: _Work, job: Job) -> str | None:
    label = job.label()
    return _guarded(work, job, lambda done: _reports.put((label, done)))


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Workers fill the cores; a library's own threads would only fight over them (and change bits)."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
