"""Plain tables: success counts, metrics by step, or one row per finished run."""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from analysis.importing.logs import Row, build, log_of, tables_of
from analysis.importing.options import Options
from analysis.importing.runs import Found, Imported, imported
from analysis.importing.whole import whole
from analysis.loading.counts import read_counts
from banditrft.design import Design
from banditrft.errors import InputError, RecordError


def read_table(paths: Sequence[Path], options: Options) -> Imported:
    """Read runs from tables.

    Without mapped columns a file holds success counts (:func:`analysis.loading.counts.read_counts`), with
    conditions and seeds in its own columns. With `step` mapped, a CSV is the log of one run. With `test` but
    no `step` mapped, each row of a CSV is a finished run, whose design fields may be mapped too.

    Raises:
        InputError: Mapped columns that fit none of these.
        RecordError: A file cannot be read or trusted; names file and row.
    """
    found: list[Found] = []
    items: dict[str, int] = {}
    for path, name in zip(paths, options.condition_of(paths), strict=True):
        if not options.columns:
            found += _counted(path, name if options.conditions else None, options, items)
        elif "step" in options.columns:
            found.append(_logged(path, name, options))
        elif "test" in options.columns:
            found += _finished(path, options)
        else:
            raise InputError("map: a table needs 'step' for the log of one run, or 'test' for a run per row")
    return imported("table", found, options)


def _counted(path: Path, name: str | None, options: Options, items: dict[str, int]) -> Iterator[Found]:
    counts = read_counts(path, options.rollouts)
    if name is not None and counts["condition"].n_unique() > 1:
        raise InputError(f"condition: {path} has its own conditions, so --condition must not be given")
    broken = counts.with_row_index("row", offset=1).filter(pl.col("round") != pl.col("round").round())
    if broken.height:
        raise RecordError(f"{path}: row {broken['row'][0]}: 'round' must be whole, got {broken['round'][0]}")
    for item in counts["item"].unique(maintain_order=True):
        items.setdefault(item, int(item) if re.fullmatch(r"\d{1,18}", item) else len(items))
    if len(set(items.values())) < len(items):
        raise RecordError(f"{path}: items must be all numbers or all names, got both")
    groups = counts.partition_by("condition", "seed", maintain_order=True)
    for index, part in enumerate(groups, 1):
        condition, seed = part["condition"][0], int(part["seed"][0])
        found = _run_of_counts(path, name or condition, index, part, items)
        yield replace(found, seed=seed)


def _run_of_counts(
    path: Path, condition: str, index: int, part: pl.DataFrame, items: dict[str, int]
) -> Found:
    evals = [
        {
            "seed": 0,
            "round": int(row["round"]),
            "split": row["split"],
            "item": items[row["item"]],
            "n": row["n"],
            "reward_sum": float(row["correct"]),
            "correct_strict": row["correct"],
        }
        for row in part.iter_rows(named=True)
    ]
    missing = [
        "Only counts are read: rounds are the table's own clock, which need not be updates of the policy."
    ]
    for split in ("train", "test"):
        own = part.filter(pl.col("split") == split)
        sizes = own.group_by("round").agg(pl.col("item").n_unique()).sort("round")["item"]
        if sizes.n_unique() > 1:
            missing.append(
                f"Items differ between rounds ({split}: {sizes[0]} in the first, {sizes[-1]} in the last): "
                "means over items at different rounds are of different items."
            )
        if not own.height:
            missing.append(f"There are no {split} counts.")
    last = max(1, int(part["round"].max() or 0))  # type: ignore[arg-type]
    return Found(condition, path, tables_of([], [], evals), {"rounds": last}, tuple(missing), index)


def _logged(path: Path, condition: str, options: Options) -> Found:
    rows, decimals = _numbers(path, options.columns["step"])
    columns = {k: v for k, v in options.columns.items() if k != "step"}
    built = build(log_of(path, rows, decimals), columns, options.samples, options.test_samples)
    return Found(condition, path, built.tables, {"rounds": max(1, built.last)}, built.missing)


def _numbers(path: Path, step: str) -> tuple[list[Row], dict[str, int]]:
    """Rows of numbers; empty cells are absent."""
    rows, decimals = [], dict[str, int]()
    for index, cells in _rows(path):
        where = f"{path}: row {index}"
        values = {}
        for name, text in cells.items():
            try:
                if text.strip():
                    values[name] = float(text)
            except ValueError:
                raise RecordError(f"{where}: {name!r} must be a number, got {text!r}") from None
            shown = 20 if "e" in text.lower() else len(text.strip().partition(".")[2])
            decimals[name] = max(decimals.get(name, 0), shown)
        if step not in values or values[step] != int(values[step]):
            raise RecordError(f"{where}: {step!r} must be a whole number, got {cells.get(step)!r}")
        rows.append(Row(int(values.pop(step)), values, where))
    return rows, decimals


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV, from 1, each as long as the header."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if len(set(header)) < len(header) or not header:
                raise RecordError(f"{path}: needs a header of different names, got {header}")
            for index, cells in enumerate(reader, 1):
                if len(cells) != len(header):
                    raise RecordError(f"{path}: row {index}: must have {len(header)} cells, got {len(cells)}")
                yield index, dict(zip(header, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read as CSV ({type(error).__name__}: {error})") from None


def _finished(path: Path, options: Options) -> Iterator[Found]:
    fields = {k: v for k, v in options.columns.items() if k in Design.model_fields}
    if options.test_samples is None:
        raise InputError("test_samples: the final accuracy of a run needs the number of responses behind it")
    if stray := sorted(options.columns.keys() - fields.keys() - {"test", "condition"}):
        raise InputError(
            f"map: of a run per row only test, condition and settings are read, got {', '.join(stray)}"
        )
    rows = list(_rows(path))
    wanted = [*(column.removesuffix("%") for column in options.columns.values()), *options.rows]
    if lacking := [column for column in wanted if column not in (rows[0][1] if rows else ())]:
        raise InputError(f"map: {path} has no column {lacking[0]!r}")
    rows = [
        row for row in rows if all(re.search(pattern, row[1][name]) for name, pattern in options.rows.items())
    ]
    empty = [index for index, cells in rows if not cells[options.columns["test"].removesuffix("%")].strip()]
    missing = (
        "Only the final accuracy is known: no training curve, no base accuracy and no number of rounds; "
        "round 1 stands for the end.",
        *(f"Row {index} of {path.name} has no final accuracy and is left out." for index in empty),
    )
    for index, cells in (row for row in rows if row[0] not in empty):
        where = f"{path}: row {index}"
        settings = {field: _value(cells[column], where, column) for field, column in fields.items()}
        evals = [_final(cells, options, where)]
        named = cells[options.columns["condition"]] if "condition" in options.columns else ""
        named = named or ", ".join(f"{k}={v}" for k, v in settings.items()) or "run"
        yield Found(named, path, tables_of([], [], evals), settings, missing, index)


def _final(cells: dict[str, str], options: Options, where: str) -> dict[str, Any]:
    column, n = options.columns["test"], options.test_samples or 1
    mean = float(_value(cells[column.removesuffix("%")], where, column)) / (
        100 if column.endswith("%") else 1
    )
    correct = whole(mean, n, f"{where}: {column!r}")
    return {
        "seed": 0,
        "round": 1,
        "split": "test",
        "n": n,
        "reward_sum": float(correct),
        "correct_strict": correct,
    }


def _value(text: str, where: str, column: str) -> float | int:
    try:
        number = float(text)
    except ValueError:
        raise RecordError(f"{where}: {column!r} must be a number, got {text!r}") from None
    if not math.isfinite(number):
        raise RecordError(f"{where}: {column!r} must be finite, got {text!r}")
    return int(number) if number == int(number) else number
