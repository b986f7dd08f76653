"""What a run in progress needs to go on, on disk: written whole or not at all, read back bit for bit.

A run's whole state is its round, the learner's state (weights, moments, reference), the windows of past
rewards and the rows recorded so far; every random number has an address and needs no state. It stands in
``training/<run_id>/round-<r>/`` of the study's folder: ``state.safetensors``, the tables as Parquet in one
``tables.zip`` (every file costs an fsync), and ``state.json`` with the hashes of both. Kept are the newest
states of a run, and the one with the highest train Pass@1. When the run's records are written all of it goes
(`banditrft.records.write_run`).

`keep` and `restore` are what the loop calls, for a stack of runs; `save` and `load` are of one run.
"""

from __future__ import annotations

import errno
import io
import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from banditrft.errors import InputError, RecordError, StorageError
from banditrft.feedback import Feedback
from banditrft.files import commit, read_json, sha256_of, sync, write_bytes, write_json
from banditrft.parts import entries, part_of, sweep_parts
from banditrft.records import check_table, training_path
from banditrft.runs import Run
from llm_runs.rounds import SCHEMAS, Recorder

if TYPE_CHECKING:
    from torch import Tensor

    from llm_runs.backends import Backend
    from llm_runs.evaluation import Measure

KEPT = 2
"""Newest states of a run that are kept."""
ABOUT = "state.json"
"""File of a state's folder that describes it."""
WINDOWS = "windows."
"""Prefix of the tensors that are windows of past rewards."""
FINAL = ("final", "items")
"""Tables of the final evaluation; before the last round they hold that of the base weights."""
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


def kept_states(root: Path, run: Run) -> list[Path]:
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
    prune(kept_states(root, run))


def resumable(root: Path, run: Run) -> int:
    """Round after which a run can go on; 0 without a state. What dead processes left half-written goes."""
    sweep_parts(training_path(root, run))
    found = kept_states(root, run)
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
    found = kept_states(root, run)
    return f"round {int(found[-1].name.removeprefix('round-'))}" if found else "the beginning"


def train_pass_at_1(evals: pl.DataFrame) -> float | None:
    """Train Pass@1 of the newest evaluation, None before the first."""
    train = evals.filter(pl.col("split") == "train")
    newest = train.filter(pl.col("round") == train["round"].max())
    return sum(newest["correct_strict"].to_list()) / sum(newest["n"].to_list()) if newest.height else None


def prune(folders: Sequence[Path]) -> None:
    """Remove all but the newest states and the best one (of equals the newest).

    Args:
        folders: States by rising round; some may be gone meanwhile, removed by another process.
    """
    old = folders[:-KEPT]
    if not old:
        return
    best = max(folders, key=lambda folder: (_score(folder), folder.name))
    for folder in old:
        if folder != best:
            doomed = part_of(folder)
            with suppress(FileNotFoundError):
                folder.rename(doomed)  # a folder that is being removed must not be taken for a whole one
            shutil.rmtree(doomed, ignore_errors=True)


def _score(folder: Path) -> float:
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["train_pass_at_1"]
    except (OSError, ValueError, KeyError):
        return -1.0
    return -1.0 if found is None else float(found)


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
