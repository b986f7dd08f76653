"""Tasks by name: what the language models are asked. Not models, not rewards."""

from __future__ import annotations

from banditrft.errors import InputError
from llm_runs.tasks.arithmetic import Arithmetic
from llm_runs.tasks.base import Item, Task
from llm_runs.tasks.vocabulary import Vocabulary

TASKS: dict[str, type[Task]] = {Arithmetic.name: Arithmetic}


def load_task(name: str) -> Task:
    """The task of that name.

    Raises:
        InputError: no such task; the message lists those there are.
    """
    if name not in TASKS:
        raise InputError(f"task: must be one of {', '.join(sorted(TASKS))}, got {name!r}")
    return TASKS[name]()


__all__ = ["TASKS", "Item", "Task", "Vocabulary", "load_task"]
