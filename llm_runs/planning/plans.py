"""What a study's language-model worlds would do, before anything is sampled, trained or fetched.

A model or data set of the hub that cannot be read from here leaves its world's estimates unknown, with
the reason; everything that can be known is. No torch is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from banditrft.catalog import read_queries, status
from banditrft.design import Design, Evaluation, parse
from banditrft.errors import InputError
from banditrft.runs import Run, WorldQueries, expand, queries_key
from banditrft.study import Cell, Study, iterate
from banditrft.worlds import LLMWorld
from llm_runs.base_models import SHIPPED, BaseModel, find_model, sizes_of
from llm_runs.planning.checks import check
from llm_runs.planning.estimates import (
    STACK,
    Device,
    Memory,
    Workload,
    likely_device,
    memory,
    speed,
    workload,
)
from llm_runs.tasks import SOURCES, Task, task_and_model, task_of
from llm_runs.tiny import stacks


@dataclass(frozen=True)
class CellPlan:
    """One condition in one world.

    Attributes:
        world: The world's name.
        condition: The condition's name.
        design: Its fields that differ from their defaults, and those that have none.
        evaluation: Likewise.
        runs: How many runs it has.
        found: How many are there; None where queries are not chosen yet.
        stale: How many lack only the final evaluation asked for.
        memory: Of one job; None where the model or task is unknown.
        work: Of one run; likewise.
        floor_s: Seconds below which one run cannot get; likewise.
    """

    world: str
    condition: str
    design: dict[str, Any]
    evaluation: dict[str, Any]
    runs: int
    found: int | None
    stale: int | None
    memory: Memory | None
    work: Workload | None
    floor_s: float | None

    @property
    def missing(self) -> int:
        """Runs that a launch would train."""
        return self.runs - (self.found or 0) - (self.stale or 0)


@dataclass(frozen=True)
class WorldPlan:
    """One world.

    Attributes:
        world: Its settings.
        device: Where its runs would compute on this machine.
        parameters: Of the model; None if unknown.
        counted: Whether from the weights' files; else from config.json.
        unknown: Why estimates are missing; empty where they are not.
        chosen: Whether training queries are chosen already.
        assumed: What the floor of time assumes of the device.
        cells: Its conditions.
    """

    world: LLMWorld
    device: Device
    parameters: int | None
    counted: bool
    unknown: str
    chosen: bool
    assumed: str
    cells: tuple[CellPlan, ...]


def with_engine(study: Study, engine: Literal["torch", "vllm"] | None) -> Study:
    """The study with all its language-model worlds sampled by one engine, as if their tables said so.

    Raises:
        InputError: A world's settings do not allow the engine.
    """
    if engine is None:
        return study
    worlds = {
        world.name: parse(LLMWorld, world.model_dump(exclude_unset=True) | {"engine": engine}, world.name)
        for world in study.worlds("llm")
    }
    cells = tuple(replace(cell, world=worlds.get(cell.world.name, cell.world)) for cell in study.cells)
    return replace(study, cells=cells)


def plan(study: Study, root: Path | str) -> list[WorldPlan]:
    """What the language-model worlds of a study would do.

    Args:
        study: A resolved study.
        root: The study's folder; nothing is written to it.

    Raises:
        InputError: The study cannot be run on any machine, as far as can be known from here.
    """
    root = Path(root)
    worlds = [world for world in study.worlds("llm") if isinstance(world, LLMWorld)]
    away = unseen(study)
    check(study, unseen=away)
    known = {world.name: away.get(world.name) or task_and_model(world) for world in worlds}
    kept = read_queries(root)
    return [_world(study, root, world, known[world.name], kept.get(world.name)) for world in worlds]


def unseen(study: Study) -> dict[str, str]:
    """Worlds whose model or data set is on a hub out of reach, with the reason."""
    worlds = (world for world in study.worlds("llm") if isinstance(world, LLMWorld))
    return {world.name: reason for world in worlds if (reason := _unseen(world))}


def _unseen(world: LLMWorld) -> str:
    """Why the hub's model or data set of a world cannot be read from here; empty where it can.

    What is wrong and not the hub's is left to `check`.
    """
    if world.model not in SHIPPED and not Path(world.model).is_dir() and "/" in world.model:
        try:
            find_model(world.model, world.revision)
        except InputError as error:
            return str(error)
    if world.task in SOURCES and world.train_file is None:
        try:
            task_of(world)
        except InputError as error:
            return str(error)
    return ""


def _world(
    study: Study, root: Path, world: LLMWorld, found: tuple[Task, BaseModel] | str, kept: WorldQueries | None
) -> WorldPlan:
    device = likely_device(world)
    chosen = kept if kept is not None and kept.key == queries_key(world, study.root_seed) else None
    own = replace(study, cells=tuple(c for c in study.cells if c.world.name == world.name))
    runs = expand(own, "llm", {world.name: chosen}) if chosen is not None else []
    known = None if isinstance(found, str) else found
    cells = [_cell(cell, world, root, runs, known, device) for cell in iterate(own, "llm")]
    parameters, counted = None, False
    if known is not None:
        sizes, counted = sizes_of(known[1])
        parameters = sizes.parameters
    return WorldPlan(
        world,
        device,
        parameters,
        counted,
        found if isinstance(found, str) else "",
        chosen is not None,
        speed(device, world.dtype).name,
        tuple(cells),
    )


def _cell(
    cell: Cell,
    world: LLMWorld,
    root: Path,
    runs: Sequence[Run],
    known: tuple[Task, BaseModel] | None,
    device: Device,
) -> CellPlan:
    own = [run for run in runs if run.condition == cell.condition]
    state = status(root, own)
    design, evaluation = cell.design, cell.evaluation
    need, work, floor = _estimates(world, design, evaluation, known, device)
    return CellPlan(
        world.name,
        cell.condition,
        design.model_dump(mode="json", exclude_defaults=True),
        evaluation.model_dump(mode="json", exclude_defaults=True),
        len(own) if own else _queries(world) * world.seeds,
        len(state.found) if own else None,
        len(state.stale) if own else None,
        need,
        work,
        floor,
    )


def _estimates(
    world: LLMWorld,
    design: Design,
    evaluation: Evaluation,
    known: tuple[Task, BaseModel] | None,
    device: Device,
) -> tuple[Memory, Workload, float] | tuple[None, None, None]:
    if known is None:
        return None, None, None
    task, model = known
    most = STACK if stacks(world, model, device) else 1
    replicas = min(most, _queries(world) * world.seeds)
    work = workload(world, design, evaluation, task, sizes_of(model)[0])
    need = memory(world, design, task, model, replicas=replicas, device=device)
    return need, work, work.floor_s(speed(device, world.dtype))


def _queries(world: LLMWorld) -> int:
    """Training queries of a world; a pool counts as one."""
    if world.train_items is not None:
        return 1
    return len(world.queries.items) or world.queries.count
