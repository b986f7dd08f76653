"""The stacked learner takes the steps that transformers, autograd and torch.optim take one model at a time."""

import pytest
import torch
from llm_fixtures import SHIPPED, TASK, packed, perturbed, some_prompts

from banditrft.design import Design
from llm_runs.engines.stacked import sample
from llm_runs.learners.stacked import Learner
from llm_runs.network.architecture import unpack
from llm_runs.network.stacked import replica, stack

S, G = 2, 4
T = TASK.max_new
SIGNALS = torch.tensor([[1.0, 0.0, -0.5, 0.25], [0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)


@pytest.fixture(scope="module", params=SHIPPED)
def case(request):
    arch, models = perturbed(request.param, S)
    models = [model.double() for model in models]
    prompts, pads = some_prompts(S, 1)
    u = torch.rand(S, 1, G, T, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    drawn = sample(arch, stack(packed(arch, models)), prompts, pads, u, temperature=0.8, eos=1, pad=0)
    return arch, models, prompts[:, 0], pads[:, 0], drawn.tokens_SQGT[:, 0], drawn.lengths_SQG[:, 0]


def plain_loss(model, prompt, pads, tokens, lengths, signals, temperature):
    """The definition, one rollout after the other: (sum over tokens of -signal log p) / tokens; entropy."""
    total, count, entropies = torch.zeros((), dtype=torch.float64), 0, []
    for response, length, signal in zip(tokens, lengths.tolist(), signals.tolist(), strict=True):
        ids = torch.cat((prompt[int(pads) :], response[:length]))[None]
        logits = model(input_ids=ids).logits[0, -length - 1 : -1] / temperature
        logp = torch.log_softmax(logits, -1)
        total = total - signal * logp[torch.arange(length), response[:length]].sum()
        entropies.append(float(-(logp.exp() * logp).detach().sum()))
        count += length
    return total / count, sum(entropies) / len(entropies), count


def reference_optimizer(design, model):
    if design.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=design.learning_rate)
    return torch.optim.Adam(
        model.parameters(), lr=design.learning_rate, betas=design.betas, eps=design.adam_eps
    )


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_gradients_and_steps_equal_the_plain_reference(case, optimizer):
    arch, models, prompts, pads, tokens, lengths = case
    design = Design(rollouts=G, learning_rate=0.01, rounds=1, optimizer=optimizer, betas=(0.8, 0.95))
    learner = Learner(arch, stack(packed(arch, models)), design, 0.8)
    before = {name: tensor.detach().clone() for name, tensor in learner.weights.items()}
    record = learner.step(prompts, pads, tokens, lengths, SIGNALS)
    grads = {name: tensor.grad for name, tensor in learner.weights.items()}
    for s in range(S):
        model = perturbed_copy(models[s])
        loss, entropy, count = plain_loss(model, prompts[s], pads[s], tokens[s], lengths[s], SIGNALS[s], 0.8)
        loss.backward()
        torch.testing.assert_close(record.loss_S[s], loss.detach(), rtol=0, atol=1e-6)
        assert float(record.entropy_S[s]) == pytest.approx(entropy, abs=1e-4)
        assert int(record.tokens_S[s]) == count
        ours = unpack(arch, replica(grads, s))
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(
                ours[name], parameter.grad, rtol=0, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )
        start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        # Adam divides by the root of the second moment: feed it the stacked gradients, so that only the step is tested
        for name, parameter in model.named_parameters():
            parameter.grad = ours[name]
        reference_optimizer(design, model).step()
        stepped = unpack(arch, replica(learner.weights, s))
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(stepped[name], parameter.detach(), rtol=0, atol=1e-7)
        moved = sum(
            float((p.detach() - start[n]).double().square().sum()) for n, p in model.named_parameters()
        )
        assert float(record.update_norm_S[s]) == pytest.approx(moved**0.5, rel=1e-4)
    assert any(not torch.equal(before[name], learner.weights[name]) for name in before)


def perturbed_copy(model):
    """A fresh copy of a model, without gradients."""
    copy = type(model)(model.config).to(model.dtype)
    copy.load_state_dict(model.state_dict())
    return copy


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_several_steps_equal_torch_optim_also_on_zero_gradients(optimizer):
    arch, models = perturbed("tiny-qwen2", 1)
    prompts, pads = some_prompts(1, 1)
    tokens = torch.randint(2, 18, (1, G, T), generator=torch.Generator().manual_seed(5))
    lengths = torch.tensor([[24, 3, 9, 1]])
    design = Design(rollouts=G, learning_rate=0.003, rounds=4, optimizer=optimizer)
    learner = Learner(arch, stack(packed(arch, models)), design, 1.0)
    model = perturbed_copy(models[0])
    reference = reference_optimizer(design, model)
    norms = []
    for scale in (1.0, 0.0, -0.5, 0.0):
        signals = scale * SIGNALS[:1]
        record = learner.step(prompts[:, 0], pads[:, 0], tokens, lengths, signals)
        norms.append(float(record.update_norm_S[0]))
        grads = unpack(arch, replica({n: t.grad for n, t in learner.weights.items()}, 0))
        for name, parameter in model.named_parameters():
            parameter.grad = grads[name]
        reference.step()
        stepped = unpack(arch, replica(learner.weights, 0))
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(stepped[name], parameter.detach(), rtol=0, atol=1e-6)
    # momentum carries Adam over a round without signal; SGD stands still
    assert (norms[1] > 0) == (optimizer == "adam")


def test_what_follows_the_end_of_a_response_does_not_matter(case):
    arch, models, prompts, pads, tokens, lengths = case
    design = Design(rollouts=G, learning_rate=0.01, rounds=1)
    garbage = tokens.clone()
    garbage[torch.arange(T) >= lengths[..., None]] = 7
    assert not torch.equal(garbage, tokens)
    losses = [
        Learner(arch, stack(packed(arch, models)), design, 1.0).loss(prompts, pads, t, lengths, SIGNALS)
        for t in (tokens, garbage)
    ]
    assert torch.equal(losses[0][0], losses[1][0])
    assert torch.equal(losses[0][1], losses[1][1])


def test_a_group_equals_its_rollouts_one_by_one(case):
    """Sharing the prompt changes nothing: the loss is the token-weighted mean of single-rollout losses."""
    arch, models, prompts, pads, tokens, lengths = case
    design = Design(rollouts=G, learning_rate=0.01, rounds=1)
    learner = Learner(arch, stack(packed(arch, models)), design, 1.0)
    whole, entropy, _ = learner.loss(prompts, pads, tokens, lengths, SIGNALS)
    parts, entropies = torch.zeros(S), torch.zeros(S, dtype=torch.float64)
    for g in range(G):
        one = slice(g, g + 1)
        loss, e, count = learner.loss(prompts, pads, tokens[:, one], lengths[:, one], SIGNALS[:, one])
        parts, entropies = parts + loss.detach() * count, entropies + e / G
    torch.testing.assert_close(whole.detach(), parts / lengths.sum(-1), rtol=0, atol=1e-6)
    torch.testing.assert_close(entropy, entropies, rtol=0, atol=1e-4)
