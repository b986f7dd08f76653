"""Another look at finished runs: the final evaluation again, from the weights that a run kept.

A run's checkpoint holds weights only, under transformers' own names. What a run in progress needs to go on is
`llm_runs.states.files`.
"""

from __future__ import annotations

from pathlib import Path

from banditrft.errors import InputError
from banditrft.records import Final, checkpoint_path, read_checkpoint
from banditrft.runs import Run
from banditrft.worlds import LLMWorld


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
    from llm_runs.execution import shared_world
    from llm_runs.ranks import follow, joined

    world = shared_world([run])
    with joined(world) as rank:
        if rank == 0:
            return _evaluate(world, run, Path(folder))
        follow(world, run.design)
        return None


def _evaluate(world: LLMWorld, run: Run, folder: Path) -> Final:
    from llm_runs.backends import open_backend
    from llm_runs.evaluation.measure import Measure, train_items
    from llm_runs.rounds.recorder import Recorder

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
