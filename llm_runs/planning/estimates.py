"""What a run needs and does: memory, and counts of samples, tokens and operations. No torch is loaded.

Memory follows from numbers of the configuration alone. What stands there all the time (weights, gradients,
optimiser state, an initial policy, an engine's copy) is counted exactly; what comes and goes (activations,
logits, keys and values) is bounded from shapes: every response is taken to reach `max_new` tokens, every
prompt `prompt_max`. The larger of sampling and learning counts, since they take turns.

Work: tokens are those of responses that all reach `max_new`, an upper bound. Floating-point operations count
the products with the weights only: 2 per weight and token forward, 4 backward, 2 more where layers are
computed again or an initial policy scores the responses. Decoding reads all weights once per step of a batch.
The floor of time is what they take at a device's stated peak: no run is faster, tiny models on a CPU are far
slower.

Axes: S replicas, Q prompts, G rollouts, P prompt tokens, T response tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from banditrft.design import Design, Evaluation
from banditrft.feedback import baseline_rollouts
from banditrft.launch.machine import own_gpus
from banditrft.launch.resources import Need
from banditrft.runs import Run
from banditrft.worlds import LLMWorld
from llm_runs.base_models import BaseModel, Sizes, find_model, sizes_of
from llm_runs.tasks import Task, task_and_model
from llm_runs.tiny import stacks

Device = Literal["cpu", "cuda"]
STACK = 8
"""Replicas trained as one tensor program; it changes no number."""
PROCESS = 650 * 10**6
"""Main memory of a process that has loaded torch and transformers, bytes."""
VLLM_PROCESS = 1_500 * 10**6
"""Main memory of a process that has loaded vLLM besides, bytes."""
CUDA_CONTEXT = 600 * 10**6
"""Memory that a process holds on a GPU before it has put anything there, bytes (assumed)."""
DECODED, EVALUATED = 256, 64
"""Rows that the torch engines decode at once: of any model, and of an evaluation."""
LOGITS = 2**27
"""Logits that the learner makes at once (`llm_runs.learners.scoring`)."""
SNAPSHOT = 2**28
"""Trained weights up to which a step's length is measured by a copy (`llm_runs.learners.optimizers`)."""
VLLM_CACHE = (2**28, 2**32)
"""Least and most memory of vLLM's keys and values on CPU, bytes."""
WHOLE = ("process", "vLLM", "sampler's copy")
"""What is not sharded."""
LORA_TARGETS = 7
"""Linear layers of a decoder block that get adapters by default."""


def stack_size(run: Run) -> int:
    """How many runs like this one job holds: those that stack do so, every other is a job of its own."""
    world = _world(run)
    model = find_model(world.model, world.revision)
    return STACK if stacks(world, model, likely_device(world)) else 1


def likely_device(world: LLMWorld) -> Device:
    """Where a world's runs compute on this machine; found without torch."""
    if world.device != "auto":
        return world.device
    return "cuda" if own_gpus() else "cpu"


@dataclass(frozen=True)
class Memory:
    """Memory that one job needs at its peak, in bytes by what it is for.

    Attributes:
        held: What stands there all the time.
        sampling: What comes and goes while responses are drawn.
        learning: What comes and goes during a step.
    """

    held: Mapping[str, int]
    sampling: Mapping[str, int]
    learning: Mapping[str, int]

    @property
    def peak(self) -> int:
        """Everything that is held, and the larger of what sampling and learning take besides."""
        both = (sum(self.sampling.values()), sum(self.learning.values()))
        return sum(self.held.values()) + max(both)


def memory(
    world: LLMWorld,
    design: Design,
    task: Task,
    model: BaseModel,
    *,
    replicas: int = 1,
    device: Device = "cpu",
) -> Memory:
    """Memory of a job on a device: main memory, or each GPU's where it is sharded.

    Args:
        world: Its dtype, engine, lora, micro_batch, gradient_checkpointing and shards are read.
        design: What a step does.
        task: Gives P and T.
        model: The base model.
        replicas: Runs in the job, S.
        device: Where it computes.
    """
    sizes, _ = sizes_of(model)
    stacked = stacks(world, model, device)
    number = 2 if world.dtype == "bfloat16" else 4
    S, trained = (replicas if stacked else 1), _trained(world, sizes)
    initial = design.kl_coef > 0.0 and world.lora is None
    held = {
        "process": PROCESS if device == "cpu" else CUDA_CONTEXT,
        "weights": S * sizes.parameters * number,
        "masters": trained * 4 if number == 2 and world.lora is None else 0,
        "gradients": S * trained * 4,
        "optimiser": 0 if design.optimizer == "sgd" else 2 * S * trained * 4,
        "initial policy": sizes.parameters * number if initial else 0,
        "step length": S * trained * 4 if stacked or trained <= SNAPSHOT else 0,
        "base weights": sizes.parameters * 4 * (S + 1) if stacked else 0,
        "vLLM": _vllm(world, sizes, task, device),
        "sampler's copy": sizes.parameters * number if world.shards > 1 and world.engine == "torch" else 0,
    }
    sharded = {name: size // (1 if name in WHOLE else world.shards) for name, size in held.items()}
    P, T, Q, G = task.prompt_max, task.max_new, design.batch_size, design.rollouts
    drawn = max(Q * (G + baseline_rollouts(design)), EVALUATED)
    rows = S * drawn if stacked else min(DECODED, drawn)
    kv = sizes.cached(number) * (sizes.heads // sizes.kv_heads if stacked else 1)
    sampling = (
        {}
        if world.engine == "vllm"
        else {
            "keys and values": rows * (P + T) * kv,
            "logits": rows * sizes.vocabulary * 25,
        }
    )
    return Memory(_some(sharded), sampling, _learning(world, design, sizes, (P, T), S if stacked else 0))


def _learning(
    world: LLMWorld, design: Design, sizes: Sizes, lengths: tuple[int, int], S: int
) -> dict[str, int]:
    """Activations and logits of one forward and backward pass; S is 0 for a model that does not stack."""
    (P, T), Q, G = lengths, design.batch_size, design.rollouts
    number = 2 if world.dtype == "bfloat16" else 4
    if S:
        prompts = min(S if Q == 1 else Q, max(1, EVALUATED // G))
        tokens, read = prompts * (P + G * T), prompts * G * T
    else:
        rows = min(world.micro_batch or Q * G, Q * G)
        tokens, read = rows * (P + T), rows * T
    layer = tokens * sizes.activations() * number
    if world.gradient_checkpointing and not S:
        kept = sizes.layers * tokens * sizes.width * number + layer
    else:
        kept = sizes.layers * layer
    logits = read * sizes.vocabulary
    return {"activations": kept, "logits": 5 * 4 * (logits if S else min(logits, LOGITS))}


def _trained(world: LLMWorld, sizes: Sizes) -> int:
    """Number of weights that are trained."""
    if world.lora is None:
        return sizes.parameters
    shares = len(world.lora.targets) / LORA_TARGETS if world.lora.targets else 1.0
    qkvo = 2 * sizes.width + 2 * (sizes.heads + sizes.kv_heads) * sizes.head_dim
    ends = 2 * sizes.width + qkvo + 3 * (sizes.width + sizes.feed_forward)
    return int(shares * sizes.layers * world.lora.rank * ends)


def _vllm(world: LLMWorld, sizes: Sizes, task: Task, device: Device) -> int:
    """What vLLM holds on CPU: weights, keys, values; on a GPU it has a share of the memory instead."""
    if world.engine != "vllm" or device == "cuda":
        return 0
    number = 2 if world.dtype == "bfloat16" else 4
    least, most = VLLM_CACHE
    cache = DECODED * (task.prompt_max + task.max_new) * sizes.cached(number)
    return VLLM_PROCESS + sizes.parameters * number + min(max(cache, least), most)


def _some(parts: Mapping[str, int]) -> dict[str, int]:
    return {name: size for name, size in parts.items() if size}


def need(runs: Sequence[Run], find: Callable[[LLMWorld], tuple[Task, BaseModel]] = task_and_model) -> Need:
    """What a job of these runs holds, for an executor to place it.

    On GPUs the vLLM engine has its share of the memory of each, `gpu_memory`, on top of the learner's need.

    Args:
        runs: Of one design and world.
        find: Finds task and model; a launch of many jobs gives one that remembers.
    """
    world, design = _world(runs[0]), runs[0].design
    task, model = find(world)
    on_cpu = Need(
        memory=memory(world, design, task, model, replicas=len(runs)).peak * world.shards,
        cpus=world.shards,
        ranks=world.shards,
    )
    if world.device == "cpu":
        return on_cpu
    sizes, _ = sizes_of(model)
    return Need(
        cpus=world.shards,
        memory=world.shards * (PROCESS + sizes.parameters * (2 if world.dtype == "bfloat16" else 4)),
        gpus=max(world.shards, world.tensor_parallel),
        gpu_memory=memory(world, design, task, model, device="cuda").peak,
        gpu_share=world.gpu_memory if world.engine == "vllm" else 0.0,
        fallback=on_cpu if world.device == "auto" else None,
        ranks=world.shards,
    )


def _world(run: Run) -> LLMWorld:
    if not isinstance(run.world, LLMWorld):
        raise TypeError(f"run {run.run_id} is not of a language-model world")
    return run.world


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
        evaluation: What is measured.
        task: Gives the lengths and the sizes of its sets.
        sizes: The model's.
    """
    P, T, B = task.prompt_max, task.max_new, design.batch_size
    G = design.rollouts + baseline_rollouts(design)
    rollouts = design.rounds * B * G
    pool = 1 if world.train_items is None else count(task, "pool", world.train_items)
    test = count(task, "test", world.test_items)
    times = evaluations(design, evaluation)
    evaluated = pool * (times["train"] * evaluation.eval_samples + evaluation.final_eval_samples)
    evaluated += test * (times["test"] * evaluation.test_samples + 2 * evaluation.final_test_samples)
    tokens = (rollouts + evaluated) * T
    prompts = design.rounds * B * P
    trained = design.rounds * B * design.rollouts * (P + T)
    per_token = 6 + (2 if world.gradient_checkpointing else 0)
    initial = 2 * trained if design.kl_coef > 0.0 else 0
    flops = sizes.parameters * (
        2.0 * (tokens + prompts) + per_token * trained * design.updates_per_round + initial
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
