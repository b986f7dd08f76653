"""Tasks whose questions stand in lists, from files or from code: the base of tasks that users bring.

A training question's index is its row in the list, counted from 0; a held-out question's is `TEST` plus its
row. So an index says where to look, and neither list moves the other's.
"""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

from banditrft.errors import InputError
from llm_runs.interfaces import Item, Message
from llm_runs.plugins import reason
from llm_runs.tasks.base import Task
from llm_runs.tasks.data import Question

TEST = 10**9
"""Index of the first held-out question."""


class Listed(Task):
    """A task given by two lists of questions and a grader.

    To bring a task of your own, subclass it and define `name`, `questions` and `grader`; where 512 and 1,024
    tokens do not do, `prompt_max` and `max_new` too.
    """

    prompt_max = 512
    max_new = 1024

    @abstractmethod
    def questions(self, split: str) -> Sequence[Question]:
        """The questions of "pool" (to train on) or "test" (held out), always the same; asked for once."""

    @cached_property
    def _pool(self) -> Sequence[Question]:
        return self._asked("pool")

    @cached_property
    def _test(self) -> Sequence[Question]:
        return self._asked("test")

    def _asked(self, split: str) -> Sequence[Question]:
        """The questions of a set, if they are such.

        Raises:
            InputError: Names the task, the method and what it must give.
        """
        where = f"task: {self.name!r}: questions({split!r})"
        try:
            found: object = self.questions(split)
        except InputError:
            raise
        except Exception as error:  # foreign code raises anything
            raise InputError(f"{where} failed ({reason(error)})") from error
        if not isinstance(found, Sequence) or isinstance(found, str | bytes):
            raise InputError(f"{where} must give a list of Question, got {type(found).__name__}")
        for row, question in enumerate(found):
            if not isinstance(question, Question):
                kind = type(question).__name__
                raise InputError(f"{where} must give a list of Question, got {kind} in place {row}")
            messages: object = question.messages
            if not (isinstance(messages, tuple) and all(isinstance(m, Message) for m in messages)):
                raise InputError(
                    f"{where}: question {row}: messages must be a tuple of Message, got {messages!r}; "
                    "Question.of(text, answer) asks one text"
                )
            texts = [text for message in question.messages for text in message] + [question.answer]
            if not messages or not all(isinstance(text, str) for text in texts):
                raise InputError(f"{where}: question {row}: messages and answer must be text, got {texts!r}")
        return found

    def questions_of(self, split: str) -> Sequence[Question]:
        """The questions of a set, read once and checked; raises InputError as `indices`."""
        self._check(split)
        return self._pool if split == "pool" else self._test

    def size(self, split: str) -> int:
        """Number of questions in a set."""
        return len(self.questions_of(split))

    def indices(self, split: str, count: int) -> list[int]:
        """The first `count` questions of a set, in the order of its list."""
        self._check(split, count)
        first = 0 if split == "pool" else TEST
        return list(range(first, first + count))

    def split_of(self, index: int) -> str:
        """The set to which a question belongs."""
        split = "pool" if index < TEST else "test"
        if not 0 <= index % TEST < self.size(split) or not 0 <= index < 2 * TEST:
            raise InputError(
                f"item {index}: task {self.name!r} holds items 0 to {self.size('pool') - 1} to train on and "
                f"{TEST} to {TEST + self.size('test') - 1} to test on"
            )
        return split

    def item(self, index: int) -> Item:
        """The question with that index; its family is the field `type`, where the list has one."""
        question = self.questions_of(self.split_of(index))[index % TEST]
        prompt = "\n\n".join(message.content for message in question.messages)
        alone = len(question.messages) == 1 and question.messages[0].role == "user"
        family = question.extra.get("type")
        return Item(
            index,
            prompt,
            question.answer,
            family if isinstance(family, str) else "",
            () if alone else question.messages,
        )


def check_answers(task: Listed) -> None:
    """Refuse a question that stands in the lists twice with different answers.

    Raises:
        InputError: Names both places, the answers and the question.
    """
    known: dict[object, tuple[str, Question]] = {}
    for split in task.splits:
        for row, question in enumerate(task.questions_of(split), 1):
            place, first = known.setdefault(_asks(question), (f"{split} question {row}", question))
            if first.answer != question.answer:
                raise InputError(
                    f"task: {task.name!r}: {place} and {split} question {row} ask the same and must have one "
                    f"answer, got {first.answer!r} and {question.answer!r}: {_beginning(question)!r}"
                )


def leaked(task: Listed) -> str | None:
    """A warning where held-out questions are also there to train on; None where none is."""
    rows = {_asks(question): row for row, question in enumerate(task.questions_of("pool"), 1)}
    test = list(enumerate(task.questions_of("test"), 1))
    found = [(rows[_asks(q)], row, q) for row, q in test if _asks(q) in rows]
    if not found:
        return None
    pool_row, row, question = found[0]
    return (
        f"task: {len(found)} of the {len(test)} test questions of {task.name!r} can also be trained on, the "
        f"first as pool question {pool_row} and test question {row}: {_beginning(question)!r}"
    )


def _asks(question: Question) -> object:
    """What a question asks, whatever its blanks and its composition of characters."""
    return tuple(
        (role, " ".join(unicodedata.normalize("NFC", text).split())) for role, text in question.messages
    )


def _beginning(question: Question) -> str:
    text = " ".join(question.messages[-1].content.split())
    return text if len(text) <= 60 else f"{text[:59]}…"
