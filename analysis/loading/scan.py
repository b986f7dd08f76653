"""Tables of any number of runs, read lazily and strictly: what `analysis.load` is to arrays of one study.

`analysis.load` reads every table of a study and checks that it is complete: every run, every evaluation, on
one grid. `scan` answers questions about the records of many studies without holding them: a Polars query runs
over files a few hundred at a time, once each is known to be what was written, reads the columns it asks for,
and checks those as the records' own reader does. A file that is missing, changed, of another schema or with
impossible counts ends the query with an error that names it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from banditrft.catalog import read_study
from banditrft.errors import InputError, RecordError
from banditrft.records import (
    EVALS,
    TABLES,
    Schema,
    check_table,
    read_description,
    read_file,
    read_table,
)

FILES = 512
"""Files read at a time."""
KEYS = ("study", "world", "condition", "run_id")
COUNTS = frozenset({"n", "reward_sum", "correct_strict", "correct_lenient"})
"""Columns that are checked against each other."""


@dataclass(frozen=True)
class _Cell:
    """Files of one condition in one world of a study."""

    study: str
    world: str
    condition: str
    paths: tuple[Path, ...]


def scan(roots: Path | str | Sequence[Path | str], table: str = "evals") -> pl.LazyFrame:
    """One table of all runs of one or many studies, with columns study, world, condition, run_id in front.

    Args:
        roots: Folders with a study.json each.
        table: "rounds", "groups", "evals" or "final" (columns: `banditrft.schemas`).

    Returns:
        A lazy frame; collecting it raises RecordError for the first file that it cannot trust.

    Raises:
        InputError: No such table, or a folder given twice.
        RecordError: A study.json is missing or is not one, or counts a run twice; names it.
    """
    if table not in (*TABLES, "final"):
        raise InputError(f"table: must be one of {', '.join((*TABLES, 'final'))}, got {table!r}")
    folders = [Path(r) for r in ([roots] if isinstance(roots, (str, Path)) else roots)]
    if len({f.resolve() for f in folders}) < len(folders):
        raise InputError("roots: a study is given twice")
    cells = [cell for folder in folders for cell in _cells(folder, table)]
    columns = EVALS if table == "final" else TABLES[table]
    schema = {name: pl.String() for name in KEYS} | {name: dtype() for name, dtype in columns.items()}

    def read(
        names: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for cell in cells:
            for start in range(0, len(cell.paths), FILES):
                frame = _read(cell, cell.paths[start : start + FILES], columns, names)
                frame = frame if predicate is None else frame.filter(predicate)
                if left is not None:
                    frame = frame.head(left)
                    left -= frame.height
                yield frame
                if left == 0:
                    return

    return register_io_source(read, schema=schema)


def summary(roots: Path | str | Sequence[Path | str]) -> pl.DataFrame:
    """Final Pass@1 by study, world, condition and split: runs, mean over runs, SD over runs (ddof 1).

    A run is a (run_id, seed); its Pass@1 is strict, at the last round of its final evaluation, over all items
    together.

    Args:
        roots: Folders with a study.json each.

    Raises:
        InputError: As :func:`scan`.
        RecordError: As :func:`scan`, or a file that cannot be trusted; names it.
    """
    cell = ["study", "world", "condition", "split"]
    return (
        scan(roots, "final")
        .group_by(*cell, "run_id", "seed", "round")
        .agg(pl.col("correct_strict").sum() / pl.col("n").sum())
        .filter(pl.col("round") == pl.col("round").max().over("run_id", "seed", *cell))
        .group_by(cell)
        .agg(
            pl.len().alias("runs"),
            pl.col("correct_strict").mean().alias("mean"),
            pl.col("correct_strict").std().alias("sd"),
        )
        .sort(cell)
        .collect(engine="streaming")
    )


def _cells(root: Path, table: str) -> list[_Cell]:
    study = read_study(root)
    return [_cell(root, study, cell, table) for cell in study["cells"]]


def _cell(root: Path, study: dict[str, Any], cell: dict[str, Any], table: str) -> _Cell:
    name = f"final-{cell['evaluation_id']}" if table == "final" else table
    paths = tuple(root / run_id / f"{name}.parquet" for run_id in cell["runs"])
    return _Cell(study["name"], cell["world"], cell["condition"], paths)


def _read(cell: _Cell, paths: tuple[Path, ...], columns: Schema, names: list[str] | None) -> pl.DataFrame:
    """Some files of a cell, the columns asked for, checked."""
    asked = set(columns) if names is None else set(names)
    wanted = asked | COUNTS if asked & COUNTS else asked
    schema = {name: dtype for name, dtype in columns.items() if name in wanted}
    for path in paths:
        read_file(path.parent, path.name, read_description(path.parent, path.name))
    try:
        found = pl.scan_parquet(
            list(paths),
            schema={name: dtype() for name, dtype in columns.items()},
            include_file_paths="run_id",
        ).select("run_id", *schema)
        frame = found.collect()
        if schema:
            check_table(frame.select(list(schema)), schema, str(paths[0].parent.parent))
    except (OSError, pl.exceptions.PolarsError, RecordError) as error:
        for path in paths:
            read_table(path, columns)
        raise RecordError(f"{paths[0].parent.parent}: {error}") from None
    keys = (
        pl.lit(cell.study).alias("study"),
        pl.lit(cell.world).alias("world"),
        pl.lit(cell.condition).alias("condition"),
        pl.col("run_id").str.extract(r"([^/\\]+)[/\\][^/\\]+$"),
    )
    return frame.select(*keys, *schema).select([c for c in (*KEYS, *columns) if names is None or c in asked])
