"""GSM8K: a number after `####`.

Strict is the rule of the papers, which is that of verl (`reward_score/gsm8k.py`, method "strict"):

1. Only the last 300 characters of the response are read.
2. In them, the last occurrence of four hashes, exactly one space, an optional `-`, and one or more of the
   characters `0-9 . ,`, which are taken greedily. What follows does not matter: `#### 18 eggs` says 18.
3. Commas are removed: `#### 1,234` says 1234. A `$` is none of those characters, so `#### $18` says nothing;
   dots stay, so `#### 18.` and `#### 18.0` say "18." and "18.0".
4. The characters must be those of the answer, compared as text: "18." and "18.0" are not "18".

Lenient is strict, or: the last number in the tail of the response has the answer's *value*. A number is
written in ASCII digits, with a decimal fraction or not, with thousands separated by commas or not, after a
minus sign or not (`-` or U+2212, an operator if a digit stands before it) and a `$` or not.

The answer is a bare number or a worked solution with `#### number`, read by rules 2 and 3 wherever it ends.
"""

from __future__ import annotations

import re

from banditrft.errors import InputError
from llm_runs.graders.base import TAIL, Grade, Grader, last_match

WINDOW = 300
"""Strict grading reads only the last so many characters."""

_MARKED = re.compile(r"#### (-?[0-9.,]+)")
_NUMBER = re.compile(
    r"(?P<sign>(?<![0-9])[-\u2212])?\$?"
    r"(?:(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.(?P<part>[0-9]+))?|\.(?P<bare>[0-9]+))"
)


def _marked(text: str) -> str | None:
    """The last marked number, without commas."""
    found = _MARKED.findall(text)
    return found[-1].replace(",", "") if found else None


def _value(match: re.Match[str]) -> str:
    """One text per value: no separators, no idle zeros, no negative zero."""
    whole = (match["whole"] or "").replace(",", "").lstrip("0")
    part = (match["part"] or match["bare"] or "").rstrip("0")
    sign = "-" if match["sign"] and (whole or part) else ""
    return f"{sign}{whole or '0'}.{part}"


def _last_value(text: str) -> str | None:
    last = last_match(_NUMBER, text)
    return _value(last) if last else None


class Gsm8k(Grader):
    """Grades by the rules above."""

    mark = "####"

    def grade(self, response: str, answer: str) -> Grade:
        """Grade one response; the answer as in the data (`72`, or a worked solution ending `#### 72`)."""
        try:
            reference = self.reference(answer)
        except InputError:
            return Grade(strict=False, lenient=False)
        if _marked(response[-WINDOW:]) == reference:
            return Grade(strict=True, lenient=True)
        return Grade(strict=False, lenient=_last_value(response[-TAIL:]) == _last_value(reference))

    def reference(self, answer: str) -> str:
        """The number in an answer field, without commas and `$`.

        Raises:
            InputError: It is neither a number nor a text with `#### number`.
        """
        number = _marked(answer) or answer.strip().replace(",", "").replace("$", "")
        if not _NUMBER.fullmatch(number):
            shown = answer if len(answer) <= 40 else f"...{answer[-40:]}"
            raise InputError(f"answer: must be a number or end in `#### number`, got {shown!r}")
        return number
