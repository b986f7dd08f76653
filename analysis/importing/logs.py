"""A run's log as rows of named numbers by step, whatever wrote it, and the tables that follow from it.

A trainer logs at step s what it measured on the responses that update s learned from: they come from the
policy after s - 1 updates. A row that averages several steps stands in their middle. A log whose first
reward is at step 0 counts from 0: its step s is update s + 1. A test evaluation logged at step s is taken to
be after s updates.

A row stands for the steps that its trainer says it averages, or the user, or else for its own alone; never
for those since the row before, which may be missing.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from analysis.importing.options import Options
from analysis.importing.whole import NO_COUNT, PLAIN, PRECISION, Mean, Scale, offer, seen, whole
from banditrft.design import Design
from banditrft.errors import InputError, RecordError
from banditrft.records import EVALS, GROUPS, ROUNDS, RunTables

COPIED = {"zero_signal_fraction": 1.0, "grad_norm": math.inf, "clip_fraction": 1.0}
"""Columns of `rounds` logged in our units, and their largest values; trainers log KL and entropy per token,
ours are per response."""
LOGGED = ("step", "reward", "reward_min", "reward_max", "test", *COPIED)
"""Names that can be mapped to columns of a log, besides settings of a design."""
STATED = ("samples", "test_samples", "log_every", "scale", "test_scale")
"""Options that a log's rows need."""


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
        every: Steps that a row's means cover, where the log says so; None where it is not known.
        notes: What of it could not be read, one sentence each.
    """

    path: Path
    rows: tuple[Row, ...]
    decimals: Mapping[str, int]
    every: int | None = 1
    notes: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether any row has this column."""
        return any(name in row.values for row in self.rows)


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


@dataclass(frozen=True)
class Column:
    """What a log has of one column: values and places by step, and the digits that it prints."""

    name: str
    values: Mapping[int, float]
    where: Mapping[int, str]
    decimals: int | None

    def finite(self) -> "Column":
        """Itself.

        Raises:
            RecordError: A value is NaN or infinite; names the row.
        """
        for step, value in self.values.items():
            if not math.isfinite(value):
                raise RecordError(f"{self.where[step]}: {self.name!r} must be a finite number, got {value}")
        return self


def column(log: Log, name: str) -> Column:
    """One column; a name that ends in % is divided by 100.

    Raises:
        InputError: The log has no such column.
    """
    plain = name if log.has(name) else name.removesuffix("%")
    if not log.has(plain):
        there = ", ".join(dict.fromkeys(column for row in log.rows for column in row.values))
        raise InputError(f"map: {log.path} has no column {plain!r}, but {there or 'no numbers'}"[:600])
    percent = name.endswith("%")
    found = {r.step: r.values[plain] / (100 if percent else 1) for r in log.rows if plain in r.values}
    decimals = log.decimals.get(plain)
    return Column(
        plain,
        found,
        {r.step: r.where for r in log.rows if plain in r.values},
        decimals if decimals is None else decimals + 2 * percent,
    )


@dataclass(frozen=True)
class Built:
    """Tables of one run (seed 0), the settings that its log says, and what it lacks, one sentence each."""

    tables: RunTables
    settings: Mapping[str, Any]
    missing: tuple[str, ...]


def build(log: Log, columns: Mapping[str, str], options: Options, condition: str) -> Built:
    """Tables of one run.

    Args:
        log: Its log.
        columns: Our name -> the log's column, the tool's own and the user's; see `LOGGED`.
        options: What the user says.
        condition: Name of the run's condition, for which `options` may say more.

    Raises:
        InputError: A mapped column is not there, or what it means is not clear.
        RecordError: A value is out of its range, or a mean is no whole count of the samples; names file and
            row.
    """
    missing: list[str] = list(log.notes)
    reward = column(log, columns["reward"]).finite() if "reward" in columns else None
    shift = 1 if reward is not None and 0 in reward.values else 0
    if shift:
        missing.append(
            "The log has a reward at step 0, so it counts steps from 0: what it logs at step s is of the "
            "policy after s updates."
        )
    evals = [
        *(_train(log, reward, shift, columns, options, condition, missing)),
        *(_test(log, reward, columns, options, condition, missing)),
    ]
    copied = {
        name: _optional(log, name, columns[name], most, missing)
        for name, most in COPIED.items()
        if name in columns
    }
    rewards = {} if reward is None else reward.values
    steps = sorted({s for found in (rewards, *copied.values()) for s in found if s + shift > 0})
    cells = [
        {
            "seed": 0,
            "round": step + shift,
            "reward_mean": rewards.get(step),
            **{name: found[step] for name, found in copied.items() if step in found},
        }
        for step in steps
    ]
    settings = {"rounds": max(1, log.rows[-1].step + shift), **_settings(log, columns, options, missing)}
    return Built(tables_of(cells, [], evals), settings, tuple(missing))


def _optional(log: Log, name: str, theirs: str, most: float, missing: list[str]) -> dict[int, float]:
    """Values of a column that may lack some; those of a run that diverged, not finite, become null."""
    found = column(log, theirs)
    kept = {step: value for step, value in found.values.items() if math.isfinite(value)}
    for step, value in kept.items():
        if not 0 <= value <= most * (1 + PRECISION):
            wanted = "0 or more" if math.isinf(most) else f"in [0, {most:g}]"
            raise RecordError(f"{found.where[step]}: {theirs!r} must be {wanted}, got {value}")
    if lost := len(found.values) - len(kept):
        first = next(step for step in found.values if step not in kept)
        missing.append(
            f"{name} is not finite at {lost} of {len(found.values)} steps of {log.path.name} (first: "
            f"{first}), and is null there."
        )
    return kept


def _settings(
    log: Log, columns: Mapping[str, str], options: Options, missing: list[str]
) -> dict[str, float | int]:
    """Settings of the design that the log shows, where they stay the same."""
    settings: dict[str, float | int] = {}
    for name in (n for n in columns if n in Design.model_fields and n not in LOGGED):
        found = column(log, columns[name])
        if name in options.columns:
            found.finite()
        low, high = min(found.values.values()), max(found.values.values())
        vague = found.decimals is not None and 0.5 * 10.0**-found.decimals > 0.01 * abs(low)
        if low != high:
            said = f"{name} goes from {low:g} to {high:g} in the log"
            if name in options.columns:
                raise InputError(
                    f"map: {log.path}: {said}, and a setting is one number; --set {name}= says which"
                )
            missing.append(f"{said}, so no single one is read; --set {name}= says which.")
        elif name in options.columns or (low > 0 and not vague):
            settings[name] = int(low) if low == int(low) else low
    return settings


def _train(
    log: Log,
    reward: Column | None,
    shift: int,
    columns: Mapping[str, str],
    options: Options,
    condition: str,
    missing: list[str],
) -> list[dict[str, Any]]:
    """Train evaluations from mean rewards."""
    if reward is None:
        missing.append("No mean reward is read, so there is no training curve.")
        return []
    meaning = options.reward(condition)
    if meaning in NO_COUNT and "reward" not in options.columns:
        missing.append(
            f"Rewards are {meaning}: their mean is no share of right answers, so there is no training curve; "
            "--map reward=NAME names a column that counts them."
        )
        return []
    every, means = _means(log, reward, shift, options)
    if options.samples is None:
        missing.append(_unknown_samples(log, reward, means, columns, options, condition))
        return []
    scale = _scale(log, reward, columns, options, condition)
    if scale != PLAIN:
        missing.append(f"Rewards are {scale.low:g} for a wrong and {scale.high:g} for a right answer.")
    counts = _counts(means, options.samples, "--samples", reward.decimals, scale)
    found = []
    for (step, mean), count in zip(means.items(), counts, strict=True):
        after = max(0, step + shift - (mean.width + 1) // 2)
        found.append(_eval(after, "train", options.samples * mean.width, count))
    if every > 1:
        missing.append(f"Rewards are means over {every} steps: each point stands in the middle of its steps.")
    missing += _gaps(log, means, every)
    missing.append(
        "There are no evaluations of the training queries: train Pass@1 is that of the responses that "
        "training learned from, whose queries may change from step to step."
    )
    return found


def _means(log: Log, reward: Column, shift: int, options: Options) -> tuple[int, dict[int, Mean]]:
    """Steps that a row covers at most, and the means with the steps that each covers.

    A row never covers steps that an earlier row with a reward covers: trainers start a new mean at each row.
    """
    steps = list(reward.values)
    gaps = [b - a for a, b in zip([-shift, *steps], steps, strict=False)]
    every = options.log_every or log.every
    if every is None:
        if max(gaps) > 1:
            apart = next(i for i, gap in enumerate(gaps) if gap > 1)
            raise InputError(
                f"log_every: {log.path} does not say how many steps a row's mean covers, and there are "
                f"{gaps[apart]} up to step {steps[apart]}; --log-every N says it"
            )
        every = 1
    return every, {
        step: Mean(reward.values[step], max(1, min(every, gap)), reward.where[step])
        for step, gap in zip(steps, gaps, strict=True)
    }


def _counts(
    means: Mapping[int, Mean], samples: int, option: str, decimals: int | None, scale: Scale
) -> list[int]:
    try:
        return [whole(m.value, samples * m.width, m.where, decimals, scale) for m in means.values()]
    except RecordError as error:
        hint = offer(option, list(means.values()), decimals, scale)
        raise RecordError(f"{error}; {hint}" if hint else str(error)) from None


def _unknown_samples(
    log: Log,
    reward: Column,
    means: Mapping[int, Mean],
    columns: Mapping[str, str],
    options: Options,
    condition: str,
) -> str:
    try:
        scale = _scale(log, reward, columns, options, condition)
        hint = offer("--samples", list(means.values()), reward.decimals, scale)
    except InputError:
        hint = ""
    return (
        "The log does not say how many responses are behind a step's mean reward, so there are no counts and "
        f"no training curve to test; --samples says it{f' ({hint})' if hint else ''}."
    )


def _gaps(log: Log, means: Mapping[int, Mean], every: int) -> list[str]:
    """Steps between the first row and the last that no mean covers, counted."""
    steps = list(means)
    first = steps[0] - means[steps[0]].width + 1
    total = steps[-1] - first + 1
    lost = total - sum(m.width for m in means.values())
    if not lost:
        return []
    apart = {b - a for a, b in pairwise(steps)}
    alone = "; each row is taken to be of its own step alone, and --log-every says otherwise"
    return [
        f"{lost} of the steps {first} to {steps[-1]} have no mean reward in {log.path.name}"
        f"{alone if every == 1 and len(apart) == 1 else ''}."
    ]


def _scale(log: Log, reward: Column, columns: Mapping[str, str], options: Options, condition: str) -> Scale:
    """Rewards of a wrong and a right answer: said by the user, seen in the log, or else 0 and 1.

    Raises:
        InputError: What the log shows contradicts what was said, or can mean several things.
    """
    stem = reward.name.removesuffix("/mean")
    theirs = {
        end: columns.get(f"reward_{end}") or (f"{stem}/{end}" if log.has(f"{stem}/{end}") else None)
        for end in ("min", "max")
    }
    shown = {
        value
        for name in theirs.values()
        if name is not None
        for value in column(log, name).finite().values.values()
    }
    said = options.stated(condition)
    names = " and ".join(repr(name) for name in theirs.values() if name)
    values = ", ".join(f"{value:g}" for value in sorted(shown)[:6])
    if said is not None:
        if not shown <= said.values:
            raise InputError(
                f"scale: rewards were said to be {said}, but {log.path} shows {values} in {names}"
            )
        return said
    if not shown:
        return PLAIN
    found = seen(shown)
    if found is None or None in theirs.values():
        raise InputError(
            f"scale: {log.path} shows rewards of {values} in {names}; --scale LOW HIGH says what a wrong and "
            "a right answer are worth, or --map reward=NAME names a column that counts right answers"
        )
    return found


def _test(
    log: Log,
    reward: Column | None,
    columns: Mapping[str, str],
    options: Options,
    condition: str,
    missing: list[str],
) -> list[dict[str, Any]]:
    """Test evaluations from mean scores."""
    if "test" not in columns:
        missing.append("No test evaluations are read: nothing can be said about generalisation.")
        return []
    tests = column(log, columns["test"]).finite()
    means = {step: Mean(value, 1, tests.where[step]) for step, value in sorted(tests.values.items())}
    if options.test_samples is None:
        hint = offer("--test-samples", list(means.values()), tests.decimals)
        missing.append(
            "How many responses are behind a test evaluation is not known; --test-samples says it"
            f"{f' ({hint})' if hint else ''}."
        )
        return []
    scale = _test_scale(log, tests, reward, columns, options, condition)
    if 0 not in tests.values:
        missing.append(
            "The base policy was not tested (no evaluation at step 0): gains over base are unknown."
        )
    n = options.test_samples
    counts = _counts(means, n, "--test-samples", tests.decimals, scale)
    return [_eval(step, "test", n, count) for step, count in zip(means, counts, strict=True)]


def _test_scale(
    log: Log,
    tests: Column,
    reward: Column | None,
    columns: Mapping[str, str],
    options: Options,
    condition: str,
) -> Scale:
    """Scores of a wrong and a right answer to a test question.

    Raises:
        InputError: Training rewards are not 0 and 1, and the name of the score does not say that it is.
    """
    if options.test_scale is not None:
        return options.test_scale
    if reward is None or any(word in tests.name.lower() for word in ("acc", "pass", "correct")):
        return PLAIN
    try:
        scale = _scale(log, reward, columns, options, condition)
    except InputError:
        scale = None
    if scale is not None and (scale == PLAIN or tests.name == f"eval_{reward.name}"):
        return scale
    raise InputError(
        f"test_scale: training rewards are {'not clearly 0 and 1' if scale is None else scale}, and what "
        f"{tests.name!r} in {log.path} counts is not clear; --test-scale LOW HIGH says it"
    )


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
    return RunTables(
        rounds=pl.DataFrame(rounds, schema=dict(ROUNDS)),
        groups=pl.DataFrame(groups, schema=dict(GROUPS)),
        evals=evaluated,
        final=_final(evaluated),
    )


def at_rounds(tables: RunTables, split: str, rounds: Iterable[int]) -> RunTables:
    """Tables with a split's evaluations at some rounds only."""
    kept = tables.evals.filter((pl.col("split") != split) | pl.col("round").is_in(list(rounds)))
    return replace(tables, evals=kept, final=_final(kept))


def until(tables: RunTables, last: int) -> RunTables:
    """Tables without what came after a round."""
    rounds, groups, evals = (
        t.filter(pl.col("round") <= last) for t in (tables.rounds, tables.groups, tables.evals)
    )
    return replace(tables, rounds=rounds, groups=groups, evals=evals, final=_final(evals))


def _final(evals: pl.DataFrame) -> pl.DataFrame:
    """The last evaluation of each split, and the first of the test set if it is that of the base policy."""
    final = [
        part.filter(pl.col("round").is_in([part["round"].max(), *([0] if split == "test" else [])]))
        for split in ("train", "test")
        if (part := evals.filter(pl.col("split") == split)).height
    ]
    return pl.concat(final) if final else pl.DataFrame(schema=dict(EVALS))
