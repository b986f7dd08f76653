"""How much a run samples and computes, and the arithmetic floor of its time; no torch is loaded.

Tokens are those of responses that all reach `max_new`, an upper bound. Floating-point operations count the
products with the weights only: 2 per weight and token forward, 4 backward, 2 more where layers are computed
again or an initial policy looks on. Decoding reads all weights once per step of a batch. The floor is what
they take at a device's stated peak: no run is faster, tiny models on a CPU are far slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from banditrft.design import Design, Evaluation
from banditrft.feedback import baseline_rollouts
from banditrft.worlds import LLMWorld
from llm_runs.base_models.sizes import Sizes
from llm_runs.planning.estimates import DECODED, EVALUATED, Device
from llm_runs.tasks import Task


@dataclass(frozen=True)
class Speed:
    """Peak speed of a device.

    Attributes:
        name: What is assumed.
        flops: Floating-point operations per second in the dtype that is computed in.
        bytes_s: Bytes per second to and from its memory.
    """

    name: str
    flops: float
    bytes_s: float


def speed(device: Device, dtype: str) -> Speed:
    """What the floor assumes of a device; published peaks of one GPU, and round numbers of one CPU core."""
    if device == "cpu":
        return Speed("one CPU core at 5e10 FLOP/s and 1e10 B/s", 5e10, 1e10)
    flops = 3.12e14 if dtype == "bfloat16" else 1.95e13
    return Speed(f"an A100's peaks, {flops:.3g} FLOP/s in {dtype} and 2e12 B/s", flops, 2e12)


@dataclass(frozen=True)
class Workload:
    """What one run does, in counts.

    Attributes:
        rollouts: Responses drawn for training, baseline rollouts included.
        evaluated: Responses drawn for evaluations.
        tokens: Most tokens of all these responses.
        flops: Floating-point operations.
        read: Bytes of weights read while decoding.
    """

    rollouts: int
    evaluated: int
    tokens: int
    flops: float
    read: float

    def floor_s(self, at: Speed) -> float:
        """Seconds below which the run cannot get."""
        return max(self.flops / at.flops, self.read / at.bytes_s)


def workload(world: LLMWorld, design: Design, evaluation: Evaluation, task: Task, sizes: Sizes) -> Workload:
    """What a run samples and computes.

    Args:
        world: Its dtype, gradient_checkpointing, train_items and test_items are read.
        design: What is trained.
        evaluation: What is looked at.
        task: Gives the lengths and the sizes of its sets.
        sizes: The model's.
    """
    P, T, B = task.prompt_max, task.max_new, design.batch_size
    G = design.rollouts + baseline_rollouts(design)
    rollouts = design.rounds * B * G
    pool = 1 if world.train_items is None else count(task, "pool", world.train_items)
    test = count(task, "test", world.test_items)
    looks = evaluations(design, evaluation)
    evaluated = pool * (looks["train"] * evaluation.eval_samples + evaluation.final_eval_samples)
    evaluated += test * (looks["test"] * evaluation.test_samples + 2 * evaluation.final_test_samples)
    tokens = (rollouts + evaluated) * T
    prompts = design.rounds * B * P
    trained = design.rounds * B * design.rollouts * (P + T)
    per_token = 6 + (2 if world.gradient_checkpointing else 0)
    looking = 2 * trained if design.kl_coef > 0.0 else 0
    flops = sizes.parameters * (
        2.0 * (tokens + prompts) + per_token * trained * design.updates_per_round + looking
    )
    number = 2 if world.dtype == "bfloat16" else 4
    steps = design.rounds * -(-B * G // DECODED) * T + -(-evaluated // EVALUATED) * T
    return Workload(rollouts, evaluated, tokens, flops, float(steps) * sizes.parameters * number)


def evaluations(design: Design, evaluation: Evaluation) -> dict[Literal["train", "test"], int]:
    """How often each set is evaluated during training, at round 0 and the last included."""

    def times(every: int | None) -> int:
        return 0 if every is None else 1 + -(-design.rounds // every)

    return {"train": times(evaluation.eval_every), "test": times(evaluation.test_every)}


def count(task: Task, split: str, asked: int | Literal["all"]) -> int:
    """Items of a set that a world uses."""
    return task.size(split) if asked == "all" else asked
