"""Tables of the records: their columns, and Parquet files read and written strictly by them.

Schema 2. Schema 1 lacked, of `rounds`, the columns from grad_norm to work_share, seconds_push and
seconds_save, of `texts` the source, and the counts by item.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from banditrft.errors import RecordError
from banditrft.files import commit
from banditrft.parts import part_of

SCHEMA = 2
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


def read_table(path: Path, schema: Schema, filled: Collection[str] = ()) -> pl.DataFrame:
    """Read one Parquet file and check it against its schema; see :func:`check_table`.

    Raises:
        RecordError: Unreadable, other columns, nulls or NaN where none may be, counts that contradict.
    """
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RecordError(f"{path}: cannot be read as Parquet ({type(error).__name__}: {error})") from None
    check_table(table, schema, str(path), filled)
    return table


def check_table(table: pl.DataFrame, schema: Schema, where: str, filled: Collection[str] = ()) -> None:
    """Check a table against its schema; `where` names it in errors, `filled` are columns without nulls here.

    Raises:
        RecordError: As :func:`read_table`.
    """
    if dict(table.schema) != {name: dtype() for name, dtype in schema.items()}:
        raise RecordError(
            f"{where}: columns must be {', '.join(schema)} of their types, got {dict(table.schema)}"
        )
    held = [name for name in schema if name not in NULLABLE or name in filled]
    floats = [name for name, dtype in schema.items() if dtype == pl.Float64]
    counts = ("correct_strict", "correct_lenient") if "n" in schema else ()
    found = table.select(  # all at once: a query costs more than what it computes
        *(pl.col(name).null_count().alias(f"nulls {name}") for name in held),
        *((~pl.col(name).is_finite()).any().alias(f"infinite {name}") for name in floats),
        *(_outside(name).any().alias(f"outside {name}") for name in counts),
    ).row(0, named=True)
    for name in schema:
        if nulls := found.get(f"nulls {name}"):
            row = table[name].is_null().arg_max()
            raise RecordError(
                f"{where}: column '{name}' must have no nulls, got {nulls}, the first in row {row}"
            )
        if found.get(f"infinite {name}"):
            raise RecordError(f"{where}: column '{name}' must be finite, got {_first_bad(table, name)}")
    for name in counts:
        if found[f"outside {name}"]:
            bad = table.with_row_index("row").filter(_outside(name)).row(0, named=True)
            raise RecordError(f"{where}: '{name}' must lie in 0..n, got {bad}")


def _outside(count: str) -> pl.Expr:
    return (pl.col(count) < 0) | (pl.col(count) > pl.col("n"))


def _first_bad(table: pl.DataFrame, name: str) -> str:
    bad = table.with_row_index("row").filter(~pl.col(name).is_finite())
    return f"{bad[name][0]} in row {bad['row'][0]}"


def write_table(table: pl.DataFrame, schema: Schema, path: Path, filled: Collection[str] = ()) -> None:
    """Check a table and write it as Parquet: temporary name, fsync, rename.

    Raises:
        RecordError: As :func:`read_table`.
    """
    check_table(table, schema, path.name, filled)
    temporary = part_of(path)
    table.write_parquet(temporary, compression="zstd", statistics=True)
    commit(temporary, path)
