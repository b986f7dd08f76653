"""Tasks by name: the shipped ones, those that read files, and those that users bring.

Users bring a `Task` (mostly a `Listed`). An installed package offers one under the entry point group
`banditrft.tasks`:

    [project.entry-points."banditrft.tasks"]
    capitals = "my_package.tasks:Capitals"

and then `task = "capitals"` means it. Without a package, `task = "my_module:Capitals"` does, where Python can
import the module. Both name a class (or function) that is called without arguments and makes the task.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from banditrft.errors import InputError
from llm_runs.base_models import BaseModel, find_model
from llm_runs.graders import Grader
from llm_runs.plugins import dotted, made, reason
from llm_runs.tasks.arithmetic import Arithmetic
from llm_runs.tasks.base import Task
from llm_runs.tasks.boxed import BoxedAnswers
from llm_runs.tasks.files import SOURCES, Files
from llm_runs.tasks.sorting import Letters
from llm_runs.tasks.words import Words

if TYPE_CHECKING:
    from banditrft.worlds import LLMWorld

TASKS: dict[str, type[Task]] = {task.name: task for task in (Arithmetic, Words, BoxedAnswers, Letters)}
"""Tasks that make their own questions."""

FROM_FILES = (*SOURCES, "file")
"""Tasks that read their questions from files."""


def load_task(
    name: str,
    *,
    train_file: str | None = None,
    test_file: str | None = None,
    grader: str | None = None,
    prompt_max: int | None = None,
    max_new: int | None = None,
) -> Task:
    """The task of that name.

    Args:
        name: A shipped task, "gsm8k", "math", "file", the name of an installed one, or `module:Class`.
        train_file: Questions to train on, for "gsm8k", "math" and "file".
        test_file: Held-out questions; both files or neither.
        grader: Grader of the files' answers [default: the data set's own].
        prompt_max: Longest prompt, tokens [default: the task's].
        max_new: Longest response, tokens [default: the task's].

    Raises:
        InputError: No such task (the message lists those there are), or its files do not do.
    """
    if name in FROM_FILES:
        task: Task | None = Files(name, train_file, test_file, grader)
    elif train_file or test_file or grader:
        raise InputError(
            f"train_file, test_file, grader: only {', '.join(FROM_FILES)} read files, got task {name!r}"
        )
    else:
        task = TASKS[name]() if name in TASKS else custom_task(name)
    if task is None:
        there = ", ".join(sorted({*TASKS, *FROM_FILES, *installed()}))
        raise InputError(f"task: must be one of {there}, or module:Class, got {name!r}")
    task.prompt_max = prompt_max or task.prompt_max
    task.max_new = max_new or task.max_new
    return task


def task_of(world: LLMWorld, positions: int | None = None) -> Task:
    """The task of a world.

    Args:
        world: Names the task; the lengths that it gives are taken as they are.
        positions: Longest sequence of the world's model, tokens. Lengths that the world leaves to the task
            are cut to it: half of it for prompts at most, what they leave for responses.

    Raises:
        InputError: As `load_task`.
    """
    task = load_task(
        world.task,
        train_file=world.train_file,
        test_file=world.test_file,
        grader=world.grader,
        prompt_max=world.prompt_max,
        max_new=world.max_new,
    )
    if positions is not None and task.prompt_max + task.max_new > positions:
        if world.prompt_max is None:
            room = positions // 2 if world.max_new is None else max(1, positions - world.max_new)
            task.prompt_max = min(task.prompt_max, room)
        if world.max_new is None:
            task.max_new = max(1, positions - task.prompt_max)
    return task


def task_and_model(world: LLMWorld) -> tuple[Task, BaseModel]:
    """A world's task, of lengths that its model holds, and the model: files are read and the hub is asked.

    Raises:
        InputError: No such model or task, or files that do not do.
    """
    model = find_model(world.model, world.revision)
    return task_of(world, model.positions), model


GROUP = "banditrft.tasks"


def installed() -> list[str]:
    """Names of the tasks that installed packages offer, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def custom_task(name: str) -> Task | None:
    """The task under an entry point or dotted path; None if it is neither.

    Raises:
        InputError: It cannot be imported or made, or is no task; or two packages offer the name.
    """
    path = name if ":" in name else _offered(name)
    if path is None:
        return None
    task: Task = made("task", path, dotted("task", path), Task)
    _check(task, path)
    return task


def _check(task: Task, path: str) -> None:
    """Refuse a task whose name, lengths or grader are none.

    Raises:
        InputError: Lists all of them.
    """
    lines = []
    if not isinstance(getattr(task, "name", None), str):
        lines.append(f"task: {path!r}: name must be text, got {getattr(task, 'name', None)!r}")
    for length in ("prompt_max", "max_new"):
        value: object = getattr(task, length, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            lines.append(f"task: {path!r}: {length} must be a number of tokens, at least 1, got {value!r}")
    try:
        grader: object = task.grader()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - foreign code raises anything
        lines.append(f"task: {path!r}: grader() failed ({reason(error)})")
    else:
        if isinstance(grader, Grader):
            grader.close()
        else:
            lines.append(f"task: {path!r}: grader() must give a Grader, got {type(grader).__name__}")
    if lines:
        raise InputError("\n".join(lines))


def _offered(name: str) -> str | None:
    """The dotted path that packages offer under a name."""
    paths = sorted({point.value for point in entry_points(group=GROUP, name=name)})
    if len(paths) > 1:
        raise InputError(f"task: {name!r} is offered more than once ({', '.join(paths)}); give one of these")
    return paths[0] if paths else None
