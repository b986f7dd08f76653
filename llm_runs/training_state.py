"""What a run in progress needs to go on: kept every `checkpoint_every` rounds, read back bit for bit.

A run's whole state is its round, the learner's state (weights, moments, reference), the windows of past
rewards and the rows recorded so far; every random number has an address and needs no state. It stands in
``training/<run_id>/round-<r>/`` of the study's folder: ``state.safetensors``, one Parquet file per table, and
``state.json`` with the hashes of all of them. Such a folder appears whole or not at all. The last `KEPT` are
kept, and the one with the highest train Pass@1. When the run's records are written all of it goes
(`banditrft.records.write_run`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from banditrft.errors import InputError, RecordError
from banditrft.feedback import Feedback
from banditrft.files import commit, read_json, sync, write_json
from banditrft.parts import part_of, sweep_parts
from banditrft.records import read_table, training_path, write_table
from banditrft.runs import Run
from llm_runs.recorder import SCHEMAS, Recorder

if TYPE_CHECKING:
    from torch import Tensor

    from llm_runs.backends import Backend

FORMAT = 1
"""Version of what stands in such a folder."""
KEPT = 2
"""Newest states of a run that are kept."""
TENSORS, ABOUT, WINDOWS = "state.safetensors", "state.json", "windows."


@dataclass(frozen=True)
class TrainingState:
    """A run after `round` rounds.

    Attributes:
        round: Rounds done.
        tensors: The learner's state, and the windows of past rewards.
        tables: Rows recorded so far, by table.
    """

    round: int
    tensors: Mapping[str, Tensor]
    tables: Mapping[str, pl.DataFrame]


def state_folder(root: Path, run: Run, round_: int) -> Path:
    """Where a run's state after a round stands."""
    return training_path(root, run) / f"round-{round_:08d}"


def states(root: Path, run: Run) -> list[Path]:
    """Folders of a run's states, by rising round."""
    return sorted(training_path(root, run).glob("round-*"))


def save(root: Path, run: Run, weights_sha256: str, state: TrainingState) -> None:
    """Keep a state and drop those that are no longer needed.

    Args:
        root: The study's folder.
        run: The run.
        weights_sha256: Of its base weights.
        state: What it needs to go on.

    Raises:
        InputError: It cannot be written (the disk is full); earlier states are untouched and nothing
            half-written stays.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder = state_folder(root, run, state.round)
    part = part_of(folder)
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in state.tensors.items()}, part / ".tensors")
        commit(part / ".tensors", part / TENSORS)
        for name, table in state.tables.items():
            write_table(table, SCHEMAS[name], part / f"{name}.parquet")
        about = {
            "format": FORMAT,
            "run_id": run.run_id,
            "round": state.round,
            "weights_sha256": weights_sha256,
            "train_pass_at_1": train_pass_at_1(state.tables["evals"]),
            "files": {path.name: _sha256(path) for path in sorted(part.iterdir())},
        }
        write_json(part / ABOUT, about)
        sync(part)
        if not folder.exists():
            part.rename(folder)
        sync(folder.parent)
    except (OSError, SafetensorError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{folder}: the state of this run cannot be kept ({error}); make room and start the study again: "
            f"it goes on from {_newest(root, run)}"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _prune(states(root, run))


def keep(
    root: Path, runs: Sequence[Run], round_: int, backend: Backend, feedback: Feedback, record: Recorder
) -> None:
    """Keep the states of a stack of runs after a round; raises InputError as `save`."""
    import torch

    for s, run in enumerate(runs):
        windows = {WINDOWS + name: torch.from_numpy(x) for name, x in feedback.state(s).items()}
        state = TrainingState(round_, {**backend.learner.state(s), **windows}, record.frames(s))
        save(root, run, backend.model.weights_sha256, state)


def restore(
    root: Path, runs: Sequence[Run], round_: int, backend: Backend, feedback: Feedback, record: Recorder
) -> None:
    """Bring a stack of runs to where `keep` left them; raises InputError as `load`."""
    for s, run in enumerate(runs):
        state = load(root, run, round_, backend.model.weights_sha256)
        own = {n: x for n, x in state.tensors.items() if not n.startswith(WINDOWS)}
        windows = {
            n.removeprefix(WINDOWS): x.numpy() for n, x in state.tensors.items() if n.startswith(WINDOWS)
        }
        try:
            backend.learner.load_state(s, own)
            feedback.load_state(s, windows)
        except InputError as error:
            raise InputError(f"{state_folder(root, run, round_) / TENSORS}: {error}") from None
        record.load(s, state.tables)


def train_pass_at_1(evals: pl.DataFrame) -> float | None:
    """Train Pass@1 of the newest evaluation, None before the first."""
    train = evals.filter(pl.col("split") == "train")
    newest = train.filter(pl.col("round") == train["round"].max())
    return sum(newest["correct_strict"].to_list()) / sum(newest["n"].to_list()) if newest.height else None


def resumable(root: Path, run: Run) -> int:
    """Round after which a run can go on; 0 without a state. What dead processes left half-written goes."""
    sweep_parts(training_path(root, run))
    found = states(root, run)
    return int(found[-1].name.removeprefix("round-")) if found else 0


def load(root: Path, run: Run, round_: int, weights_sha256: str) -> TrainingState:
    """The state of a run after a round.

    Raises:
        InputError: A file is missing or damaged, or the state is of another run, format or model; names the
            file. Deleting the state's folder goes back to the one before.
    """
    folder = state_folder(root, run, round_)
    try:
        about = read_json(folder / ABOUT)
        wanted = {"format": FORMAT, "run_id": run.run_id, "round": round_, "weights_sha256": weights_sha256}
        _check(folder / ABOUT, about, wanted)
        files: dict[str, Any] = about["files"]
        for name in (TENSORS, *(f"{table}.parquet" for table in SCHEMAS)):
            if _sha256(folder / name) != files[name]:
                raise InputError(f"{folder / name}: is damaged: its content is not what was written")
        tables = {name: read_table(folder / f"{name}.parquet", schema) for name, schema in SCHEMAS.items()}
        return TrainingState(round_, _tensors(folder / TENSORS), tables)
    except (InputError, RecordError, OSError, KeyError, TypeError) as error:
        reason = f"{folder / ABOUT}: lacks {error}" if isinstance(error, KeyError | TypeError) else error
        raise InputError(f"{reason}; delete {folder} to go on from an earlier state") from None


def _check(path: Path, about: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if about.get(name) != value:
            raise InputError(f"{path}: {name} must be {value}, got {about.get(name)}")


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = load_file(path)
    return tensors


def _newest(root: Path, run: Run) -> str:
    found = states(root, run)
    return f"round {int(found[-1].name.removeprefix('round-'))}" if found else "the beginning"


def _prune(folders: Sequence[Path]) -> None:
    """Remove all but the newest states and the best one (of equals the newest)."""
    old = folders[:-KEPT]
    if not old:
        return
    best = max(folders, key=lambda folder: (_score(folder), folder.name))
    for folder in old:
        if folder != best:
            doomed = part_of(folder)
            folder.rename(doomed)  # a folder that is being removed must not be taken for a whole one
            shutil.rmtree(doomed, ignore_errors=True)


def _score(folder: Path) -> float:
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["train_pass_at_1"]
    except (OSError, ValueError, KeyError):
        return -1.0
    return -1.0 if found is None else float(found)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
