"""The lumped kernel against torch's own optimisers and autograd, given the very same draws.

torch trains a dense policy with one logit per arm; only the *names* of the drawn arms follow the kernel's order.
"""

import numpy as np
import pytest
import torch
from support.sims import Names, torch_optimiser

from banditrft.design import Design
from banditrft.rewards import reward_map
from banditrft.streams import Purpose, uniforms
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

pytestmark = pytest.mark.slow(8)

MASS, REWARD = np.array([0.2, 0.3, 0.25, 0.15, 0.1]), np.array([1.0, 0.0, 0.5, 0.0, 0.8])
SIZES = {"single arms": [1, 1, 1, 1, 1], "lumps": [2, 3, 8, 1, 40]}
ROUNDS, SEED, ROOT = 60, 3, 9


def torch_signal(name: str, r: torch.Tensor) -> torch.Tensor:
    if name == "raw":
        return r
    advantage = r - r.mean()
    if name == "grpo":
        advantage = advantage / (r.std(correction=1) + 1e-6)
    if name == "rloo":
        advantage = advantage * len(r) / (len(r) - 1)
    if name == "gpg":
        advantage = advantage * len(r) / max(int(torch.count_nonzero(r)), 1)
    if name == "reinforce-plus-plus":
        advantage = advantage * torch.rsqrt(r.var(correction=1) + 1e-8)
    return advantage


def by_torch(
    design: Design, placebo: float, sizes: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    names, reward_K = Names(sizes), np.repeat(REWARD, sizes)
    theta = torch.tensor(np.log(np.repeat(MASS / sizes, sizes)), dtype=torch.float64, requires_grad=True)
    optimiser = torch_optimiser(design, theta)
    low, high = reward_map(design)[:2]
    p, highs, corrects = [], [], []
    for t in range(1, ROUNDS + 1):
        u = uniforms(ROOT, [SEED], [0], Purpose.SAMPLE, t, design.rollouts, 4)[0]
        pi = torch.softmax(theta, 0).detach().numpy()
        slots = [names.drawn(pi, point) for point in u[:, 0]]
        correct = u[:, 2] < np.array([reward_K[names.slots[slot][0]] for slot in slots])
        learner_high = correct
        if design.reward == "random":
            learner_high = u[:, 3] < placebo
        if design.reward == "noisy":
            learner_high = u[:, 3] < np.where(correct, 1 - design.false_negative, design.false_positive)
        signals = torch_signal(design.signal, torch.tensor(np.where(learner_high, high, low)))
        arms = names.name(slots, u[:, 1], signals.numpy())
        optimiser.zero_grad()
        (-(signals * torch.log_softmax(theta, 0)[torch.tensor(arms)]).mean()).backward()
        if design.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_([theta], design.grad_clip)
        optimiser.step()
        p.append(float(torch.softmax(theta, 0).detach().numpy() @ reward_K))
        highs.append(learner_high.sum())
        corrects.append(correct.sum())
    return np.array(p), np.array(highs), np.array(corrects), len(names.slots)


def compare(sizes: list[int], tolerance: float, **fields: object) -> tuple[np.ndarray, int]:
    """Check that counts, slots and Pass@1 of every round agree; torch's Pass@1 and number of slots."""
    design = Design(rounds=ROUNDS, **fields)  # type: ignore[arg-type]
    bandit = Bandit.of(sizes, MASS, REWARD)
    base = bandit.base_pass_at_1
    paths = simulate(
        bandit,
        TableLearner.from_design(design, base),
        root_seed=ROOT,
        seeds=[SEED],
        rounds=ROUNDS,
        eval_rounds=range(1, ROUNDS + 1),
    )
    p, highs, corrects, slots = by_torch(design, base, sizes)
    np.testing.assert_array_equal(paths.high_RT[0], highs)
    np.testing.assert_array_equal(paths.correct_RT[0], corrects)
    np.testing.assert_allclose(paths.p_RE[0], p, rtol=tolerance, atol=tolerance * 1e-3)
    assert paths.slots_R[0] == slots
    return p, slots


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("signal", "G", "reward"),
    [
        ("raw", 1, "zero-one"),
        ("raw", 1, "minus-one-zero"),
        ("raw", 16, "zero-one"),
        ("raw", 4, "minus-one-one"),
        ("raw", 2, "random"),
        ("centered", 4, "zero-one"),
        ("grpo", 4, "zero-one"),
        ("grpo", 3, "random"),
        ("rloo", 4, "minus-one-one"),
        ("raw", 1, "noisy"),
        ("grpo", 4, "noisy"),
        ("batch-centered", 4, "zero-one"),
        ("gpg", 4, "zero-one"),
        ("gpg", 3, "minus-one-zero"),
        ("reinforce-plus-plus", 4, "noisy"),
    ],
)
def test_same_path_as_torch(signal: str, G: int, reward: str, optimizer: str, sizes: str) -> None:
    p, slots = compare(
        SIZES[sizes],
        1e-10,
        rollouts=G,
        signal=signal,
        reward=reward,
        optimizer=optimizer,
        learning_rate=0.3 if optimizer == "sgd" else 0.05,
        betas=(0.8, 0.99),
        adam_eps=1e-3,
        false_positive=0.2 if reward == "noisy" else 0.0,
        false_negative=0.3 if reward == "noisy" else 0.0,
    )
    assert np.ptp(p) > 0.01
    assert (slots > 5) == (sizes == "lumps")


@pytest.mark.parametrize(("signal", "G"), [("raw", 1), ("raw", 3), ("rloo", 4)])
@pytest.mark.parametrize("reward", ["zero-one", "minus-one-zero"])
def test_steps_of_dozens_of_nats_lose_no_digits(signal: str, G: int, reward: str) -> None:
    """A push and the softmax's pull may each be e^40 and cancel."""
    compare(
        SIZES["lumps"], 1e-8, rollouts=G, signal=signal, reward=reward, optimizer="sgd", learning_rate=40.0
    )


OPTIMIZERS = {
    "adamw": {"optimizer": "adamw", "weight_decay": 0.3, "learning_rate": 0.05},
    "adamw, clip": {"optimizer": "adamw", "weight_decay": 0.1, "learning_rate": 0.05, "grad_clip": 0.2},
    "adam, clip": {"optimizer": "adam", "learning_rate": 0.05, "grad_clip": 0.1},
    "sgd, clip": {"optimizer": "sgd", "learning_rate": 1.0, "grad_clip": 0.2},
}
"""Clips lie inside the range of the gradients' norms here, so that some rounds are clipped and some are not."""


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("case", OPTIMIZERS)
@pytest.mark.parametrize(
    ("signal", "G", "reward"),
    [
        ("raw", 1, "zero-one"),
        ("raw", 1, "minus-one-zero"),
        ("raw", 8, "minus-one-one"),
        ("grpo", 4, "zero-one"),
    ],
)
def test_decay_and_clip_as_in_torch(signal: str, G: int, reward: str, case: str, sizes: str) -> None:
    fields = {"betas": (0.8, 0.99), "adam_eps": 1e-3, **OPTIMIZERS[case]}
    ours, _ = compare(SIZES[sizes], 1e-10, rollouts=G, signal=signal, reward=reward, **fields)
    without = {**fields, "grad_clip": None, "weight_decay": 0.0}
    plain, _ = compare(SIZES[sizes], 1e-10, rollouts=G, signal=signal, reward=reward, **without)
    assert np.abs(ours - plain).max() > 1e-3
