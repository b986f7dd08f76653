"""What the language-model worlds of a study ask for and cannot get, found without loading torch."""

from banditrft.errors import InputError
from banditrft.study import Study
from banditrft.worlds import LLMWorld
from llm_runs.base_models import load_base_model
from llm_runs.tasks import load_task


def check(study: Study) -> None:
    """Refuse models, tasks and sizes that do not exist, before anything is spent.

    Raises:
        InputError: Names every such field, what there is, and the value given.
    """
    problems = []
    for index, world in enumerate(study.worlds("llm")):
        if isinstance(world, LLMWorld):
            problems += [f"llm[{index}].{line}" for line in _problems(world)]
    if problems:
        raise InputError("\n".join(problems))


def _problems(world: LLMWorld) -> list[str]:
    try:
        task = load_task(world.task)
        load_base_model(world.model, task)
    except InputError as error:
        return [str(error)]
    found = []
    for field, split, count in (
        ("queries.pool", "pool", world.queries.pool),
        ("test_items", "test", world.test_items),
    ):
        try:
            task.indices(split, count)
        except InputError as error:
            found.append(f"{field}: {error}")
    return found
