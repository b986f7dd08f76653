"""Letters in order, with partial credit: the score of a response is 1, .5 or 0.

A response states the word that follows its last `=` and reaches to its end. Its score is

    1    the word is the answer,
    .5   its letters stand in order, each once; at most one letter of the answer is missing, and at most one
         stands there that is none of the answer's (for `abcd`: `abd`, `abcdx`, `abdx`; not `acbd`, `ab`),
    0    anything else, no `=` included.

Strict is a score of 1. Lenient is strict, or: the last run of letters in the response is the answer. So a
right word without its `=` is lenient and scores 0.
"""

from __future__ import annotations

import re

from llm_runs.graders.base import TAIL, Grade, Grader, last_match

MARK = "="
_WORD = re.compile(r"[A-Za-z]+")


def score(word: str, answer: str) -> float:
    """1, .5 or 0 for a stated word, as defined above."""
    if word == answer:
        return 1.0
    said, wanted = set(word), set(answer)
    in_order = word == "".join(sorted(said))
    return 0.5 if in_order and len(wanted - said) <= 1 and len(said - wanted) <= 1 else 0.0


class Sorting(Grader):
    """Grades by the rules above."""

    mark = MARK

    def grade(self, response: str, answer: str) -> Grade:
        """Grade one response; the answer is the word in order."""
        text = response[-TAIL:]
        _, mark, word = text.rpartition(MARK)
        points = score(word, answer) if mark else 0.0
        last = last_match(_WORD, text)
        lenient = last is not None and last[0] == answer
        return Grade(strict=points == 1.0, lenient=points == 1.0 or lenient, score=points)
