"""What the language-model worlds of a study ask for and cannot get, found before anything is spent.

What no machine can do is an error; what this machine lacks is one only where the study runs here. No torch is
loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Container, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from banditrft import feedback
from banditrft.errors import InputError
from banditrft.launch.machine import own_gpus
from banditrft.study import Study, iterate
from banditrft.worlds import LLMWorld
from llm_runs.base_models import BaseModel, check_fits, find_model, sizes_of
from llm_runs.queries import named_items, read_difficulties, table_items
from llm_runs.tasks import Listed, Task, check_answers, leaked, task_of
from llm_runs.tokenizers import counter, has_template
from llm_runs.trackers import require_tracker

T = TypeVar("T")
DEVICES = ("nvidia[0-9]*", "dxg", "kfd")
"""Files in /dev of GPUs that nvidia-smi may not list."""
VLLM_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Channels of a head that the attention of vLLM 0.32 computes on CPU."""


def check(study: Study, *, here: bool = False, unseen: Container[str] = ()) -> None:
    """Refuse models, tasks, items and designs that cannot be run, before anything is spent.

    Args:
        study: A resolved study.
        here: Whether this machine runs it: then what it lacks counts too.
        unseen: Worlds whose model or task cannot be read from here; what needs them is left out.

    Raises:
        InputError: Names every such field, what there is, and the value given.
    """
    problems = []
    for prefix, world in _worlds(study):
        found = _unseen(world) if world.name in unseen else _problems(world, here=here)
        problems += [f"{prefix}.{line}" for line in (*found, *(lacking(world) if here else ()))]
    for cell in iterate(study, "llm"):
        problems += [
            f"{cell.condition} (world '{cell.world.name}'): {line}"
            for line in _raised(partial(feedback.check, cell.design))
        ]
    if problems:
        raise InputError("\n".join(problems))


def notes(study: Study, unseen: Container[str] = ()) -> list[str]:
    """What a user should know of a study that can be run, one line each.

    What this machine lacks for its worlds, lengths that a model cuts, and test questions that are also there
    to train on.

    Args:
        study: A study that `check` accepts.
        unseen: Worlds whose model or task cannot be read from here.
    """
    found = []
    for prefix, world in _worlds(study):
        seen = () if world.name in unseen else (*cut_lengths(world), *leaks(world))
        lines = [*lacking(world), *seen]
        found += [f"{prefix}.{line}" for line in lines]
    return found


def leaks(world: LLMWorld) -> Iterator[str]:
    """Which test questions of a task in files or in code are also there to train on, one line."""
    task = task_of(world)
    line = leaked(task) if isinstance(task, Listed) else None
    if line:
        yield line


def cut_lengths(world: LLMWorld) -> Iterator[str]:
    """Which of the task's lengths do not fit the world's model and are cut, one line each."""
    positions = find_model(world.model, world.revision).positions
    whole = task_of(world)
    if positions is None or whole.prompt_max + whole.max_new <= positions:
        return
    task = task_of(world, positions)
    for field in ("prompt_max", "max_new"):
        asked, had = getattr(whole, field), getattr(task, field)
        if had < asked:
            yield f"{field}: {had} tokens, not the task's {asked}: {world.model} has {positions} positions"


def _worlds(study: Study) -> list[tuple[str, LLMWorld]]:
    found = enumerate(study.worlds("llm"))
    return [(f"llm[{index}]", world) for index, world in found if isinstance(world, LLMWorld)]


def _unseen(world: LLMWorld) -> Iterator[str]:
    yield from impossible(world)
    yield from _raised(partial(require_tracker, world))
    if world.queries.file is not None:
        yield from _raised(partial(read_difficulties, Path(world.queries.file)), "queries.file: ")


def _problems(world: LLMWorld, *, here: bool) -> Iterator[str]:
    task, model, errors = opened(world)
    yield from errors
    yield from impossible(world)
    yield from _raised(partial(require_tracker, world))
    if model is not None:
        if world.chat and not has_template(model.folder):
            yield f"chat: {model.name} has no chat template, got true"
        if here or world.device == "cpu":
            yield from heads(world, model)
    if task is not None:
        yield from _of_task(world, task)
    if task is not None and model is not None:
        sizes = {"prompt_max": task.prompt_max, "max_new": task.max_new, "tokens": 0}
        yield from _raised(partial(check_fits, model, **sizes))
        yield from _too_long(task, model)


def opened(world: LLMWorld) -> tuple[Task | None, BaseModel | None, list[str]]:
    """A world's task and model, and why what is None cannot be opened."""
    of_task, of_model = list[str](), list[str]()
    model = _found(world, "model", partial(find_model, world.model, world.revision), of_model)
    positions = None if model is None else model.positions
    task = _found(world, "task", partial(task_of, world, positions), of_task)
    return task, model, of_task + of_model


def _found(world: LLMWorld, field: str, find: Callable[[], T], errors: list[str]) -> T | None:
    """What is found, or None and its error under the field that is to blame."""
    try:
        return find()
    except InputError as error:
        errors += [_blamed(world, field, line) for line in str(error).splitlines()]
    return None


def _blamed(world: LLMWorld, field: str, line: str) -> str:
    """A line of an error under the field that is to blame for it."""
    if all(name in LLMWorld.model_fields for name in line.partition(":")[0].split(", ")):
        return line
    files = [name for name in ("train_file", "test_file") if getattr(world, name)]
    blamed = [name for name in files if line.startswith(str(Path(getattr(world, name))))]
    return f"{(blamed or [field])[0]}: {line.removeprefix('model ')}"


def _of_task(world: LLMWorld, task: Task) -> Iterator[str]:
    if isinstance(task, Listed):
        yield from _raised(partial(check_answers, task))
    yield from _raised(partial(_sizes, task, "test", world.test_items), "test_items: ")
    if world.train_items is not None:
        yield from _raised(partial(_sizes, task, "pool", world.train_items), "train_items: ")
    elif world.queries.file is not None:
        yield from _raised(partial(table_items, task, world))
    elif world.queries.items:
        for index in world.queries.items:
            yield from _raised(partial(named_items, task, [index]))
    else:
        yield from _raised(partial(_sizes, task, "pool", world.queries.pool), "queries.pool: ")


def _too_long(task: Task, model: BaseModel) -> Iterator[str]:
    """Whether no prompt fits, as far as its text alone says."""
    tokens = counter(model.folder)
    if tokens is None:
        return
    for split in ("pool", "test"):
        try:
            indices = task.indices(split, task.size(split))
            fits = any(tokens(task.item(index).prompt) <= task.prompt_max for index in indices)
        except InputError as error:
            yield f"task: {error}"
            return
        if indices and not fits:
            yield f"prompt_max: no prompt of the {split} items has so few tokens, got {task.prompt_max}"
            return


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


def gpu_count() -> int | None:
    """GPUs that this process may use; None where there are some but nothing counts them."""
    found = len(own_gpus())
    if not found and shutil.which("nvidia-smi") is None and any(any(Path("/dev").glob(p)) for p in DEVICES):
        return None
    return found


def lacking(world: LLMWorld) -> Iterator[str]:
    """What a world needs that this machine does not have, one line each; another may have it."""
    if world.device == "cpu" or (there := gpu_count()) is None:
        return
    if there == 0 and world.device == "cuda":
        yield "device: no GPU on this machine, got 'cuda'"
        return
    for field in ("tensor_parallel", "shards"):
        asked = getattr(world, field)
        if asked > max(there, 1) and (there or field == "tensor_parallel"):
            yield f"{field}: must be at most {there}, the GPUs of this machine, got {asked}"


def impossible(world: LLMWorld) -> Iterator[str]:
    """What no machine can do, one line each."""
    if world.device == "cpu" and world.tensor_parallel > 1:
        yield f"tensor_parallel: needs GPUs, got {world.tensor_parallel} with device = 'cpu'"


def heads(world: LLMWorld, model: BaseModel) -> Iterator[str]:
    """Why vLLM cannot compute a model's attention on this machine's cores, where it would."""
    if world.engine != "vllm" or world.device == "cuda" or find_spec("vllm") is None:
        return
    if (world.device == "auto" and gpu_count() != 0) or "kv_lora_rank" in model.config:
        return
    size = sizes_of(model)[0].head_dim
    if size not in VLLM_HEADS:
        yield (
            f"engine: on CPU vLLM computes heads of {', '.join(map(str, VLLM_HEADS))} channels, "
            f"got {size} of {model.name}; engine = 'torch' computes any"
        )
