"""The engine with a key-value cache draws what a loop over full forward passes draws from the same numbers."""

import copy
from dataclasses import replace

import pytest
import torch
from support.model import CONFIGS, Held, V, random_model

from banditrft.errors import InputError
from banditrft.streams import Purpose
from llm_runs.base_models.modules import merged_state
from llm_runs.engines.cached import CachedEngine
from llm_runs.engines.drawing import draws
from llm_runs.interfaces import Address, Limits, Prompts

pytestmark = pytest.mark.slow(10)

LIMITS = Limits(prompt_max=9, max_new=10, temperature=0.8, ends=(1, 5, 12, 13), pad=0)
ADDRESS = Address(3, [11], Purpose.SAMPLE, 2)
IDS = [
    [7, 3, 9, 12],
    [20, 21, 22, 23, 24, 25, 26, 27, 28],
    [4, 8],
    [20, 21, 22, 23, 24, 25, 26, 27, 28],
    [30, 2, 6],
]
PROMPTS = Prompts([IDS], [[0, 1, 2, 1, 4]], [[0, 0, 0, 3, 0]])
ROLLOUTS = (0, 1, 2)
EACH = pytest.mark.parametrize("name", CONFIGS)
EXACT = [name for name in CONFIGS if name != "position bias"]  # bloom takes its softmax in float32


def engine(module, limits=LIMITS, **settings):
    found = CachedEngine(limits, dtype=next(module.parameters()).dtype, **settings)
    found.push(Held(module))
    return found


@torch.no_grad()
def plainly(module, prompts, limits, rollouts, address):
    """Every response by itself, without padding or cache: its tokens, and their log-probabilities."""
    u = torch.from_numpy(draws(prompts, rollouts, address, limits.max_new))[0]
    for q, ids in enumerate(prompts.ids[0]):
        for g in range(len(rollouts)):
            row, logprobs = list(ids), []
            for number in u[q, g]:
                logits = module(input_ids=torch.tensor([row])).logits[0, -1] / limits.temperature
                cdf = logits.softmax(-1).cumsum(-1)
                row.append(min(int((cdf <= number).sum()), V - 1))
                logprobs.append(float(logits.log_softmax(-1)[row[-1]]))
                if row[-1] in limits.ends:
                    break
            yield q, g, row[len(ids) :], logprobs


@pytest.mark.parametrize("name", EXACT)
def test_tokens_and_log_probabilities_are_those_of_full_forward_passes(name):
    module = random_model(name, torch.float64)
    drawn = engine(module).sample(PROMPTS, ROLLOUTS, ADDRESS)
    assert drawn.tokens_SQGT.shape == (1, len(IDS), len(ROLLOUTS), LIMITS.max_new)
    assert len(set(drawn.lengths_SQG.flatten().tolist())) > 1  # responses of several lengths
    for q, g, tokens, logprobs in plainly(module, PROMPTS, LIMITS, ROLLOUTS, ADDRESS):
        length = int(drawn.lengths_SQG[0, q, g])
        assert drawn.tokens_SQGT[0, q, g].tolist() == tokens + [0] * (LIMITS.max_new - len(tokens))
        assert length == len(tokens)
        ours = drawn.logprobs_SQGT[0, q, g]
        torch.testing.assert_close(
            ours[:length], torch.tensor(logprobs, dtype=torch.float64), rtol=0, atol=1e-10
        )
        assert not ours[length:].any()


@EACH
def test_float32_gives_the_same_log_probabilities_to_rounding(name):
    module = random_model(name)
    drawn = engine(module).sample(PROMPTS, ROLLOUTS, ADDRESS)
    double = copy.deepcopy(module).double()
    for q, g in ((0, 0), (1, 2), (4, 1)):
        length = int(drawn.lengths_SQG[0, q, g])
        tokens = drawn.tokens_SQGT[0, q, g, :length].tolist()
        with torch.no_grad():
            logits = double(input_ids=torch.tensor([IDS[q] + tokens])).logits[0, len(IDS[q]) - 1 : -1]
        wanted = (logits / LIMITS.temperature).log_softmax(-1)[range(length), tokens]
        torch.testing.assert_close(drawn.logprobs_SQGT[0, q, g, :length].double(), wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["grouped and tied", "sliding window"])
def test_a_prompt_shared_by_its_rollouts_equals_one_computed_for_each(name):
    module = random_model(name, torch.float64)
    shared = engine(module).sample(PROMPTS, ROLLOUTS, ADDRESS)
    for g in ROLLOUTS:
        for q in range(len(IDS)):
            alone = Prompts([[IDS[q]]], [[PROMPTS.items[0][q]]], [[PROMPTS.first[0][q]]])
            one = engine(module).sample(alone, [g], ADDRESS)
            assert torch.equal(one.tokens_SQGT[0, 0, 0], shared.tokens_SQGT[0, q, g])
            torch.testing.assert_close(
                one.logprobs_SQGT[0, 0, 0], shared.logprobs_SQGT[0, q, g], rtol=0, atol=1e-12
            )


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_the_size_of_batches_changes_no_token(batch):
    module = random_model("llama", torch.float64)
    whole = engine(module).sample(PROMPTS, ROLLOUTS, ADDRESS)
    cut = engine(module, batch=batch).sample(PROMPTS, ROLLOUTS, ADDRESS)
    assert torch.equal(whole.tokens_SQGT, cut.tokens_SQGT)
    assert torch.equal(whole.lengths_SQG, cut.lengths_SQG)


def test_copies_of_an_item_draw_their_own_numbers():
    drawn = engine(random_model("qwen2", torch.float64)).sample(PROMPTS, ROLLOUTS, ADDRESS)
    later = engine(random_model("qwen2", torch.float64)).sample(PROMPTS, [3, 4, 5], ADDRESS)
    assert not torch.equal(drawn.tokens_SQGT[0, 1], drawn.tokens_SQGT[0, 3])
    assert torch.equal(later.tokens_SQGT[0, 1], drawn.tokens_SQGT[0, 3])  # the copy's first rollout is 3


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_call_gives_the_same_bits(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        sampler = engine(random_model("qwen3"))
        one, two = (sampler.sample(PROMPTS, ROLLOUTS, ADDRESS) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one.tokens_SQGT, two.tokens_SQGT)
    assert torch.equal(one.logprobs_SQGT, two.logprobs_SQGT)


def test_without_end_tokens_every_response_is_as_long_as_it_may_be():
    drawn = engine(random_model("gpt2"), replace(LIMITS, ends=())).sample(PROMPTS, ROLLOUTS, ADDRESS)
    assert (drawn.lengths_SQG == LIMITS.max_new).all()


def test_it_samples_from_the_weights_of_the_moment():
    module = random_model("llama", torch.float64)
    sampler = engine(module)
    before = sampler.sample(PROMPTS, ROLLOUTS, ADDRESS)
    with torch.no_grad():
        module.lm_head.weight.mul_(0.5)
    after = sampler.sample(PROMPTS, ROLLOUTS, ADDRESS)
    fresh = engine(copy.deepcopy(module)).sample(PROMPTS, ROLLOUTS, ADDRESS)
    assert torch.equal(after.logprobs_SQGT, fresh.logprobs_SQGT)
    assert not torch.equal(after.logprobs_SQGT, before.logprobs_SQGT)


def test_adapters_act():
    peft = pytest.importorskip("peft")
    module = random_model("qwen2", torch.float64)
    adapted = peft.get_peft_model(
        copy.deepcopy(module), peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    ).double()
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64))
    merged = copy.deepcopy(module)
    merged.load_state_dict(dict(merged_state(adapted)))
    ours = engine(adapted).sample(PROMPTS, ROLLOUTS, ADDRESS)
    wanted = engine(merged).sample(PROMPTS, ROLLOUTS, ADDRESS)
    assert torch.equal(ours.tokens_SQGT, wanted.tokens_SQGT)
    torch.testing.assert_close(ours.logprobs_SQGT, wanted.logprobs_SQGT, rtol=0, atol=1e-10)
    assert not torch.equal(ours.tokens_SQGT, engine(module).sample(PROMPTS, ROLLOUTS, ADDRESS).tokens_SQGT)


def test_sampling_leaves_the_module_as_it_was():
    module = random_model("llama").train()
    before = module.config._attn_implementation
    engine(module).sample(PROMPTS, ROLLOUTS, ADDRESS)
    assert module.training
    assert module.config._attn_implementation == before
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_bfloat16_samples_and_scores_near_float32():
    module = random_model("qwen2")
    drawn = engine(copy.deepcopy(module).bfloat16()).sample(PROMPTS, ROLLOUTS, ADDRESS)
    assert drawn.logprobs_SQGT.dtype == torch.float32
    length = int(drawn.lengths_SQG[0, 1, 0])
    tokens = drawn.tokens_SQGT[0, 1, 0, :length].tolist()
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([IDS[1] + tokens])).logits[0, len(IDS[1]) - 1 : -1]
    wanted = (logits / LIMITS.temperature).log_softmax(-1)[range(length), tokens]
    assert (drawn.logprobs_SQGT[0, 1, 0, :length] - wanted).abs().max() < 0.5


def test_a_recurrent_model_is_refused():
    from transformers import MambaConfig, MambaForCausalLM

    module = MambaForCausalLM(MambaConfig(vocab_size=V, hidden_size=16, state_size=4, num_hidden_layers=1))
    with pytest.raises(InputError, match=r"^engine: 'torch' samples models with key-value caches, not mamba"):
        CachedEngine(LIMITS).push(Held(module))


def test_an_engine_without_weights_says_so():
    with pytest.raises(RuntimeError, match="push a learner first"):
        CachedEngine(LIMITS).sample(PROMPTS, ROLLOUTS, ADDRESS)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_replayed_graphs_equal_plain_steps():
    module = random_model("grouped and tied")
    plain = engine(module).sample(PROMPTS, ROLLOUTS, ADDRESS)
    graphed = engine(module.cuda()).sample(PROMPTS, ROLLOUTS, ADDRESS)
    assert torch.equal(plain.tokens_SQGT, graphed.tokens_SQGT)
    torch.testing.assert_close(plain.logprobs_SQGT, graphed.logprobs_SQGT, rtol=0, atol=1e-4)
