"""TRL: `trainer_state.json` with its log history, and the completions tables that `log_completions` writes.

Columns as TRL 1.16's GRPO trainer writes them (`reward`, `rewards/<function>/mean`, `frac_reward_zero_std`,
`clip_ratio/region_mean`; completions: step, prompt, completion, one column per reward function, advantage),
and as earlier versions did (`rewards/<function>`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from analysis.importing.logs import LOGGED, STATED, Log, Row, build, log_of, tables_of
from analysis.importing.options import Options
from analysis.importing.rollouts import Prompts, Response, tallied
from analysis.importing.runs import Found, Imported, imported
from analysis.loading.foreign import parse_json, read_parquet, read_text, real, step_of
from banditrft.errors import InputError, RecordError

STATE = "trainer_state.json"
OURS = {
    "grad_norm": "grad_norm",
    "zero_signal_fraction": "frac_reward_zero_std",
    "clip_fraction": "clip_ratio/region_mean",
    "learning_rate": "learning_rate",
}
ABOUT = {"step", "prompt", "completion", "advantage"}
"""Columns of a completions table that are no reward functions."""


def read_trl(paths: Sequence[Path], options: Options) -> Imported:
    """Read TRL runs, one per path.

    Args:
        paths: Each a trainer_state.json, a bare JSON list of log entries, a completions table, or a folder
            with trainer_state.json (there or in its last checkpoint) and `completions/`.
        options: What the user says about them.

    Raises:
        InputError: A path holds nothing of TRL's.
        RecordError: A file cannot be read or trusted; names file and row.
    """
    prompts = Prompts()
    named = zip(paths, options.condition_of(paths), strict=True)
    return imported("trl", [_run(path, name, options, prompts) for path, name in named], options)


def _run(path: Path, condition: str, options: Options, prompts: Prompts) -> Found:
    state, tables = _parts(path)
    if state is None:
        options.only("completions", ("reward",), ("scale",))
    else:
        options.only("a log of TRL", LOGGED[1:], STATED)
    missing: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    rounds: list[dict[str, Any]] = []
    evals: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    if state is not None:
        log = read_log(state)
        columns = {k: v for k, v in OURS.items() if log.has(v)} | _reward(log, options)
        columns |= _test(log, {**columns, **options.columns})
        built = build(log, {**columns, **options.columns}, options, condition)
        rounds, evals = built.tables.rounds.to_dicts(), built.tables.evals.to_dicts()
        missing, settings = built.missing, dict(built.settings)
    if tables:
        counted = tallied(
            path, _responses(tables, options.columns.get("reward")), prompts, options, condition
        )
        groups = counted.groups
        evals = counted.evals + [row for row in evals if row["split"] == "test"]
        settings.setdefault("rounds", counted.last)
        missing = (*(m for m in missing if "no counts" not in m), _LOGGED)
    return Found(condition, path, tables_of(rounds, groups, evals), settings, missing)


_LOGGED = (
    "Counts are of the logged completions: train Pass@1 is that of the responses that training learned from, "
    "after step - 1 updates, and queries differ between steps unless there is only one."
)


def _parts(path: Path) -> tuple[Path | None, list[Path]]:
    """The log and the completions tables of one run."""
    if path.suffix == ".parquet":
        return None, [path]
    if not path.is_dir():
        return path, []
    checkpoints = sorted(
        (p for p in path.glob(f"checkpoint-*/{STATE}") if _number(p).isdecimal()),
        key=lambda p: int(_number(p)),
    )
    states = [p for p in (path / STATE, *reversed(checkpoints)) if p.exists()]
    tables = sorted(path.glob("completions/*.parquet")) or sorted(path.glob("completions_*.parquet"))
    if not states and not tables:
        raise InputError(f"paths: {path} holds neither {STATE} nor completions/*.parquet")
    return (states[0] if states else None), tables


def _number(state: Path) -> str:
    """The step in a checkpoint's folder name."""
    return state.parent.name.rpartition("-")[2]


def read_log(path: Path) -> Log:
    """A log history.

    Raises:
        RecordError: Unreadable, of another form, or without metrics; names file and entry.
    """
    state = parse_json(read_text(path), str(path))
    entries = state.get("log_history") if isinstance(state, dict) else state
    if not isinstance(entries, list):
        raise RecordError(f"{path}: must be a list of log entries or have one as 'log_history'")
    rows = []
    for index, entry in enumerate(entries, 1):
        where = f"{path}: log entry {index}"
        if not isinstance(entry, dict):
            raise RecordError(f"{where}: must be an object, got {entry!r:.80}")
        step = step_of(entry.get("step"), where)
        if "train_runtime" in entry:
            continue  # the closing summary of a finished run, no step
        rows.append(Row(step, {k: found for k, v in entry.items() if (found := real(v)) is not None}, where))
    return replace(log_of(path, rows), every=_every(state, path))


def _every(state: object, path: Path) -> int | None:
    """Steps that a log entry covers: the trainer averages what came since the entry before."""
    steps = state.get("logging_steps") if isinstance(state, dict) else None
    return None if steps is None else max(1, step_of(steps, str(path), "logging_steps"))


def _reward(log: Log, options: Options) -> dict[str, str]:
    """The mean reward that counts right answers: the only function's, or the one that the user names."""
    if "reward" in options.columns:
        return {}
    functions = {
        k for row in log.rows for k in row.values if k.startswith("rewards/") and not k.endswith("/std")
    }
    if len(functions) > 1:
        raise InputError(
            f"map: {log.path} adds up several rewards; --map reward=NAME says which is 1 for a right answer: "
            f"{', '.join(sorted(functions))}"
        )
    own = next(iter(functions), "reward")
    return {"reward": own} if log.has(own) else {}


def _test(log: Log, columns: Mapping[str, str]) -> dict[str, str]:
    """The evaluation of the same reward."""
    own = f"eval_{columns.get('reward', '')}"
    return {"test": own} if log.has(own) else {}


def _responses(tables: Sequence[Path], reward: str | None) -> Iterator[Response]:
    for path in tables:
        table = read_parquet(path)
        if lacking := [name for name in ("step", "prompt") if name not in table.columns]:
            raise RecordError(
                f"{path}: lacks the columns {', '.join(lacking)}, got {', '.join(table.columns)}"
            )
        name = _function(path, table, reward)
        for index, row in enumerate(table.select("step", "prompt", name).iter_rows(), 1):
            where = f"{path}: row {index}"
            yield Response(step_of(row[0], where), _text(row[1]), row[2], where)


def _function(path: Path, table: pl.DataFrame, reward: str | None) -> str:
    """The column of the reward function that says whether an answer is right."""
    numbers = [n for n in table.columns if n not in ABOUT and table[n].dtype.is_numeric()]
    wanted = None if reward is None else reward.removeprefix("rewards/").removesuffix("/mean")
    if wanted is None and len(numbers) == 1:
        return numbers[0]
    if wanted not in numbers:
        raise InputError(
            f"map: {path}: --map reward=NAME must name one of {', '.join(numbers)}, got {wanted!r}"
        )
    return str(wanted)


def _text(prompt: object) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str)
