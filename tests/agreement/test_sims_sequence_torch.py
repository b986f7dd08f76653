"""The sequence bandit against torch's autograd of the very objective, given the same draws."""

import numpy as np
import pytest
import torch
from support.sims import torch_optimiser

from banditrft.design import BATCH_SIGNALS, Design
from banditrft.objective import clipped_surrogate, kl_penalty
from banditrft.rewards import reward_values
from banditrft.signals import signal
from banditrft.streams import Purpose, uniforms
from banditrft.worlds import SequenceWorld
from sims.sequence import simulate

pytestmark = pytest.mark.slow(6)

PROFILE = (0.9, 0.35, 0.7, 0.8, 0.6, 0.95)
ROUNDS, SEED, ROOT = 12, 3, 9


class Dense:
    """T gaps in torch, each drawn token by token."""

    def __init__(self, design: Design, world: SequenceWorld) -> None:
        self.design, self.world = design, world
        q = torch.tensor(world.probabilities(), dtype=torch.float64)
        self.rest = -float(np.log(world.vocabulary - 1))
        self.start = torch.log(q) - torch.log1p(-q)
        self.theta = (self.start - self.rest).clone().requires_grad_()
        self.optimiser = torch_optimiser(design, self.theta)

    def token_log_probabilities(self, gaps: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        log_right = torch.nn.functional.logsigmoid(gaps)
        log_wrong = torch.nn.functional.logsigmoid(-gaps) + self.rest
        return torch.where(right, log_right, log_wrong)

    def round(self, t: int) -> dict[str, float]:
        design, B, G, T = self.design, self.design.batch_size, self.design.rollouts, len(self.start)
        blocks = -(-T // 4)
        u = uniforms(ROOT, [SEED], [0], Purpose.SAMPLE, t, B * G, 4 * blocks + 1)[0]
        gaps = (self.theta + self.rest).detach()
        right = torch.tensor(u[:, :T]) < torch.sigmoid(gaps)
        touched = torch.ones_like(right)
        if self.world.prefixes == "tree":
            touched[:, 1:] = torch.cumprod(right, 1)[:, :-1].bool()
            right = right & touched
        high = right.all(1).numpy()
        if design.reward == "random":
            high = u[:, -1] < np.prod(PROFILE)
        if design.reward == "noisy":
            high = u[:, -1] < np.where(high, 1 - design.false_negative, design.false_positive)
        rewards = np.array(reward_values(design))[high.astype(int)]
        if design.reward == "graded":
            rewards = right.double().mean(1).numpy()
        signals = signal(design, rewards.reshape(1, B, G))[0]
        row = torch.tensor(signals.reshape(B * G, 1)).expand(B * G, T)
        before = self.theta.detach().clone()
        old = self.token_log_probabilities(gaps, right)
        reference = self.token_log_probabilities(self.start, right)
        for _ in range(design.updates_per_round):
            self.optimiser.zero_grad()
            log_pi = self.token_log_probabilities(self.theta + self.rest, right)
            loss = clipped_surrogate(design, log_pi, old, row)
            loss = loss + design.kl_coef * kl_penalty(log_pi, reference, design.kl_estimator)
            (loss * touched).sum(1).mean().backward()
            if design.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_([self.theta], design.grad_clip)
            self.optimiser.step()
        q = torch.sigmoid((self.theta + self.rest).detach())
        return {
            "p": float(q.prod()),
            "norm": float(torch.linalg.norm(self.theta.detach() - before)),
            "reward": float(rewards.mean()),
            "signal": float(signals.mean()),
        }


def compare(world: dict[str, object], **fields: object) -> None:
    steps = {"sgd": 0.7, "adam": 0.05, "adamw": 0.05}
    merged = {"batch_size": 2, "rollouts": 3, "betas": (0.8, 0.99), "adam_eps": 1e-3, "rounds": ROUNDS, **fields}
    design = Design.model_validate({"learning_rate": steps[str(merged.get("optimizer", "sgd"))]} | merged)
    settings = SequenceWorld.model_validate({"seeds": 1, "profile": PROFILE, "vocabulary": 7} | world)
    theirs = Dense(design, settings)
    rows = [theirs.round(t) for t in range(1, ROUNDS + 1)]
    paths = simulate(settings, design, root_seed=ROOT, seeds=[SEED], eval_rounds=range(1, ROUNDS + 1))
    trace = paths.trace
    ours = {
        "p": paths.p_RE[0],
        "norm": trace.update_norm_RT[0],
        "reward": trace.reward_mean_RT[0],
        "signal": trace.signal_mean_RT[0],
    }
    for name, values in ours.items():
        np.testing.assert_allclose(values, [r[name] for r in rows], rtol=1e-9, atol=1e-12, err_msg=name)
    assert np.ptp(ours["p"]) > 0


PREFIXES = [{"prefixes": "positions"}, {"prefixes": "tree"}]
NAMES = ["positions", "tree"]


@pytest.mark.parametrize("world", PREFIXES, ids=NAMES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", ["raw", "centered", "grpo", "rloo", *BATCH_SIGNALS])
def test_signals_and_optimisers(name, optimizer, world):
    compare(world, signal=name, optimizer=optimizer, weight_decay=0.3 if optimizer == "adamw" else 0.0)


@pytest.mark.parametrize("world", PREFIXES, ids=NAMES)
@pytest.mark.parametrize(
    "fields",
    [
        {"reward": "minus-one-zero"},
        {"reward": "minus-one-one", "grad_clip": 0.1},
        {"reward": "noisy", "false_positive": 0.3, "false_negative": 0.2},
        {"reward": "random"},
        {"reward": "graded", "signal": "grpo"},
        {"kl_coef": 0.3, "kl_estimator": "k1"},
        {"kl_coef": 0.3, "kl_estimator": "k2", "optimizer": "adam"},
        {"kl_coef": 0.3, "kl_estimator": "k3", "signal": "rloo"},
        {"updates_per_round": 3, "clip_low": 0.1, "clip_high": 0.2, "signal": "rloo"},
        {"updates_per_round": 3, "kl_coef": 0.1, "optimizer": "adam", "grad_clip": 0.5},
    ],
    ids=lambda f: "-".join(f"{k}={v}" for k, v in f.items()),
)
def test_rewards_penalties_and_updates(fields, world):
    compare(world, **fields)
