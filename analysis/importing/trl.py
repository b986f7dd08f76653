"""TRL: `trainer_state.json` with its log history, and the completions tables that `log_completions` writes.

Columns as TRL 1.16's GRPO trainer writes them (`reward`, `rewards/<function>/mean`, `frac_reward_zero_std`,
`clip_ratio/region_mean`; completions: step, prompt, completion, one column per reward function, advantage),
and as earlier versions did (`rewards/<function>`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from analysis.importing.logs import Log, Row, build, log_of, tables_of
from analysis.importing.options import Options
from analysis.importing.rollouts import Prompts, Response, tallied
from analysis.importing.runs import Found, Imported, imported
from banditrft.errors import InputError, RecordError

STATE = "trainer_state.json"
OURS = {
    "grad_norm": "grad_norm",
    "zero_signal_fraction": "frac_reward_zero_std",
    "clip_fraction": "clip_ratio/region_mean",
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
    missing: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    rounds: list[dict[str, Any]] = []
    evals: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    if state is not None:
        log = read_log(state)
        columns = {
            **{k: v for k, v in OURS.items() if _has(log, v)},
            **_reward(log, options),
            **options.columns,
        }
        built = build(log, {k: v for k, v in columns.items() if v}, options.samples, options.test_samples)
        rounds, evals = built.tables.rounds.to_dicts(), built.tables.evals.to_dicts()
        missing, settings = built.missing, {"rounds": max(1, built.last), **_rate(log)}
    if tables:
        groups, own = tallied(_responses(tables, options.columns.get("reward")), prompts)
        evals = own + [row for row in evals if row["split"] == "test"]
        settings.setdefault("rounds", groups[-1]["round"])
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
    entries = _entries(path)
    rows = []
    for index, entry in enumerate(entries, 1):
        where = f"{path}: log entry {index}"
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            raise RecordError(f"{where}: must be an object with a whole 'step', got {entry!r:.80}")
        if "train_runtime" in entry:
            continue  # the closing summary of a finished run, no step
        numbers = {
            k: float(v) for k, v in entry.items() if isinstance(v, int | float) and not isinstance(v, bool)
        }
        rows.append(Row(entry["step"], numbers, where))
    return log_of(path, rows)


def _entries(path: Path) -> list[Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as JSON ({type(error).__name__}: {error})") from None
    value = value.get("log_history") if isinstance(value, dict) else value
    if not isinstance(value, list):
        raise RecordError(f"{path}: must be a list of log entries or have one as 'log_history'")
    return value


def _has(log: Log, name: str) -> bool:
    return any(name in row.values for row in log.rows)


def _reward(log: Log, options: Options) -> Mapping[str, str]:
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
    return {"reward": own} if _has(log, own) else {}


def _rate(log: Log) -> dict[str, Any]:
    """The learning rate, where the log shows one that stays the same."""
    found = {row.values["learning_rate"] for row in log.rows if "learning_rate" in row.values}
    return {"learning_rate": found.pop()} if len(found) == 1 and 0 not in found else {}


def _responses(tables: Sequence[Path], reward: str | None) -> Iterator[Response]:
    for path in tables:
        try:
            table = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise RecordError(
                f"{path}: cannot be read as Parquet ({type(error).__name__}: {error})"
            ) from None
        if lacking := [name for name in ("step", "prompt") if name not in table.columns]:
            raise RecordError(
                f"{path}: lacks the columns {', '.join(lacking)}, got {', '.join(table.columns)}"
            )
        name = _function(path, table, reward)
        for index, row in enumerate(table.select("step", "prompt", name).iter_rows(), 1):
            yield Response(int(row[0]), _text(row[1]), row[2], f"{path}: row {index}")


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
