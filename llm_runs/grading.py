"""Was the answer right? Strict: the response ends in `#number`. Lenient: its last number is the answer.

Both are always recorded: a gap between them is a flaw of format, not of arithmetic. The converse does not
hold: a response that never states an answer is a flaw of format, too, and fails both. Grading reads decoded
text only (a response cut off at the token limit is graded as it stands), takes time linear in at most
`WINDOW` characters, and never fails on odd input. It does not give rewards: reward maps live in
`banditrft.rewards`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

WINDOW = 300
"""Only the last so many characters of a response are read."""

_STRICT = re.compile(r"#(0|-?[1-9][0-9]{0,17})\Z")
_NUMBER = re.compile(r"(?<![0-9])-?[0-9]+")


class Grade(NamedTuple):
    """The two verdicts on one response; strict implies lenient."""

    strict: bool
    lenient: bool


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
