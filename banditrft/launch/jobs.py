"""A job, a stack of runs that one worker executes and records together; and what an executor of jobs is."""

import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from banditrft.catalog import STUDY, status
from banditrft.claims import Claim
from banditrft.errors import InputError, RecordError, StorageError
from banditrft.launch.resources import Need
from banditrft.provenance import now, provenance
from banditrft.records import RunTables, read_info, write_final, write_run
from banditrft.runs import Run

Report = Callable[[float], None]
"""Takes the fraction done of a job, in [0, 1]."""
Execute = Callable[[Sequence[Run], Report], list[RunTables]]
"""A world: a stack of runs of one design -> their tables, reporting the fraction done."""
Reevaluate = Callable[[Run, Path], Any]
"""A run and its folder -> the table of another final evaluation."""
RANK = "RANK"
"""Variable that tells a process which of a job's ranks it is; the first records."""


class Fatal(str):
    """The error of a job that every other one would meet as well, so that the launch ends."""

    __slots__ = ()


@dataclass(frozen=True)
class Job:
    """A stack of runs that one worker executes together.

    Attributes:
        runs: Runs of one world, design and evaluation.
        redo: Whether its one run is only evaluated again, from its checkpoint.
        need: What it holds while it runs.
    """

    runs: tuple[Run, ...]
    redo: bool = False
    need: Need = field(default_factory=Need)

    def label(self) -> str:
        """One line for people."""
        first = self.runs[0]
        more = f" and {len(self.runs) - 1} more" if len(self.runs) > 1 else ""
        return first.label() + more


def stack(runs: Sequence[Run], size: int | Callable[[Run], int]) -> list[Job]:
    """Group runs that share a world, a design and an evaluation into jobs of at most `size` runs."""
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault((run.world, run.design, run.evaluation), []).append(run)
    jobs = []
    for group in groups.values():
        most = size(group[0]) if callable(size) else size
        jobs += [Job(tuple(group[start : start + most])) for start in range(0, len(group), most)]
    return jobs


def split_shared(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The first run of each id, to be executed, and the others, which evaluate what it leaves once more."""
    first = {run.run_id: run for run in reversed(runs)}
    others = [run for run in runs if run is not first[run.run_id]]
    return [run for run in runs if run is first[run.run_id]], others


def in_shard(runs: Sequence[Run], shard: tuple[int, int]) -> list[Run]:
    """Every n-th run from the i-th, with all its final evaluations, over unique ids.

    Shards partition a study whatever is there already. A run that is given another one's rewards is in the
    shard of that one.
    """
    index, count = shard
    unique = {(run.run_id, run.evaluation_id): run for run in runs}
    mine = set(list(dict.fromkeys(run.pair or run.run_id for run in runs))[index - 1 :: count])
    return [run for run in unique.values() if (run.pair or run.run_id) in mine]


@dataclass(frozen=True)
class Work:
    """Executes and records jobs of one study; picklable.

    Attributes:
        root: The study's folder, which every worker must be able to write to.
        claims: Claims in force: ids of the ledger, and the study's own.
        execute: The world; a module-level function, since workers import it by name.
        reevaluate: Likewise, for runs that lack only the final evaluation.
    """

    root: Path
    claims: tuple[str | Claim, ...]
    execute: Execute
    reevaluate: Reevaluate | None

    def __call__(self, job: Job, report: Report) -> None:
        """Execute a job, and record it unless another rank does.

        Raises:
            InputError: Some of its tables were refused; those of the other runs are recorded.
            StorageError: Records cannot be written.
        """
        started = now()
        if job.redo and self.reevaluate:
            (run,) = job.runs
            folder = self.root / run.run_id
            read_info(folder)
            table = self.reevaluate(run, folder)
            if _records():
                self._store(partial(write_final, folder, run, table))
            return
        tables = self.execute(job.runs, report)
        if not _records():
            return
        origin = provenance(self.claims, started)
        refused = []
        for run, made in zip(job.runs, tables, strict=True):
            try:
                self._store(partial(write_run, self.root, run, made, origin))
            except StorageError:
                raise
            except RecordError as error:  # the others of the stack are whole
                refused.append(f"{run.label()}: {error}")
        if refused:
            raise InputError("; ".join(refused))

    def _store(self, write: Callable[[], Any]) -> None:
        """Write records where they belong.

        Raises:
            StorageError: They cannot be written, or the study's folder was moved or deleted.
        """
        if not (self.root / STUDY).exists():
            raise StorageError(f"{self.root}: holds no {STUDY} any more: was it moved or deleted meanwhile?")
        try:
            write()
        except OSError as error:
            raise StorageError(
                f"{self.root}: records cannot be written ({error.strerror or error}); what stands there is "
                "whole: make room and start the study again to go on"
            ) from None

    def attempt(self, job: Job, report: Report) -> str | None:
        """Execute and record a job.

        Returns:
            The error as one line. None when all went well, or when another process has recorded the runs
            meanwhile and taken away what this one was going on from: a run's name says what it holds.
        """
        try:
            self(job, report)
        except StorageError as error:
            return Fatal(error)
        except InputError as error:
            return None if self._recorded(job) else str(error)
        except Exception as error:  # noqa: BLE001 - one failing job must not stop the others; it is reported
            if self._recorded(job):
                return None
            print(traceback.format_exc(), file=sys.stderr)  # noqa: T201
            return f"{type(error).__name__}: {error}"
        return None

    def _recorded(self, job: Job) -> bool:
        return len(status(self.root, job.runs).found) == len({run.run_id for run in job.runs})


def _records() -> bool:
    return os.environ.get(RANK, "0") == "0"


Advance = Callable[[str, float], None]
"""Takes a job's label and the fraction done of it, in [0, 1]."""
Result = tuple[Job, str | None]
"""A finished job and its error, if it failed."""
Results = Generator[Result, None, None]
"""Closing it stops what still runs."""
RETRIES = 3
"""How often a job whose worker was lost is given to another."""
POLL_S = 0.2
"""Seconds between two looks at the workers' progress."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Executor(Protocol):
    """Decides where jobs run."""

    def run(self, work: Work, jobs: Sequence[Job], advance: Advance) -> Results:
        """Run every job and yield each as it ends, in any order.

        Ctrl-C, or a consumer that closes the generator, stops what is running and leaves whole records only.
        """
        ...


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, which processes started meanwhile inherit."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def single_threaded() -> dict[str, str]:
    """Workers fill the cores; a library's own threads would only fight over them (and change bits)."""
    return dict.fromkeys(THREAD_VARIABLES, "1")
