r"""An answer in `\boxed{}`: MATH's rules (`Mathematics`), and cheaper ones for tiny tasks (`Boxed`).

Strict is the rule of the papers, in the manner of verl's `reward_score/math_reward.py`: the content of the
last `\boxed{...}`, braces balanced, is written like the answer (`llm_runs.graders.latex` states what that
means). A last box that is never closed says nothing, and neither do `\boxed 5` and `\fbox{5}`, which verl
reads.

Lenient is strict, or: math-verify finds the content of the last closed box, or without one the last
expression (`latex.last_expression`), mathematically equal to the answer. It decides in worker processes
(`equivalence`); where a worker exceeds its limit, the lenient grade is the strict one and the grade says
so.

What math-verify decides otherwise than a reader would is decided before or after it: numerals with base
subscripts (`204_5`) are compared digit by digit and base by base, where it drops bases, and numbers that
differ by more than two in a million are different, where it rounds to six decimals. A numeral whose base is
not written is its digits. Trailing units are its business (`5 cm` is 5 leniently), but for words of money.

Only the last `TAIL` characters of a response are read, and expressions of more than `LONGEST` characters
are not given to math-verify. The answer is a bare expression or a worked solution with `\boxed{...}`. What
math-verify said of a pair is remembered, for a policy repeats itself from round to round; a pair that ran out
of time is asked again.

`Boxed` grades by how an answer is written alone, cheap enough for hundreds of samples per item. Strict is the
same rule. Lenient is strict, or: the last closed box, or without one the last expression, is written like the
answer. No math-verify and no worker processes, so 4/6 and 2/3 are different answers here, lenient or not.
This is the rule of the task `tiny-math`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_runs.graders.base import TAIL, Grade, Grader
from llm_runs.graders.equivalence import LIMIT_S, Equivalence
from llm_runs.graders.latex import LONGEST, last_box, last_expression, numeral, same, spelled

_MONEY = re.compile(r"(?<=[0-9}])\s*(?:dollar|cent|euro|pound)s?\.?\s*\Z", re.IGNORECASE)
"""Units of money that math-verify does not know, behind a number."""
REMEMBERED = 50_000
"""Decisions of math-verify that a grader keeps; when there are more, it forgets all."""


class Mathematics(Grader):
    """Grades by MATH's rules. Keeps worker processes and decisions between calls; `close` ends both.

    Args:
        timeout_s: Seconds that math-verify may take for one response.
        workers: Processes at most [default: the cores this process may use].

    Raises:
        InputError: A setting is out of range, or math-verify is not installed.
    """

    mark = r"\boxed"

    def __init__(self, timeout_s: float = LIMIT_S, workers: int | None = None) -> None:
        self._equivalence = Equivalence(timeout_s, workers)
        self._known: dict[tuple[str, str], bool] = {}

    def grade(self, response: str, answer: str) -> Grade:
        """Grade one response; many at once are faster."""
        return self.grade_many([response], [answer])[0]

    def grade_many(self, responses: Sequence[str], answers: Sequence[str]) -> list[Grade]:
        """Grade many responses in parallel, equal questions to math-verify only once."""
        stated = [
            _stated(response[-TAIL:], self.reference(answer))
            for response, answer in zip(responses, answers, strict=True)
        ]
        questions = dict.fromkeys(question for _, question in stated if question is not None)
        decisions = self._decisions(list(questions))
        return [
            _grade(strict, False if question is None else decisions[question]) for strict, question in stated
        ]

    def _decisions(self, questions: list[tuple[str, str]]) -> dict[tuple[str, str], bool | None]:
        """Decisions on distinct questions; only new ones are asked."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        decisions: dict[tuple[str, str], bool | None] = {
            q: self._known[q] for q in questions if q in self._known
        }
        asked = [question for question in questions if question not in decisions]
        decisions.update(zip(asked, self._equivalence.equal(asked), strict=True))
        self._known.update((q, decision) for q, decision in decisions.items() if decision is not None)
        return decisions

    def reference(self, answer: str) -> str:
        r"""The content of the last closed box in an answer field, or all of it."""
        return (last_box(answer)[0] or answer).strip()

    def close(self) -> None:
        """End the worker processes and forget the decisions."""
        self._equivalence.close()
        self._known.clear()


def _stated(text: str, answer: str) -> tuple[bool, tuple[str, str] | None]:
    """The strict grade, and what math-verify must be asked for the lenient one: answer and candidate."""
    box, is_last = last_box(text)
    if box is not None and is_last and same(box, answer):
        return True, None
    candidate = box if box is not None else last_expression(text)
    if not candidate or not answer or max(len(candidate), len(answer)) > LONGEST:
        return False, None
    found, wanted = numeral(candidate), numeral(answer)
    if found and wanted and found != wanted:
        return False, None
    return False, (spelled(answer), _MONEY.sub("", spelled(candidate)))


def _grade(strict: bool, equal: bool | None) -> Grade:
    return Grade(strict, strict or bool(equal), timed_out=equal is None)


class Boxed(Grader):
    """Grades by how an answer is written alone."""

    mark = r"\boxed"

    def grade(self, response: str, answer: str) -> Grade:
        """Grade one response; the answer is a bare expression."""
        text = response[-TAIL:]
        box, is_last = last_box(text)
        stated = box if box is not None else last_expression(text)
        lenient = stated is not None and len(stated) <= LONGEST and same(stated, answer)
        return Grade(lenient and box is not None and is_last, lenient)
