"""Many run folders read at once: a query over hundreds of files costs little more than one over one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from banditrft.errors import RecordError
from banditrft.records import (
    EVALS,
    TABLES,
    RunRecord,
    Schema,
    check_table,
    measured,
    read_description,
    read_file,
    read_info,
    read_run,
)

FILES, ROWS = 512, 2_000_000
"""Most files and rows of a table that are read together."""


def read_runs(folders: Sequence[Path], evaluation_id: str) -> list[RunRecord]:
    """What `banditrft.records.read_run` gives for each of many folders, as strictly.

    Args:
        folders: The runs' folders.
        evaluation_id: Which final evaluation to read.

    Raises:
        RecordError: A file is missing, unreadable, of another schema or inconsistent; names the file.
    """
    found: list[RunRecord] = []
    infos = [read_info(folder) for folder in folders]
    start, rows = 0, 0
    for end, info in enumerate(infos, 1):
        rows += _rows(info)
        if end == len(infos) or end - start == FILES or rows >= ROWS:
            found += _some(folders[start:end], infos[start:end], evaluation_id)
            start, rows = end, 0
    return found


def _rows(info: dict[str, Any]) -> int:
    return max((n for n in info["rows"].values() if isinstance(n, int)), default=0)


def _some(folders: Sequence[Path], infos: Sequence[dict[str, Any]], evaluation_id: str) -> list[RunRecord]:
    """Runs read together; where anything is wrong with them one by one, so that the error names the file."""
    if len(folders) > 1:
        try:
            return _together(folders, infos, evaluation_id)
        except (OSError, pl.exceptions.PolarsError, RecordError, KeyError, TypeError, ValueError):
            pass
    return [read_run(folder, evaluation_id) for folder in folders]


def _together(
    folders: Sequence[Path], infos: Sequence[dict[str, Any]], evaluation_id: str
) -> list[RunRecord]:
    last = f"final-{evaluation_id}.parquet"
    for folder, info in zip(folders, infos, strict=True):  # no file is parsed that is not what was written
        for name in TABLES:
            read_file(folder, f"{name}.parquet", info)
        read_file(folder, last, read_description(folder, last))
    filled = {name: measured(name, infos[0]["world"]) for name in TABLES}
    if any(measured(name, info["world"]) != filled[name] for info in infos for name in TABLES):
        raise RecordError("imported runs and others")
    seeds = [tuple(info["seeds"]) for info in infos]
    read = {}
    for name, schema in TABLES.items():
        paths = [folder / f"{name}.parquet" for folder in folders]
        read[name] = _table(paths, schema, filled[name], seeds)
        if [t.height for t in read[name]] != [info["rows"].get(name) for info in infos]:
            raise RecordError(f"{name}: rows are not those of run.json")
    final = _table([folder / last for folder in folders], EVALS, (), seeds)
    return [
        RunRecord(folder, info, final=own, **{name: read[name][i] for name in TABLES})
        for i, (folder, info, own) in enumerate(zip(folders, infos, final, strict=True))
    ]


def _table(
    paths: Sequence[Path], schema: Schema, filled: tuple[str, ...], seeds: Sequence[tuple[int, int]]
) -> list[pl.DataFrame]:
    """One table of each run, checked; seeds are first and last + 1 of each."""
    types = {name: dtype() for name, dtype in schema.items()}
    whole = pl.scan_parquet(list(paths), schema=types, include_file_paths="path").collect()
    check_table(whole.drop("path"), schema, str(paths[0]), filled)
    seed = pl.col("seed")
    files = whole.group_by("path", maintain_order=True).agg(
        pl.len(), seed.min().alias("low"), seed.max().alias("high"), seed.n_unique().alias("seeds")
    )
    rows = {Path(row["path"]): row for row in files.iter_rows(named=True)}
    in_order = [path for path in paths if path in rows] == list(rows)
    if not in_order or whole["path"].rle_id().n_unique() != len(rows):
        raise RecordError(f"{paths[0].parent.parent}: files were not read in their order")
    start, found = 0, []
    for path, (low, end) in zip(paths, seeds, strict=True):
        row = rows.get(path)
        if row is not None and (row["low"], row["high"], row["seeds"]) != (low, end - 1, end - low):
            raise RecordError(f"{path}: seeds must be those that run.json says")
        height = 0 if row is None else row["len"]
        found.append(whole.slice(start, height).drop("path"))
        start += height
    return found
