"""What a run in progress needs to go on, on disk: written whole or not at all, read back bit for bit.

A run's whole state is its round, the learner's state (weights, moments, reference), the windows of past
rewards and the rows recorded so far; every random number has an address and needs no state. It stands in
``training/<run_id>/round-<r>/`` of the study's folder: ``state.safetensors``, the tables as Parquet in one
``tables.zip`` (every file costs an fsync), and ``state.json`` with the hashes of both. Which are kept is told
in `llm_runs.states.kept`. When the run's records are written all of it goes (`banditrft.records.write_run`).
"""

from __future__ import annotations

import errno
import io
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from banditrft.errors import InputError, RecordError, StorageError
from banditrft.files import commit, read_json, sha256_of, sync, write_bytes, write_json
from banditrft.parts import entries, part_of, sweep_parts
from banditrft.records import check_table, training_path
from banditrft.runs import Run
from llm_runs.rounds.recorder import SCHEMAS
from llm_runs.states.kept import ABOUT, prune, train_pass_at_1

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 3
"""Version of what stands in such a folder."""
TENSORS, ROWS = "state.safetensors", "tables.zip"


@dataclass(frozen=True)
class TrainingState:
    """A run after `round` rounds.

    Attributes:
        round: Rounds done.
        evaluation_id: Of the final evaluation that the tables have begun.
        learner: Kind of the learner: "stacked", "module" or "sharded".
        tensors: The learner's state, and the windows of past rewards.
        tables: Rows recorded so far, by table.
    """

    round: int
    evaluation_id: str
    learner: str
    tensors: Mapping[str, Tensor]
    tables: Mapping[str, pl.DataFrame]


def state_folder(root: Path, run: Run, round_: int) -> Path:
    """Where a run's state after a round stands."""
    return training_path(root, run) / f"round-{round_:08d}"


def states(root: Path, run: Run) -> list[Path]:
    """Folders of a run's states, by rising round."""
    return [path for path in entries(training_path(root, run)) if path.name.startswith("round-")]


def save(root: Path, run: Run, weights_sha256: str, state: TrainingState) -> None:
    """Keep a state and drop those that are no longer needed.

    Args:
        root: The study's folder.
        run: The run.
        weights_sha256: Of its base weights.
        state: What it needs to go on.

    Raises:
        StorageError: It cannot be written (the disk is full); earlier states are untouched and nothing
            half-written stays.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder = state_folder(root, run, state.round)
    part = part_of(folder)
    try:
        shutil.rmtree(part, ignore_errors=True)
        _make(part)
        save_file({name: tensor.contiguous() for name, tensor in state.tensors.items()}, part / ".tensors")
        commit(part / ".tensors", part / TENSORS)
        write_bytes(part / ROWS, _packed(state.tables))
        about = {
            "format": FORMAT,
            "run_id": run.run_id,
            "round": state.round,
            "evaluation_id": state.evaluation_id,
            "learner": state.learner,
            "weights_sha256": weights_sha256,
            "train_pass_at_1": train_pass_at_1(state.tables["evals"]),
            "files": {path.name: sha256_of(path) for path in sorted(part.iterdir())},
        }
        write_json(part / ABOUT, about)
        sync(part)
        _place(part, folder)
        sync(folder.parent)
    except (OSError, SafetensorError, pl.exceptions.PolarsError) as error:
        if (root / run.run_id / "run.json").exists():  # another process recorded the run: no state is needed
            return
        raise StorageError(
            f"{folder}: the state of this run cannot be kept ({error}); make room and start the study again: "
            f"it goes on from {_newest(root, run)}"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    prune(states(root, run))


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
        for name in (TENSORS, ROWS):
            if sha256_of(folder / name) != files[name]:
                raise InputError(f"{folder / name}: is damaged: its content is not what was written")
        tables = _unpacked(folder / ROWS)
        tensors = _tensors(folder / TENSORS)
        return TrainingState(round_, about["evaluation_id"], about["learner"], tensors, tables)
    except (InputError, RecordError, OSError, KeyError, TypeError) as error:
        reason = f"{folder / ABOUT}: lacks {error}" if isinstance(error, KeyError | TypeError) else error
        raise InputError(f"{reason}; delete {folder} to go on from an earlier state") from None


def _make(part: Path) -> None:
    """Make a folder and those above it, which another process removes when it finds them empty."""
    for last in (False, False, True):
        try:
            part.mkdir(parents=True)
        except FileNotFoundError:
            if last:
                raise
        else:
            return


def _place(part: Path, folder: Path) -> None:
    """Give a state its name; one that another process was first to keep has the same bits."""
    try:
        part.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _check(path: Path, about: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if about.get(name) != value:
            raise InputError(f"{path}: {name} must be {value}, got {about.get(name)}")


def _packed(tables: Mapping[str, pl.DataFrame]) -> bytes:
    """Tables as Parquet in a zip file; they are checked when they are read."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, table in tables.items():
            file = io.BytesIO()
            table.write_parquet(file, compression="lz4", statistics=False)
            archive.writestr(f"{name}.parquet", file.getvalue())
    return content.getvalue()


def _unpacked(path: Path) -> dict[str, pl.DataFrame]:
    with zipfile.ZipFile(path) as archive:
        tables = {name: pl.read_parquet(archive.read(f"{name}.parquet")) for name in SCHEMAS}
    for name, table in tables.items():
        check_table(table, SCHEMAS[name], f"{path}: {name}")
    return tables


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = load_file(path)
    return tensors


def _newest(root: Path, run: Run) -> str:
    found = states(root, run)
    return f"round {int(found[-1].name.removeprefix('round-'))}" if found else "the beginning"
