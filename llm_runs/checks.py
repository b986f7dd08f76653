"""What the language-model worlds of a study ask for and cannot get, found without loading torch."""

from collections.abc import Callable, Iterator
from functools import partial

from banditrft import feedback
from banditrft.errors import InputError
from banditrft.study import Study, iterate
from banditrft.worlds import LLMWorld
from llm_runs.base_models import check_fits, find_model
from llm_runs.queries import named_item
from llm_runs.tasks import Task, task_of
from llm_runs.trackers import require_tracker


def check(study: Study) -> None:
    """Refuse models, tasks, items and designs that cannot be run, before anything is spent.

    Raises:
        InputError: Names every such field, what there is, and the value given.
    """
    problems = []
    for index, world in enumerate(study.worlds("llm")):
        if isinstance(world, LLMWorld):
            problems += [f"llm[{index}].{line}" for line in _problems(world)]
    for cell in iterate(study, "llm"):
        problems += [
            f"{cell.condition} (world '{cell.world.name}'): {line}"
            for line in _raised(partial(feedback.check, cell.design))
        ]
    if problems:
        raise InputError("\n".join(problems))


def _problems(world: LLMWorld) -> Iterator[str]:
    try:
        task, model = task_of(world), find_model(world.model, world.revision)
    except InputError as error:
        yield str(error)
        return
    sizes = {"prompt_max": task.prompt_max, "max_new": task.max_new, "tokens": 0}
    yield from _raised(partial(check_fits, model, **sizes))
    yield from _raised(partial(require_tracker, world))
    yield from _raised(partial(_sizes, task, "test", world.test_items), "test_items: ")
    if world.train_items is not None:
        yield from _raised(partial(_sizes, task, "pool", world.train_items), "train_items: ")
    elif world.queries.items:
        for index in world.queries.items:
            yield from _raised(partial(named_item, task, index))
    else:
        yield from _raised(partial(_sizes, task, "pool", world.queries.pool), "queries.pool: ")


def _sizes(task: Task, split: str, count: object) -> None:
    if isinstance(count, int):
        task.indices(split, count)


def _raised(refuse: Callable[[], object], prefix: str = "") -> list[str]:
    """The error of a check as a line, if it has one."""
    try:
        refuse()
    except InputError as error:
        return [f"{prefix}{error}"]
    return []
