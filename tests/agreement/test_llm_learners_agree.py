"""The learner of any model and the stacked learner take the same steps on the same rounds."""

import pytest
import torch
from support.module import LENGTHS, LIMITS, SIGNALS, G, Q, T, design, round_of, world
from transformers import AutoConfig, AutoModelForCausalLM

from llm_runs.base_models import MODELS
from llm_runs.learners.module import ModuleLearner
from llm_runs.tiny.architecture import Architecture, pack
from llm_runs.tiny.learner import StackedLearner
from llm_runs.tiny.network import stack

ACTIVE = torch.tensor([[[True, False, True], [True, True, True]]])
CASES = {
    "raw": ({}, {}, None),
    "grpo": ({"signal": "grpo", "aggregation": "sequence-mean", "optimizer": "adam"}, {}, None),
    "clips": ({"updates_per_round": 3, "learning_rate": 0.2, "dual_clip": 1.05}, {}, None),
    "inactive rows": ({"aggregation": "max-length"}, {}, ACTIVE),
    "micro-batch mean": ({"aggregation": "micro-batch-mean"}, {"micro_batch": 4}, None),
    "importance": ({"aggregation": "sequence-sum"}, {"importance_cap": 1.2}, None),
    "k1": ({"kl_coef": 0.2, "kl_estimator": "k1"}, {}, None),
    "k2": ({"kl_coef": 0.2, "kl_estimator": "k2", "updates_per_round": 2}, {}, None),
    "k3, adamw, clipped gradient": (
        {"kl_coef": 0.2, "optimizer": "adamw", "weight_decay": 0.1, "grad_clip": 0.3, "updates_per_round": 2},
        {},
        ACTIVE,
    ),
    "kl in the reward": ({"kl_coef": 0.2, "kl_placement": "reward"}, {}, None),
}


def both(name, settings, of_world):
    """The two learners of one float64 model of a shipped architecture with noise on every weight."""
    config = AutoConfig.from_pretrained(MODELS / name)
    torch.manual_seed(1)
    module = AutoModelForCausalLM.from_config(config).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    arch = Architecture.of(config.to_dict(), name)
    weights = stack([pack(arch, module.state_dict())])
    arguments = design(adam_eps=1e-3, **settings), world(**of_world), LIMITS
    return ModuleLearner(module.eval(), *arguments), StackedLearner(arch, weights, *arguments)


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-olmo2"])
@pytest.mark.parametrize("case", CASES)
def test_rounds_are_the_same(name, case):
    settings, of_world, active = CASES[case]
    ours, theirs = both(name, settings, of_world)
    for seed in range(2):
        batch = round_of(seed, active=active)
        left, right = vars(ours.step(batch)), vars(theirs.step(batch))
        for key, value in left.items():
            assert (value is None) == (right[key] is None), key
            if value is not None:
                torch.testing.assert_close(
                    value,
                    right[key],
                    rtol=1e-6,
                    atol=1e-6,
                    check_dtype=False,
                    msg=lambda m, k=key: f"{k}: {m}",
                )
    weights = dict(theirs.named_weights(0))
    for key, value in ours.named_weights(0):
        torch.testing.assert_close(value, weights[key], rtol=0, atol=1e-6, msg=lambda m, k=key: f"{k}: {m}")


def test_entropy_and_kl_are_those_of_the_policy_that_sampled():
    settings = {"kl_coef": 0.2, "learning_rate": 0.1}
    once = both("tiny-llama", settings, {})
    often = both("tiny-llama", settings | {"updates_per_round": 3}, {})
    for one, three in zip(once, often, strict=True):
        one.step(round_of())
        three.load_checkpoint(0, one.checkpoint(0))
        left, right = (each.step(round_of(1)) for each in (one, three))
        assert left.kl_S.item() > 0.001
        torch.testing.assert_close((left.kl_S, left.entropy_S), (right.kl_S, right.entropy_S), rtol=0, atol=0)


def test_log_probabilities_and_divergences_are_the_same():
    ours, theirs = both("tiny-qwen2", {"kl_coef": 0.2, "kl_placement": "reward", "kl_estimator": "k2"}, {})
    batch = round_of()
    for learner in (ours, theirs):
        learner.step(batch)
    found = ours.logprobs(batch.prompts, batch.samples)
    assert found.shape == (1, Q, G, T)
    assert not found[torch.arange(T) >= LENGTHS[..., None]].any()
    wanted = theirs.logprobs(batch.prompts, batch.samples)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6, check_dtype=False)
    left, right = (each.divergence(batch.prompts, batch.samples) for each in (ours, theirs))
    torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-6, check_dtype=False)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_round_without_signal_is_the_same(optimizer):
    ours, theirs = both("tiny-llama", {"optimizer": optimizer}, {})
    for signals in (SIGNALS, 0.0 * SIGNALS):
        left, right = (each.step(round_of(signals=signals)) for each in (ours, theirs))
    assert left.update_norm_S.item() == pytest.approx(right.update_norm_S.item(), rel=1e-6)
    assert (left.update_norm_S.item() > 0) == (optimizer == "adam")
