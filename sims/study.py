"""Simulated runs and studies -> their records: the room's front door (`sims.execute`, `sims.run`).

Records depend on the run's design, world, evaluations, root seed and seeds alone: not on the chunk a seed
lies in, the number of workers or what ran before.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from banditrft.catalog import refuse_other
from banditrft.errors import InputError
from banditrft.launch import Executor, Outcome, Report, launch
from banditrft.records import Final, RunTables
from banditrft.runs import Run, expand
from banditrft.study import Study, iterate
from banditrft.worlds import ContextualWorld, LumpedWorld, SequenceWorld, check_supported
from sims import sequence, tables
from sims.contextual import run as contextual_run
from sims.lumped import run as lumped_run


def execute(run: Run) -> RunTables:
    """Simulate a run.

    Args:
        run: A condition in a simulated world, for a range of seeds.

    Returns:
        Its records. Entropy and KL stand at rounds of evaluation; tokens and seconds are null, and so is what
        a path does not know; the lenient grade equals the strict one.

    Raises:
        InputError: The world is not a simulated one, or cannot run the design.
    """
    check_supported(run.design, run.world)
    seeds_R = np.arange(run.seeds.start, run.seeds.stop, dtype=np.int64)
    if isinstance(run.world, LumpedWorld):
        return lumped_run.execute(run, run.world, seeds_R)
    if isinstance(run.world, ContextualWorld):
        return contextual_run.execute(run, run.world, seeds_R)
    if isinstance(run.world, SequenceWorld):
        return sequence.execute(run, run.world, seeds_R)
    raise InputError(f"world: sims runs worlds of kind 'sim', got '{run.world.name}' ({run.world.kind})")


def execute_all(runs: Sequence[Run], report: Report) -> list[RunTables]:
    """Simulate runs one after the other, reporting the fraction done."""
    made = []
    for done, run in enumerate(runs, 1):
        made.append(execute(run))
        report(done / len(runs))
    return made


def evaluate_again(run: Run, folder: Path) -> Final:
    """Another final evaluation of a run, by simulating it again, which gives the same path bit by bit."""
    return Final(execute(run).final)


def check(study: Study) -> None:
    """Refuse designs that the simulators cannot follow, before anything is run.

    Raises:
        InputError: Names every condition, its world and what is wrong.
    """
    problems = []
    for cell in iterate(study, "sim"):
        try:
            if isinstance(cell.world, ContextualWorld | LumpedWorld | SequenceWorld):
                tables.check_size(cell.design, cell.world)
            if isinstance(cell.world, ContextualWorld):
                contextual_run.check(cell.design, cell.world)
            elif isinstance(cell.world, LumpedWorld):
                lumped_run.check(cell.design, cell.world)
            elif isinstance(cell.world, SequenceWorld):
                sequence.check(cell.design, cell.world)
        except InputError as error:
            problems.append(f"{cell.condition} (world '{cell.world.name}'): {error}")
    if problems:
        raise InputError("\n".join(problems))


def run(
    study: Study,
    folder: Path | str = "runs",
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    shard: tuple[int, int] = (1, 1),
    command: str = "sims.run",
) -> Outcome:
    """Run what is missing of a study's simulated worlds.

    Args:
        study: A resolved study.
        folder: Folder of all records; the study's are in its subfolder of the study's name.
        workers: Local worker processes; all cores by default.
        executor: Where jobs run; by default in that many local workers.
        shard: Run only part i of n, (i, n).
        command: What the user typed, for provenance.

    Returns:
        What was done.

    Raises:
        InputError: A design that the simulators cannot follow; nothing is run.
        JobsError: Jobs failed; the others are done.
    """
    check(study)
    runs = expand(study, "sim")
    root = Path(folder) / study.name
    refuse_other(root, study)
    return launch(
        study,
        runs,
        root,
        execute_all,
        reevaluate=evaluate_again,
        workers=workers,
        executor=executor,
        shard=shard,
        command=command,
    )
