"""The stacked program computes what transformers computes, and what it samples is what it says.

Fresh models agree to 1e-5 in float32 and float64. The shipped, trained weights have logits near 20, where float32 alone
rounds by 1e-5 to 5e-5 (transformers' own sdpa and eager attention differ as much): there the bound is relative.
"""

import numpy as np
import pytest
import torch
from support.llm import SHIPPED, TASK, TOKENIZER, packed, perturbed, some_prompts
from transformers import AutoModelForCausalLM

from llm_runs.base_models import find_model
from llm_runs.engines.drawing import draw
from llm_runs.tiny.architecture import architecture_of, unpack, weights_of
from llm_runs.tiny.engine import sample
from llm_runs.tiny.network import folded, stack
from llm_runs.tiny.responses import response_logits

S, Q, G = 2, 3, 4
P, T = TASK.prompt_max, TASK.max_new


@pytest.fixture(
    scope="module", params=[(n, d) for n in SHIPPED for d in (torch.float32, torch.float64)], ids=str
)
def case(request):
    """Different models of one architecture, prompts of all lengths and sampled responses."""
    name, dtype = request.param
    arch, models = perturbed(name, S)
    models = [model.to(dtype) for model in models]
    weights = stack(packed(arch, models))
    prompts, pads = some_prompts(S, Q)
    u = torch.rand(S, Q, G, T, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    drawn = sample(arch, weights, prompts, pads, u, temperature=1.0, ends=(1,), pad=0)
    return arch, models, weights, prompts, pads, u, drawn


def reference_logits(model, prompt, pads, response):
    """Transformers' own forward over one unpadded sequence: logits of each response token (T, V)."""
    ids = torch.cat((prompt[pads:], response))[None]
    with torch.no_grad():
        return model(input_ids=ids).logits[0, len(prompt) - int(pads) - 1 : -1]


def test_logits_equal_transformers_own(case):
    arch, models, weights, prompts, pads, _, drawn = case
    assert len(set(pads.flatten().tolist())) > 2  # prompts of several lengths
    ours = response_logits(arch, weights, prompts, pads, drawn.tokens_SQGT)
    for s in range(S):
        for q in range(Q):
            for g in range(G):
                theirs = reference_logits(models[s], prompts[s, q], pads[s, q], drawn.tokens_SQGT[s, q, g])
                torch.testing.assert_close(ours[s, q, g], theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SHIPPED)
def test_logits_of_the_shipped_weights_in_float32(name):
    arch, weights = architecture_of(find_model(name)), stack([weights_of(find_model(name))])
    model = AutoModelForCausalLM.from_pretrained(find_model(name).folder, local_files_only=True)
    items = TASK.items("pool", 12)
    prompts, pads = some_prompts(1, len(items))
    answers = [TOKENIZER.encode_text(TASK.problem(item.index).work + "#" + item.answer) for item in items]
    width = max(map(len, answers))
    responses = torch.tensor([answer + [1] * (width - len(answer)) for answer in answers])
    ours = response_logits(arch, weights, prompts, pads, responses[None, :, None])[0, :, 0]
    worst, largest = 0.0, 0.0
    for q, answer in enumerate(answers):
        theirs = reference_logits(model, prompts[0, q], pads[0, q], responses[q])[: len(answer)]
        worst = max(worst, float((ours[q, : len(answer)] - theirs).abs().max()))
        largest = max(largest, float(theirs.abs().max()))
    assert worst <= 1e-5 * max(1.0, largest / 4)


def test_cached_decoding_equals_the_full_forward(case):
    arch, _, weights, prompts, pads, _, drawn = case
    logits = response_logits(arch, weights, prompts, pads, drawn.tokens_SQGT)
    full = logits.log_softmax(-1).gather(-1, drawn.tokens_SQGT[..., None])[..., 0]
    alive = torch.arange(T) < drawn.lengths_SQG[..., None]
    torch.testing.assert_close(drawn.logprobs_SQGT, full.where(alive, 0.0), rtol=0, atol=1e-5)


def test_tokens_are_the_inverse_cdf_of_transformers_probabilities(case):
    _, models, _, prompts, pads, u, drawn = case
    close = 0
    for s, q, g in np.ndindex(S, Q, G):
        logits = reference_logits(models[s], prompts[s, q], pads[s, q], drawn.tokens_SQGT[s, q, g])
        cdf = np.cumsum(torch.softmax(logits.double(), -1).numpy(), axis=-1)
        for t in range(int(drawn.lengths_SQG[s, q, g])):
            number = float(u[s, q, g, t])
            wanted = int((cdf[t] <= number).sum())
            if wanted != int(drawn.tokens_SQGT[s, q, g, t]):
                close += 1
                assert np.abs(cdf[t] - number).min() < 1e-5  # a tie of rounding, nothing else
    assert close <= 1


def test_responses_end_at_eos_and_are_padded(case):
    drawn = case[-1]
    for s, q, g in np.ndindex(S, Q, G):
        tokens, length = drawn.tokens_SQGT[s, q, g].tolist(), int(drawn.lengths_SQG[s, q, g])
        assert 1 not in tokens[: length - 1]
        assert tokens[length - 1] == 1 or length == T
        assert tokens[length:] == [0] * (T - length)
        assert not drawn.logprobs_SQGT[s, q, g, length:].any()


def test_temperature_divides_the_logits(case):
    arch, _, weights, prompts, pads, u, _ = case
    warm = sample(arch, weights, prompts, pads, u, temperature=2.0, ends=(1,), pad=0)
    logits = response_logits(arch, weights, prompts, pads, warm.tokens_SQGT)
    logp = (logits / 2.0).log_softmax(-1).gather(-1, warm.tokens_SQGT[..., None])[..., 0]
    alive = torch.arange(T) < warm.lengths_SQG[..., None]
    torch.testing.assert_close(warm.logprobs_SQGT, logp.where(alive, 0.0), rtol=0, atol=1e-5)


def test_packing_inverts(case):
    arch, models, *_ = case
    for model, ours in zip(models, packed(arch, models), strict=True):
        theirs, back = model.state_dict(), unpack(arch, ours)
        assert theirs.keys() == back.keys()
        assert all(torch.equal(theirs[name], back[name]) for name in theirs)


def test_merging_gains_changes_nothing_but_rounding(case):
    arch, _, weights, prompts, pads, _, drawn = case
    merged = folded(arch, weights)
    plain = response_logits(arch, weights, prompts, pads, drawn.tokens_SQGT)
    torch.testing.assert_close(
        response_logits(arch, merged, prompts, pads, drawn.tokens_SQGT), plain, rtol=0, atol=1e-5
    )
    assert arch.post_norm or "norm" not in merged


def test_draw_takes_the_first_token_whose_cumulative_probability_exceeds_the_number():
    logits = torch.log(torch.tensor([[[0.25, 0.5, 0.25]] * 5]))
    u = torch.tensor([[0.0, 0.2499, 0.25001, 0.7501, 1 - 2**-53]], dtype=torch.float64)
    tokens, logp = draw(logits, u, 1.0)
    assert tokens.tolist() == [[0, 0, 1, 2, 2]]
    torch.testing.assert_close(logp.exp(), torch.tensor([[0.25, 0.25, 0.5, 0.25, 0.25]]))


def test_frequencies_of_draws():
    probabilities = torch.tensor([0.7, 0.05, 0.25])
    u = torch.rand(1, 20000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tokens, _ = draw(probabilities.log().expand(1, 20000, 3), u, 1.0)
    share = torch.bincount(tokens.flatten(), minlength=3) / 20000
    assert (share - probabilities).abs().max() < 4 * (0.25 / 20000) ** 0.5
