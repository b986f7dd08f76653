"""Another look at finished runs: the final evaluation again, from the weights that a run kept.

A run's checkpoint holds weights only, under transformers' own names. What a run in progress needs to go on is
`llm_runs.training_state`.
"""

from __future__ import annotations

from pathlib import Path

from banditrft.errors import InputError
from banditrft.records import Final, checkpoint_path
from banditrft.runs import Run


def evaluate_checkpoint(run: Run, folder: Path) -> Final:
    """The final evaluation of a finished run, from the weights it kept.

    Args:
        run: The run, with the evaluation that is now asked for.
        folder: The run's folder of records.

    Raises:
        InputError: no such model or task, or the checkpoint is damaged or of another model.
    """
    from llm_runs.backends import open_backend
    from llm_runs.execution import shared_world
    from llm_runs.measure import Measure, train_items
    from llm_runs.recorder import Recorder

    path = checkpoint_path(folder)
    with open_backend(shared_world([run]), run.design) as backend:
        record = Recorder([run], backend.task.work_share)
        measure = Measure([run], backend, train_items([run], backend), record)
        backend.push()
        measure.base()
        try:
            backend.learner.load_checkpoint(0, path.read_bytes())
        except (InputError, OSError) as error:
            raise InputError(f"{path}: {error}") from None
        backend.push()
        measure.final()
    tables = record.frames(0)
    return Final(tables["final"], tables["items"])
