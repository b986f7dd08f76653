r"""Symbolic problems with the answer in `\boxed{}`, as in MATH: equations, fractions, products.

    solve      Solve 3x+4=19.        3x=15, \boxed{5}
    add        Add 2/19+5/19.        2+5, \boxed{7/19}
    compute    Compute 3(4+5).       3*9, \boxed{27}

Equations have one of eight unknowns, products one of four verbs. Denominators are primes above the largest
sum of numerators: no sum can be reduced. The sets are disjoint as prompts only: an equation of the test set
occurs in "pretrain" with another unknown, b+c as c+b.
"""

from __future__ import annotations

from llm_runs.graders import Grader, load_grader
from llm_runs.tasks.grid import Family, GridTask, Problem

UNKNOWNS = "xyznkmpt"
DENOMINATORS = (19, 23, 29, 31, 37, 41, 43, 47)
VERBS = ("Compute", "Find", "Give", "State")


def _solve(unknown: int, a: int, b: int, x: int) -> Problem:
    term = f"{a}{UNKNOWNS[unknown]}"
    return Problem(f"Solve {term}+{b}={a * x + b}.", f"{x}", f"{term}={a * x}")


def _add(denominator: int, a: int, b: int) -> Problem:
    d = DENOMINATORS[denominator]
    return Problem(f"Add {a}/{d}+{b}/{d}.", f"{a + b}/{d}", f"{a}+{b}")


def _compute(verb: int, a: int, b: int, c: int) -> Problem:
    return Problem(f"{VERBS[verb]} {a}({b}+{c}).", f"{a * (b + c)}", f"{a}*{b + c}")


class BoxedAnswers(GridTask):
    """The task `tiny-math`: prompts of at most 17 characters, responses of at most 20 with the end token."""

    name = "tiny-math"
    prompt_max = 17
    max_new = 20
    mark = "\\boxed"
    families = (
        Family("solve", ((0, len(UNKNOWNS) - 1), (2, 6), (1, 12), (1, 9)), _solve),
        Family("add", ((0, len(DENOMINATORS) - 1), (1, 9), (1, 9)), _add),
        Family("compute", ((0, len(VERBS) - 1), (2, 5), (1, 12), (1, 12)), _compute),
    )

    def grader(self) -> Grader:
        """Strict as for MATH; lenient without math-verify (see `llm_runs.graders.mathematics.Boxed`)."""
        return load_grader("boxed")
