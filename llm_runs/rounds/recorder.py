"""Rows of the records of a stack of runs, collected as they come up and cut into one set of tables per run.

Tables hold counts and sums under the schemas of `banditrft.schemas`; what this world does not measure is
null. Nothing is computed here that is not a record.

Axes: S runs, Q queries of a round, G rollouts of a query.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from banditrft.records import EVALS, GROUPS, ITEMS, ROUNDS, TEXTS, RunTables, Schema
from banditrft.runs import Run
from llm_runs.interfaces import StepRecord
from llm_runs.rounds.grading import Graded
from llm_runs.tasks import Item

STAGES = ("sample", "grade", "learn", "push", "evaluate", "save")
SCHEMAS: Mapping[str, Schema] = {
    "rounds": ROUNDS,
    "groups": GROUPS,
    "evals": EVALS,
    "final": EVALS,
    "items": ITEMS,
    "texts": TEXTS,
}
"""Tables that a run collects."""
AT_ONCE = 8192
"""Rows kept as Python objects before they are packed into a table."""
Row = dict[str, Any]
WorkShare = Callable[[str], float | None]


def frame(rows: Sequence[Row], schema: Schema) -> pl.DataFrame:
    """Rows as a table of the schema; keys that a row lacks are null."""
    return pl.DataFrame(
        {name: pl.Series(name, [row.get(name) for row in rows], dtype()) for name, dtype in schema.items()}
    )


class Table:
    """One table that grows by rows."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._packed = frame([], schema)
        self._rows: list[Row] = []

    def append(self, row: Row) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) >= AT_ONCE:
            self._pack()

    def frame(self) -> pl.DataFrame:
        """All of it so far."""
        self._pack()
        return self._packed

    def load(self, table: pl.DataFrame) -> None:
        """Go on from these rows."""
        self._packed, self._rows = table, []

    def add_to_last(self, amounts: Mapping[str, float]) -> None:
        """Add amounts to columns of the last row."""
        whole = self.frame()
        last = whole.tail(1).with_columns(pl.col(name) + amount for name, amount in amounts.items())
        self.load(pl.concat([whole.head(-1), last]))

    def _pack(self) -> None:
        if self._rows:
            self._packed = self._packed.vstack(frame(self._rows, self.schema))
            self._rows = []


class Clock:
    """Seconds by stage, since the last reading."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._since = time.perf_counter()

    def charge(self, stage: str) -> None:
        """Charge the time since the last charge to a stage."""
        now = time.perf_counter()
        self._seconds[stage] += now - self._since
        self._since = now

    def read(self) -> dict[str, float]:
        """The seconds of each stage; starts anew."""
        seconds, self._seconds = self._seconds, dict.fromkeys(STAGES, 0.0)
        return seconds


def finite(value: float) -> float | None:
    """The value; None once a run's weights have diverged and there is none. Its counts go on being counts."""
    return value if math.isfinite(value) else None


def measured(values_S: Tensor | None, s: int) -> float | None:
    """One run's value, None where it was not measured or is not finite."""
    return None if values_S is None else finite(float(values_S[s]))


class Recorder:
    """Collects rows of S runs.

    Args:
        runs: The runs.
        work_share: Share of a response before its answer mark (`Task.work_share`).
    """

    def __init__(self, runs: Sequence[Run], work_share: WorkShare) -> None:
        self.seeds = [run.seeds[0] for run in runs]
        self.work_share = work_share
        self._tables = [{name: Table(schema) for name, schema in SCHEMAS.items()} for _ in runs]

    def round(
        self,
        round_: int,
        items_SQ: Sequence[Sequence[Item]],
        graded: Graded,
        rewards_SQG: NDArray[np.float64],
        signals_SQG: NDArray[np.float64],
        active_SQG: Tensor | None,
        step: StepRecord,
        seconds: Mapping[str, float],
    ) -> list[Row]:
        """Record one round and return its row of each run.

        Args:
            round_: Its number, from 1.
            items_SQ: Its queries.
            graded: Its fresh responses.
            rewards_SQG: Their rewards.
            signals_SQG: Their signals.
            active_SQG: Which of them count in the loss; None is all. A group without any is silent.
            step: What the update did.
            seconds: Of the whole stack, by stage; shared out evenly.
        """
        share = self._share(seconds)
        strict_SQ, lenient_SQ = graded.strict_SQG.sum(-1).tolist(), graded.lenient_SQG.sum(-1).tolist()
        sums_SQ, silent_SQG = rewards_SQG.sum(-1).tolist(), signals_SQG == 0
        if active_SQG is not None:
            silent_SQG = silent_SQG | ~active_SQG.numpy()
        tokens_S = graded.samples.lengths_SQG.flatten(1).sum(-1).tolist()
        rows = []
        for s, (seed, tables) in enumerate(zip(self.seeds, self._tables, strict=True)):
            row: Row = {
                "seed": seed,
                "round": round_,
                "reward_mean": float(rewards_SQG[s].mean()),
                "signal_mean": float(signals_SQG[s].mean()),
                "signal_var": float(signals_SQG[s].var()),
                "zero_signal_fraction": float(silent_SQG[s].all(-1).mean()),
                "update_norm": measured(step.update_norm_S, s),
                "kl": measured(step.kl_S, s),
                "entropy": measured(step.entropy_S, s),
                "tokens": tokens_S[s],
                "grad_norm": measured(step.grad_norm_S, s),
                "clip_fraction": measured(step.clip_fraction_S, s),
                "mismatch": measured(step.mismatch_S, s),
                "work_share": self._work(graded.texts[s]),
                **share,
            }
            tables["rounds"].append(row)
            rows.append(row)
            for q, item in enumerate(items_SQ[s]):
                tables["groups"].append(
                    {
                        "seed": seed,
                        "round": round_,
                        "item": item.index,
                        "n": rewards_SQG.shape[2],
                        "reward_sum": sums_SQ[s][q],
                        "correct_strict": strict_SQ[s][q],
                        "correct_lenient": lenient_SQ[s][q],
                    }
                )
        return rows

    def add_seconds(self, seconds: Mapping[str, float]) -> None:
        """Charge what came after the last round to it; seconds as `round` takes them."""
        for tables in self._tables:
            tables["rounds"].add_to_last(self._share(seconds))

    def _share(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Each run's share of the stack's seconds, by column."""
        return {f"seconds_{stage}": seconds[stage] / len(self.seeds) for stage in STAGES}

    def _work(self, texts_QG: Sequence[Sequence[str]]) -> float | None:
        shares = [
            share for texts in texts_QG for text in texts if (share := self.work_share(text)) is not None
        ]
        return math.fsum(shares) / len(shares) if shares else None

    def evaluations(self, table: str, rows: Sequence[Sequence[Row]]) -> None:
        """Record rows of each run in "evals", "final" or "items"."""
        for tables, own in zip(self._tables, rows, strict=True):
            for row in own:
                tables[table].append(row)

    def texts(self, round_: int, source: str, items_SQ: Sequence[Sequence[Item]], graded: Graded) -> None:
        """Keep responses with grades and log-probabilities; source is "training" or "final"."""
        logprobs_SQG = graded.samples.logprobs_SQGT.double().sum(-1).tolist()
        for s, (seed, tables) in enumerate(zip(self.seeds, self._tables, strict=True)):
            for q, item in enumerate(items_SQ[s]):
                for g, text in enumerate(graded.texts[s][q]):
                    tables["texts"].append(
                        {
                            "seed": seed,
                            "round": round_,
                            "source": source,
                            "item": item.index,
                            "prompt": item.prompt,
                            "response": text,
                            "strict": bool(graded.strict_SQG[s, q, g]),
                            "lenient": bool(graded.lenient_SQG[s, q, g]),
                            "log_prob": finite(logprobs_SQG[s][q][g]),
                        }
                    )

    def frames(self, s: int) -> dict[str, pl.DataFrame]:
        """All tables of one run so far, by name."""
        return {name: table.frame() for name, table in self._tables[s].items()}

    def load(self, s: int, frames: Mapping[str, pl.DataFrame]) -> None:
        """Go on from the tables of one run."""
        for name, table in frames.items():
            self._tables[s][name].load(table)

    def tables(self, checkpoints: Sequence[bytes]) -> list[RunTables]:
        """One set of tables per run, with its final weights."""
        return [
            RunTables(**self.frames(s), checkpoint=checkpoint) for s, checkpoint in enumerate(checkpoints)
        ]
