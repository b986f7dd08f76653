"""The algorithm, for a stack of runs of one design: sample, grade, reward, signal, step, evaluate, record.

Every replica has its own query, seed, weights and optimiser state; none of its numbers depends on the
others. No reward model, no critic, no reference policy, one step per round: what is not in this file is not
done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.records import RunTables
from banditrft.rewards import placebo_rate, reward_values
from banditrft.runs import Run
from banditrft.signals import signal
from banditrft.streams import Purpose, uniforms
from banditrft.worlds import LLMWorld, check_supported
from llm_runs.base_models import load_base_model
from llm_runs.checkpoint import to_bytes
from llm_runs.evaluation import Address, draw_samples, grade_samples, prompt_tensors, single_thread
from llm_runs.learners.stacked import Learner
from llm_runs.measure import Measure
from llm_runs.network.stacked import replica, stack
from llm_runs.recorder import STAGES, Recorder
from llm_runs.tasks import load_task

Report = Callable[[float], None]


class Clock:
    """Seconds by stage, since the last reading."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._since = time.perf_counter()

    def charge(self, stage: str) -> None:
        """Charge the time since the last charge to a stage."""
        now = time.perf_counter()
        self._seconds[stage] += now - self._since
        self._since = now

    def read(self) -> dict[str, float]:
        """The seconds of each stage; starts anew."""
        seconds, self._seconds = self._seconds, dict.fromkeys(STAGES, 0.0)
        return seconds


def rewards(
    design: Design,
    correct_SG: NDArray[np.bool_],
    address: Address,
    items: Sequence[int],
    base: Sequence[float],
) -> NDArray[np.float64]:
    """Rewards of one round, float64 (S, G).

    Args:
        design: Names the reward map; "random" (the placebo) draws a success at `rate`, whatever was answered.
        correct_SG: Right under strict grading.
        address: Of the placebo's random numbers.
        items: Item of each replica's query.
        base: Base Pass@1 of each replica's query, the placebo's rate by default.
    """
    low, high = reward_values(design)
    if design.reward == "random":
        G = correct_SG.shape[1]
        u = uniforms(address.root_seed, address.seeds, items, address.purpose, address.round, G, 1)[..., 0]
        correct_SG = u < np.array([placebo_rate(design, p) for p in base])[:, None]
    return np.where(correct_SG, high, low)


def shared_world(runs: Sequence[Run]) -> LLMWorld:
    """The world of a stack, once it is known that its runs may be stacked.

    Raises:
        InputError: the runs differ in world, design, evaluation or root seed, or the design cannot be run.
    """
    if len({(run.world, run.design, run.evaluation, run.root_seed) for run in runs}) != 1:
        raise InputError("runs of a stack must share world, design, evaluation and root_seed")
    world = runs[0].world
    if not isinstance(world, LLMWorld):
        raise InputError(f"world {world.name!r}: not a language-model world")
    check_supported(runs[0].design, world)
    return world


def execute(runs: Sequence[Run], report: Report | None = None) -> list[RunTables]:
    """Train and evaluate a stack of runs; `report` is called with the fraction done.

    Raises:
        InputError: see `shared_world`; or an unknown model or task.
    """
    world, design, root_seed = shared_world(runs), runs[0].design, runs[0].root_seed
    task = load_task(world.task)
    model = load_base_model(world.model, task)
    with single_thread():
        base = stack([model.weights()] * len(runs))
        learner = Learner(model.arch, base, design, world.temperature)
        measure, record, clock = Measure(runs, world, task, model.arch), Recorder(runs), Clock()
        queries = [[task.item(query.item)] for query in record.queries]
        items = [query.item for query in record.queries]
        base_rates = [query.base_pass_at_1 for query in record.queries]
        prompts, pads = prompt_tensors(task, [[item.prompt for item in row] for row in queries])

        record.evaluation("final", measure.base(base))
        for rows in measure.curve(base, 0):
            record.evaluation("evals", rows)
        clock.charge("evaluate")
        for round_ in range(1, design.rounds + 1):
            address = Address(root_seed, record.seeds, Purpose.SAMPLE, round_)
            drawn = draw_samples(
                model.arch, learner.weights, task, queries, range(design.rollouts), address, world.temperature
            )
            clock.charge("sample")
            graded = grade_samples(task, queries, drawn)
            chance = Address(root_seed, record.seeds, Purpose.REWARD, round_)
            rewards_SG = rewards(design, graded.strict_SQG[:, 0], chance, items, base_rates)
            signals_SG = signal(design, rewards_SG)
            clock.charge("grade")
            step = learner.step(
                prompts[:, 0],
                pads[:, 0],
                drawn.tokens_SQGT[:, 0],
                drawn.lengths_SQG[:, 0],
                torch.from_numpy(signals_SG),
            )
            clock.charge("learn")
            for rows in measure.curve(learner.weights, round_):
                record.evaluation("evals", rows)
            clock.charge("evaluate")
            record.round(round_, graded, rewards_SG, signals_SG, step, clock.read())
            if report is not None:
                report(round_ / design.rounds)

        for rows in measure.final(learner.weights):
            record.evaluation("final", rows)
        record.texts(design.rounds, measure.texts(learner.weights))
        checkpoints = [to_bytes(model.arch, replica(learner.weights, s)) for s in range(len(runs))]
    return record.tables(checkpoints)
