"""Dumped responses as counts: TRL's completions tables and verl's rollout files."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from banditrft.errors import RecordError


@dataclass(frozen=True)
class Response:
    """One graded response to `prompt`, learned from by update `step`; `where` is file and row."""

    step: int
    prompt: str
    right: object
    where: str


class Prompts:
    """Numbers the prompts of an import by their first appearance, over all of its runs."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, prompt: str) -> int:
        """Item of a prompt."""
        return self.numbers.setdefault(prompt, len(self.numbers))


def tallied(
    responses: Iterable[Response], prompts: Prompts
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of `groups`, and of train `evals`: round r's responses come from the policy after r - 1 updates.

    Raises:
        RecordError: A step below 1, or a grade that is neither 0 nor 1; names file and row.
    """
    counts: dict[tuple[int, int], list[int]] = {}
    for response in responses:
        if response.step < 1:
            raise RecordError(f"{response.where}: 'step' must be at least 1, got {response.step}")
        if response.right not in (0, 1):
            raise RecordError(
                f"{response.where}: a grade must be 0 or 1, got {response.right!r}; --map reward=COLUMN "
                "names the column that says whether an answer is right"
            )
        cell = counts.setdefault((response.step, prompts.number(response.prompt)), [0, 0])
        cell[0] += 1
        cell[1] += int(response.right == 1)
    groups, evals = [], []
    for (step, item), (n, right) in sorted(counts.items()):
        common = {"seed": 0, "item": item, "n": n, "reward_sum": float(right), "correct_strict": right}
        groups.append({**common, "round": step})
        evals.append({**common, "round": step - 1, "split": "train"})
    return groups, evals
