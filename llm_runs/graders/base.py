"""What a grader is: a map from a response and an answer to two grades, both always recorded.

A gap between strict and lenient is a flaw of format, not of knowledge. The converse does not hold: a response
that never states an answer fails both. Graders read text only, never fail and never hang, whatever a model
wrote: a response is data of bounded interest (its last `TAIL` characters). They do not give rewards: reward
maps live in `banditrft.rewards`.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

TAIL = 20_000
"""No grader reads more than the last so many characters of a response (1,024 tokens are about 4,000)."""


@dataclass(frozen=True)
class Grade:
    """The grades of one response, strict and lenient.

    Attributes:
        strict: Right by the task's own rule.
        lenient: Right whatever its form; strict implies lenient.
        timed_out: The lenient grade could not be reached within its limits of time and memory and is the
            strict one instead.
        score: The task's own reward, in [0, 1] [default: 1 if strict, else 0]. Only tasks that define
            "partially correct" give anything between.
    """

    strict: bool
    lenient: bool
    timed_out: bool = False
    score: float = math.nan

    def __post_init__(self) -> None:
        if math.isnan(self.score):
            object.__setattr__(self, "score", float(self.strict))
        elif not 0 <= self.score <= 1:
            raise ValueError(f"score: must lie in [0, 1], got {self.score}")
        if self.strict and not self.lenient:
            raise ValueError("lenient: what is strictly right must be so leniently, got False")


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last of a pattern's matches, as they are found from the left."""
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


class Grader(ABC):
    """Judges responses. A custom grader defines `grade`; one that gains by it, `grade_many`, too.

    Attributes:
        mark: Text that stands before the answer in a response; None where there is none.
    """

    mark: str | None = None

    @abstractmethod
    def grade(self, response: str, answer: str) -> Grade:
        """Grade one response against the item's answer; never raises, in bounded time."""

    def grade_many(self, responses: Sequence[str], answers: Sequence[str]) -> list[Grade]:
        """Grade many responses.

        Args:
            responses: Decoded texts, (N,).
            answers: The answer to each, (N,).

        Returns:
            Grades in the order of the responses, (N,).

        Raises:
            ValueError: The two have different lengths.
        """
        return [self.grade(response, answer) for response, answer in zip(responses, answers, strict=True)]

    def reference(self, answer: str) -> str:
        """The bare answer within an answer field, which may hold a worked solution.

        Raises:
            InputError: The field holds no answer that this grader could compare with.
        """
        return answer.strip()

    def close(self) -> None:
        """Release what the grader holds (worker processes); it may be used again afterwards."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
