"""What the learner of any model keeps and hands on: states, checkpoints, named weights, adapters."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from support.module import (
    KINDS,
    LIMITS,
    design,
    learner_of,
    plain_scores,
    plain_step,
    round_of,
    same_weights,
    tiny,
    with_adapters,
    world,
)

from banditrft.errors import InputError
from llm_runs.learners import optimizers
from llm_runs.learners.module import ModuleLearner

TRAINED = {
    "sgd": {},
    "adam": {"optimizer": "adam"},
    "adamw with a penalty": {
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "kl_coef": 0.2,
        "updates_per_round": 2,
    },
}


def adapted(kind="qwen2", **settings):
    """A learner of adapters that are not 0."""
    return ModuleLearner(with_adapters(tiny(kind)), design(**settings), world(lora={"rank": 2}), LIMITS)


def same_records(left, right):
    for key, value in vars(left).items():
        other = getattr(right, key)
        assert (value is None and other is None) or torch.equal(value, other), key


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", TRAINED)
def test_rounds_after_a_state_are_bit_identical(name, dtype):
    module, settings = tiny("qwen2", dtype=dtype), design(**TRAINED[name])
    learner = learner_of(module, settings, micro_batch=4)
    for seed in range(2):
        learner.step(round_of(seed))
    state = learner.state(0)
    resumed = learner_of(module, settings, micro_batch=4)
    resumed.load_state(0, state)
    for seed in range(2, 4):
        same_records(resumed.step(round_of(seed)), learner.step(round_of(seed)))
    for name, tensor in learner.state(0).items():
        assert torch.equal(tensor, resumed.state(0)[name]), name
    for ours, theirs in zip(learner.module.parameters(), resumed.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_state_before_the_first_round_forgets_what_came_since():
    learner = learner_of(tiny("gpt2", dtype=torch.float32), design(optimizer="adam"))
    start = learner.state(0)
    first = learner.step(round_of())
    learner.load_state(0, start)
    same_records(learner.step(round_of()), first)


def test_a_state_is_no_view_of_the_weights():
    learner = learner_of(tiny("qwen2"), design())
    state = learner.state(0)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    learner.step(round_of())
    assert all(torch.equal(state[name], kept[name]) for name in kept)


def test_rounds_are_bit_identical_when_repeated():
    runs = []
    for _ in range(2):
        learner = learner_of(tiny("qwen2", dtype=torch.float32), design(optimizer="adam"))
        runs.append([learner.step(round_of(seed)) for seed in range(3)])
    for left, right in zip(*runs, strict=True):
        same_records(left, right)


def test_the_state_of_another_model_is_refused():
    learner, other = learner_of(tiny("qwen2"), design()), learner_of(tiny("gpt2"), design())
    with pytest.raises(InputError, match="state: not of this model"):
        learner.load_state(0, other.state(0))


@pytest.mark.parametrize("kind", [*KINDS, "mixtral"])
def test_a_checkpoint_is_read_by_transformers_and_by_another_learner(kind, tmp_path):
    learner = learner_of(tiny(kind, dtype=torch.float32), design())
    if kind != "mixtral":
        learner.step(round_of())
    content = learner.checkpoint(0)
    learner.module.config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    read = type(learner.module).from_pretrained(tmp_path, dtype=torch.float32)
    same_weights(read, learner.module, 0.0)
    other = learner_of(tiny(kind, seed=1, dtype=torch.float32), design())
    other.load_checkpoint(0, content)
    same_weights(other.module, learner.module, 0.0)


def test_a_checkpoint_becomes_the_masters_too():
    learner = learner_of(tiny("qwen2", dtype=torch.bfloat16), design())
    other = learner_of(tiny("qwen2", seed=1, dtype=torch.bfloat16), design())
    other.load_checkpoint(0, learner.checkpoint(0))
    assert {k: v.tolist() for k, v in other.state(0).items()} == {
        k: v.tolist() for k, v in learner.state(0).items()
    }


@pytest.mark.parametrize("damage", ["cut short", "a weight less", "a weight of another shape"])
def test_a_checkpoint_that_does_not_fit_is_refused_and_changes_nothing(damage):
    learner = learner_of(tiny("qwen2", dtype=torch.float32), design())
    content, before = learner.checkpoint(0), learner.state(0)
    weights = load(learner_of(tiny("qwen2", seed=1, dtype=torch.float32), design()).checkpoint(0))
    match damage:
        case "cut short":
            content = content[:-100]
        case "a weight less":
            del weights["model.norm.weight"]
            content = save(weights)
        case "a weight of another shape":
            content = save(weights | {"model.norm.weight": torch.zeros(3)})
    with pytest.raises(InputError, match=r"checkpoint: (damaged|not of this model)"):
        learner.load_checkpoint(0, content)
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.state(0).items())


def test_a_tied_table_has_one_name():
    names = [name for name, _ in learner_of(tiny("gpt2"), design()).named_weights(0)]
    assert "lm_head.weight" not in names
    assert "transformer.wte.weight" in names


def test_experts_are_named_as_in_the_hubs_files():
    names = [name for name, _ in learner_of(tiny("mixtral", dtype=torch.float32), design()).named_weights(0)]
    assert "model.layers.0.block_sparse_moe.experts.0.w1.weight" in names


def test_a_step_on_adapters_leaves_the_base_weights():
    learner = adapted(optimizer="adam")
    before = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    learner.step(round_of())
    changed = {
        name for name, tensor in learner.module.state_dict().items() if not torch.equal(before[name], tensor)
    }
    assert changed == {name for name in before if ".lora_" in name}
    assert {name.removeprefix("weights.") for name in learner.state(0) if name.startswith("weights.")} == {
        name for name, parameter in learner.module.named_parameters() if parameter.requires_grad
    }


def test_a_step_on_adapters_equals_the_plain_reference():
    settings = {"kl_coef": 0.2, "updates_per_round": 2, "optimizer": "adam", "adam_eps": 1e-3}
    learner, batch = adapted(**settings), round_of()
    module = copy.deepcopy(learner.module)
    record = learner.step(batch)
    expected = plain_step(module, design(**settings), batch, initial=tiny("qwen2"))
    same_weights(learner.module, module, 1e-9)
    assert float(record.kl_S[0]) == pytest.approx(expected["kl"], abs=1e-9)
    assert expected["kl"] > 0.01


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_merged_weights_are_the_policy_with_its_adapters(kind):
    learner, batch = adapted(kind), round_of()
    learner.step(batch)
    plain = tiny(kind, seed=1)
    plain.load_state_dict(dict(learner.named_weights(0)), strict=kind != "gpt2")
    scores = learner.logprobs(batch.prompts, batch.samples).flatten(0, 2)
    for row, (logp, _) in zip(scores, plain_scores(plain, batch), strict=True):
        torch.testing.assert_close(row[: len(logp)], logp.detach(), rtol=0, atol=1e-9)


def test_a_checkpoint_of_adapters_is_read_back_as_the_same_policy():
    learner, batch = adapted(), round_of()
    learner.step(batch)
    other = adapted()
    other.load_checkpoint(0, learner.checkpoint(0))
    ours, theirs = (each.logprobs(batch.prompts, batch.samples) for each in (learner, other))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_rounds_after_a_state_of_adapters_are_bit_identical():
    settings = {"optimizer": "adam", "kl_coef": 0.1}
    learner, resumed = adapted(**settings), adapted(**settings)
    learner.step(round_of(0))
    resumed.load_state(0, learner.state(0))
    same_records(resumed.step(round_of(1)), learner.step(round_of(1)))


def test_the_initial_policy_stays_when_weights_move():
    learner, batch = learner_of(tiny("qwen2"), design(kl_coef=0.1)), round_of()
    assert learner.step(batch).kl_S.item() == 0.0
    assert learner.step(batch).kl_S.item() > 0.0
    assert learner.divergence(batch.prompts, batch.samples).min() >= 0.0


def test_without_a_penalty_there_is_no_initial_policy_unless_asked_for():
    module, batch = tiny("qwen2"), round_of()
    learner = learner_of(module, design())
    assert learner.reference is None
    with pytest.raises(InputError, match="kl_coef: must be positive"):
        learner.divergence(batch.prompts, batch.samples)
    recording = ModuleLearner(copy.deepcopy(module), design(), world(), LIMITS, reference=True)
    assert recording.step(batch).kl_S.item() == 0.0
    learner.step(batch)
    same_weights(recording.module, learner.module, 0.0)


def test_how_far_a_step_went_is_not_measured_where_copies_are_too_large(monkeypatch):
    monkeypatch.setattr(optimizers, "UPDATE_NORM_WEIGHTS", 1000)
    assert learner_of(tiny("qwen2"), design()).step(round_of()).update_norm_S is None
