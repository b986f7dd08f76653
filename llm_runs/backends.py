"""What a job of the language-model world runs on: task, tokenizer, engine and learner, opened for one world.

Tiny models of the three architectures are one tensor program for S runs, in float32 on one thread of the CPU,
and their records do not depend on what is stacked. Every other model runs alone; one that is sharded runs in
several processes, of which only the first opens a backend (`llm_runs.execution`). Nothing is trained here.

Axes: S replicas, Q items of a replica.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds import LLMWorld
from llm_runs import engines, learners, tiny
from llm_runs.base_models import BaseModel, check_fits, load_module
from llm_runs.engines import Canary
from llm_runs.interfaces import Address, Engine, Learner, Limits, Prompts, Tokenizer
from llm_runs.rounds import Graded, grade_samples
from llm_runs.tasks import Item, Task, prompt_ids, task_and_model
from llm_runs.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from llm_runs.graders import Grader
    from llm_runs.learners import ShardedLearner

BASE_ONLY = Design(optimizer="sgd", learning_rate=1.0, rounds=1)
"""A design for those who only sample the base model."""


@dataclass(frozen=True)
class Backend:
    """An engine, a learner and what both of them work on.

    Attributes:
        world: What was asked for.
        task: Prompts and answers.
        grader: Judges responses.
        tokenizer: The model's.
        limits: Shapes and stops of sampling.
        model: The base model.
        engine: Draws responses under the weights last pushed.
        learner: Holds the weights; the base model's at first.
        canary: Checks that the engine has the learner's weights.
    """

    world: LLMWorld
    task: Task
    grader: Grader
    tokenizer: Tokenizer
    limits: Limits
    model: BaseModel
    engine: Engine
    learner: Learner
    canary: Canary
    _ids: dict[int, list[int]] = field(default_factory=dict, repr=False)

    def prompts(self, items_SQ: Sequence[Sequence[Item]], first_SQ: Sequence[Sequence[int]] = ()) -> Prompts:
        """Items in tokens, each encoded once.

        Raises:
            InputError: A prompt is longer than the task's `prompt_max`.
        """
        for item in (item for items in items_SQ for item in items):
            if item.index not in self._ids:
                self._ids[item.index] = prompt_ids(self.task, self.tokenizer, item)
        return Prompts(
            [[self._ids[item.index] for item in items] for items in items_SQ],
            [[item.index for item in items] for items in items_SQ],
            first_SQ,
        )

    def draw(self, items_SQ: Sequence[Sequence[Item]], rollouts: Sequence[int], address: Address) -> Graded:
        """Draw responses to items and grade them."""
        samples = self.engine.sample(self.prompts(items_SQ), rollouts, address)
        return grade_samples(self.grader, self.tokenizer, items_SQ, samples)

    def push(self, round_: int = 0, *, base: bool = False) -> None:
        """Hand the learner's weights to the engine after a round, and check now and then that they arrived.

        Args:
            round_: The round.
            base: Whether they are the base model's, which must give numbers.

        Raises:
            StaleWeightsError: They did not arrive.
            InputError: The base model gives no numbers.
        """
        self.engine.push(self.learner)
        self.canary.after_push(round_, base=self.model.name if base else None)


def device_of(world: LLMWorld) -> torch.device:
    """Where a world's learner computes.

    Raises:
        InputError: A GPU was asked for and there is none.
    """
    if world.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: no GPU is at hand, got 'cuda'")
    return torch.device("cuda" if world.device != "cpu" and torch.cuda.is_available() else "cpu")


def stackable(world: LLMWorld, model: BaseModel) -> bool:
    """Whether several runs of this world can be one tensor program."""
    _ = model.weight_files  # fetched: their number counts
    return tiny.stacks(world, model, "cpu" if device_of(world).type == "cpu" else "cuda")


@contextmanager
def single_thread(world: LLMWorld) -> Iterator[None]:
    """Run torch on one thread of the CPU: the fastest way for tiny models, and the one of promised bits.

    A world on a GPU keeps the threads that there are.
    """
    if device_of(world).type != "cpu":
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fitted(world: LLMWorld) -> tuple[Task, BaseModel, Tokenizer, Limits]:
    """A world's task, model and tokenizer, and the limits of sampling.

    Raises:
        InputError: No such model or task, or sizes that do not fit.
    """
    task, model = task_and_model(world)
    tokenizer = load_tokenizer(model.folder, world.chat)
    check_fits(model, prompt_max=task.prompt_max, max_new=task.max_new, tokens=tokenizer.size)
    limits = Limits(task.prompt_max, task.max_new, world.temperature, tokenizer.ends, tokenizer.pad)
    return task, model, tokenizer, limits


@contextmanager
def open_backend(world: LLMWorld, design: Design | None = None, replicas: int = 1) -> Iterator[Backend]:
    """Load a world's model for so many runs of one design, with the base weights; closes everything.

    Args:
        world: The world. Where its learner is sharded this is called in the first of its ranks.
        design: What the learner's steps do. None is for those who only sample the base model: they do so in
            this process alone, in main memory where a sharded world is sampled by vLLM.
        replicas: Runs side by side.

    Raises:
        InputError: No such model, task or device; sizes that do not fit; several replicas of a model that
            does not stack.
    """
    device = device_of(world)
    if design is None:
        if world.shards > 1 and world.engine == "vllm":
            device = torch.device("cpu")
        world, design = world.model_copy(update={"shards": 1}), BASE_ONLY
    task, model, tokenizer, limits = fitted(world)
    stacked = replicas if stackable(world, model) else 0
    if replicas > 1 and not stacked:
        raise InputError(f"world {world.name!r}: its model does not stack, got {replicas} runs at once")
    with ExitStack() as closes:
        closes.enter_context(single_thread(world))
        grader = closes.enter_context(task.grader())
        sharded = sharded_learner(world, model, design, limits) if world.shards > 1 else None
        learner = sharded or _learner(world, model, stacked, design, limits, device)
        engine = closes.enter_context(closing(_engine(world, model, stacked, limits)))
        canary = Canary(engine, learner, limits, world.dtype, tokenizer.size, world.canary_every)
        yield Backend(world, task, grader, tokenizer, limits, model, engine, learner, canary)
        if sharded is not None:
            sharded.close()  # not after an error: the other ranks may be anywhere


def sharded_learner(world: LLMWorld, model: BaseModel, design: Design, limits: Limits) -> ShardedLearner:
    """This rank's part of the learner of a sharded world; layer after layer goes to the rank's device."""
    return learners.ShardedLearner(_module(world, model, torch.device("cpu")), design, world, limits)


def _learner(
    world: LLMWorld, model: BaseModel, stacked: int, design: Design, limits: Limits, device: torch.device
) -> Learner:
    """The learner of a world: of so many stacked replicas, or of one run where that is 0."""
    if stacked:
        return tiny.StackedLearner.of(model, stacked, design, world, limits)
    return learners.ModuleLearner(_module(world, model, device), design, world, limits)


def _module(world: LLMWorld, model: BaseModel, device: torch.device) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # adapters start from the same numbers in every run, resumed or not
        return load_module(
            model,
            dtype=getattr(torch, world.dtype),
            device=device,
            lora=world.lora,
            gradient_checkpointing=world.gradient_checkpointing,
        )


def _engine(world: LLMWorld, model: BaseModel, stacked: int, limits: Limits) -> Engine:
    """The engine of a world, for the same replicas as its learner."""
    if world.engine == "vllm":
        return engines.VLLMEngine(model, world, limits)
    if stacked:
        return tiny.StackedEngine.of(model, limits)
    dtype = getattr(torch, world.dtype)
    if world.shards > 1:
        return engines.CopiedEngine(model, limits, dtype=dtype, device=device_of(world))
    return engines.CachedEngine(limits, dtype=dtype)
