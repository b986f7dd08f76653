"""Letters put in order: a task that is not mathematics, with partial credit.

    four     Sort: dbca        d,bd,bcd=abcd         or at once: =abcd

The work is insertion sort: the letters read so far, in order. Families are the words of four, five and six
different letters of the sixteen from a to p, in any order (one in 24, 120 or 720 is in order already). How a
response is graded 0, .5 or 1 stands in `llm_runs.graders.sorting`.
"""

from __future__ import annotations

from llm_runs.graders import Grader, load_grader
from llm_runs.tasks.grid import Family, GridTask, Problem

LETTERS = "abcdefghijklmnop"


def _sort(*picks: int) -> Problem:
    """Letter after letter: each pick is a position among the letters that are left."""
    left = list(LETTERS)
    word = "".join(left.pop(pick) for pick in picks)
    steps = ["".join(sorted(word[:n])) for n in range(1, len(word))]
    return Problem(f"Sort: {word}", "".join(sorted(word)), ",".join(steps))


def _family(name: str, length: int) -> Family:
    return Family(name, tuple((0, len(LETTERS) - 1 - i) for i in range(length)), _sort)


class Letters(GridTask):
    """The task `tiny-sort`: prompts of at most 12 characters, responses of at most 28 with the end token."""

    name = "tiny-sort"
    prompt_max = 12
    max_new = 28
    mark = "="
    families = (_family("four", 4), _family("five", 5), _family("six", 6))

    def grader(self) -> Grader:
        """Exactly right, partly right or wrong."""
        return load_grader("sorting")
