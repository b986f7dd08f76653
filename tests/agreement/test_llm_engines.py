"""The two torch engines draw the same responses from the same weights and numbers."""

import pytest
import torch
from support.model import Held

from banditrft.streams import Purpose
from llm_runs.base_models import find_model
from llm_runs.base_models.modules import load_module
from llm_runs.engines.cached import CachedEngine
from llm_runs.interfaces import Address, Limits, Prompts
from llm_runs.tiny.architecture import architecture_of, weights_of
from llm_runs.tiny.engine import StackedEngine
from llm_runs.tiny.network import stack

IDS = [[5, 9, 3], [7, 8, 4, 12, 6], [11], [7, 8, 4, 12, 6]]
PROMPTS = Prompts([IDS], [[0, 1, 2, 1]], [[0, 0, 0, 4]])
LIMITS = Limits(prompt_max=6, max_new=16, temperature=1.3, ends=(1, 7), pad=0)
ADDRESS = Address(1, [5], Purpose.SAMPLE, 9)


class HeldStack:
    def __init__(self, weights):
        self.weights = weights


def stacked(model, replicas, dtype=torch.float32):
    weights = {name: x.to(dtype) for name, x in stack([weights_of(model)] * replicas).items()}
    engine = StackedEngine(architecture_of(model), LIMITS)
    engine.push(HeldStack(weights))
    return engine, weights


@pytest.mark.parametrize("name", ["tiny-qwen2", "tiny-llama", "tiny-olmo2"])
def test_they_agree(name):
    model = find_model(name)
    cached = CachedEngine(LIMITS, dtype=torch.float64)
    cached.push(Held(load_module(model, dtype=torch.float64, device="cpu")))
    one = cached.sample(PROMPTS, range(4), ADDRESS)
    other = stacked(model, 1, torch.float64)[0].sample(PROMPTS, range(4), ADDRESS)
    assert torch.equal(one.tokens_SQGT, other.tokens_SQGT)
    assert torch.equal(one.lengths_SQG, other.lengths_SQG)
    # Rotary factors are float32 in both, computed by different programs.
    torch.testing.assert_close(one.logprobs_SQGT, other.logprobs_SQGT, rtol=0, atol=1e-5)


def test_each_end_token_ends_a_response():
    drawn = stacked(find_model("tiny-llama"), 1)[0].sample(PROMPTS, range(32), ADDRESS)
    last = drawn.tokens_SQGT.gather(-1, drawn.lengths_SQG[..., None] - 1)[..., 0]
    assert {1, 7} <= set(last.flatten().tolist())
    body = torch.arange(LIMITS.max_new) < drawn.lengths_SQG[..., None] - 1
    assert not torch.isin(drawn.tokens_SQGT[body], torch.tensor(LIMITS.ends)).any()


def test_a_replica_draws_the_same_bits_whatever_is_stacked_beside_it():
    model = find_model("tiny-qwen2")
    alone = stacked(model, 1)[0].sample(PROMPTS, range(4), ADDRESS)
    three = Prompts([IDS[::-1], IDS, IDS], [[5, 6, 7, 8], *PROMPTS.items * 2], [[0] * 4, *PROMPTS.first * 2])
    beside = stacked(model, 3)[0].sample(three, range(4), Address(1, [8, 5, 6], Purpose.SAMPLE, 9))
    assert torch.equal(alone.tokens_SQGT[0], beside.tokens_SQGT[1])
    assert torch.equal(alone.logprobs_SQGT[0], beside.logprobs_SQGT[1])
    assert not torch.equal(alone.tokens_SQGT[0], beside.tokens_SQGT[2])  # another seed


def test_the_stacked_engine_samples_from_the_weights_of_the_moment():
    engine, weights = stacked(find_model("tiny-llama"), 1)
    before = engine.sample(PROMPTS, range(2), ADDRESS)
    weights["head"].mul_(0.5)
    after = engine.sample(PROMPTS, range(2), ADDRESS)
    assert not torch.equal(before.logprobs_SQGT, after.logprobs_SQGT)


def test_a_closed_engine_samples_no_more():
    engine, _ = stacked(find_model("tiny-llama"), 1)
    engine.close()
    with pytest.raises(RuntimeError, match="push a learner first"):
        engine.sample(PROMPTS, range(2), ADDRESS)
