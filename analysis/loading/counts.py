"""Success counts: the one table in which records, other people's files and the fits meet.

One row says that of `n` responses to an item at one point of one training run `correct` were right. `round`
is the number of updates the policy had made, or whatever rising clock the source has (steps, epochs, visits).
Nothing is ever dropped or repaired: a row that cannot be is an error that names file and row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl

from analysis.loading.foreign import parse_json, read_parquet, read_text, real
from analysis.loading.records import Records
from banditrft.errors import InputError, RecordError
from banditrft.records import EVALS, GROUPS, read_table

COUNTS: dict[str, type[pl.DataType]] = {
    "condition": pl.String,
    "seed": pl.Int64,
    "item": pl.String,
    "round": pl.Float64,
    "n": pl.Int64,
    "correct": pl.Int64,
    "split": pl.String,
}
"""Columns of a table of success counts: a row per condition, seed, item, round and split."""
KEY = ("condition", "seed", "item", "round", "split")
DEFAULTS: dict[str, Any] = {"condition": "run", "seed": 0, "split": "train"}
REQUIRED = ("item", "round", "n", "correct")
ROUNDING = 1e-6
"""How far k/n may lie from a fraction that a file states."""
EXACT = 2**53 - 1
"""Largest whole number up to which a float tells all of them apart."""
MOST = 2**31 - 1
"""Largest n of a row: sums over items stay in 64 bits."""


def counts_of(
    records: Records,
    split: Literal["train", "test"] = "train",
    source: Literal["evals", "groups"] = "evals",
    world: str | None = None,
) -> pl.DataFrame:
    """Strict success counts of a study's records.

    Args:
        records: Records of a study.
        split: Which evaluations; training rollouts ("groups") are always of the training queries.
        source: Evaluations, or the rollouts that each round learned from; those of round r come from a policy
            that had made r - 1 updates, and `round` says so. Groups of one query in one round are summed.
        world: Name of one world; all of them otherwise, and then conditions of a study with several worlds
            are called "world: condition".

    Returns:
        A table of `COUNTS`, sorted by its key. An evaluation of the whole test set is the item "all"; where
        runs train on single queries, "all, trained on <query>".

    Raises:
        InputError: The world is not there, or there are no such counts.
        RecordError: A file cannot be trusted; names it.
    """
    if world is not None and world not in records.worlds:
        raise InputError(f"world: must be one of {', '.join(records.worlds)}, got {world!r}")
    if source == "groups" and split != "train":
        raise InputError(f"split: training rollouts are of split 'train', got {split!r}")
    parts = []
    for cell in records.study["cells"]:
        if world is not None and cell["world"] != world:
            continue
        several = world is None and len(records.worlds) > 1
        name = f"{cell['world']}: {cell['condition']}" if several else cell["condition"]
        for run_id in cell["runs"]:
            query = records.infos[run_id].get("query")
            whole = "all" if query is None else f"all, trained on {query['item']}"
            rows = _rows(records.path / run_id / f"{source}.parquet", split, source)
            item = pl.col("item").cast(pl.String).fill_null(whole)
            parts.append(rows.with_columns(pl.lit(name).alias("condition"), item))
    table = pl.concat(parts).select(list(COUNTS)).sort(KEY) if parts else pl.DataFrame(schema=COUNTS)
    if not table.height:
        raise InputError(f"{records.path}: holds no counts of split {split!r} in its {source}")
    check_counts(table, str(records.path))
    return table


def _rows(path: Path, split: str, source: str) -> pl.DataFrame:
    if source == "evals":
        rows = read_table(path, EVALS).filter(pl.col("split") == split)
        rows = rows.with_columns(pl.col("round").cast(pl.Float64))
    else:
        rows = read_table(path, GROUPS)
        rows = rows.with_columns((pl.col("round") - 1).cast(pl.Float64), pl.lit("train").alias("split"))
    return rows.group_by("seed", "round", "split", "item").agg(
        pl.col("n").cast(pl.Int64).sum(), pl.col("correct_strict").cast(pl.Int64).sum().alias("correct")
    )


def read_counts(path: Path | str, n: int | None = None) -> pl.DataFrame:
    """Read success counts from a file: CSV, JSONL or Parquet of `COUNTS`, or JSON of fractions.

    Tables need the columns item, round, n and correct; condition, seed and split may be missing and are then
    "run", 0 and "train"; other columns are refused. A JSON file is one object ``{item: [fraction, ...]}``:
    the fraction of `n` rollouts that were correct at each of the item's entries, `round` being the entry's
    index from 0. Items may have different numbers of entries.

    Args:
        path: The file; its ending says what it is (.csv, .jsonl, .parquet, .json).
        n: Rollouts behind each fraction of a JSON file; not for tables, which state it.

    Returns:
        A table of `COUNTS`, in the order of the file.

    Raises:
        InputError: Another ending, or `n` missing or out of place.
        RecordError: The file cannot be read or trusted; names file and row, or item and entry.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".json":
        if n is None or n < 1:
            raise InputError(f"n: a file of fractions needs the rollouts behind each, at least 1, got {n}")
        table = _of_fractions(path, n)
    elif n is not None:
        raise InputError(f"n: {path.name} states its own n, got {n}")
    else:
        table = _of_table(path, kind)
    check_counts(table, str(path))
    return table


def _of_fractions(path: Path, n: int) -> pl.DataFrame:
    found = parse_json(read_text(path), str(path), object_pairs_hook=_unique)
    if not isinstance(found, dict) or not found:
        raise RecordError(f"{path}: must be an object of items with lists of fractions")
    rows = list(_cells(path, found, n))
    if not rows:
        raise RecordError(f"{path}: no item has an entry")
    named = [{**DEFAULTS, "item": i, "round": float(r), "n": n, "correct": k} for i, r, k in rows]
    return pl.DataFrame(named, schema=COUNTS)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        raise ValueError(f"item {twice!r} stands there twice")
    return found


def _cells(path: Path, found: dict[str, Any], n: int) -> Iterator[tuple[str, int, int]]:
    for item, entries in found.items():
        if not isinstance(entries, list):
            raise RecordError(
                f"{path}: item {item!r}: must be a list of fractions, got {type(entries).__name__}"
            )
        for index, value in enumerate(entries):
            fraction = real(value)
            k = round(fraction * n) if fraction is not None and 0 <= fraction <= 1 else -1
            if fraction is None or k < 0 or abs(k / n - fraction) > ROUNDING:
                where = f"{path}: item {item!r}, entry {index}"
                raise RecordError(f"{where}: must be a multiple of 1/{n} in [0, 1], got {value!r:.80}")
            yield item, index, k


def _of_table(path: Path, kind: str) -> pl.DataFrame:
    try:
        if kind == ".csv":
            raw = _unpadded(pl.read_csv(path, infer_schema=False))
        elif kind in {".jsonl", ".ndjson"}:
            raw = pl.read_ndjson(path)
        elif kind == ".parquet":
            raw = read_parquet(path)
        else:
            raise InputError(f"{path}: must end in .csv, .jsonl, .parquet or .json")
    except (OSError, pl.exceptions.PolarsError) as error:
        said = next(iter(str(error).splitlines()), "")[:200]
        raise RecordError(f"{path}: cannot be read ({type(error).__name__}: {said})") from None
    if missing := [name for name in REQUIRED if name not in raw.columns]:
        raise RecordError(f"{path}: lacks the columns {', '.join(missing)}, got {', '.join(raw.columns)}")
    if extra := [name for name in raw.columns if name not in COUNTS]:
        raise RecordError(f"{path}: columns must be among {', '.join(COUNTS)}, got also {', '.join(extra)}")
    absent = [pl.lit(value).alias(name) for name, value in DEFAULTS.items() if name not in raw.columns]
    raw = raw.with_columns(absent)
    return pl.DataFrame([_typed(raw[name], dtype, path) for name, dtype in COUNTS.items()])


def _unpadded(table: pl.DataFrame) -> pl.DataFrame:
    """The table without the empty lines at its end."""
    filled = table.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    return table.head(int(filled.arg_true().max() or 0) + 1 if filled.any() else 0)  # type: ignore[arg-type]


def _typed(column: pl.Series, dtype: type[pl.DataType], path: Path) -> pl.Series:
    """The column in its type; whole numbers may be written as floats where a float holds them exactly."""
    if dtype != pl.String and column.dtype == pl.Boolean:
        found = pl.Series(column.name, [None] * column.len(), dtype=dtype)
    elif dtype == pl.Int64:
        floats = column.cast(pl.Float64, strict=False)
        exact = floats.is_finite() & (floats == floats.round()) & (floats.abs() <= EXACT)
        whole = floats.zip_with(exact.fill_null(value=False), pl.Series([None], dtype=pl.Float64))
        found = whole.cast(pl.Int64)
        if not column.dtype.is_float():  # never by way of a float, which merges whole numbers above 2^53
            direct = column.cast(pl.Int64, strict=False)
            found = direct.zip_with(direct.is_not_null(), found)
    else:
        found = column.cast(dtype, strict=False)
    if (bad := found.is_null()).any():
        row = int(bad.arg_max() or 0)
        number = "a whole number" if dtype == pl.Int64 else "a number"
        wanted = "text" if dtype == pl.String else number
        raise RecordError(f"{path}: row {row + 1}: '{column.name}' must be {wanted}, got {column[row]!r:.80}")
    return found


def check_counts(table: pl.DataFrame, source: str) -> None:
    """Check a table of counts; an empty one is fine.

    Args:
        table: Columns of `COUNTS`.
        source: What it is called in errors.

    Raises:
        RecordError: Other columns, nulls, n outside 1..2^31 - 1, correct outside 0..n, a round that is not
            finite or is negative, a negative seed, an unknown split, a cell that stands there twice; rows
            count from 1.
    """
    if dict(table.schema) != {name: dtype() for name, dtype in COUNTS.items()}:
        raise RecordError(
            f"{source}: columns must be {', '.join(COUNTS)} of their types, got {dict(table.schema)}"
        )
    key = f"({', '.join(KEY)})"
    rules = {
        "no value may be missing": pl.any_horizontal(pl.all().is_null()),
        f"n must lie in 1..{MOST}": ~pl.col("n").is_between(1, MOST),
        "seed must be 0 or more": ~pl.col("seed").is_between(0, 2**63 - 2),
        "correct must lie in 0..n": (pl.col("correct") < 0) | (pl.col("correct") > pl.col("n")),
        "round must be finite and 0 or more": ~pl.col("round").is_finite() | (pl.col("round") < 0),
        "split must be train or test": ~pl.col("split").is_in(["train", "test"]),
        f"{key} must be unique": ~pl.struct(KEY).is_first_distinct(),
    }
    for rule, broken in rules.items():
        bad = table.with_row_index("row", offset=1).filter(broken)
        if bad.height:
            values = bad.row(0, named=True)
            raise RecordError(f"{source}: row {values.pop('row')}: {rule}, got {values}")
