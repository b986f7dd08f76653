"""Plain tables: success counts, metrics by step, or one row per finished run."""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from analysis.importing.logs import LOGGED, STATED, Log, Row, build, log_of, tables_of
from analysis.importing.options import Options
from analysis.importing.runs import Found, Imported, imported
from analysis.importing.whole import PLAIN, Mean, Scale, offer, whole
from analysis.loading.counts import read_counts
from analysis.loading.foreign import BLANK, LAST, number, step_of
from banditrft.design import Design
from banditrft.errors import InputError, RecordError


def read_table(paths: Sequence[Path], options: Options) -> Imported:
    """Read runs from tables.

    Without mapped columns a file holds success counts (:func:`analysis.loading.counts.read_counts`), with
    conditions and seeds in its own columns. With `step` mapped, a CSV is the log of one run, or of several:
    one per `condition` and `seed` where these are mapped, or per "RUN - METRIC" column, as wandb exports
    them. With `test` but no `step` mapped, each row of a CSV is a finished run, whose design fields may be
    mapped too.

    Raises:
        InputError: Mapped columns that fit none of these.
        RecordError: A file cannot be read or trusted; names file and row.
    """
    if not options.columns:
        options.only("a table of counts", (), ("rollouts",))
        items: dict[str, int] = {}
        named = zip(paths, options.condition_of(paths), strict=True)
        found = [
            run
            for path, name in named
            for run in _counted(path, name if options.conditions else None, options, items)
        ]
    elif "step" in options.columns:
        options.only("a table of steps", (*LOGGED, "condition", "seed"), (*STATED, "rows"))
        found = _logged(paths, options)
    elif "test" in options.columns:
        options.only("a run per row", ("test", "condition", "seed"), ("test_samples", "test_scale", "rows"))
        if options.conditions:
            raise InputError("condition: of a run per row a column says it: --map condition=COLUMN")
        found = [run for path in paths for run in _finished(path, options)]
    else:
        raise InputError("map: a table needs 'step' for the log of one run, or 'test' for a run per row")
    return imported("table", found, options)


def _counted(path: Path, name: str | None, options: Options, items: dict[str, int]) -> Iterator[Found]:
    counts = read_counts(path, options.rollouts)
    if name is not None and counts["condition"].n_unique() > 1:
        raise InputError(f"condition: {path} has its own conditions, so --condition must not be given")
    broken = counts.with_row_index("row", offset=1).filter(
        (pl.col("round") != pl.col("round").round()) | (pl.col("round") > LAST)
    )
    if broken.height:
        raise RecordError(
            f"{path}: row {broken['row'][0]}: 'round' must be a whole number from 0 to {LAST}, "
            f"got {broken['round'][0]}"
        )
    for item in counts["item"].unique(maintain_order=True):
        items.setdefault(item, int(item) if re.fullmatch(r"0|[1-9][0-9]{0,17}", item) else len(items))
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


@dataclass(frozen=True)
class _Row:
    """A row of a CSV: its number, from 1, and its cells by column."""

    path: Path
    index: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """Its place, for errors."""
        return f"{self.path}: row {self.index}"


@dataclass(frozen=True)
class _Run:
    """One run's rows of a table of steps, and our name -> its column of each."""

    path: Path
    name: str | None
    seed: int | None
    rows: list[_Row]
    columns: Mapping[str, str]
    index: int | None = None


def _logged(paths: Sequence[Path], options: Options) -> list[Found]:
    """Logs by step; conditions are the user's, the table's own, wandb's names of runs, or else "run"."""
    by_path = [_runs(path, options) for path in paths]
    runs = [run for of in by_path for run in of]
    if options.conditions and "condition" in options.columns:
        raise InputError("condition: a column says it, so --condition must not be given")
    if len(options.conditions) == len(paths) > 1:
        names = [name for name, of in zip(options.conditions, by_path, strict=True) for _ in of]
    elif options.conditions:
        names = options.condition_of([run.path for run in runs])
    else:
        names = [run.name or "run" for run in runs]
    found = []
    for run, name in zip(runs, names, strict=True):
        own = {k: v for k, v in run.columns.items() if k not in ("step", "condition", "seed")}
        percent = [k for k, v in own.items() if options.columns[k].endswith("%") and not v.endswith("%")]
        columns = {k: f"{v}%" if k in percent else v for k, v in own.items()}
        built = build(_log(run, own.values()), columns, options, name)
        found.append(Found(name, run.path, built.tables, built.settings, built.missing, run.index, run.seed))
    return found


def _runs(path: Path, options: Options) -> list[_Run]:
    """The runs of one table: its groups by condition and seed, and of each those that its header names."""
    rows = _chosen(path, options)
    shared, named = _by_header(path, list(rows[0].cells), options.columns)
    groups: dict[tuple[str | None, int | None], list[_Row]] = {}
    for row in rows:
        cells, where = row.cells, row.where
        name = cells[shared["condition"]].strip() if "condition" in shared else None
        seed = step_of(cells[shared["seed"]], where, "seed") if "seed" in shared else None
        groups.setdefault((name, seed), []).append(row)
    runs = []
    for (name, seed), own in groups.items():
        if not named:
            runs.append(_Run(path, name, seed, own, shared))
        for run, columns in named.items():
            if used := [row for row in own if any(row.cells[c].strip() for c in columns.values())]:
                runs.append(_Run(path, name or run, seed, used, {**shared, **columns}))
    if not runs:
        raise RecordError(f"{path}: holds no rows of metrics")
    return runs if len(runs) == 1 else [replace(run, index=i) for i, run in enumerate(runs, 1)]


def _by_header(
    path: Path, header: Sequence[str], columns: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Mapped columns that the header has as they are, and by run those that it has as "RUN - METRIC"."""
    shared: dict[str, str] = {}
    named: dict[str, dict[str, str]] = {}
    for ours, theirs in columns.items():
        plain = theirs if theirs in header else theirs.removesuffix("%")
        ending = f" - {plain}"
        found = {h.removesuffix(ending): h for h in header if h.endswith(ending) and h != ending}
        if plain in header:
            shared[ours] = plain
        elif not found or ours in ("step", "condition", "seed"):
            there = ", ".join(h for h in header if not h.endswith(("__MIN", "__MAX")))
            raise InputError(f"map: {path} has no column {plain!r}, but {there or 'none'}"[:600])
        for run, column in found.items() if plain not in header else ():
            named.setdefault(run, {})[ours] = column
    return shared, named


def _log(run: _Run, columns: Iterable[str]) -> Log:
    """One run's rows of numbers, of these columns and the extremes of their means; blank cells are absent."""
    means = [c.removesuffix("/mean") for c in columns if c.endswith("/mean")]
    extremes = [f"{stem}/{end}" for stem in means for end in ("min", "max")]
    names = dict.fromkeys([*columns, *(name for name in extremes if name in run.rows[0].cells)])
    rows, decimals = [], dict[str, int]()
    for row in run.rows:
        cells, where, values = row.cells, row.where, dict[str, float]()
        for name in names:
            text = cells[name].strip()
            if text.lower() in BLANK:
                continue
            found = number(text)
            if found is None:
                raise RecordError(f"{where}: {name!r} must be a number, got {text!r:.80}")
            values[name] = found
            shown = 20 if "e" in text.lower() else len(text.partition(".")[2])
            decimals[name] = max(decimals.get(name, 0), shown)
        rows.append(Row(step_of(cells[run.columns["step"]], where, run.columns["step"]), values, where))
    return log_of(run.path, rows, decimals)


def _chosen(path: Path, options: Options) -> list[_Row]:
    """Rows of a CSV, those that --rows asks for."""
    rows = [_Row(path, index, cells) for index, cells in _rows(path)]
    if not rows:
        raise RecordError(f"{path}: holds no rows of metrics")
    if lacking := [name for name in options.rows if name not in rows[0].cells]:
        raise InputError(f"rows: {path} has no column {lacking[0]!r}, but {', '.join(rows[0].cells)}"[:600])
    chosen = [
        row
        for row in rows
        if all(re.search(pattern, row.cells[name]) for name, pattern in options.rows.items())
    ]
    if not chosen:
        raise InputError(f"rows: none of the {len(rows)} rows of {path} matches")
    return chosen


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV, from 1, each as long as the header; empty lines are none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if len(set(header)) < len(header) or not header:
                raise RecordError(f"{path}: needs a header of different names, got {header}")
            for index, cells in enumerate(reader, 1):
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise RecordError(f"{path}: row {index}: must have {len(header)} cells, got {len(cells)}")
                yield index, dict(zip(header, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read as CSV ({type(error).__name__}: {error})") from None


def _finished(path: Path, options: Options) -> list[Found]:
    """A finished run per row, with its final accuracy."""
    rows = _chosen(path, options)
    columns, named = _by_header(path, list(rows[0].cells), options.columns)
    if named:
        raise InputError(f"map: {path} has a run per column, so it needs 'step', the log's clock")
    fields = {k: v for k, v in columns.items() if k in Design.model_fields}
    accuracies = {}
    for row in rows:
        if row.cells[columns["test"]].strip().lower() not in BLANK:
            mean = _value(row.cells[columns["test"]], row.where, columns["test"])
            share = mean / (100 if options.columns["test"].endswith("%") else 1)
            accuracies[row.index] = Mean(share, 1, row.where)
    scale = options.test_scale or PLAIN
    if options.test_samples is None:
        hint = offer("--test-samples", list(accuracies.values()), None, scale)
        raise InputError(
            "test_samples: the final accuracy of a run needs the number of responses behind it"
            f"{f' ({hint})' if hint else ''}"
        )
    missing = (
        "Only the final accuracy is known: no training curve, no base accuracy and no number of rounds; "
        "round 1 stands for the end.",
        *(
            f"Row {row.index} of {path.name} has no final accuracy and is left out."
            for row in rows
            if row.index not in accuracies
        ),
    )
    found = []
    for row in rows:
        if row.index not in accuracies:
            continue
        cells, where = row.cells, row.where
        settings = {field: _value(cells[column], where, column) for field, column in fields.items()}
        name = cells[columns["condition"]].strip() if "condition" in columns else ""
        name = name or ", ".join(f"{k}={v}" for k, v in settings.items()) or "run"
        seed = step_of(cells[columns["seed"]], where, "seed") if "seed" in columns else None
        final = _final(accuracies[row.index], columns["test"], options.test_samples, scale)
        tables = tables_of([], [], [final])
        found.append(Found(name, path, tables, settings, missing, row.index, seed))
    return found


def _final(mean: Mean, column: str, n: int, scale: Scale) -> dict[str, Any]:
    correct = whole(mean.value, n, f"{mean.where}: {column!r}", None, scale)
    return {
        "seed": 0,
        "round": 1,
        "split": "test",
        "n": n,
        "reward_sum": float(correct),
        "correct_strict": correct,
    }


def _value(text: str, where: str, column: str) -> float | int:
    found = number(text.strip())
    if found is None:
        raise RecordError(f"{where}: {column!r} must be a number, got {text!r:.80}")
    if not math.isfinite(found):
        raise RecordError(f"{where}: {column!r} must be finite, got {text!r:.80}")
    return int(found) if found == int(found) else found
