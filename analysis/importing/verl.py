"""verl: metrics of its console, JSONL or TensorBoard loggers; rollout dumps (`trainer.rollout_data_dir`).

A console line reads ``step:12 - critic/score/mean:0.25 - actor/grad_norm:0.1``, with whatever stands before
it; a JSONL line is ``{"step": 12, "data": {...}}`` or flat; a dump is one ``<step>.jsonl`` per step with
input, output, score and step.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.importing.logs import Log, Row, build, log_of, tables_of
from analysis.importing.options import Options
from analysis.importing.rollouts import Prompts, Response, tallied
from analysis.importing.runs import Found, Imported, imported
from banditrft.errors import InputError, RecordError

OURS = {
    "reward": "critic/score/mean",
    "grad_norm": "actor/grad_norm",
    "clip_fraction": "actor/pg_clipfrac",
}
TEST = re.compile(r"val(-core)?/.*(mean@1|test_score.*|acc|accuracy)$")
"""Names under which verl logs the mean score of a validation set, one response per item."""
LINE = re.compile(r"(?:^|\s)step:\s*(\d+)((?:\s+-\s+\S+:\S+)+)\s*$")
NUMBER = re.compile(r"(?:np\.\w+\()?(-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|-?inf)\)?")
DUMP = re.compile(r"\d+\.jsonl")
EVENTS = "events.out.tfevents*"


def read_verl(paths: Sequence[Path], options: Options) -> Imported:
    """Read verl runs, one per path.

    Args:
        paths: Each a console log, a JSONL file of metrics, a TensorBoard event file or folder, or a folder of
            rollout dumps.
        options: What the user says about them.

    Raises:
        InputError: A path holds nothing of verl's, or TensorBoard is needed and not installed.
        RecordError: A file cannot be read or trusted; names file and row.
    """
    prompts = Prompts()
    named = zip(paths, options.condition_of(paths), strict=True)
    return imported("verl", [_run(path, name, options, prompts) for path, name in named], options)


def _run(path: Path, condition: str, options: Options, prompts: Prompts) -> Found:
    if path.is_dir() and (dumps := dump_files(path)):
        groups, evals = tallied(_responses(dumps, options.columns.get("reward", "score")), prompts)
        missing = (
            "Only rollouts are read: train Pass@1 is that of the responses that training learned from, after "
            "step - 1 updates, and there are no test evaluations.",
        )
        tables = tables_of([], groups, evals)
        return Found(condition, path, tables, {"rounds": groups[-1]["round"]}, missing)
    log = read_log(path)
    columns = {k: v for k, v in OURS.items() if any(v in row.values for row in log.rows)}
    columns = {**columns, **_test(log, options), **options.columns}
    built = build(log, columns, options.samples, options.test_samples)
    return Found(condition, path, built.tables, {"rounds": max(1, built.last)}, built.missing)


def dump_files(folder: Path) -> list[Path]:
    """Rollout dumps of a folder, by rising step."""
    return sorted((p for p in folder.iterdir() if DUMP.fullmatch(p.name)), key=lambda p: int(p.stem))


def read_log(path: Path) -> Log:
    """Metrics by step, from a console log, JSONL or TensorBoard.

    Raises:
        RecordError: Unreadable, or without metrics; names file and line.
    """
    if path.is_dir() or ".tfevents." in path.name:
        return log_of(path, _events(path))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({type(error).__name__}: {error})") from None
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        return log_of(path, _jsonl(path, lines))
    decimals: dict[str, int] = {}
    return log_of(path, list(_console(path, lines, decimals)), decimals)


def _console(path: Path, lines: Sequence[str], decimals: dict[str, int]) -> Iterator[Row]:
    for index, line in enumerate(lines, 1):
        match = LINE.search(line)
        if match is None:
            continue  # a console also shows other things
        values = {}
        for part in re.split(r"\s+-\s+", match[2].strip().removeprefix("- ")):
            name, _, text = part.rpartition(":")
            number = NUMBER.fullmatch(text)
            if number is None:
                raise RecordError(f"{path}: line {index}: {name!r} must be a number, got {text!r}")
            values[name] = float(number[1])
            shown = 20 if "e" in number[1].lower() else len(number[1].partition(".")[2])
            decimals[name] = max(decimals.get(name, 0), shown)
        yield Row(int(match[1]), values, f"{path}: line {index}")


def _jsonl(path: Path, lines: Sequence[str]) -> Iterator[Row]:
    for index, value in _objects(path, lines):
        where = f"{path}: line {index}"
        if not isinstance(value.get("step"), int):
            raise RecordError(f"{where}: must have a whole 'step', got {value.get('step')!r}")
        data = value.get("data", value)
        if not isinstance(data, dict):
            raise RecordError(f"{where}: 'data' must be an object of metrics, got {data!r:.60}")
        numbers = {
            k: float(v) for k, v in data.items() if isinstance(v, int | float) and not isinstance(v, bool)
        }
        yield Row(value["step"], {k: v for k, v in numbers.items() if k != "step"}, where)


def _objects(path: Path, lines: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise RecordError(f"{path}: line {index}: cannot be read as JSON ({error})") from None
        if not isinstance(value, dict):
            raise RecordError(f"{path}: line {index}: must be a JSON object, got {type(value).__name__}")
        yield index, value


def _events(path: Path) -> Iterator[Row]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
            EventAccumulator,
        )
    except ImportError:
        raise InputError("tensorboard: is needed to read event files: pip install tensorboard") from None
    if path.is_dir() and not list(path.glob(EVENTS)):
        raise InputError(f"paths: {path} holds neither rollout dumps (<step>.jsonl) nor {EVENTS}")
    events = EventAccumulator(str(path), size_guidance={"scalars": 0})
    events.Reload()
    steps: dict[int, dict[str, float]] = {}
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            values = steps.setdefault(int(event.step), {})
            if name in values:
                raise RecordError(
                    f"{path}: step {event.step}: {name!r} stands there twice; give one run's file"
                )
            values[name] = float(event.value)
    return iter([Row(step, steps[step], f"{path}: step {step}") for step in sorted(steps)])


def _test(log: Log, options: Options) -> Mapping[str, str]:
    """The only validation score; of several the user names one."""
    if "test" in options.columns:
        return {}
    found = sorted({name for row in log.rows for name in row.values if TEST.fullmatch(name)})
    if len(found) > 1:
        raise InputError(
            f"map: {log.path} has several validation scores; --map test=NAME says which: {', '.join(found)}"
        )
    return {"test": found[0]} if found else {}


def _responses(dumps: Sequence[Path], reward: str) -> Iterator[Response]:
    for path in dumps:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: cannot be read ({type(error).__name__}: {error})") from None
        for index, row in _objects(path, lines):
            where = f"{path}: line {index}"
            step = row.get("step", int(path.stem))
            if lacking := [name for name in ("input", reward) if name not in row]:
                raise RecordError(f"{where}: lacks {', '.join(lacking)}, got {', '.join(row)}")
            if not isinstance(step, int) or step != int(path.stem):
                raise RecordError(
                    f"{where}: 'step' must be {int(path.stem)} as the file's name says, got {step!r}"
                )
            yield Response(step, str(row["input"]), row[reward], where)
