"""Records: what one run leaves behind, the contract between the worlds and the analysis.

A run is a folder ``<run_id>/`` with ``run.json`` (what was run, by which versions), ``rounds.parquet``,
``groups.parquet``, ``evals.parquet``, one ``final-<evaluation id>.parquet`` per final evaluation, and, from
the language-model world, ``checkpoints/``, ``texts.parquet`` and one ``items-<evaluation id>.parquet`` per
final evaluation. Tables hold counts and sums, never rates; a column the source lacks is null, never 0. A
folder appears whole or not at all, and a reader trusts nothing: a file that is truncated, of another schema
or inconsistent is an error that names it. What an unfinished run needs to go on stands in the study's
``training/<run_id>/`` and goes when its records come.

Columns and their meaning: `banditrft.schemas`.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from banditrft.errors import RecordError
from banditrft.files import read_json, sync, write_bytes, write_json
from banditrft.parts import part_of
from banditrft.runs import Run
from banditrft.schemas import (
    EVALS,
    GROUPS,
    ITEMS,
    MEASURED,
    ROUNDS,
    SCHEMA,
    SECONDS,
    TABLES,
    TEXTS,
    Schema,
    check_table,
    read_table,
    write_table,
)

__all__ = [
    "EVALS",
    "GROUPS",
    "ITEMS",
    "ROUNDS",
    "SCHEMA",
    "SECONDS",
    "TABLES",
    "TEXTS",
    "Final",
    "RunRecord",
    "RunTables",
    "Schema",
    "check_table",
    "checkpoint_path",
    "describe",
    "final_name",
    "items_name",
    "measured",
    "read_items",
    "read_run",
    "read_table",
    "training_path",
    "write_final",
    "write_run",
    "write_table",
]


@dataclass(frozen=True)
class RunTables:
    """Everything a world produces for one run; `checkpoint` is the final weights as a safetensors file."""

    rounds: pl.DataFrame
    groups: pl.DataFrame
    evals: pl.DataFrame
    final: pl.DataFrame
    items: pl.DataFrame | None = None
    texts: pl.DataFrame | None = None
    checkpoint: bytes | None = field(default=None, repr=False)


class Final(NamedTuple):
    """A final evaluation: its table, and its counts by item where there are any."""

    table: pl.DataFrame
    items: pl.DataFrame | None = None


@dataclass(frozen=True)
class RunRecord:
    """One run read back: `info` is run.json."""

    folder: Path
    info: dict[str, Any]
    rounds: pl.DataFrame
    groups: pl.DataFrame
    evals: pl.DataFrame
    final: pl.DataFrame


def final_name(run: Run) -> str:
    """File of the run's final evaluation."""
    return f"final-{run.evaluation_id}.parquet"


def items_name(run: Run) -> str:
    """File of the final evaluation's counts by item."""
    return f"items-{run.evaluation_id}.parquet"


def training_path(root: Path, run: Run) -> Path:
    """Where an unfinished run of the study in `root` keeps what it needs to go on."""
    return root / "training" / run.run_id


def checkpoint_path(folder: Path) -> Path:
    """Where a run keeps its final weights."""
    return folder / "checkpoints" / "final.safetensors"


def write_run(root: Path, run: Run, tables: RunTables, provenance: Mapping[str, Any]) -> Path:
    """Write a run's folder under `root`, whole or not at all; a run that is there keeps what it has.

    What the run kept in order to go on is removed then.

    Args:
        root: The study's folder.
        run: What was run.
        tables: What came out.
        provenance: Versions, host, times, the hash of the claims in force.

    Raises:
        RecordError: A table breaks the schema, or something else has the folder's name; nothing is written.
    """
    folder = root / run.run_id
    part = part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for name, schema in TABLES.items():
            filled = measured(name, run.world.model_dump(include={"world"}))
            write_table(getattr(tables, name), schema, part / f"{name}.parquet", filled)
        write_final(part, run, Final(tables.final, tables.items))
        if tables.texts is not None:
            write_table(tables.texts, TEXTS, part / "texts.parquet")
        if tables.checkpoint is not None:
            checkpoint_path(part).parent.mkdir()
            write_bytes(checkpoint_path(part), tables.checkpoint)
        rows = {name: getattr(tables, name).height for name in TABLES}
        info = {"schema": SCHEMA, "status": "complete", **describe(run), "rows": rows, **provenance}
        write_json(part / "run.json", info)
        _place(part, folder, run, tables)
        sync(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(training_path(root, run), ignore_errors=True)
    return folder


def _place(part: Path, folder: Path, run: Run, tables: RunTables) -> None:
    try:
        part.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        if not (folder / "run.json").exists():
            raise RecordError(f"{folder}: holds no run.json, so no run; delete the folder") from None
        # The name is a hash of the content: another process or a condition that shares the run was first.
        if not (folder / final_name(run)).exists():
            write_final(folder, run, Final(tables.final, tables.items))


def measured(table: str, world: Any) -> tuple[str, ...]:
    """Columns that must have values; logs of another trainer lack what it did not write."""
    imported = isinstance(world, dict) and world.get("world") == "imported"
    return () if imported else MEASURED.get(table, ())


def describe(run: Run) -> dict[str, Any]:
    """The run's full configuration as plain values; no condition name, since a run may serve several."""
    return {
        "run_id": run.run_id,
        "world": run.world.model_dump(mode="json"),
        "design": run.design.model_dump(mode="json"),
        "evaluation": run.evaluation.model_dump(mode="json"),
        "root_seed": run.root_seed,
        "seeds": [run.seeds.start, run.seeds.stop],
        "query": None if run.query is None else vars(run.query).copy(),
    }


def write_final(folder: Path, run: Run, final: Final) -> None:
    """Write a final evaluation into a run's folder; its table comes last, since by it the rest is found."""
    if final.items is not None:
        write_table(final.items, ITEMS, folder / items_name(run), {"item"})
    write_table(final.table, EVALS, folder / final_name(run))


def read_items(folder: Path, run: Run) -> pl.DataFrame:
    """Counts by item of a run's final evaluation.

    Raises:
        RecordError: Missing, unreadable, of another schema or inconsistent; names the file.
    """
    return read_table(folder / items_name(run), ITEMS, {"item"})


def read_run(folder: Path, evaluation_id: str) -> RunRecord:
    """Read one run strictly.

    Args:
        folder: The run's folder.
        evaluation_id: Which final evaluation to read.

    Raises:
        RecordError: A file is missing, unreadable, of another schema or inconsistent; names the file.
    """
    info = read_json(folder / "run.json")
    if info.get("schema") != SCHEMA:
        old = "; an earlier version wrote it: delete the folder and run the study again"
        raise RecordError(
            f"{folder / 'run.json'}: schema must be {SCHEMA}, got {info.get('schema')!r}"
            f"{old if info.get('schema') == 1 else ''}"
        )
    if info.get("status") != "complete" or info.get("run_id") != folder.name:
        raise RecordError(
            f"{folder / 'run.json'}: must be the complete run {folder.name}, got {info.get('run_id')!r}"
        )
    read = {
        name: read_table(folder / f"{name}.parquet", schema, measured(name, info.get("world")))
        for name, schema in TABLES.items()
    }
    for name, table in read.items():
        wanted = info["rows"].get(name)
        if table.height != wanted:
            raise RecordError(f"{folder / name}.parquet: run.json says {wanted} rows, got {table.height}")
    final = read_table(folder / f"final-{evaluation_id}.parquet", EVALS)
    seeds = set(range(*info["seeds"]))
    for name, table in (*read.items(), (f"final-{evaluation_id}", final)):
        if table.height and set(table["seed"].unique()) != seeds:
            raise RecordError(f"{folder / name}.parquet: seeds must be {info['seeds']} as run.json says")
    return RunRecord(folder, info, final=final, **read)
