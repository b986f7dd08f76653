"""Rows of the records of a stack of runs, collected as they come up and cut into one set of tables per run.

Tables hold counts and sums under the schemas of `banditrft.records`; what this world does not measure is
null. Nothing is computed here that is not a record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from banditrft.records import EVALS, GROUPS, ROUNDS, TEXTS, RunTables, Schema
from banditrft.runs import Query, Run
from llm_runs.evaluation import Graded
from llm_runs.learners.stacked import StepRecord

STAGES = ("sample", "grade", "learn", "evaluate")
Row = dict[str, Any]


def frame(rows: Sequence[Row], schema: Schema) -> pl.DataFrame:
    """Rows as a table of the schema; keys that a row lacks are null."""
    return pl.DataFrame(
        {name: pl.Series(name, [row.get(name) for row in rows], dtype()) for name, dtype in schema.items()}
    )


def query_of(run: Run) -> Query:
    """The training query of a language-model run."""
    if run.query is None:
        raise TypeError(f"run {run.run_id} has no query")
    return run.query


def eval_rows(
    seeds: Sequence[int],
    round_: int,
    split: str,
    items: Sequence[int | None],
    n: int,
    counts: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> list[Row]:
    """One row per run of an evaluation: n samples, strict and lenient counts (S,); a null item is a split."""
    return [
        {
            "seed": seed,
            "round": round_,
            "split": split,
            "item": item,
            "n": n,
            "reward_sum": float(strict),
            "correct_strict": int(strict),
            "correct_lenient": int(lenient),
        }
        for seed, item, strict, lenient in zip(seeds, items, *counts, strict=True)
    ]


def finite(value: float) -> float | None:
    """The value; None once a run's weights have diverged and there is none. Its counts go on being counts."""
    return value if math.isfinite(value) else None


class Recorder:
    """Collects rows of S runs."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self.seeds = [run.seeds[0] for run in runs]
        self.queries = [query_of(run) for run in runs]
        self._rows: dict[str, list[list[Row]]] = {
            name: [[] for _ in runs] for name in ("rounds", "groups", "evals", "final", "texts")
        }

    def round(
        self,
        round_: int,
        graded: Graded,
        rewards_SG: NDArray[np.float64],
        signals_SG: NDArray[np.float64],
        step: StepRecord,
        seconds: dict[str, float],
    ) -> None:
        """Record one round; seconds are the whole stack's, by stage, and are shared out evenly."""
        share = {f"seconds_{stage}": seconds[stage] / len(self.runs) for stage in STAGES}
        strict, lenient = graded.strict_SQG[:, 0], graded.lenient_SQG[:, 0]
        for s, (seed, query) in enumerate(zip(self.seeds, self.queries, strict=True)):
            self._rows["rounds"][s].append(
                {
                    "seed": seed,
                    "round": round_,
                    "reward_mean": float(rewards_SG[s].mean()),
                    "signal_mean": float(signals_SG[s].mean()),
                    "signal_var": float(signals_SG[s].var()),
                    "zero_signal_fraction": float(not signals_SG[s].any()),
                    "update_norm": finite(float(step.update_norm_S[s])),
                    "entropy": finite(float(step.entropy_S[s])),
                    "tokens": int(step.tokens_S[s]),
                    **share,
                }
            )
            self._rows["groups"][s].append(
                {
                    "seed": seed,
                    "round": round_,
                    "item": query.item,
                    "n": rewards_SG.shape[1],
                    "reward_sum": float(rewards_SG[s].sum()),
                    "correct_strict": int(strict[s].sum()),
                    "correct_lenient": int(lenient[s].sum()),
                }
            )

    def evaluation(self, table: str, rows: Sequence[Row]) -> None:
        """Record an evaluation, one row per run, in "evals" or "final"."""
        for s, row in enumerate(rows):
            self._rows[table][s].append(row)

    def texts(self, round_: int, graded: Graded) -> None:
        """Keep responses to the training query, with grades and log-probabilities."""
        logprobs = graded.samples.logprobs_SQGT.double().sum(-1)[:, 0]
        for s, (seed, query) in enumerate(zip(self.seeds, self.queries, strict=True)):
            for g, text in enumerate(graded.texts[s][0]):
                self._rows["texts"][s].append(
                    {
                        "seed": seed,
                        "round": round_,
                        "item": query.item,
                        "prompt": query.prompt,
                        "response": text,
                        "strict": bool(graded.strict_SQG[s, 0, g]),
                        "lenient": bool(graded.lenient_SQG[s, 0, g]),
                        "log_prob": finite(float(logprobs[s, g])),
                    }
                )

    def tables(self, checkpoints: Sequence[bytes]) -> list[RunTables]:
        """One set of tables per run, with its final weights."""
        rows = self._rows
        return [
            RunTables(
                rounds=frame(rows["rounds"][s], ROUNDS),
                groups=frame(rows["groups"][s], GROUPS),
                evals=frame(rows["evals"][s], EVALS),
                final=frame(rows["final"][s], EVALS),
                texts=frame(rows["texts"][s], TEXTS),
                checkpoint=checkpoint,
            )
            for s, checkpoint in enumerate(checkpoints)
        ]
