"""Tables of the records: their columns, what values they may have, and writing them as Parquet.

Schema 3. Schema 2 had no hashes of files (`banditrft.records`). Schema 1 lacked, of `rounds`, the columns
from grad_norm to work_share, seconds_push and seconds_save, of `texts` the source, and the counts by item.

A data table, apart from the code in `banditrft.records` that reads and writes it.
"""

import io
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from banditrft.errors import RecordError
from banditrft.files import sha256, write_bytes

SCHEMA = 3
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
    "grad_norm": pl.Float64,
    "clip_fraction": pl.Float64,
    "mismatch": pl.Float64,
    "work_share": pl.Float64,
    "seconds_sample": pl.Float64,
    "seconds_grade": pl.Float64,
    "seconds_learn": pl.Float64,
    "seconds_push": pl.Float64,
    "seconds_evaluate": pl.Float64,
    "seconds_save": pl.Float64,
}
"""One row per seed and round (1..rounds). Entropy and KL in nats per response: in row r of the simulated
worlds those of the policy after round r's update, in the language-model world those of the policy that
sampled round r, before its update. `zero_signal_fraction` counts groups whose signals are all 0, and those
that `skip_equal_groups` leaves out of the loss. `grad_norm` before clipping; `clip_fraction` of the tokens;
`mismatch` the largest difference between sampler and learner in a token's log-probability, nats; `work_share`
the mean share of a response's characters before its answer mark; tokens of all of a round's responses but
baseline rollouts, so that their mean length is tokens / (batch_size x rollouts). Seconds are the run's share,
`save` those since the round before. The first round's contain those of the evaluations of the base weights,
the last round's those of the final evaluation and of its own `save`."""
SECONDS = tuple(name for name in ROUNDS if name.startswith("seconds_"))
"""Columns of recorded compute."""
GROUPS: Schema = {
    "seed": pl.Int64,
    "round": pl.Int32,
    "item": pl.Int64,
    "n": pl.Int32,
    "reward_sum": pl.Float64,
    "correct_strict": pl.Int32,
    "correct_lenient": pl.Int32,
}
"""One row per group of rollouts, copies of a query apart; `reward_sum` sums the rewards the learner saw."""
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
    "source": pl.String,
    "item": pl.Int64,
    "prompt": pl.String,
    "response": pl.String,
    "strict": pl.Boolean,
    "lenient": pl.Boolean,
    "log_prob": pl.Float64,
}
"""Some responses for reading, of source "training" (what a round learned from) or "final" (evaluation);
log-probabilities in nats."""
ITEMS: Schema = EVALS
"""Counts of a final evaluation by item, which is never null: pass@k comes from them (`banditrft.passk`)."""
NULLABLE = {
    "reward_mean",
    "signal_mean",
    "signal_var",
    "zero_signal_fraction",
    "update_norm",
    "kl",
    "entropy",
    "tokens",
    "grad_norm",
    "clip_fraction",
    "mismatch",
    "work_share",
    *SECONDS,
    "correct_lenient",
    "item",
    "p_exact",
    "log_prob",
}
MEASURED = {"rounds": ("reward_mean", "signal_mean", "signal_var", "zero_signal_fraction")}
"""Columns by table without nulls, unless the run was imported from another trainer's logs."""
TABLES: Mapping[str, Schema] = {"rounds": ROUNDS, "groups": GROUPS, "evals": EVALS}


BOUNDS: Mapping[str, tuple[float, float]] = {
    "round": (0, math.inf),
    "n": (1, math.inf),
    "signal_var": (0, math.inf),
    "zero_signal_fraction": (0, 1),
    "update_norm": (0, math.inf),
    "entropy": (0, math.inf),
    "tokens": (0, math.inf),
    "grad_norm": (0, math.inf),
    "clip_fraction": (0, 1),
    "mismatch": (0, math.inf),
    "work_share": (0, 1),
    "p_exact": (0, 1),
    **dict.fromkeys(SECONDS, (0, math.inf)),
}
"""Lowest and highest value by column, but for rounding."""
ROUNDING = 1e-6
WORDS: Mapping[str, tuple[str, ...]] = {"split": ("train", "test"), "source": ("training", "final")}
"""Values that a text column may have."""


def check_table(table: pl.DataFrame, schema: Schema, where: str, filled: Collection[str] = ()) -> None:
    """Check a table, or some columns of one, against the schema.

    Args:
        table: The table.
        schema: Its columns and their types.
        where: What it is called in errors.
        filled: Columns without nulls here, beside those that never have any.

    Raises:
        RecordError: Other columns, nulls, NaN or values where none may be, counts that contradict each other;
            names column and row.
    """
    if dict(table.schema) != {name: dtype() for name, dtype in schema.items()}:
        raise RecordError(
            f"{where}: columns must be {', '.join(schema)} of their types, got {dict(table.schema)}"
        )
    rules = _rules(schema, filled)
    # one query for all rules: each costs more than what it computes
    broken = table.select(rule.any().alias(said) for said, rule in rules.items())
    for said, found in broken.row(0, named=True).items():
        if found:
            names = dict.fromkeys(("row", "seed", "round", *rules[said].meta.root_names()))
            bad = table.with_row_index("row").filter(rules[said])
            row = bad.select(name for name in names if name in bad.columns).row(0, named=True)
            raise RecordError(f"{where}: {said}, got {row}")


def _rules(schema: Schema, filled: Collection[str]) -> dict[str, pl.Expr]:
    """What every row must satisfy, in words, and which rows do not."""
    rules = {}
    for name, dtype in schema.items():
        column = pl.col(name)
        if name not in NULLABLE or name in filled:
            rules[f"column '{name}' must have no nulls"] = column.is_null()
        if dtype == pl.Float64:
            rules[f"column '{name}' must be finite"] = ~column.is_finite()
        if name in BOUNDS:
            low, high = BOUNDS[name]
            slack = ROUNDING if dtype == pl.Float64 else 0
            span = f"lie in {low}..{high}" if high < math.inf else f"be at least {low}"
            rules[f"column '{name}' must {span}"] = ~column.is_between(low - slack, high + slack)
        if name in WORDS:
            rules[f"column '{name}' must be {' or '.join(WORDS[name])}"] = ~column.is_in(WORDS[name])
    if "n" in schema:
        n, strict, lenient = (pl.col(name) for name in ("n", "correct_strict", "correct_lenient"))
        rules["'correct_strict' must lie in 0..n"] = ~strict.is_between(0, n)
        rules["'correct_lenient' must lie in correct_strict..n"] = ~lenient.is_between(strict, n)
    if {"split", "reward_sum", "n"} <= schema.keys():  # the task's own reward, in [0, 1]
        rules["'reward_sum' must lie in 0..n"] = ~pl.col("reward_sum").is_between(
            -ROUNDING, pl.col("n") + ROUNDING
        )
    if "lenient" in schema:
        rules["what is strictly right must be so leniently"] = pl.col("strict") & ~pl.col("lenient")
    return rules


def check_order(table: pl.DataFrame, schema: Schema, where: str) -> None:
    """Check that no row of a file stands there twice, and that rounds of training rise from 1 in each seed.

    Raises:
        RecordError: Names the row.
    """
    if "source" in schema or not ({"reward_mean", "split"} & schema.keys()):
        return  # several groups or texts of a round may be of one item
    key = [name for name in ("seed", "round", "split", "item") if name in schema]
    twice = table.select(key).is_duplicated()
    if twice.any():
        raise RecordError(
            f"{where}: one row for each {', '.join(key)}, got {_row(table.select(key), twice)} twice"
        )
    if "split" not in schema:
        seed, at = pl.col("seed"), pl.col("round")
        new = (seed != seed.shift(1)).fill_null(value=True)
        wrong = table.select(pl.when(new).then(at < 1).otherwise(at <= at.shift(1)).alias("wrong"))["wrong"]
        if wrong.any():
            raise RecordError(
                f"{where}: rounds must rise from 1 in each seed, got {_row(table.select(key), wrong)}"
            )


def _row(table: pl.DataFrame, which: pl.Series) -> dict[str, object]:
    """The first of some rows, with its number."""
    return table.with_row_index("row").filter(which).row(0, named=True)


def write_table(table: pl.DataFrame, schema: Schema, path: Path, filled: Collection[str] = ()) -> str:
    """Check a table and write it as Parquet: temporary name, fsync, rename.

    Returns:
        sha256 of the file, hex.

    Raises:
        RecordError: As :func:`check_table` and :func:`check_order`.
    """
    check_table(table, schema, path.name, filled)
    check_order(table, schema, path.name)
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", statistics=True)
    write_bytes(path, buffer.getvalue())
    return sha256(buffer.getvalue())
