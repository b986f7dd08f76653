"""States and checkpoints of stacked learners: exact, of any stack's size, and refused where they do not fit."""

import pytest
import torch
from support.llm import TASK, TOKENIZER, packed, perturbed, world

from banditrft.design import Design
from banditrft.errors import InputError
from llm_runs.interfaces import Batch, Limits, Prompts, Samples
from llm_runs.tiny.learner import StackedLearner
from llm_runs.tiny.network import stack

G, T = 2, 8
LIMITS = Limits(TASK.prompt_max, T, 1.0, (1,), 0)
KINDS = {
    "sgd": {"optimizer": "sgd"},
    "adam": {"optimizer": "adam", "grad_clip": 0.5},
    "kl": {"optimizer": "adamw", "weight_decay": 0.1, "kl_coef": 0.1, "updates_per_round": 2},
}


def learner(kind: str, models: int, name: str = "tiny-qwen2") -> StackedLearner:
    arch, made = perturbed(name, models)
    setup = Design.model_validate({"rollouts": G, "learning_rate": 0.001, "rounds": 9} | KINDS[kind])
    return StackedLearner(arch, stack(packed(arch, made)), setup, world(), LIMITS)


def some_batch(round_: int, replicas: int) -> Batch:
    """The same for every replica."""
    rng = torch.Generator().manual_seed(round_)
    shape = (1, 1, G)
    ids = TOKENIZER.encode(TASK.items("pool", 1)[0])
    one = (
        torch.randint(2, 18, (*shape, T), generator=rng),
        torch.randint(1, T + 1, shape, generator=rng),
        torch.zeros(*shape, T),
        torch.randn(shape, generator=rng, dtype=torch.float64),
    )
    tokens, lengths, logprobs, signals = (x.expand(replicas, *x.shape[1:]) for x in one)
    return Batch(Prompts([[ids]] * replicas, [[0]] * replicas), Samples(tokens, lengths, logprobs), signals)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_on_bit_for_bit_in_another_stack(kind):
    whole, later = learner(kind, 1), learner(kind, 3)
    for round_ in range(2):
        whole.step(some_batch(round_, 1))
    state = whole.state(0)
    for index in (2, 0, 1):
        later.load_state(index, state)
    for round_ in range(2, 4):
        a, b = whole.step(some_batch(round_, 1)), later.step(some_batch(round_, 3))
        assert torch.equal(a.loss_S[0], b.loss_S[2])
    expected = whole.state(0)
    assert expected.keys() == state.keys()
    for name, tensor in later.state(2).items():
        assert torch.equal(tensor, expected[name]), name


def test_a_state_is_a_copy():
    ours = learner("adam", 1)
    state = ours.state(0)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    ours.step(some_batch(0, 1))
    assert all(torch.equal(state[name], tensor) for name, tensor in kept.items())


def test_replicas_of_different_rounds_do_not_step_together():
    ours, ahead = learner("adam", 2), learner("adam", 1)
    ahead.step(some_batch(0, 1))
    ours.load_state(1, ahead.state(0))
    with pytest.raises(InputError, match=r"^state: .* got \[0, 1\]"):
        ours.step(some_batch(1, 2))


@pytest.mark.parametrize("other", ["kl", "sgd"])
def test_a_state_of_another_design_is_refused(other):
    with pytest.raises(InputError, match=r"^state: not of this model and design"):
        learner("adam", 1).load_state(0, learner(other, 1).state(0))


def test_a_checkpoint_brings_back_weights_and_nothing_else():
    ours, later = learner("kl", 1), learner("kl", 2)
    ours.step(some_batch(0, 1))
    later.load_checkpoint(1, ours.checkpoint(0))
    for (name, tensor), (_, other) in zip(ours.named_weights(0), later.named_weights(1), strict=True):
        assert torch.equal(tensor, other), name
    untouched = learner("kl", 2)
    for (name, tensor), (_, other) in zip(untouched.named_weights(0), later.named_weights(0), strict=True):
        assert torch.equal(tensor, other), name
    assert all(
        torch.equal(a, b) for a, b in zip(later.initial().values(), untouched.initial().values(), strict=True)
    )


def test_checkpoints_that_do_not_fit_are_refused():
    ours = learner("sgd", 1)
    content = ours.checkpoint(0)
    with pytest.raises(InputError, match=r"^checkpoint: damaged"):
        ours.load_checkpoint(0, content[: len(content) // 2])
    with pytest.raises(InputError, match=r"^checkpoint: not of this model"):
        ours.load_checkpoint(0, learner("sgd", 1, "tiny-llama").checkpoint(0))


def test_replicas_that_start_equal_share_one_initial_policy():
    arch, (model,) = perturbed("tiny-qwen2", 1)
    setup = Design(learning_rate=0.001, rounds=1, kl_coef=0.1)
    ours = StackedLearner(arch, stack(packed(arch, [model] * 3)), setup, world(), LIMITS)
    assert all(tensor.stride(0) == 0 for tensor in ours.initial().values())


def test_no_divergence_without_an_initial_policy():
    batch = some_batch(0, 1)
    with pytest.raises(InputError, match=r"^kl_coef: "):
        learner("adam", 1).divergence(batch.prompts, batch.samples)
