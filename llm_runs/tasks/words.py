"""Word problems with the answer after `####`, as in GSM8K: four templates in plain English, small numbers.

    more     Tom has 12 figs, buys 7. How many?            12+7=19 #### 19
    left     Ann had 21 nuts, lost 8. How many?            21-8=13 #### 13
    groups   Sam has 4 bags of 7 pens. How many?           4*7=28 #### 28
    then     Eva has 12 cups, buys 5, lost 3. How many?    12+5=17, 17-3=14 #### 14

A family's grid are all combinations of eight names, eight things and the numbers. The sets are disjoint as
prompts only: the numbers of a test item occur in "pretrain" with other names and things.
"""

from __future__ import annotations

from llm_runs.graders import Grader, load_grader
from llm_runs.tasks.grid import Family, GridTask, Problem

NAMES = ("Tom", "Ann", "Sam", "Eva", "Max", "Lea", "Ben", "Ida")
THINGS = ("figs", "nuts", "pens", "eggs", "cups", "pins", "keys", "toys")
_WHO, _WHAT = (0, len(NAMES) - 1), (0, len(THINGS) - 1)


def _more(who: int, what: int, a: int, b: int) -> Problem:
    prompt = f"{NAMES[who]} has {a} {THINGS[what]}, buys {b}. How many?"
    return Problem(prompt, f"{a + b}", f"{a}+{b}")


def _left(who: int, what: int, b: int, d: int) -> Problem:
    prompt = f"{NAMES[who]} had {b + d} {THINGS[what]}, lost {b}. How many?"
    return Problem(prompt, f"{d}", f"{b + d}-{b}")


def _groups(who: int, what: int, a: int, b: int) -> Problem:
    prompt = f"{NAMES[who]} has {a} bags of {b} {THINGS[what]}. How many?"
    return Problem(prompt, f"{a * b}", f"{a}*{b}")


def _then(who: int, what: int, a: int, b: int, c: int) -> Problem:
    prompt = f"{NAMES[who]} has {a} {THINGS[what]}, buys {b}, lost {c}. How many?"
    return Problem(prompt, f"{a + b - c}", f"{a}+{b}={a + b}, {a + b}-{c}")


class Words(GridTask):
    """The task `tiny-gsm`: prompts of at most 42 characters, responses of at most 26 with the end token."""

    name = "tiny-gsm"
    prompt_max = 42
    max_new = 26
    mark = "####"
    families = (
        Family("more", (_WHO, _WHAT, (2, 30), (2, 12)), _more),
        Family("left", (_WHO, _WHAT, (2, 12), (2, 20)), _left),
        Family("groups", (_WHO, _WHAT, (2, 6), (2, 9)), _groups),
        Family("then", (_WHO, _WHAT, (2, 20), (2, 9), (2, 4)), _then),
    )

    def grader(self) -> Grader:
        """GSM8K's rules, strict and lenient."""
        return load_grader("gsm8k")
