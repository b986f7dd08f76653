"""Data files: questions and responses, from JSON lines or Parquet. Strict: what does not fit is an error.

A file of questions (`.jsonl`, one object a line, or `.parquet`) has one of four layouts, known by its fields:

- `question` and `answer`, as in GSM8K: bare questions, to which a task may add its instruction;
- `problem` and `solution`, as in MATH: likewise;
- `messages` (a list of messages with `role` and `content`) and `answer`: a chat, taken as it is;
- verl's: `prompt` (likewise a list of messages) and `reward_model.ground_truth`.

A file of responses is JSON lines with `response` and `answer`. Other fields (`level`, `type`, `extra_info`,
...) are kept as they are. Every error names file, row (counted from 1) and field. Nothing is downloaded, and
nothing is ever skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from banditrft.errors import InputError
from llm_runs.interfaces import Message

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A prompt and its answer.

    Attributes:
        messages: The prompt as a chat, at least one message.
        answer: The bare answer.
        extra: Whatever else the file says of it.
        bare: Only the question stands in the prompt: a task may add how to answer.
    """

    messages: tuple[Message, ...]
    answer: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    bare: bool = False

    @classmethod
    def of(cls, text: str, answer: str) -> Question:
        """A question asked in one message as it stands."""
        return cls((Message("user", text),), answer)


class Response(NamedTuple):
    """What a model wrote and the bare answer."""

    response: str
    answer: str


LAYOUTS = (
    '"question" and "answer", "problem" and "solution", "messages" and "answer", or verl\'s "prompt" and '
    '"reward_model": {"ground_truth": ...}'
)
"""Fields of a row of questions."""
FAULTS = 10
"""Rows of a file whose faults an error lists."""
Reference = Callable[[str], str]
"""The bare answer in an answer field, or InputError: `Grader.reference`."""


def read_questions(path: Path, reference: Reference = str.strip) -> list[Question]:
    """The questions of a file, `.jsonl` or `.parquet`.

    Args:
        path: The file; a bare question becomes one user message.
        reference: What is kept of an answer field, e.g. the number of a GSM8K answer that ends `#### 72`.

    Raises:
        InputError: Missing or unreadable, another suffix, no rows, or a row that does not fit.
    """
    if path.suffix == ".jsonl":
        rows = _json_rows(path)
    elif path.suffix == ".parquet":
        rows = _parquet_rows(path)
    else:
        raise InputError(f"{path}: must be a .jsonl or .parquet file")
    return _each(rows, lambda row: _question(row, reference))


def read_responses(path: Path, reference: Reference = str.strip) -> list[Response]:
    """The responses of a JSON-lines file, each with its answer.

    Raises:
        InputError: Missing or unreadable, no rows, or a row that does not fit.
    """
    return _each(_json_rows(path), lambda row: _response(row, reference))


def _response(row: _Row, reference: Reference) -> Response:
    return Response(row.text("response"), row.answer(reference, "answer"))


def _each(rows: Iterator[_Row], read: Callable[[_Row], T]) -> list[T]:
    """Every row read; what is wrong with several is said of all, up to `FAULTS` lines."""
    found, wrong = list[T](), list[str]()
    for row in rows:
        try:
            found.append(read(row))
        except InputError as error:
            wrong += str(error).splitlines()
    if wrong:
        more = [f"and {len(wrong) - FAULTS} rows more"] if len(wrong) > FAULTS else []
        raise InputError("\n".join(wrong[:FAULTS] + more))
    return found


@dataclass(frozen=True)
class _Row:
    """One row and where it stands, for errors."""

    path: Path
    number: int
    content: dict[str, Any] | bytes

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields; of a line of JSON they are parsed here.

        Raises:
            InputError: The line is no JSON object.
        """
        if isinstance(self.content, dict):
            return self.content
        return _json_object(self.path, self.number, self.content)

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
        value = self.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise self.error(name, f'must be a string, got {_kind(value)}; write it in quotes, "{value}"')
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
    fields = row.fields
    if "prompt" in fields:
        messages = _messages(row, "prompt")
        answer = row.answer(reference, "reward_model.ground_truth")
        return Question(messages, answer, row.others("prompt", "reward_model"))
    if "messages" in fields:
        messages = _messages(row, "messages")
        if messages[-1].role == "assistant":
            raise row.error("messages", "the last must be the question; its answer stands in answer")
        return Question(messages, row.answer(reference, "answer"), row.others("messages", "answer"))
    for asked, answered in (("question", "answer"), ("problem", "solution")):
        if asked in fields:
            message = Message("user", row.text(asked))
            answer = row.answer(reference, answered)
            return Question((message,), answer, row.others(asked, answered), bare=True)
    there = ", ".join(map(repr, list(fields)[:8])) or "none"
    raise row.error("question", f"is missing; a row has {LAYOUTS}; got the fields {there}")


def _messages(row: _Row, name: str) -> tuple[Message, ...]:
    turns = row.get(name)
    if not isinstance(turns, list) or not turns:
        raise row.error(name, f"must be a list of messages, at least one; a row has {LAYOUTS}")
    messages = []
    for turn in turns:
        if not isinstance(turn, dict) or not all(isinstance(turn.get(k), str) for k in Message._fields):
            raise row.error(name, "every message needs a role and a content, both strings")
        messages.append(Message(turn["role"], turn["content"]))
    return tuple(messages)


def _json_rows(path: Path) -> Iterator[_Row]:
    number = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield _Row(path, number, line)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not number:
        raise InputError(f"{path}: must hold at least one row, got none")


def _json_object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise InputError(f"{path}: row {number}: must be a JSON object ({reason})") from None
    if not isinstance(fields, dict):
        raise InputError(f"{path}: row {number}: must be a JSON object, got {_kind(fields)}")
    return fields


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as Parquet ({reason})") from None
    if frame.is_empty():
        raise InputError(f"{path}: must hold at least one row, got none")
    for number, fields in enumerate(frame.iter_rows(named=True), 1):
        yield _Row(path, number, fields)
