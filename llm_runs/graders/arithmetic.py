"""Was the sum right? Strict: the response ends in `#number`. Lenient: its last number is the answer.

The rule of the arithmetic task, whose models write `work#answer`. Reads the last `WINDOW` characters of the
decoded text (a response cut off at the token limit is graded as it stands), in time linear in them.
"""

from __future__ import annotations

import re

from llm_runs.graders.base import Grade, Grader

WINDOW = 300
"""Only the last so many characters of a response are read."""

_STRICT = re.compile(r"#(0|-?[1-9][0-9]{0,17})\Z")
_NUMBER = re.compile(r"(?<![0-9])-?[0-9]+")


def _canonical(number: str) -> str:
    digits = number.lstrip("-").lstrip("0") or "0"
    return f"-{digits}" if number.startswith("-") and digits != "0" else digits


def grade(response: str, answer: str) -> Grade:
    """Grade a decoded response against the task's answer.

    Strict: the text ends in `#number` (no spaces, no leading zeros, at most 18 digits), contains no other
    `#`, and the number is the answer. Lenient: the last run of digits (with a minus sign if no digit
    precedes it) has the answer's value.
    """
    text = response[-WINDOW:]
    match = _STRICT.search(text)
    strict = match is not None and text.count("#") == 1 and match[1] == answer
    numbers = _NUMBER.findall(text)
    lenient = bool(numbers) and _canonical(numbers[-1]) == _canonical(answer)
    return Grade(strict, lenient)


class Arithmetic(Grader):
    """`grade` as a grader."""

    mark = "#"

    def grade(self, response: str, answer: str) -> Grade:
        """See the module's `grade`."""
        return grade(response, answer)
