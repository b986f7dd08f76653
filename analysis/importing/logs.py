"""A run's log as rows of named numbers by step, whatever wrote it, and the tables that follow from it.

A trainer logs at step s what it measured on the responses that update s learned from: they come from the
policy after s - 1 updates. A row that averages several steps stands in their middle. A test evaluation logged
at step s is taken to be after s updates.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from analysis.importing.whole import fewest, whole
from banditrft.errors import InputError, RecordError
from banditrft.records import EVALS, GROUPS, ROUNDS, RunTables

COPIED = ("zero_signal_fraction", "grad_norm", "clip_fraction")
"""Columns of `rounds` logged in our units; trainers log KL and entropy per token, ours are per response."""
KNOWN = ("step", "reward", "test", *COPIED)
"""Names that can be mapped to columns of a log."""


@dataclass(frozen=True)
class Row:
    """Named numbers of one step; `where` is file and row."""

    step: int
    values: Mapping[str, float]
    where: str


@dataclass(frozen=True)
class Log:
    """One run's log.

    Attributes:
        path: Where it was read.
        rows: By rising step, no step twice.
        decimals: Digits after the point by column, where the log prints few; empty is full precision.
    """

    path: Path
    rows: tuple[Row, ...]
    decimals: Mapping[str, int]


def log_of(path: Path, rows: Iterable[Row], decimals: Mapping[str, int] | None = None) -> Log:
    """A log of rows in the order of the file; rows of one step are joined.

    Raises:
        RecordError: No rows, a step below 0, steps that fall, or a column that stands twice in one step.
    """
    joined: dict[int, Row] = {}
    last = -1
    for row in rows:
        if row.step < max(0, last):
            raise RecordError(f"{row.where}: steps must rise from 0, got {row.step} after {last}")
        last = row.step
        before = joined.get(row.step)
        if before is not None:
            twice = sorted(k for k in before.values.keys() & row.values.keys() if k not in ("epoch", "step"))
            if twice:
                raise RecordError(f"{row.where}: step {row.step} stands there twice ({twice[0]!r})")
            row = Row(row.step, {**before.values, **row.values}, row.where)
        joined[row.step] = row
    if not joined:
        raise RecordError(f"{path}: holds no rows of metrics")
    return Log(path, tuple(joined.values()), decimals or {})


def column(log: Log, name: str) -> dict[int, tuple[float, str]]:
    """Step -> value and place of one column; a name that ends in % is divided by 100.

    Raises:
        InputError: The log has no such column.
        RecordError: A value is NaN or infinite; names the row.
    """
    plain = name.removesuffix("%")
    found = {r.step: (r.values[plain], r.where) for r in log.rows if plain in r.values}
    if not found:
        raise InputError(f"map: {log.path} has no column {plain!r}")
    for value, where in found.values():
        if not math.isfinite(value):
            raise RecordError(f"{where}: {plain!r} must be a finite number, got {value}")
    scale = 100.0 if plain != name else 1.0
    return {step: (value / scale, where) for step, (value, where) in found.items()}


@dataclass(frozen=True)
class Built:
    """Tables of one run (seed 0) and what its log lacks, one sentence each."""

    tables: RunTables
    last: int
    missing: tuple[str, ...]


def build(log: Log, columns: Mapping[str, str], samples: int | None, test_samples: int | None) -> Built:
    """Tables of one run.

    Args:
        log: Its log.
        columns: Our name -> the log's column; see `KNOWN`.
        samples: Responses per step behind the mean reward, or None.
        test_samples: Responses behind a test evaluation, or None.

    Raises:
        InputError: A mapped column is not there, or nothing is mapped.
        RecordError: A mean is no whole count of the samples; names file and row.
    """
    missing: list[str] = []
    rewards = column(log, columns["reward"]) if "reward" in columns else {}
    tests = column(log, columns["test"]) if "test" in columns else {}
    evals = _train(log, columns, rewards, samples, missing) + _test(
        log, columns, tests, test_samples, missing
    )
    copied = {name: column(log, columns[name]) for name in COPIED if name in columns}
    last = log.rows[-1].step
    steps = sorted({s for s in (*rewards, *(s for c in copied.values() for s in c)) if s > 0})
    cells = [
        {
            "seed": 0,
            "round": step,
            "reward_mean": rewards.get(step, (None,))[0],
            **{name: found.get(step, (None,))[0] for name, found in copied.items()},
        }
        for step in steps
    ]
    return Built(tables_of(cells, [], evals), last, tuple(missing))


def _train(
    log: Log,
    columns: Mapping[str, str],
    rewards: Mapping[int, tuple[float, str]],
    samples: int | None,
    missing: list[str],
) -> list[dict[str, Any]]:
    if not rewards:
        missing.append("No mean reward is read, so there is no training curve.")
        return []
    if samples is None:
        n = fewest([value for value, _ in rewards.values()])
        hint = f" (the fewest that make every mean a whole count: {n} per row)" if n and n > 1 else ""
        missing.append(
            "The log does not say how many responses are behind a mean reward, so there are no counts and no "
            f"training curve to test{hint}; --samples says it."
        )
        return []
    steps = sorted(rewards)
    window = steps[0] if len(steps) < 2 else steps[1] - steps[0]
    before = min(steps[0], window) if steps[0] else 1
    found = []
    for index, step in enumerate(steps):
        mean, where = rewards[step]
        width = step - steps[index - 1] if index else max(1, before)
        n = samples * width
        count = whole(mean, n, where, log.decimals.get(columns["reward"].removesuffix("%")))
        found.append(_eval(max(0, step - (width + 1) // 2), "train", n, count))
    if window > 1:
        missing.append(
            f"Rewards are means over {window} steps: each point stands in the middle of its steps."
        )
    missing.append(
        "There are no evaluations of the training queries: train Pass@1 is that of the responses that "
        "training learned from, whose queries may change from step to step."
    )
    return found


def _test(
    log: Log,
    columns: Mapping[str, str],
    tests: Mapping[int, tuple[float, str]],
    samples: int | None,
    missing: list[str],
) -> list[dict[str, Any]]:
    if not tests:
        missing.append("No test evaluations are read: nothing can be said about generalisation.")
        return []
    if samples is None:
        missing.append(
            "How many responses are behind a test evaluation is not known; --test-samples says it."
        )
        return []
    decimals = log.decimals.get(columns["test"].removesuffix("%"))
    if decimals is not None and columns["test"].endswith("%"):
        decimals += 2
    if 0 not in tests:
        missing.append(
            "The base policy was not tested (no evaluation at step 0): gains over base are unknown."
        )
    return [_eval(s, "test", samples, whole(m, samples, w, decimals)) for s, (m, w) in sorted(tests.items())]


def _eval(step: int, split: str, n: int, correct: int) -> dict[str, Any]:
    return {
        "seed": 0,
        "round": step,
        "split": split,
        "n": n,
        "reward_sum": float(correct),
        "correct_strict": correct,
    }


def tables_of(
    rounds: list[dict[str, Any]], groups: list[dict[str, Any]], evals: list[dict[str, Any]]
) -> RunTables:
    """Tables from rows; what a row does not have is null. The last evaluation of a split is its final one."""
    evaluated = pl.DataFrame(evals, schema=dict(EVALS))
    final = [
        part.filter(pl.col("round").is_in([0, part["round"].max()]) if split == "test" else _last(part))
        for split in ("train", "test")
        if (part := evaluated.filter(pl.col("split") == split)).height
    ]
    return RunTables(
        rounds=pl.DataFrame(rounds, schema=dict(ROUNDS)),
        groups=pl.DataFrame(groups, schema=dict(GROUPS)),
        evals=evaluated,
        final=pl.concat(final) if final else pl.DataFrame(schema=dict(EVALS)),
    )


def _last(part: pl.DataFrame) -> pl.Expr:
    return pl.col("round") == part["round"].max()
