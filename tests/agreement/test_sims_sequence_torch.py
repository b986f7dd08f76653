"""The sequence bandit against torch's autograd of the very objective, given the same draws."""

import numpy as np
import pytest
import torch
from support.sims import Names, torch_optimiser

from banditrft.design import BATCH_SIGNALS, Design
from banditrft.objective import clipped_surrogate, kl_penalty
from banditrft.rewards import reward_map
from banditrft.signals import signal
from banditrft.streams import Purpose, uniforms
from banditrft.worlds import SequenceWorld
from sims.sequence import simulate

pytestmark = pytest.mark.slow(6)

PROFILE = (0.9, 0.35, 0.7, 0.8, 0.6, 0.95)
ROUNDS, SEED, ROOT = 12, 3, 9


class Gaps:
    """Geometry "direction" in torch: T gaps."""

    def __init__(self, design: Design, world: SequenceWorld) -> None:
        self.design, self.world, self.M = design, world, design.batch_size * design.rollouts
        q = torch.tensor(world.probabilities(), dtype=torch.float64)
        self.rest = -float(np.log(world.vocabulary - 1))
        self.start = torch.log(q) - torch.log1p(-q)
        self.theta = (self.start - self.rest).clone().requires_grad_()
        self.optimiser = torch_optimiser(design, self.theta)

    def draw(self, t: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """Tokens, which of them are right, and a number for each reward."""
        T = len(self.start)
        u = uniforms(ROOT, [SEED], [0], Purpose.SAMPLE, t, self.M, 4 * -(-T // 4) + 1)[0]
        right = torch.tensor(u[:, :T]) < torch.sigmoid((self.theta + self.rest).detach())
        return right, right, u[:, -1]

    def named(self, tokens: torch.Tensor, loud: np.ndarray) -> torch.Tensor:
        return tokens

    def log_pi(self, tokens: torch.Tensor, *, start: bool = False) -> torch.Tensor:
        gaps = self.start if start else self.theta + self.rest
        log_right = torch.nn.functional.logsigmoid(gaps)
        log_wrong = torch.nn.functional.logsigmoid(-gaps) + self.rest
        return torch.where(tokens, log_right, log_wrong)

    def pass_at_1(self) -> float:
        return float(torch.sigmoid((self.theta + self.rest).detach()).prod())


class Options:
    """Geometry "table" in torch: V logits a position; only the names of wrong options follow the simulator."""

    def __init__(self, design: Design, world: SequenceWorld) -> None:
        self.design, self.world, self.M = design, world, design.batch_size * design.rollouts
        q, V = torch.tensor(world.probabilities(), dtype=torch.float64), world.vocabulary
        self.start = torch.log(torch.cat([q[:, None], ((1 - q) / (V - 1))[:, None].expand(-1, V - 1)], 1))
        self.theta = self.start.clone().requires_grad_()
        self.names = [Names([1, V - 1]) for _ in q]
        self.optimiser = torch_optimiser(design, self.theta)

    def draw(self, t: int) -> tuple[list[list[int]], torch.Tensor, np.ndarray]:
        T = len(self.start)
        u = uniforms(ROOT, [SEED], [0], Purpose.SAMPLE, t, self.M, 4 * -(-T // 2) + 1)[0]
        self.u = u[:, : 2 * T].reshape(self.M, T, 2)
        pi = torch.softmax(self.theta, 1).detach().numpy()
        slots = [[self.names[p].drawn(pi[p], x) for x in self.u[:, p, 0]] for p in range(T)]
        right = torch.tensor([[slot == 0 for slot in row] for row in slots]).T
        return slots, right, u[:, -1]

    def named(self, tokens: list[list[int]], loud: np.ndarray) -> torch.Tensor:
        """Options (M, T); a token that a tree does not reach, or without weight, may be any."""
        rows = [self.names[p].name(tokens[p], self.u[:, p, 1], loud[:, p]) for p in range(len(self.start))]
        return torch.tensor(rows).T

    def log_pi(self, tokens: torch.Tensor, *, start: bool = False) -> torch.Tensor:
        log_pi = torch.log_softmax(self.start if start else self.theta, 1)
        return log_pi.gather(1, tokens.T).T

    def pass_at_1(self) -> float:
        return float(torch.softmax(self.theta, 1).detach()[:, 0].prod())


def rounds_of(theirs: Gaps | Options, rounds: int) -> list[dict[str, float]]:
    """Train; what every round was like."""
    design, B, G = theirs.design, theirs.design.batch_size, theirs.design.rollouts
    found = []
    for t in range(1, rounds + 1):
        tokens, right, noise = theirs.draw(t)
        touched = torch.ones_like(right)
        if theirs.world.prefixes == "tree":
            touched[:, 1:] = torch.cumprod(right, 1)[:, :-1].bool()
        high = right.all(1).numpy()
        if design.reward == "random":
            high = noise < theirs.world.base()
        if design.reward == "noisy":
            high = noise < np.where(high, 1 - design.false_negative, design.false_positive)
        rewards = np.array(reward_map(design)[:2])[high.astype(int)]
        if design.reward == "graded":
            rewards = (right & touched).double().mean(1).numpy()
        signals = signal(design, rewards.reshape(1, B, G))[0].reshape(B * G, 1)
        loud = np.ones_like(signals) if design.kl_coef else signals
        tokens = theirs.named(tokens, loud * touched.numpy())
        row = torch.tensor(signals).expand(touched.shape)
        before = theirs.theta.detach().clone()
        old, reference = theirs.log_pi(tokens).detach(), theirs.log_pi(tokens, start=True)
        for _ in range(design.updates_per_round):
            theirs.optimiser.zero_grad()
            log_pi = theirs.log_pi(tokens)
            loss = clipped_surrogate(design, log_pi, old, row)
            loss = loss + design.kl_coef * kl_penalty(log_pi, reference, design.kl_estimator)
            (loss * touched).sum(1).mean().backward()
            if design.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_([theirs.theta], design.grad_clip)
            theirs.optimiser.step()
        change = float(torch.linalg.norm(theirs.theta.detach() - before))
        means = {"reward": float(rewards.mean()), "signal": float(signals.mean())}
        found.append({"p": theirs.pass_at_1(), "norm": change} | means)
    return found


def compare(world: dict[str, object], **fields: object) -> None:
    """Check that every number of every round agrees."""
    steps = {"sgd": 0.7, "adam": 0.05, "adamw": 0.05}
    merged = {
        "batch_size": 2,
        "rollouts": 3,
        "betas": (0.8, 0.99),
        "adam_eps": 1e-3,
        "rounds": ROUNDS,
        **fields,
    }
    design = Design.model_validate({"learning_rate": steps[str(merged.get("optimizer", "sgd"))]} | merged)
    settings = SequenceWorld.model_validate({"seeds": 1, "profile": PROFILE, "vocabulary": 7} | world)
    theirs = Options(design, settings) if settings.geometry == "table" else Gaps(design, settings)
    rows = rounds_of(theirs, ROUNDS)
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


WORLDS = [
    {"geometry": geometry, "prefixes": prefixes}
    for geometry in ("direction", "table")
    for prefixes in ("positions", "tree")
]
NAMES = ["-".join(map(str, w.values())) for w in WORLDS]


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", ["raw", "centered", "grpo", "rloo", *BATCH_SIGNALS])
def test_signals_and_optimisers(name, optimizer, world):
    compare(world, signal=name, optimizer=optimizer, weight_decay=0.3 if optimizer == "adamw" else 0.0)


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
@pytest.mark.parametrize(
    "fields",
    [
        {"reward": "minus-one-zero"},
        {"reward": "minus-one-one"},
        {"reward": "noisy", "false_positive": 0.3, "false_negative": 0.2},
        {"reward": "random"},
        {"reward": "graded", "signal": "grpo"},
        {"kl_coef": 0.3, "kl_estimator": "k1"},
        {"kl_coef": 0.3, "kl_estimator": "k2", "optimizer": "adam"},
        {"kl_coef": 0.3, "kl_estimator": "k3", "signal": "rloo"},
        {"updates_per_round": 3, "clip_low": 0.1, "clip_high": 0.2, "signal": "rloo"},
        {"updates_per_round": 3, "kl_coef": 0.1, "optimizer": "adam"},
    ],
    ids=lambda f: "-".join(f"{k}={v}" for k, v in f.items()),
)
def test_rewards_penalties_and_updates(fields, world):
    compare(world, **fields)


@pytest.mark.parametrize("world", WORLDS[:2], ids=NAMES[:2])
def test_the_norm_that_is_clipped_spans_all_positions(world):
    compare(world, reward="minus-one-one", grad_clip=0.1)
