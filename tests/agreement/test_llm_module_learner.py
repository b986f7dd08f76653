"""The learner of any model takes the steps of a plain reference: rows one by one, autograd and torch.optim."""

import copy

import pytest
import torch
from support.module import (
    KINDS,
    LIMITS,
    SIGNALS,
    G,
    Q,
    design,
    learner_of,
    plain_optimizer,
    plain_scores,
    plain_step,
    round_of,
    same_weights,
    tiny,
)

pytestmark = pytest.mark.slow(10)

DESIGNS = {
    "raw": {},
    "grpo": {"signal": "grpo", "aggregation": "sequence-mean"},
    "kl k1": {"kl_coef": 0.3, "kl_estimator": "k1"},
    "kl k2": {"kl_coef": 0.3, "kl_estimator": "k2"},
    "kl k3": {"kl_coef": 0.3, "kl_estimator": "k3"},
    "kl in the reward": {"kl_coef": 0.3, "kl_placement": "reward"},
    "clip": {"updates_per_round": 3, "learning_rate": 0.5, "clip_low": 0.1, "clip_high": 0.15},
    "dual clip": {"updates_per_round": 3, "learning_rate": 0.5, "dual_clip": 1.05},
    "adamw and clipped gradient": {
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "grad_clip": 0.2,
        "betas": (0.8, 0.95),
    },
    "sequence-sum": {"aggregation": "sequence-sum"},
    "max-length": {"aggregation": "max-length"},
    "micro-batch-mean": {"aggregation": "micro-batch-mean"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DESIGNS)
def test_a_round_equals_the_plain_reference(kind, name):
    settings, initial = design(**DESIGNS[name]), tiny(kind)
    module = tiny(kind, seed=1)
    learner = learner_of(initial, settings, micro_batch=4)
    learner.module.load_state_dict(module.state_dict())
    batch = round_of()
    record = learner.step(batch)
    expected = plain_step(module, settings, batch, initial=initial, micro_batch=4)
    same_weights(learner.module, module, 1e-9)
    for key in expected.keys() - {"kl"}:
        assert float(getattr(record, f"{key}_S")[0]) == pytest.approx(expected[key], abs=1e-9), key
    if settings.kl_coef:
        assert float(record.kl_S[0]) == pytest.approx(expected["kl"], abs=1e-9)
    else:
        assert record.kl_S is None
    assert ("clip" in name.split()) == (expected["clip_fraction"] > 0)
    assert int(record.tokens_S[0]) == 26


@pytest.mark.parametrize("updates", [1, 2])
def test_the_importance_correction_weighs_tokens_by_the_policy_before_the_round(updates):
    settings, module = design(updates_per_round=updates, learning_rate=0.1), tiny("qwen2")
    learner = learner_of(module, settings, importance_cap=1.3)
    batch = round_of()
    learner.step(batch)
    uncorrected = copy.deepcopy(module)
    plain_step(module, settings, batch, cap=1.3)
    plain_step(uncorrected, settings, batch)
    same_weights(learner.module, module, 1e-9)
    with pytest.raises(AssertionError):
        same_weights(learner.module, uncorrected, 1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_rounds_equal_torch_optim_also_on_zero_gradients(optimizer):
    settings = design(optimizer=optimizer, weight_decay=0.1 if optimizer == "adamw" else 0.0)
    module = tiny("gpt2")
    learner = learner_of(module, settings)
    reference = plain_optimizer(settings, list(module.parameters()))
    moved = []
    for seed, scale in enumerate((1.0, 0.0, -0.5, 0.0)):
        batch = round_of(seed, signals=scale * SIGNALS)
        moved.append(float(learner.step(batch).update_norm_S[0]))
        plain_step(module, settings, batch, optimizer=reference)
        same_weights(learner.module, module, 1e-8)
    assert (moved[1] > 0) == (optimizer != "sgd")


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean", "sequence-sum", "max-length"])
@pytest.mark.parametrize("kind", [*KINDS, "llama", "gemma2"])
def test_a_step_does_not_depend_on_the_micro_batch(kind, aggregation):
    settings = design(
        aggregation=aggregation,
        kl_coef=0.1,
        optimizer="adam",
        adam_eps=1e-3,
        updates_per_round=2,
        grad_clip=0.5,
    )
    active = torch.tensor([[[True, True, False], [True, True, True]]])
    module, batch = tiny(kind), round_of(active=active)
    whole = learner_of(module, settings)
    expected = whole.step(batch)
    for size in (1, 2, 4, 5):
        learner = learner_of(module, settings, micro_batch=size)
        record = learner.step(batch)
        same_weights(learner.module, whole.module, 1e-7)  # transformers normalises in float32 even here
        torch.testing.assert_close(vars(record), vars(expected), rtol=0, atol=1e-6)


def test_inactive_responses_are_as_if_they_had_not_been_drawn():
    settings, module = design(kl_coef=0.1), tiny("qwen2")
    active = torch.tensor([[[True, False, True], [False, True, False]]])
    learner, batch = learner_of(module, settings), round_of(active=active)
    record = learner.step(batch)
    plain_step(module, settings, batch)
    same_weights(learner.module, module, 1e-9)
    assert int(record.tokens_S[0]) == int(batch.samples.lengths_SQG[active].sum())


@pytest.mark.parametrize("at_once", [1, 45, 10**6])
@pytest.mark.parametrize("kind", [*KINDS, "olmo2", "gemma2"])
def test_logprobs_are_those_of_unpadded_rows_however_many_logits_are_made_at_once(kind, at_once):
    module, batch = tiny(kind), round_of()
    learner = learner_of(module, design(), micro_batch=4)
    learner.policy.at_once = at_once
    found = learner.logprobs(batch.prompts, batch.samples)
    expected = torch.zeros_like(found).reshape(Q * G, -1)
    for n, (logp, _) in enumerate(plain_scores(module, batch)):
        expected[n, : len(logp)] = logp.detach()
    torch.testing.assert_close(found.reshape(Q * G, -1), expected, rtol=0, atol=1e-10)


def test_logprobs_of_a_mixture_of_experts_are_those_of_unpadded_rows():
    module, batch = tiny("mixtral", dtype=torch.float32), round_of()
    found = learner_of(module, design(), micro_batch=4).logprobs(batch.prompts, batch.samples)
    for row, (logp, _) in zip(found.reshape(Q * G, -1).float(), plain_scores(module, batch), strict=True):
        torch.testing.assert_close(row[: len(logp)], logp.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "gemma2"])
def test_making_logits_in_chunks_changes_no_gradient(kind):
    module, batch = tiny(kind), round_of()
    whole, chunked = learner_of(module, design()), learner_of(module, design())
    chunked.policy.at_once = 45
    whole.step(batch)
    chunked.step(batch)
    same_weights(chunked.module, whole.module, 1e-12)


def test_only_a_model_that_does_no_more_to_its_logits_has_them_made_in_chunks():
    plain = {kind: learner_of(tiny(kind), design()).policy.plain for kind in ("qwen2", "gpt2", "gemma2")}
    assert plain == {"qwen2": True, "gpt2": True, "gemma2": False}


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_divergence_sums_the_estimate_over_each_response(estimator):
    initial, module, batch = tiny("qwen2"), tiny("qwen2", seed=1), round_of()
    learner = learner_of(initial, design(kl_coef=0.1, kl_placement="reward", kl_estimator=estimator))
    learner.module.load_state_dict(module.state_dict())
    expected = []
    for (now, _), (ref, _) in zip(plain_scores(module, batch), plain_scores(initial, batch), strict=True):
        d = (ref - now).detach()
        expected.append(float({"k1": -d, "k2": d * d / 2, "k3": d.exp() - d - 1}[estimator].sum()))
    found = learner.divergence(batch.prompts, batch.samples)
    assert found.shape == (1, Q, G)
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_changes_nothing(kind):
    module, batch = tiny(kind), round_of()
    plain = learner_of(module, design(updates_per_round=2))
    module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    checkpointed = learner_of(module.train(), design(updates_per_round=2))
    plain.step(batch)
    checkpointed.step(batch)
    same_weights(checkpointed.module, plain.module, 1e-12)


def test_a_bfloat16_module_steps_on_float32_masters():
    settings = design(optimizer="sgd", learning_rate=1e-4)
    module, batch = tiny("qwen2", dtype=torch.bfloat16), round_of()
    learner = learner_of(module, settings, micro_batch=2)
    exact = learner_of(copy.deepcopy(module).double(), settings)
    for _ in range(4):
        learner.step(batch)
        exact.step(batch)
    state, wanted = learner.state(0), exact.state(0)
    start = dict(module.named_parameters())
    for name, parameter in learner.module.named_parameters():
        master = state[f"weights.{name}"]
        assert master.dtype == torch.float32
        assert torch.equal(parameter, master.bfloat16())
        moved, expected = (
            master - start[name].float(),
            wanted[f"weights.{name}"].float() - start[name].float(),
        )
        assert float((moved - expected).norm()) <= 0.05 * float(expected.norm()), name


def test_temperature_is_that_of_sampling():
    module, batch = tiny("qwen2"), round_of()
    learner = learner_of(module, design())
    logits = module(input_ids=torch.tensor([[4, 9]])).logits[0, -1] / LIMITS.temperature
    token = int(batch.samples.tokens_SQGT[0, 1, 0, 0])
    found = float(learner.logprobs(batch.prompts, batch.samples)[0, 1, 0, 0])
    assert found == pytest.approx(float(torch.log_softmax(logits, -1)[token]), abs=1e-10)
