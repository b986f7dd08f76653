"""Tasks that users bring: a `Task` (mostly a `Listed`), found by name or by dotted path.

An installed package offers one under the entry point group `banditrft.tasks`:

    [project.entry-points."banditrft.tasks"]
    capitals = "my_package.tasks:Capitals"

and then `task = "capitals"` means it. Without a package, `task = "my_module:Capitals"` does, where Python can
import the module. Both name a class (or function) that is called without arguments and makes the task.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from banditrft.errors import InputError
from llm_runs.graders import Grader
from llm_runs.plugins import dotted, made, reason
from llm_runs.tasks.base import Task

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
