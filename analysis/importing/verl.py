"""verl: metrics of its console, JSONL or TensorBoard loggers; rollout dumps (`trainer.rollout_data_dir`).

A console line reads ``step:12 - critic/score/mean:0.25 - actor/grad_norm:0.1``, with whatever stands before
it; a JSONL line is ``{"step": 12, "data": {...}}`` or flat; a dump is one ``<step>.jsonl`` per step with
input, output, score and step.
"""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.importing.logs import LOGGED, STATED, Log, Row, build, log_of, tables_of
from analysis.importing.options import Options
from analysis.importing.rollouts import Prompts, Response, tallied
from analysis.importing.runs import Found, Imported, imported
from analysis.loading.foreign import NUMBER, parse_json, read_text, real, step_of
from banditrft.errors import InputError, RecordError

OURS = {
    "reward": "critic/score/mean",
    "grad_norm": "actor/grad_norm",
    "clip_fraction": "actor/pg_clipfrac",
    "learning_rate": "actor/lr",
}
TEST = re.compile(r"val(-core)?/.*(mean@1|test_score.*|acc|accuracy)$")
"""Names under which verl logs the mean score of a validation set, one response per item."""
START = re.compile(r"(?<![\w./-])step:\s*([0-9]+)(?=\s+-\s)")
"""Where a step's metrics begin in a line of a console, whatever stands before, a progress bar too."""
BREAK = re.compile(r"\s+-\s+")
VALUE = re.compile(rf"(?:np\.\w+\()?({NUMBER.pattern})\)?", re.IGNORECASE)
PAIR = re.compile(rf"\S+?:{VALUE.pattern}", re.IGNORECASE)
GLUED = re.compile(rf":(?:{NUMBER.pattern})$", re.IGNORECASE)
"""A name that ends in a value: something that has a colon of its own was glued to the value."""
DIGITS = re.compile(r"[0-9.eE+)-]*[0-9)]")
"""The rest of a number that a line break cuts in two."""
DUMP = re.compile(r"[0-9]+\.jsonl")
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
        options.only("rollout dumps", ("reward",), ("scale",))
        responses = _responses(dumps, options.columns.get("reward", "score"))
        found = tallied(path, responses, prompts, options, condition)
        missing = (
            "Only rollouts are read: train Pass@1 is that of the responses that training learned from, after "
            "step - 1 updates, and there are no test evaluations.",
        )
        return Found(
            condition, path, tables_of([], found.groups, found.evals), {"rounds": found.last}, missing
        )
    options.only("a log of verl", LOGGED[1:], STATED)
    log = read_log(path)
    columns = {k: v for k, v in OURS.items() if log.has(v)}
    columns = {**columns, **_test(log, options), **options.columns}
    built = build(log, columns, options, condition)
    return Found(condition, path, built.tables, built.settings, built.missing)


def dump_files(folder: Path) -> list[Path]:
    """Rollout dumps of a folder, by rising step."""
    return sorted((p for p in folder.iterdir() if DUMP.fullmatch(p.name)), key=lambda p: int(p.stem))


def read_log(path: Path) -> Log:
    """Metrics by step, from a console log, JSONL or TensorBoard.

    Raises:
        RecordError: Unreadable, or without metrics; names file and line.
    """
    if path.is_dir() or ".tfevents." in path.name:
        return _events(path)
    lines = read_text(path).split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        return log_of(path, _jsonl(path, lines))
    return _console(path, [(n, part) for n, line in enumerate(lines, 1) for part in line.split("\r")])


def _console(path: Path, lines: Sequence[tuple[int, str]]) -> Log:
    """Metrics of a console's numbered lines; what it shows beside them is passed over.

    Lines that a terminal wrapped are joined, and what of a step cannot be read is counted.
    """
    rows: list[Row] = []
    decimals: dict[str, int] = {}
    broken: list[int] = []
    joined, index = 0, 0
    while index < len(lines):
        start, line = lines[index]
        index += 1
        match = START.search(line)
        if match is None:
            continue
        rest = line[match.end() :]
        while index < len(lines) and _continues(rest, lines[index][1]):
            rest += (" " if lines[index][1].startswith("- ") else "") + lines[index][1]
            joined += 1
            index += 1
        values, clean = _pairs(rest, decimals)
        rows.append(Row(step_of(match[1], f"{path}: line {start}"), values, f"{path}: line {start}"))
        if not clean:
            broken.append(start)
    notes = []
    if joined:
        notes.append(f"{joined} wrapped lines of {path.name} were joined to the lines before them.")
    if broken:
        shown = ", ".join(map(str, broken[:5])) + (", ..." if len(broken) > 5 else "")
        notes.append(f"{len(broken)} lines of {path.name} hold metrics that cannot be read (line {shown}).")
    return replace(log_of(path, rows, decimals), notes=tuple(notes))


def _continues(rest: str, line: str) -> bool:
    """Whether a line is the second half of metrics that a terminal wrapped."""
    if START.search(line) or not line.strip():
        return False
    first, *others = BREAK.split(line.strip().removeprefix("- "))
    if not all(PAIR.fullmatch(part) for part in others[:-1]) or (others and " " in others[-1]):
        return False
    if line.lstrip().startswith("- "):
        return PAIR.fullmatch(first) is not None
    cut = PAIR.fullmatch(BREAK.split(rest)[-1]) is None
    return DIGITS.fullmatch(first) is not None or (cut and ":" in first and " " not in first)


def _pairs(text: str, decimals: dict[str, int]) -> tuple[dict[str, float], bool]:
    """Metrics of one step, and whether all of them are numbers; notes the digits after the point by name.

    Behind the last metric a progress bar may stand without a space. Digits of the one can then not be
    distinguished from those of the other, so that metric is left out unless a letter follows its number.
    """
    values: dict[str, float] = {}
    clean = True
    for part in BREAK.split(text.strip().removeprefix("- ")):
        word, _, glued = part.partition(" ")
        name, _, shown = word.rpartition(":")
        found = VALUE.match(shown)
        if (
            not name
            or GLUED.search(name)
            or found is None
            or not (found.end() == len(shown) or shown[found.end()].isalpha())
        ):
            clean = False
            continue
        clean = clean and found.end() == len(shown) and not glued
        values[name] = float(found[1])
        digits = 20 if "e" in found[1].lower() else len(found[1].partition(".")[2])
        decimals[name] = max(decimals.get(name, 0), digits)
    return values, clean


def _jsonl(path: Path, lines: Sequence[str]) -> Iterator[Row]:
    for index, value in _objects(path, lines):
        where = f"{path}: line {index}"
        step = step_of(value.get("step"), where)
        data = value.get("data", value)
        if not isinstance(data, dict):
            raise RecordError(f"{where}: 'data' must be an object of metrics, got {data!r:.60}")
        numbers = {k: found for k, v in data.items() if (found := real(v)) is not None}
        yield Row(step, {k: v for k, v in numbers.items() if k != "step"}, where)


def _objects(path: Path, lines: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, line in enumerate(lines, 1):
        if not line.strip():
            continue
        value = parse_json(line, f"{path}: line {index}")
        if not isinstance(value, dict):
            raise RecordError(f"{path}: line {index}: must be a JSON object, got {type(value).__name__}")
        yield index, value


def _events(path: Path) -> Log:
    try:
        from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
            EventAccumulator,
        )
    except ImportError:
        raise InputError("tensorboard: is needed to read event files: pip install tensorboard") from None
    files = sorted(path.glob(EVENTS)) if path.is_dir() else [path]
    if not files:
        raise InputError(f"paths: {path} holds neither rollout dumps (<step>.jsonl) nor {EVENTS}")
    notes = [f"{file.name} ends in the middle of an event." for file in files if not _ends(file)]
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
    rows = [Row(step_of(step, str(path)), steps[step], f"{path}: step {step}") for step in sorted(steps)]
    return replace(log_of(path, rows), notes=tuple(notes))


def _ends(path: Path) -> bool:
    """Whether an event file ends with its last event; what is damaged there TensorBoard passes over.

    Raises:
        RecordError: An event before the last is damaged; it and those behind it would be missing.
    """
    from tensorboard.backend.event_processing.event_file_loader import (  # type: ignore[import-untyped]
        RawEventFileLoader,
    )

    content = path.read_bytes()
    at, framed = 0, 0
    while at + 12 <= len(content):  # length, its checksum, the event, its checksum
        end = at + 16 + struct.unpack_from("<Q", content, at)[0]
        if end > len(content):
            break
        at, framed = end, framed + 1
    if (loaded := sum(1 for _ in RawEventFileLoader(str(path)).Load())) < framed:
        raise RecordError(f"{path}: event {loaded + 1} is damaged")
    return at == len(content)


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
        named = step_of(path.stem, str(path), "the file's name")
        for index, row in _objects(path, read_text(path).split("\n")):
            where = f"{path}: line {index}"
            if lacking := [name for name in ("input", reward) if name not in row]:
                raise RecordError(f"{where}: lacks {', '.join(lacking)}, got {', '.join(row)}")
            if step_of(row.get("step", named), where) != named:
                raise RecordError(
                    f"{where}: 'step' must be {named} as the file's name says, got {row['step']!r}"
                )
            yield Response(named, str(row["input"]), row[reward], where)
