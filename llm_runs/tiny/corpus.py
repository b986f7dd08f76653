"""The pretraining text of a base model: which items it sees, how they are answered, which are spoiled.

A batch is a pure function of (recipe seed, step). Only items of the tasks' "pretrain" sets are used, so
neither a training query nor a test item has been seen. This is text, not training: the optimiser lives in
`llm_runs.tiny.pretraining`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from banditrft.streams import Purpose, generator
from llm_runs.tasks.grid import GridTask, Problem

WRONG_BY = (1, 2, 3, 5, 9, 10, 20, 100)


@dataclass(frozen=True)
class Mixture:
    """How targets are written.

    Attributes:
        work: Share of targets with a line of work before the answer.
        malformed: Share of targets with a flaw of format, in the last phase only.
        wrong: Share of the well-formed targets whose answer is wrong, in the last phase only.
    """

    work: float = 0.4
    malformed: float = 0.3
    wrong: float = 0.15


@dataclass(frozen=True)
class Example:
    """A prompt of a task and its target; `ends` says whether `<eos>` follows the target."""

    prompt: str
    target: str
    ends: bool = True
    task: str = field(default="", repr=False)


def _other_number(answer: str, kind: float, by: float) -> str:
    """Another number; of a fraction, another numerator."""
    number, stroke, rest = answer.partition("/")
    delta = WRONG_BY[int(by * len(WRONG_BY))]
    wrong = int(number) - delta if int(number) >= delta and kind < 0.5 else int(number) + delta
    return f"{wrong}{stroke}{rest}"


def _other_order(answer: str, _: float, by: float) -> str:
    """Two neighbours exchanged."""
    at = int(by * (len(answer) - 1))
    return answer[:at] + answer[at + 1] + answer[at] + answer[at + 2 :]


@dataclass(frozen=True)
class Style:
    """How the targets of a task are written: formats of {work} and {answer}.

    Attributes:
        direct: The answer at once, well formed.
        worked: The answer after its work, well formed.
        unmarked: The answer after its work, without its mark.
        line: Work that is repeated and never comes to an answer.
        wrong: A wrong answer of the right form, from the right one and two uniform numbers.
    """

    direct: str
    worked: str
    unmarked: str
    line: str
    wrong: Callable[[str, float, float], str] = _other_number


STYLES = {
    "arithmetic": Style("#{answer}", "{work}#{answer}", "{work}={answer}", "{work};"),
    "tiny-gsm": Style("#### {answer}", "{work}={answer} #### {answer}", "{work}={answer}", "{work}, "),
    "tiny-math": Style(r"\boxed{{{answer}}}", r"{work}, \boxed{{{answer}}}", "{work}, {answer}", "{work}, "),
    "tiny-sort": Style("={answer}", "{work}={answer}", "{work},{answer}", "{work},", _other_order),
}
"""By name of the task."""


def _malformed(task: GridTask, problem: Problem, kind: float) -> Example:
    """A right answer without its mark, bare or after its work, or work that never comes to an answer."""
    style = STYLES[task.name]
    if kind < 0.25:
        return Example(problem.prompt, problem.answer, task=task.name)
    if kind < 0.5:
        target = style.unmarked.format(work=problem.work, answer=problem.answer)
        return Example(problem.prompt, target, task=task.name)
    line = style.line.format(work=problem.work)
    target = (line * (task.max_new // len(line) + 1))[: task.max_new]
    return Example(problem.prompt, target, ends=False, task=task.name)


def batch(
    tasks: Sequence[GridTask], seed: int, step: int, size: int, mixture: Mixture, *, spoiled: bool
) -> list[Example]:
    """The examples of one step: family uniform, then position uniform in the family's "pretrain" set.

    Args:
        tasks: The tasks whose items are used; all their families count alike.
        seed: The recipe's seed (root seed of the streams).
        step: Step of the recipe, from 0.
        size: Number of examples.
        mixture: Shares of work, malformed and wrong targets.
        spoiled: Whether malformed and wrong targets are mixed in.
    """
    families = [(task, family) for task in tasks for family in task.families]
    u = generator(seed, 0, 0, Purpose.PRETRAIN, step).random((size, 7))
    examples = []
    for family_u, position_u, work_u, bad_u, kind_u, wrong_u, by_u in u:
        task, family = families[int(family_u * len(families))]
        span = family.span("pretrain")
        problem, style = family.at(span[int(position_u * len(span))]), STYLES[task.name]
        if spoiled and bad_u < mixture.malformed:
            examples.append(_malformed(task, problem, kind_u))
            continue
        answer = problem.answer
        if spoiled and wrong_u < mixture.wrong:
            answer = style.wrong(answer, kind_u, by_u)
        form = style.worked if work_u < mixture.work else style.direct
        target = form.format(work=problem.work, answer=answer)
        examples.append(Example(problem.prompt, target, task=task.name))
    return examples
