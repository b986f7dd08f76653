r"""GSM8K: a number after `####`.

Strict is the rule of the papers, which is that of verl (`reward_score/gsm8k.py`, method "strict"):

1. Only the last 300 characters of the response are read.
2. In them, the last occurrence of four hashes, exactly one space, an optional `-`, and one or more of the
   characters `0-9 . ,`, which are taken greedily. What follows does not matter: `#### 18 eggs` says 18.
3. Commas are removed: `#### 1,234` says 1234. A `$` is none of those characters, so `#### $18` says nothing;
   dots stay, so `#### 18.` and `#### 18.0` say "18." and "18.0".
4. The characters must be those of the answer, compared as text: "18." and "18.0" are not "18".

Lenient is strict, or: the last number in the tail of the response has the answer's *value*. A number is
written in ASCII digits, with a decimal fraction or not, with thousands separated by commas (`,`, `{,}` or
`,\!`) or not, after a minus sign or not (`-` or U+2212, an operator if a digit stands before it) and a
currency sign or not. A quotient of whole numbers (`3/4`, `\frac{3}{4}`) is one number, unless another slash
follows, as in a date. Units and `%` behind it do not matter; a number of over `LONGEST` digits is none.

The answer is a bare number or a worked solution with `#### number`, read by rules 2 and 3 wherever it ends.
"""

from __future__ import annotations

import re
from fractions import Fraction

from banditrft.errors import InputError
from llm_runs.graders.base import TAIL, Grade, Grader, last_match

WINDOW = 300
"""Strict grading reads only the last so many characters."""

LONGEST = 400
"""Digits of a number at most."""

_MARKED = re.compile(r"#### (-?[0-9.,]+)")
_COMMA = r"(?:,|\{,\}|,\\! ?)"
_NUMBER = re.compile(
    r"(?P<sign>(?<![0-9])[-\u2212])?(?:\\?\$|[€£¥])?"
    r"(?:\\[dtc]?frac\s*\{(?P<above>[0-9]+)\}\s*\{(?P<below>[0-9]+)\}"
    r"|(?<!/)(?P<over>[0-9]+)/(?P<under>[0-9]+)(?![0-9/])"
    rf"|(?P<whole>[0-9]{{1,3}}(?:{_COMMA}[0-9]{{3}})+(?![0-9])|[0-9]+)(?:\.(?P<part>[0-9]+))?"
    r"|\.(?P<bare>[0-9]+))"
)


def _marked(text: str) -> str | None:
    """The last marked number, without commas."""
    found = _MARKED.findall(text)
    return found[-1].replace(",", "") if found else None


def _value(match: re.Match[str]) -> Fraction | None:
    """What a number says; None for a quotient by 0 or too many digits."""
    above, below = match["above"] or match["over"], match["below"] or match["under"] or "1"
    whole = re.sub(r"[^0-9]", "", match["whole"] or "")
    part = match["part"] or match["bare"] or ""
    if max(len(above or ""), len(whole) + len(part), len(below)) > LONGEST or not int(below):
        return None
    size = Fraction(int(above or whole + part), int(below) * 10 ** len(part))
    return -size if match["sign"] else size


def _last_value(text: str) -> Fraction | None:
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
        stated, wanted = _last_value(response[-TAIL:]), _last_value(reference)
        return Grade(strict=False, lenient=stated is not None and stated == wanted)

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
