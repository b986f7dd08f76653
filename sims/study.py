"""The simulated worlds of a study, run and recorded: `sims.run`."""

from collections.abc import Sequence
from pathlib import Path

from banditrft.launch import Outcome, Report, launch
from banditrft.records import RunTables
from banditrft.runs import Run, expand
from banditrft.study import Study, iterate
from sims.learner import Learner
from sims.simulation import execute


def execute_all(runs: Sequence[Run], report: Report) -> list[RunTables]:
    """Simulate runs one after the other, reporting the fraction done."""
    tables = []
    for done, run in enumerate(runs, 1):
        tables.append(execute(run))
        report(done / len(runs))
    return tables


def run(
    study: Study,
    folder: Path = Path("runs"),
    *,
    workers: int | None = None,
    shard: tuple[int, int] = (1, 1),
    command: str = "sims.run",
) -> Outcome:
    """Run what is missing of a study's simulated worlds.

    Args:
        study: A resolved study.
        folder: Folder of all records; the study's are in its subfolder of the study's name.
        workers: Worker processes; all cores by default.
        shard: Run only part i of n, (i, n).
        command: What the user typed, for provenance.

    Raises:
        InputError: A design that the simulators cannot follow; nothing is run.
    """
    for cell in iterate(study, "sim"):
        Learner.from_design(cell.design, base=0.5)
    runs = expand(study, "sim")
    root = folder / study.name
    return launch(study, runs, root, execute_all, workers=workers, shard=shard, command=command)
