"""The simulated worlds of a study, run and recorded: `sims.run`."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from banditrft.errors import InputError
from banditrft.launch import Outcome, Report, launch
from banditrft.records import RunTables
from banditrft.runs import Run, expand
from banditrft.study import Study, iterate
from banditrft.worlds import ContextualWorld, LumpedWorld, WorldSettings
from sims.learner import Learner
from sims.simulation import execute


def execute_all(runs: Sequence[Run], report: Report) -> list[RunTables]:
    """Simulate runs one after the other, reporting the fraction done."""
    tables = []
    for done, run in enumerate(runs, 1):
        tables.append(execute(run))
        report(done / len(runs))
    return tables


def evaluate_again(run: Run, folder: Path) -> pl.DataFrame:
    """Another final evaluation of a run, by simulating it again, which gives the same path bit by bit."""
    return execute(run).final


def base_of(world: WorldSettings) -> float:
    """Base Pass@1 of a simulated world's training query.

    Raises:
        InputError: The world is not a simulated one.
    """
    if isinstance(world, LumpedWorld):
        return world.base_pass_at_1()
    if isinstance(world, ContextualWorld):
        return world.base_pass_at_1
    raise InputError(f"world: '{world.name}' is no simulated world, its base Pass@1 has to be measured")


def check(study: Study) -> None:
    """Refuse designs that the simulators cannot follow, before anything is run.

    Raises:
        InputError: Names every condition, its world and what is wrong.
    """
    problems = []
    for cell in iterate(study, "sim"):
        try:
            Learner.from_design(cell.design, base=base_of(cell.world))
        except InputError as error:
            problems.append(f"{cell.condition} (world '{cell.world.name}'): {error}")
    if problems:
        raise InputError("\n".join(problems))


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
    check(study)
    runs = expand(study, "sim")
    root = folder / study.name
    return launch(
        study,
        runs,
        root,
        execute_all,
        reevaluate=evaluate_again,
        workers=workers,
        shard=shard,
        command=command,
    )
