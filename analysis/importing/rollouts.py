"""Dumped responses as counts: TRL's completions tables and verl's rollout files."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.importing.options import Options
from analysis.importing.whole import NO_COUNT, Scale, seen
from analysis.loading.foreign import real
from banditrft.errors import InputError, RecordError


@dataclass(frozen=True)
class Response:
    """One graded response to `prompt`, learned from by update `step`; `where` is file and row."""

    step: int
    prompt: str
    reward: object
    where: str


class Prompts:
    """Numbers the prompts of an import by their first appearance, over all of its runs."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, prompt: str) -> int:
        """Item of a prompt."""
        return self.numbers.setdefault(prompt, len(self.numbers))


@dataclass(frozen=True)
class Tallied:
    """Rows of `groups` and of train `evals`, and the last step."""

    groups: list[dict[str, Any]]
    evals: list[dict[str, Any]]

    @property
    def last(self) -> int:
        """The last step."""
        return int(self.groups[-1]["round"])


def tallied(
    path: Path, responses: Iterable[Response], prompts: Prompts, options: Options, condition: str
) -> Tallied:
    """Counts by step and prompt: round r's responses come from the policy after r - 1 updates.

    Args:
        path: Where they were read, for errors.
        responses: One run's responses.
        prompts: Items of all runs' prompts.
        options: What the user says; of the scale of rewards, else it is the two that are seen.
        condition: The run's condition.

    Raises:
        InputError: The reward map says that rewards count no right answers, and no other column is named.
        RecordError: No responses, a step below 1, or a reward that is not one of two; names file and row.
    """
    if (meaning := options.reward(condition)) in NO_COUNT and "reward" not in options.columns:
        raise InputError(
            f"set: rewards are {meaning}, so those in {path} count no right answers; --map reward=COLUMN "
            "names a column that does"
        )
    counts: dict[tuple[int, int], Counter[float]] = {}
    first: dict[float, str] = {}
    said = options.stated(condition)
    for response in responses:
        if response.step < 1:
            raise RecordError(f"{response.where}: 'step' must be at least 1, got {response.step}")
        reward = float(response.reward) if isinstance(response.reward, bool) else real(response.reward)
        if reward is None or not math.isfinite(reward):
            raise RecordError(f"{response.where}: a grade must be a number, got {response.reward!r:.80}")
        first.setdefault(reward, response.where)
        if len(first) > 2 or (said is not None and reward not in said.values):
            break
        counts.setdefault((response.step, prompts.number(response.prompt)), Counter())[reward] += 1
    if not first:
        raise RecordError(f"{path}: holds no responses")
    scale = said or seen(first)
    if scale is None or not first.keys() <= scale.values:
        known = Scale().values if scale is None else scale.values
        odd = next(value for value in first if value not in known)
        wanted = " or ".join(f"{value:g}" for value in sorted(known))
        raise RecordError(
            f"{first[odd]}: a grade must be {wanted}, got {odd:g}; --scale LOW HIGH says what a wrong and a "
            "right answer are worth, --map reward=COLUMN names a column that says whether an answer is right"
        )
    groups, evals = [], []
    for (step, item), of in sorted(counts.items()):
        n, right = of.total(), of[scale.high]
        common = {"seed": 0, "item": item, "n": n, "correct_strict": right}
        groups.append({**common, "round": step, "reward_sum": scale.high * right + scale.low * (n - right)})
        evals.append({**common, "round": step - 1, "split": "train", "reward_sum": float(right)})
    return Tallied(groups, evals)
