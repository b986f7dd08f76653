"""The public runs with noisy rewards that the simulated ones are compared with.

141 GRPO runs of two Qwen2.5 models on GSM8K (batch 32, 4 to 64 rollouts, false positives and negatives),
published by their authors as a table of final accuracies under Apache-2.0. The table is read where the
reader keeps it and is no part of this package: diagrams publish slopes fitted to it, not its rows.
"""

import os
from pathlib import Path

import polars as pl

from banditrft.errors import InputError

SOURCE = "https://github.com/rm-3284/RLVR_noisy_rewards"
FILE = Path("rlvr_noisy_rewards") / "batch32_metrics.csv"
VARIABLE = "BANDITRFT_DATA"
SAMPLES = 256
"""Answers behind each accuracy of the table."""


def find() -> Path | None:
    """The table, in the folder that BANDITRFT_DATA names; None if the variable is not set.

    Raises:
        InputError: The variable names a folder without it.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named) / FILE
    if not path.exists():
        raise InputError(f"{VARIABLE}: must name a folder that holds {FILE}, got {named}")
    return path


def read(path: Path) -> pl.DataFrame:
    """Runs with an accuracy: model, margin 1 - fp - fn, rollouts, empirical logit of the final accuracy."""
    table = pl.read_csv(path).drop_nulls("final_validation_accuracy")
    right = pl.col("final_validation_accuracy") * SAMPLES
    return table.select(
        model=pl.when(pl.col("run_name").str.starts_with("grpo0.5B"))
        .then(pl.lit("0.5B"))
        .otherwise(pl.lit("1.5B")),
        margin=1 - pl.col("false_positive_rate") - pl.col("false_negative_rate"),
        rollouts=pl.col("num_rollouts"),
        logit=((right + 0.5) / (SAMPLES - right + 0.5)).log(),
    )
