"""vLLM samples from the learner's weights, each response with random numbers of its own (real vLLM)."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from support.vllm import MODEL, TASK, address, engine, learner, limits, needs_vllm, prompts, step
from transformers import AutoModelForCausalLM

from llm_runs.base_models import find_model
from llm_runs.engines.vllm import VLLMEngine
from llm_runs.interfaces import Prompts
from llm_runs.rounds.grading import grade_samples
from llm_runs.tiny.engine import StackedEngine
from llm_runs.tiny.learner import StackedLearner
from llm_runs.tokenizers import load_tokenizer


def apart(sampler: VLLMEngine, of: StackedLearner, at: Prompts, rollouts: int = 8) -> float:
    """Largest difference of a drawn token's log-probability between engine and learner."""
    samples = sampler.sample(at, range(rollouts), address(of.replicas))
    return float((samples.logprobs_SQGT - of.logprobs(at, samples)).abs().max())


@needs_vllm
def test_another_dtype_is_another_engine_within_its_own_tolerance():
    sampler, of = engine(dtype="bfloat16"), learner()
    sampler.push(of)
    samples = sampler.sample(prompts(), range(16), address())
    drawn = torch.arange(TASK.max_new) < samples.lengths_SQG[..., None]
    mean = float((samples.logprobs_SQGT - of.logprobs(prompts(), samples)).abs()[drawn].mean())
    assert 1e-5 < mean <= 0.1


@needs_vllm
def test_the_learners_model_classes_stay_as_they_are():
    sampler, of = engine("tiny-olmo2"), learner("tiny-olmo2")
    sampler.push(of)
    model = AutoModelForCausalLM.from_pretrained(find_model("tiny-olmo2").folder, dtype=torch.float32)
    at = prompts(count=1)
    samples = sampler.sample(at, range(1), address())
    ids = torch.tensor([at.ids[0][0] + samples.tokens_SQGT[0, 0, 0, :1].tolist()])
    with torch.no_grad():
        first = torch.log_softmax(model(ids).logits[0, -2], -1)[ids[0, -1]]
    assert float((first - samples.logprobs_SQGT[0, 0, 0, 0]).abs()) <= 1e-4


@needs_vllm
@pytest.mark.parametrize("model", ["tiny-olmo2", "tiny-llama", MODEL])
def test_logprobs_are_the_learners(model):
    for temperature in (1.0, 0.6):
        sampler, of = engine(model, temperature), learner(model, temperature=temperature)
        sampler.push(of)
        assert apart(sampler, of, prompts()) <= 1e-4


@needs_vllm
def test_weights_follow_a_step_and_a_push():
    sampler, of = engine(), learner()
    sampler.push(of)
    step(of, sampler)
    assert apart(sampler, of, prompts()) > 1e-3
    sampler.push(of)
    assert apart(sampler, of, prompts()) <= 1e-4


@needs_vllm
def test_each_replica_is_sampled_with_its_own_weights():
    sampler, of = engine(), learner(replicas=2)
    sampler.push(of)
    samples = sampler.sample(prompts(2), range(4), address(2))
    ours = of.logprobs(prompts(2), samples)
    assert float((samples.logprobs_SQGT - ours).abs().max()) <= 1e-4
    others = of.logprobs(prompts(2), type(samples)(*(x.flip(0) for x in vars(samples).values()))).flip(0)
    assert float((samples.logprobs_SQGT - others).abs().max()) > 1e-2


@needs_vllm
def test_a_response_depends_on_its_own_address_alone():
    sampler, of = engine(), learner()
    sampler.push(of)
    at = prompts()
    together = sampler.sample(at, range(6), address())
    order = [2, 0, 3, 1]
    turned = Prompts([[at.ids[0][q] for q in order]], [[at.items[0][q] for q in order]])
    other_order = sampler.sample(turned, range(6), address())
    assert torch.equal(other_order.tokens_SQGT, together.tokens_SQGT[:, order])
    alone = sampler.sample(Prompts([at.ids[0][1:2]], [at.items[0][1:2]]), [4], address())
    assert torch.equal(alone.tokens_SQGT[0, 0, 0], together.tokens_SQGT[0, 1, 4])


@needs_vllm
def test_copies_and_rounds_have_numbers_of_their_own():
    sampler, of = engine(), learner()
    sampler.push(of)
    one = prompts(count=1)
    copies = Prompts([[one.ids[0][0]] * 2], [[one.items[0][0]] * 2], [[0, 16]])
    samples = sampler.sample(copies, range(16), address())
    assert not torch.equal(samples.tokens_SQGT[0, 0], samples.tokens_SQGT[0, 1])
    later = sampler.sample(copies, range(16), address(round_=2))
    assert not torch.equal(samples.tokens_SQGT, later.tokens_SQGT)


@needs_vllm
def test_responses_end_with_an_end_token_and_are_filled_up():
    sampler, of = engine(), learner()
    sampler.push(of)
    samples = sampler.sample(prompts(), range(16), address())
    places = torch.arange(TASK.max_new)
    last = places == samples.lengths_SQG[..., None] - 1
    ended = (samples.tokens_SQGT == 1).any(-1)
    assert ended.any()
    assert torch.equal((samples.tokens_SQGT == 1) & last, samples.tokens_SQGT == 1)
    assert (samples.lengths_SQG[~ended] == TASK.max_new).all()
    after = places >= samples.lengths_SQG[..., None]
    assert (samples.tokens_SQGT[after] == 0).all()
    assert (samples.logprobs_SQGT[after] == 0).all()


@needs_vllm
def test_first_tokens_are_drawn_at_the_temperature():
    sampler, of = engine(temperature=0.7), learner(temperature=0.7)
    sampler.push(of)
    samples = sampler.sample(prompts(count=1), range(2000), address())
    first = samples.tokens_SQGT[0, 0, :, 0].numpy()
    seen, where = np.unique(first, return_index=True)
    chance = of.logprobs(prompts(count=1), samples)[0, 0, :, 0].double().exp().numpy()[where]
    counts = np.array([(first == token).sum() for token in seen])
    keep = chance * len(first) >= 5
    rest = [counts[~keep].sum()], [1 - chance[keep].sum()]
    observed, expected = np.append(counts[keep], rest[0]), np.append(chance[keep], rest[1]) * len(first)
    assert ((observed - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-4, keep.sum())


@needs_vllm
def test_pass_at_1_is_that_of_the_torch_engine():
    of, items = learner(), TASK.items("pool", 4)
    tokenizer = load_tokenizer(find_model(MODEL).folder, None)
    rates = []
    with TASK.grader() as grader:
        for sampler in (engine(), StackedEngine(of.arch, limits())):
            sampler.push(of)
            samples = sampler.sample(prompts(), range(500), address())
            rates.append(grade_samples(grader, tokenizer, [items], samples).strict_SQG[0].mean(-1))
    ours, theirs = rates
    error = np.sqrt((ours * (1 - ours) + theirs * (1 - theirs)) / 500)
    assert 0.05 < ours.max() < 0.95
    assert (np.abs(ours - theirs) <= 3.5 * error + 1e-3).all()


@needs_vllm
def test_weights_arrive_through_a_file_as_well():
    sampler, of, other = engine(), learner(), learner(replicas=2)
    sampler.push(of)
    sampler.server._load_file(other.named_weights(1))
    assert sampler.server.llm.reset_prefix_cache()
    assert apart(sampler, of, prompts()) > 1e-2
    sampler.server._load_file(of.named_weights(0))
    assert sampler.server.llm.reset_prefix_cache()
    assert apart(sampler, of, prompts()) <= 1e-4


@needs_vllm
def test_one_engine_serves_jobs_one_after_the_other():
    first, second, of = engine(), engine(temperature=0.5), learner()
    assert first.server is second.server
    first.push(of)
    second.push(of)
    with pytest.raises(RuntimeError, match="push before sampling"):
        first.sample(prompts(), range(1), address())


@needs_vllm
def test_threads_stay_the_learners_choice():
    threads = torch.get_num_threads()
    engine()
    torch.set_num_threads(threads + 1)
    assert torch.get_num_threads() == threads + 1
    torch.set_num_threads(threads)
