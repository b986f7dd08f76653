"""Records: what one run leaves behind, the contract between the worlds and the analysis.

A run is a folder ``<run_id>/`` with ``run.json`` (what was run, by which versions), ``rounds.parquet``,
``groups.parquet``, ``evals.parquet``, one ``final-<evaluation id>.parquet`` per final evaluation, and, from
the language-model world, ``checkpoints/`` and ``texts.parquet``. Tables hold counts and sums, never rates; a
column the source lacks is null, never 0. A folder appears whole or not at all, and a reader trusts nothing: a
file that is truncated, of another schema or inconsistent is an error that names it.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from banditrft.errors import RecordError
from banditrft.files import commit, read_json, sync, write_bytes, write_json
from banditrft.parts import part_of
from banditrft.runs import Run

SCHEMA = 1
Schema = Mapping[str, type[pl.DataType]]
ROUNDS: Schema = {
    "seed": pl.Int64,
    "round": pl.Int32,
    "reward_mean": pl.Float64,
    "signal_mean": pl.Float64,
    "signal_var": pl.Float64,
    "zero_signal_fraction": pl.Float64,
    "update_norm": pl.Float64,
    "kl": pl.Float64,
    "entropy": pl.Float64,
    "tokens": pl.Int64,
    "seconds_sample": pl.Float64,
    "seconds_grade": pl.Float64,
    "seconds_learn": pl.Float64,
    "seconds_evaluate": pl.Float64,
}
"""One row per seed and round (1..rounds); entropy and KL in nats per response, seconds of the run's share."""
GROUPS: Schema = {
    "seed": pl.Int64,
    "round": pl.Int32,
    "item": pl.Int64,
    "n": pl.Int32,
    "reward_sum": pl.Float64,
    "correct_strict": pl.Int32,
    "correct_lenient": pl.Int32,
}
"""One row per group of rollouts; `reward_sum` is the sum of the rewards the learner saw."""
EVALS: Schema = {
    "seed": pl.Int64,
    "round": pl.Int32,
    "split": pl.String,
    "item": pl.Int64,
    "n": pl.Int64,
    "reward_sum": pl.Float64,
    "correct_strict": pl.Int64,
    "correct_lenient": pl.Int64,
    "p_exact": pl.Float64,
}
"""One row per seed, evaluation and item; a null item is the whole split. Round r is after r updates, 0 the
base. `reward_sum` sums the task's own reward, whatever the reward map."""
TEXTS: Schema = {
    "seed": pl.Int64,
    "round": pl.Int32,
    "item": pl.Int64,
    "prompt": pl.String,
    "response": pl.String,
    "strict": pl.Boolean,
    "lenient": pl.Boolean,
    "log_prob": pl.Float64,
}
"""Some responses of the final evaluation, for reading; log-probabilities in nats."""
NULLABLE = {
    "update_norm",
    "kl",
    "entropy",
    "tokens",
    "seconds_sample",
    "seconds_grade",
    "seconds_learn",
    "seconds_evaluate",
    "correct_lenient",
    "item",
    "p_exact",
    "log_prob",
}
TABLES: Mapping[str, Schema] = {"rounds": ROUNDS, "groups": GROUPS, "evals": EVALS}


@dataclass(frozen=True)
class RunTables:
    """Everything a world produces for one run; `checkpoint` is the final weights as a safetensors file."""

    rounds: pl.DataFrame
    groups: pl.DataFrame
    evals: pl.DataFrame
    final: pl.DataFrame
    texts: pl.DataFrame | None = None
    checkpoint: bytes | None = field(default=None, repr=False)


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


def checkpoint_path(folder: Path) -> Path:
    """Where a run keeps its final weights."""
    return folder / "checkpoints" / "final.safetensors"


def write_run(root: Path, run: Run, tables: RunTables, provenance: Mapping[str, Any]) -> Path:
    """Write a run's folder under `root`, whole or not at all; a run that is there keeps what it has.

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
            _write_table(getattr(tables, name), schema, part / f"{name}.parquet")
        _write_table(tables.final, EVALS, part / final_name(run))
        if tables.texts is not None:
            _write_table(tables.texts, TEXTS, part / "texts.parquet")
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
            write_final(folder, run, tables.final)


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


def write_final(folder: Path, run: Run, final: pl.DataFrame) -> None:
    """Add another final evaluation to a run that exists."""
    _write_table(final, EVALS, folder / final_name(run))


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
        raise RecordError(f"{folder / 'run.json'}: schema must be {SCHEMA}, got {info.get('schema')!r}")
    if info.get("status") != "complete" or info.get("run_id") != folder.name:
        raise RecordError(
            f"{folder / 'run.json'}: must be the complete run {folder.name}, got {info.get('run_id')!r}"
        )
    read = {name: read_table(folder / f"{name}.parquet", schema) for name, schema in TABLES.items()}
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


def read_table(path: Path, schema: Schema) -> pl.DataFrame:
    """Read one Parquet file and check it against its schema.

    Raises:
        RecordError: Unreadable, other columns, nulls or NaN where none may be, counts that contradict.
    """
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RecordError(f"{path}: cannot be read as Parquet ({type(error).__name__}: {error})") from None
    check_table(table, schema, str(path))
    return table


def check_table(table: pl.DataFrame, schema: Schema, where: str) -> None:
    """Check a table against its schema; `where` names it in errors.

    Raises:
        RecordError: As :func:`read_table`.
    """
    if dict(table.schema) != {name: dtype() for name, dtype in schema.items()}:
        raise RecordError(
            f"{where}: columns must be {', '.join(schema)} of their types, got {dict(table.schema)}"
        )
    for name in schema:
        column = table[name]
        if name not in NULLABLE and column.null_count():
            raise RecordError(f"{where}: column '{name}' must have no nulls, got {column.null_count()}")
        if column.dtype == pl.Float64 and not (column.is_finite() | column.is_null()).all():
            raise RecordError(f"{where}: column '{name}' must be finite, got {_first_bad(table, name)}")
    if "n" in schema:
        for name in ("correct_strict", "correct_lenient"):
            bad = table.filter((pl.col(name) < 0) | (pl.col(name) > pl.col("n")))
            if bad.height:
                raise RecordError(f"{where}: '{name}' must lie in 0..n, got {bad.row(0, named=True)}")


def _first_bad(table: pl.DataFrame, name: str) -> str:
    bad = table.with_row_index("row").filter(~pl.col(name).is_finite())
    return f"{bad[name][0]} in row {bad['row'][0]}"


def _write_table(table: pl.DataFrame, schema: Schema, path: Path) -> None:
    check_table(table, schema, path.name)
    temporary = part_of(path)
    table.write_parquet(temporary, compression="zstd", statistics=True)
    commit(temporary, path)
