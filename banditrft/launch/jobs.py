"""A job: a stack of runs that one worker executes together and records, wherever it happens to be."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from banditrft.claims import Claim
from banditrft.errors import InputError, RecordError
from banditrft.launch.resources import Need
from banditrft.provenance import now, provenance
from banditrft.records import RunTables, write_final, write_run
from banditrft.runs import Run

Report = Callable[[float], None]
"""Takes the fraction done of a job, in [0, 1]."""
Execute = Callable[[Sequence[Run], Report], list[RunTables]]
"""A world: a stack of runs of one design -> their tables, reporting the fraction done."""
Reevaluate = Callable[[Run, Path], Any]
"""A run and its folder -> the table of another final evaluation."""
RANK = "RANK"
"""Variable that tells a process which of a job's ranks it is; the first records."""


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

    Shards partition a study whatever is there already.
    """
    index, count = shard
    unique = {(run.run_id, run.evaluation_id): run for run in runs}
    mine = set(list(dict.fromkeys(run.run_id for run in runs))[index - 1 :: count])
    return [run for run in unique.values() if run.run_id in mine]


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
        """
        started = now()
        if job.redo and self.reevaluate:
            (run,) = job.runs
            folder = self.root / run.run_id
            table = self.reevaluate(run, folder)
            if _records():
                write_final(folder, run, table)
            return
        tables = self.execute(job.runs, report)
        if not _records():
            return
        origin = provenance(self.claims, started)
        refused = []
        for run, table in zip(job.runs, tables, strict=True):
            try:
                write_run(self.root, run, table, origin)
            except RecordError as error:  # the others of the stack are whole
                refused.append(f"{run.label()}: {error}")
        if refused:
            raise InputError("; ".join(refused))

    def attempt(self, job: Job, report: Report) -> str | None:
        """Execute and record a job; the error as one line, None when all went well."""
        try:
            self(job, report)
        except InputError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - one failing job must not stop the others; it is reported
            print(traceback.format_exc(), file=sys.stderr)  # noqa: T201
            return f"{type(error).__name__}: {error}"
        return None


def _records() -> bool:
    return os.environ.get(RANK, "0") == "0"
