"""States of a stack of runs: taken from learner, windows and rows, and given back to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from banditrft.errors import InputError
from banditrft.feedback import Feedback
from banditrft.records import training_path
from banditrft.runs import Run
from llm_runs.rounds.recorder import Recorder
from llm_runs.states.files import TENSORS, TrainingState, load, save, state_folder
from llm_runs.states.kept import ABOUT

if TYPE_CHECKING:
    from llm_runs.backends import Backend
    from llm_runs.evaluation.measure import Measure

WINDOWS = "windows."
"""Prefix of the tensors that are windows of past rewards."""
FINAL = ("final", "items")
"""Tables of the final evaluation; before the last round they hold that of the base weights."""


def keep(
    root: Path, runs: Sequence[Run], round_: int, backend: Backend, feedback: Feedback, record: Recorder
) -> None:
    """Keep the states of a stack of runs after a round; raises InputError as `save`."""
    import torch

    for s, run in enumerate(runs):
        windows = {WINDOWS + name: torch.from_numpy(x) for name, x in feedback.state(s).items()}
        tensors = {**backend.learner.state(s), **windows}
        state = TrainingState(round_, run.evaluation_id, _kind(backend), tensors, record.frames(s))
        save(root, run, backend.model.weights_sha256, state)


def restore(
    root: Path,
    runs: Sequence[Run],
    round_: int,
    backend: Backend,
    feedback: Feedback,
    record: Recorder,
    measure: Measure,
) -> None:
    """Bring a stack of runs to where `keep` left them.

    Where a run was stopped under another final evaluation, the part of the new one that comes before training
    is made first, with the base weights that the learner still has.

    Raises:
        InputError: As `load`, or another kind of learner kept a state: its next step would have other bits.
    """
    kept = [_load_own(root, run, round_, backend) for run in runs]
    changed = any(state.evaluation_id != run.evaluation_id for state, run in zip(kept, runs, strict=True))
    if changed:
        backend.push(base=True)
        measure.base()
    for s, (run, state) in enumerate(zip(runs, kept, strict=True)):
        own = {n: x for n, x in state.tensors.items() if not n.startswith(WINDOWS)}
        windows = {
            n.removeprefix(WINDOWS): x.numpy() for n, x in state.tensors.items() if n.startswith(WINDOWS)
        }
        try:
            backend.learner.load_state(s, own)
            feedback.load_state(s, windows)
        except InputError as error:
            raise InputError(f"{state_folder(root, run, round_) / TENSORS}: {error}") from None
        record.load(s, {n: x for n, x in state.tables.items() if not (changed and n in FINAL)})


def _load_own(root: Path, run: Run, round_: int, backend: Backend) -> TrainingState:
    """The state of a run, kept by the kind of learner that is to go on from it."""
    state = load(root, run, round_, backend.model.weights_sha256)
    if state.learner != _kind(backend):
        raise InputError(
            f"{state_folder(root, run, round_) / ABOUT}: learner must be {_kind(backend)!r}, which is what "
            f"this world's settings mean on this machine, got {state.learner!r}; go on with the device and "
            f"shards that the run was started with, or delete {training_path(root, run)} to start it anew"
        )
    return state


def _kind(backend: Backend) -> str:
    return type(backend.learner).__name__.removesuffix("Learner").lower()
