"""Data files: questions and responses, from JSON lines or Parquet. Strict: what does not fit is an error.

Two layouts are known. JSON lines (`.jsonl`): one object a line with string fields, `question` and `answer`,
or `response` and `answer`. verl's Parquet (`.parquet`): columns `prompt` (a list of messages with `role` and
`content`) and `reward_model.ground_truth`. Other fields and columns (`level`, `type`, `extra_info`, ...) are
kept as they are. Every error names file, row (counted from 1) and field. Nothing is downloaded, and nothing
is ever skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from banditrft.errors import InputError


class Message(NamedTuple):
    """One turn of a chat: its role ("system", "user", "assistant") and text."""

    role: str
    content: str


@dataclass(frozen=True)
class Question:
    """A prompt as chat messages, the bare answer, and whatever else the file says of it."""

    messages: tuple[Message, ...]
    answer: str
    extra: Mapping[str, Any]


class Response(NamedTuple):
    """What a model wrote and the bare answer."""

    response: str
    answer: str


Reference = Callable[[str], str]
"""The bare answer in an answer field, or InputError: `Grader.reference`."""


def read_questions(path: Path, reference: Reference = str.strip) -> list[Question]:
    """The questions of a file, `.jsonl` or `.parquet`.

    Args:
        path: The file; a JSON line's question becomes one user message.
        reference: What is kept of an answer field, e.g. the number of a GSM8K answer that ends `#### 72`.

    Raises:
        InputError: Missing or unreadable, another suffix, no rows, or a row that does not fit.
    """
    if path.suffix == ".jsonl":
        return [_question(row, reference) for row in _json_rows(path)]
    if path.suffix == ".parquet":
        return [_verl_question(row, reference) for row in _parquet_rows(path)]
    raise InputError(f"{path}: must be a .jsonl or .parquet file")


def read_responses(path: Path, reference: Reference = str.strip) -> list[Response]:
    """The responses of a JSON-lines file, each with its answer.

    Raises:
        InputError: Missing or unreadable, no rows, or a row that does not fit.
    """
    return [Response(row.text("response"), row.answer(reference, "answer")) for row in _json_rows(path)]


@dataclass(frozen=True)
class _Row:
    """One row and where it stands, for errors."""

    path: Path
    number: int
    fields: dict[str, Any]

    def error(self, field: str, problem: str) -> InputError:
        return InputError(f"{self.path}: row {self.number}: {field}: {problem}")

    def get(self, name: str) -> Any:
        """A field; a dot leads into a nested one."""
        value: Any = self.fields
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise self.error(name, "is missing")
            value = value[part]
        return value

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str):
            raise self.error(name, f"must be a string, got {_kind(value)}")
        return value

    def answer(self, reference: Reference, name: str) -> str:
        text = self.text(name)
        try:
            return reference(text)
        except InputError as error:
            raise InputError(f"{self.path}: row {self.number}: {error}") from None

    def others(self, *names: str) -> dict[str, Any]:
        return {key: value for key, value in self.fields.items() if key not in names}


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _question(row: _Row, reference: Reference) -> Question:
    messages = (Message("user", row.text("question")),)
    return Question(messages, row.answer(reference, "answer"), row.others("question", "answer"))


def _verl_question(row: _Row, reference: Reference) -> Question:
    turns = row.get("prompt")
    if not isinstance(turns, list) or not turns:
        raise row.error("prompt", "must be a list of messages, at least one")
    messages = []
    for turn in turns:
        if not isinstance(turn, dict) or not all(isinstance(turn.get(k), str) for k in Message._fields):
            raise row.error("prompt", "every message needs a role and a content, both strings")
        messages.append(Message(turn["role"], turn["content"]))
    answer = row.answer(reference, "reward_model.ground_truth")
    return Question(tuple(messages), answer, row.others("prompt", "reward_model"))


def _json_rows(path: Path) -> Iterator[_Row]:
    number = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield _json_row(path, number, line)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not number:
        raise InputError(f"{path}: must hold at least one row, got none")


def _json_row(path: Path, number: int, line: bytes) -> _Row:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise InputError(f"{path}: row {number}: must be a JSON object ({reason})") from None
    if not isinstance(fields, dict):
        raise InputError(f"{path}: row {number}: must be a JSON object, got {_kind(fields)}")
    return _Row(path, number, fields)


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as Parquet ({reason})") from None
    if frame.is_empty():
        raise InputError(f"{path}: must hold at least one row, got none")
    for number, fields in enumerate(frame.iter_rows(named=True), 1):
        yield _Row(path, number, fields)
