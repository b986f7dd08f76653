"""Records: what one run leaves behind, the contract between the worlds and the analysis.

A run is a folder ``<run_id>/`` with ``run.json`` (what was run, by which versions), ``rounds.parquet``,
``groups.parquet``, ``evals.parquet``, one ``final-<evaluation id>.parquet`` per final evaluation, and, from
the language-model world, ``checkpoints/``, ``texts.parquet`` and one ``items-<evaluation id>.parquet`` per
final evaluation. Tables hold counts and sums, never rates; a column the source lacks is null, never 0. A
folder appears whole or not at all. ``run.json`` states the sha256 of every file but those of the final
evaluations, which have a ``final-<evaluation id>.json`` each, since a run may be evaluated again. These
descriptions are sealed (`banditrft.files`). A reader trusts nothing: a file that is not what was written is
refused by name, before it is parsed; so is another schema or a contradiction. What an unfinished run needs to
go on stands in the study's ``training/<run_id>/`` and goes when its records come.

Columns and their meaning: `banditrft.schemas`.
"""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from banditrft.errors import RecordError
from banditrft.files import read_sealed, sha256, sync, write_bytes, write_sealed
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
    "description_name",
    "final_name",
    "items_name",
    "measured",
    "read_checkpoint",
    "read_description",
    "read_file",
    "read_info",
    "read_items",
    "read_run",
    "read_table",
    "training_path",
    "write_final",
    "write_run",
    "write_table",
]


RUN = "run.json"
"""File that describes a run."""
CHECKPOINT = "checkpoints/final.safetensors"
AGAIN = "; delete the folder to run it again"
"""What helps against a run that cannot be trusted: `sim` and `llm` look only whether its files are there."""


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


def description_name(run: Run) -> str:
    """File that states the hashes of the run's final evaluation, by which it is found."""
    return f"final-{run.evaluation_id}.json"


def items_name(run: Run) -> str:
    """File of the final evaluation's counts by item."""
    return f"items-{run.evaluation_id}.parquet"


def training_path(root: Path, run: Run) -> Path:
    """Where an unfinished run of the study in `root` keeps what it needs to go on."""
    return root / "training" / run.run_id


def checkpoint_path(folder: Path) -> Path:
    """Where a run keeps its final weights."""
    return folder / CHECKPOINT


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
        files = {}
        for name, schema in TABLES.items():
            filled = measured(name, run.world.model_dump(include={"world"}))
            path = part / f"{name}.parquet"
            files[path.name] = write_table(getattr(tables, name), schema, path, filled)
        write_final(part, run, Final(tables.final, tables.items))
        if tables.texts is not None:
            files["texts.parquet"] = write_table(tables.texts, TEXTS, part / "texts.parquet")
        if tables.checkpoint is not None:
            checkpoint_path(part).parent.mkdir()
            write_bytes(checkpoint_path(part), tables.checkpoint)
            files[CHECKPOINT] = sha256(tables.checkpoint)
        rows = {name: getattr(tables, name).height for name in TABLES}
        info = {"schema": SCHEMA, "status": "complete", **describe(run), "rows": rows, "files": files}
        write_sealed(part / RUN, {**info, **provenance})
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
        if not (folder / RUN).exists():
            raise RecordError(f"{folder}: holds no run.json, so no run; delete the folder") from None
        # The name is a hash of the content: another process or a condition that shares the run was first.
        if not (folder / description_name(run)).exists():
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
    """Write a final evaluation into a run's folder; by its description, which comes last, it is found."""
    files = {}
    if final.items is not None:
        files[items_name(run)] = write_table(final.items, ITEMS, folder / items_name(run), {"item"})
    files[final_name(run)] = write_table(final.table, EVALS, folder / final_name(run))
    about = {"schema": SCHEMA, "run_id": run.run_id, "evaluation_id": run.evaluation_id, "files": files}
    write_sealed(folder / description_name(run), about)


def read_info(folder: Path) -> dict[str, Any]:
    """run.json of a run, whose fields that readers rely on are as they must be.

    Raises:
        RecordError: Missing, not what was written, of another schema or run; names file and field.
    """
    path = folder / RUN
    info = _read_description(path, {"schema": SCHEMA, "status": "complete", "run_id": folder.name})
    _must(path, info, "rows", "a table", isinstance(info.get("rows"), dict))
    _must(path, info, "world", "a table", isinstance(info.get("world"), dict))
    _must(path, info, "seeds", "the first and the last + 1", _is_range(info.get("seeds")))
    query = info.get("query")
    _must(path, info, "query", "a training query or null", query is None or _is_query(query))
    return info


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and [type(seed) for seed in value] == [int, int] and value[0] < value[1]


def _is_query(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("item")) is int and "base_pass_at_1" in value


def read_description(folder: Path, name: str) -> dict[str, Any]:
    """The description that states the hash of a run's file: run.json, or that of its final evaluation.

    Args:
        folder: The run's folder.
        name: The file's name in it.

    Raises:
        RecordError: As `read_info`.
    """
    kind, _, evaluation_id = name.removesuffix(".parquet").partition("-")
    if kind not in ("final", "items"):
        return read_info(folder)
    wanted = {"schema": SCHEMA, "run_id": folder.name, "evaluation_id": evaluation_id}
    return _read_description(folder / f"final-{evaluation_id}.json", wanted)


def _read_description(path: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    try:
        value = read_sealed(path)
    except RecordError as error:
        raise RecordError(f"{error}{'' if 'delete' in str(error) else AGAIN}") from None
    for name, must in wanted.items():
        _must(path, value, name, repr(must), value.get(name) == must)
    _must(path, value, "files", "a table of hashes", isinstance(value.get("files"), dict))
    return value


def _must(path: Path, value: Mapping[str, Any], name: str, what: str, holds: bool) -> None:
    if not holds:
        raise RecordError(f"{path}: {name} must be {what}, got {value.get(name)!r}")


def read_file(folder: Path, name: str, description: Mapping[str, Any]) -> bytes:
    """Content of a run's file, once it is known to be what was written.

    Args:
        folder: The run's folder.
        name: The file's name in it.
        description: What states its hash (`read_description`).

    Raises:
        RecordError: Missing, or its sha256 is not the one stated; names the file.
    """
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read ({type(error).__name__}: {error.strerror}){AGAIN}"
        ) from None
    said, found = description["files"].get(name), sha256(content)
    if said != found:
        why = (
            "no description of the run states its sha256" if said is None else f"sha256 {found} is not {said}"
        )
        raise RecordError(f"{path}: is damaged, or of another run: {why}{AGAIN}")
    return content


def read_table(path: Path, schema: Schema, filled: Collection[str] = ()) -> pl.DataFrame:
    """Read a table of a run; `filled` are columns without nulls here, beside those that never have any.

    Raises:
        RecordError: Missing, not what was written, or against the schema (`check_table`); names the file.
    """
    return _table(path, schema, filled, read_description(path.parent, path.name))


def _table(
    path: Path, schema: Schema, filled: Collection[str], description: Mapping[str, Any]
) -> pl.DataFrame:
    content = read_file(path.parent, path.name, description)
    try:
        table = pl.read_parquet(content)
    except pl.exceptions.PolarsError as error:
        raise RecordError(f"{path}: cannot be read as Parquet ({type(error).__name__}: {error})") from None
    check_table(table, schema, str(path), filled)
    return table


def read_checkpoint(folder: Path) -> bytes:
    """A run's final weights, as safetensors.

    Raises:
        RecordError: Missing or not what was written; names the file.
    """
    return read_file(folder, CHECKPOINT, read_info(folder))


def read_items(folder: Path, run: Run) -> pl.DataFrame:
    """Counts by item of a run's final evaluation.

    Raises:
        RecordError: As `read_table`.
    """
    return read_table(folder / items_name(run), ITEMS, {"item"})


def read_run(folder: Path, evaluation_id: str) -> RunRecord:
    """Read one run strictly.

    Args:
        folder: The run's folder.
        evaluation_id: Which final evaluation to read.

    Raises:
        RecordError: A file is missing, not what was written, of another schema or inconsistent; names it.
    """
    info = read_info(folder)
    read = {
        name: _table(folder / f"{name}.parquet", schema, measured(name, info["world"]), info)
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
