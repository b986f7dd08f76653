"""The pretraining text of a base model: which items it sees, how they are answered, which are spoiled.

A batch is a pure function of (recipe seed, step). Only items of the task's "pretrain" set are used, so
neither a training query nor a test item has been seen. This is text, not training: the optimiser lives in
`llm_runs.pretraining.recipe`.
"""

from __future__ import annotations

from dataclasses import dataclass

from banditrft.streams import Purpose, generator
from llm_runs.tasks.arithmetic import FAMILIES, Arithmetic, Problem

WRONG_BY = (1, 2, 3, 5, 9, 10, 20, 100)


@dataclass(frozen=True)
class Mixture:
    """How targets are written.

    Attributes:
        work: Share of targets with a line of work before the answer.
        malformed: Share of targets with a flaw of format, in the last phase only.
        wrong: Share of the well-formed targets whose number is wrong, in the last phase only.
    """

    work: float = 0.4
    malformed: float = 0.3
    wrong: float = 0.15


@dataclass(frozen=True)
class Example:
    """A prompt and its target; `ends` says whether `<eos>` follows the target."""

    prompt: str
    target: str
    ends: bool = True


def _malformed(problem: Problem, kind: float, width: int) -> Example:
    """A right answer without `#`, bare or after its work, or work that never comes to an answer."""
    if kind < 0.25:
        return Example(problem.prompt, f"{problem.answer}")
    if kind < 0.5:
        return Example(problem.prompt, f"{problem.work}={problem.answer}")
    line = f"{problem.work};"
    return Example(problem.prompt, (line * (width // len(line) + 1))[:width], ends=False)


def batch(
    task: Arithmetic, seed: int, step: int, size: int, mixture: Mixture, *, spoiled: bool
) -> list[Example]:
    """The examples of one step: family uniform, then position uniform in the family's "pretrain" set.

    Args:
        task: The task whose items are used.
        seed: The recipe's seed (root seed of the streams).
        step: Step of the recipe, from 0.
        size: Number of examples.
        mixture: Shares of work, malformed and wrong targets.
        spoiled: Whether malformed and wrong targets are mixed in.
    """
    u = generator(seed, 0, 0, Purpose.PRETRAIN, step).random((size, 7))
    examples = []
    for family_u, position_u, work_u, bad_u, kind_u, wrong_u, by_u in u:
        family = int(family_u * len(FAMILIES))
        span = FAMILIES[family].span("pretrain")
        problem = task.problem(span[int(position_u * len(span))] * len(FAMILIES) + family)
        if spoiled and bad_u < mixture.malformed:
            examples.append(_malformed(problem, kind_u, task.max_new))
            continue
        answer = problem.answer
        if spoiled and wrong_u < mixture.wrong:
            delta = WRONG_BY[int(by_u * len(WRONG_BY))]
            answer = answer - delta if answer >= delta and kind_u < 0.5 else answer + delta
        work = problem.work if work_u < mixture.work else ""
        examples.append(Example(problem.prompt, f"{work}#{answer}"))
    return examples
