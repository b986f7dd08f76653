"""What tests with a real vLLM share. All of them run on one worker, which keeps one engine for them."""

import os
from collections.abc import Callable

import pytest
import torch

from banditrft.design import Design
from banditrft.streams import Purpose
from banditrft.worlds import LLMWorld
from llm_runs.base_models import find_model
from llm_runs.engines.canary import Canary
from llm_runs.engines.vllm import VLLMEngine
from llm_runs.engines.vllm_server import installed_version
from llm_runs.interfaces import Address, Batch, Engine, Learner, Limits, Prompts
from llm_runs.tasks import load_task
from llm_runs.tiny.architecture import architecture_of, weights_of
from llm_runs.tiny.learner import StackedLearner
from llm_runs.tiny.network import stack
from llm_runs.tokenizers import load_tokenizer

MODEL = "tiny-qwen2"
TASK = load_task("arithmetic")
PROMPTS_SEEN = 4
VOCABULARY = 20
SECONDS = 240

if os.environ.get("CI") and installed_version() is None:
    raise RuntimeError("vLLM is not installed, and in CI nothing is left out")


def needs_vllm(test: Callable[..., object]) -> Callable[..., object]:
    """Mark a test that starts vLLM: slow, and skipped where it is not installed."""
    reason = "vLLM is not installed (Linux x86_64: make test installs it)"
    return pytest.mark.slow(SECONDS)(pytest.mark.skipif(installed_version() is None, reason=reason)(test))


def limits(temperature: float = 1.0) -> Limits:
    return Limits(TASK.prompt_max, TASK.max_new, temperature, (1,), 0)


def world(model: str = MODEL, **settings: object) -> LLMWorld:
    return LLMWorld.model_validate({"model": model, "seeds": 1, "engine": "vllm", **settings})


def engine(model: str = MODEL, temperature: float = 1.0, **settings: object) -> VLLMEngine:
    return VLLMEngine(find_model(model), world(model, **settings), limits(temperature))


def learner(model: str = MODEL, replicas: int = 1, temperature: float = 1.0) -> StackedLearner:
    """Replica s has the base weights with noise of size 0.02 s; steps are Adam's at 1e-3."""
    base = find_model(model)
    weights, draw = stack([weights_of(base)] * replicas), torch.Generator().manual_seed(1)
    for tensor in weights.values():
        size = 0.02 * torch.arange(replicas).view(-1, *[1] * (tensor.dim() - 1))
        tensor += size * torch.randn(tensor.shape, generator=draw)
    design = Design(learning_rate=1e-3, rounds=1)
    return StackedLearner(architecture_of(base), weights, design, world(model), limits(temperature))


def prompts(replicas: int = 1, count: int = PROMPTS_SEEN) -> Prompts:
    tokenizer = load_tokenizer(find_model(MODEL).folder, None)
    items = TASK.items("pool", count)
    ids = [tokenizer.encode(item) for item in items]
    return Prompts([ids] * replicas, [[item.index for item in items]] * replicas)


def address(replicas: int = 1, round_: int = 1) -> Address:
    return Address(7, list(range(replicas)), Purpose.SAMPLE, round_)


def step(of: StackedLearner, sampler: VLLMEngine, round_: int = 1) -> None:
    """One optimiser step on what the engine samples, with signals of both signs."""
    at = prompts(of.replicas)
    samples = sampler.sample(at, range(2), address(of.replicas, round_))
    signals = torch.where(samples.lengths_SQG % 2 == 0, 1.0, -1.0).double()
    of.step(Batch(at, samples, signals))


def canary(sampler: Engine, of: Learner, every: int = 1) -> Canary:
    return Canary(sampler, of, limits(), "float32", VOCABULARY, every)


def nudge(of: StackedLearner) -> None:
    """Change the weights, as a step does."""
    draw = torch.Generator().manual_seed(0)
    for tensor in of.weights.values():
        tensor.data += 0.01 * torch.randn(tensor.shape, generator=draw)
