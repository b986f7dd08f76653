"""Integer arithmetic in 20 characters: `12+7-3=?` is answered by `#16`, or after work by `19-3#16`.

Item space. Six families, each a full grid of operands (no prompt occurs twice):

    one-digit   a+b     a in 1..9,     b in 1..99           891
    two-digit   a+b     a in 10..99,   b in 10..99        8,100
    difference  a-b     b in 1..49,    a-b in 1..50       2,450
    sum-minus   a+b-c   a in 10..59, b in 1..39, c in 1..9  17,550
    three-digit a+b     a, b in 100..999                810,000
    product     a*b     a in 2..9,     b in 2..49           384

Indices, positions and the sets "test", "pool" and "pretrain" are those of `llm_runs.tasks.grid`. The sets are
disjoint as prompts, but not up to commutation: a+b and b+a are different prompts, and of the first 200 test
items 61 have their mirror image in "pretrain" (b+a-c for a+b-c, b*a for a*b).
"""

from __future__ import annotations

from llm_runs.graders import Grader, load_grader
from llm_runs.tasks.grid import SPLITS, Family, GridTask, Problem

CHARACTERS = "0123456789+-*=?#; "
"""What prompts and responses are written in."""


def _tens(x: int) -> tuple[int, int]:
    return x // 10 * 10, x % 10


def _one_digit(a: int, b: int) -> Problem:
    tens, units = _tens(b)
    return Problem(f"{a}+{b}=?", f"{a + b}", f"{a + units}+{tens}")


def _two_digit(a: int, b: int) -> Problem:
    (ta, ua), (tb, ub) = _tens(a), _tens(b)
    return Problem(f"{a}+{b}=?", f"{a + b}", f"{ta + tb}+{ua + ub}")


def _difference(b: int, d: int) -> Problem:
    tens, units = _tens(b)
    return Problem(f"{b + d}-{b}=?", f"{d}", f"{b + d - tens}-{units}")


def _sum_minus(a: int, b: int, c: int) -> Problem:
    return Problem(f"{a}+{b}-{c}=?", f"{a + b - c}", f"{a + b}-{c}")


def _three_digit(a: int, b: int) -> Problem:
    hundreds = (a // 100 + b // 100) * 100
    tens = (a % 100 // 10 + b % 100 // 10) * 10
    return Problem(f"{a}+{b}=?", f"{a + b}", f"{hundreds}+{tens}+{a % 10 + b % 10}")


def _product(a: int, b: int) -> Problem:
    tens, units = _tens(b)
    return Problem(f"{a}*{b}=?", f"{a * b}", f"{a * tens}+{a * units}")


FAMILIES = (
    Family("one-digit", ((1, 9), (1, 99)), _one_digit),
    Family("two-digit", ((10, 99), (10, 99)), _two_digit),
    Family("difference", ((1, 49), (1, 50)), _difference),
    Family("sum-minus", ((10, 59), (1, 39), (1, 9)), _sum_minus),
    Family("three-digit", ((100, 999), (100, 999)), _three_digit),
    Family("product", ((2, 9), (2, 49)), _product),
)


class Arithmetic(GridTask):
    """The arithmetic task: prompts of at most 10 tokens, responses of at most 24 including `<eos>`."""

    name = "arithmetic"
    prompt_max = 10
    max_new = 24
    mark = "#"
    families = FAMILIES

    def grader(self) -> Grader:
        """Strict: the response ends in `#number`."""
        return load_grader("arithmetic")


__all__ = ["CHARACTERS", "FAMILIES", "SPLITS", "Arithmetic"]
