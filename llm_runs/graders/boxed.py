r"""An answer in `\boxed{}`, graded by how it is written alone: cheap enough for hundreds of samples per item.

Strict is the rule of `llm_runs.graders.mathematics`: the content of the last `\boxed{...}`, braces balanced,
is written like the answer. Lenient is strict, or: the last closed box, or without one the last expression
(`latex.last_expression`), is written like the answer. No math-verify and no worker processes, so 4/6 and 2/3
are different answers here, lenient or not. This is the rule of the task `tiny-math`; MATH is graded by
`llm_runs.graders.mathematics`.
"""

from __future__ import annotations

from llm_runs.graders.base import TAIL, Grade, Grader
from llm_runs.graders.latex import LONGEST, last_box, last_expression
from llm_runs.graders.normal_form import same


class Boxed(Grader):
    """Grades by the rules above."""

    mark = r"\boxed"

    def grade(self, response: str, answer: str) -> Grade:
        """Grade one response; the answer is a bare expression."""
        text = response[-TAIL:]
        box, is_last = last_box(text)
        stated = box if box is not None else last_expression(text)
        lenient = stated is not None and len(stated) <= LONGEST and same(stated, answer)
        return Grade(lenient and box is not None and is_last, lenient)
