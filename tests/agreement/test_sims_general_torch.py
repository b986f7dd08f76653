"""The general path of the lumped bandit against torch's autograd of the very objective, given the same draws.

torch trains a dense policy, one logit per arm and one parameter per class, on the losses of
`banditrft.objective`; its groups' populations are plain Python lists. Only the *names* of the drawn arms
follow the simulator's order.
"""

import numpy as np
import pytest
import torch
from support.sims import Names, torch_optimiser

from banditrft.design import BATCH_SIGNALS, Design
from banditrft.objective import clipped_surrogate, kl_penalty
from banditrft.rewards import reward_map
from banditrft.streams import Purpose, uniforms
from sims.lumped.general import simulate
from sims.lumped.simulator import Bandit

pytestmark = pytest.mark.slow(20)

MASS, REWARD = np.array([0.2, 0.3, 0.25, 0.15, 0.1]), np.array([1.0, 0.0, 0.5, 0.0, 0.8])
GRADE = np.array([1.0, 0.1, 0.6, np.nan, np.nan])
SIZES = [2, 3, 8, 1, 40]
T, SEED, ROOT = 12, 3, 9
GROUP_SIGNALS = ("raw", "centered", "grpo", "rloo")
SIGNALS = (*GROUP_SIGNALS, *BATCH_SIGNALS)


def statistics(population: list[float], ddof: int) -> tuple[float, float]:
    """Mean and standard deviation; 0 and 1 of a single reward."""
    values = torch.tensor(population, dtype=torch.float64)
    if len(values) == 1:
        return 0.0, 1.0
    return float(values.mean()), float(values.std(correction=ddof))


def torch_signals(design: Design, fresh: torch.Tensor, others: list[list[float]]) -> torch.Tensor:
    """Signals (B, G); ``others`` are the other members of each group's population."""
    flat, out = fresh.flatten(), fresh.clone()
    nonzero = max(int(torch.count_nonzero(flat)), 1)
    for b, group in enumerate(fresh):
        population = group.tolist() + others[b]
        mean, std = statistics(population, design.signal_ddof)
        if max(population) == min(population) and len(population) > 1:
            mean = population[0]  # to the last bit
        if design.signal in ("centered", "gpg"):
            out[b] = group - mean
        if design.signal == "grpo":
            out[b] = (group - mean) / (std + design.signal_eps)
        if design.signal == "rloo":
            rest = [population[:g] + population[g + 1 :] for g in range(len(group))]
            means = [statistics(r, 0)[0] if len(r) > 1 else sum(r) for r in rest]
            out[b] = group - torch.tensor(means, dtype=torch.float64)
        if design.signal == "gpg":
            out[b] *= len(flat) / nonzero
    if design.signal == "batch-centered":
        out = fresh - flat.mean()
    if design.signal == "reinforce-plus-plus":
        out = (fresh - flat.mean()) * torch.rsqrt(flat.var(correction=1) + 1e-8)
    return torch.where(out.abs() < 1e-13, 0.0, out)


class Dense:
    """The bandit in torch."""

    def __init__(self, design: Design, shared: float) -> None:
        self.design, self.shared, self.names = design, shared, Names(SIZES)
        self.class_K = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))
        self.reward_K = np.repeat(REWARD, SIZES)
        start = torch.tensor(np.log(MASS / SIZES))[self.class_K]
        self.start, self.past = start.clone(), []
        self.theta = start.clone().requires_grad_()
        self.phi = torch.zeros(len(SIZES), dtype=torch.float64, requires_grad=True)
        parameters = [self.theta, self.phi] if shared else [self.theta]
        self.optimiser, self.parameters = torch_optimiser(design, *parameters), parameters
        low, high = reward_map(design)[:2]
        grade = GRADE if design.reward == "graded" else np.full(5, np.nan)
        self.value_K2 = np.stack(
            [np.repeat(np.where(np.isnan(grade), x, grade), SIZES) for x in (low, high)], 1
        )

    def log_policy(self) -> torch.Tensor:
        return torch.log_softmax(self.theta + self.shared * self.phi[self.class_K], 0)

    def draw(self, t: int, rollouts: range) -> tuple[np.ndarray, list[int], np.ndarray]:
        """Uniform numbers, slots and rewards."""
        u = uniforms(ROOT, [SEED], [0], Purpose.SAMPLE, t, list(rollouts), 4)[0]
        pi = self.log_policy().exp().detach().numpy()
        slots = [self.names.drawn(pi, point) for point in u[:, 0]]
        first = np.array([self.names.slots[slot][0] for slot in slots])
        high = u[:, 2] < self.reward_K[first]
        if self.design.reward == "random":
            high = u[:, 3] < float(MASS @ REWARD)
        if self.design.reward == "noisy":
            high = u[:, 3] < np.where(high, 1 - self.design.false_negative, self.design.false_positive)
        return u, slots, self.value_K2[first, high.astype(int)]

    def round(self, t: int) -> dict[str, float]:
        design, B, G = self.design, self.design.batch_size, self.design.rollouts
        M = design.baseline_rollouts if design.signal != "raw" else 0
        u, slots, rewards = self.draw(t, range(B * G))
        baseline = self.draw(t, range(B * G, B * G + B * M))[2].reshape(B, M).tolist() if M else [[]] * B
        past = self.past[-max(0, design.replay_window - G - M) :] if design.replay_window > G + M else []
        fresh = torch.tensor(rewards.reshape(B, G))
        signals = torch_signals(design, fresh, [extra + past for extra in baseline]).flatten()
        for group, extra in zip(fresh.tolist(), baseline, strict=True):
            self.past += group + extra
        heard = np.ones(B * G) if design.kl_coef else signals.numpy()
        arms = torch.tensor(self.names.name(slots, u[:, 1], heard))
        before = [p.detach().clone() for p in self.parameters]
        old = self.log_policy().detach()[arms]
        reference = torch.log_softmax(self.start, 0)[arms]
        for _ in range(design.updates_per_round):
            self.optimiser.zero_grad()
            log_pi = self.log_policy()[arms]
            loss = clipped_surrogate(design, log_pi, old, signals)
            loss = loss + design.kl_coef * kl_penalty(log_pi, reference, design.kl_estimator)
            loss.mean().backward()
            if design.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_(self.parameters, design.grad_clip)
            self.optimiser.step()
        log_pi = self.log_policy().detach()
        change = sum(((p.detach() - b) ** 2).sum() for p, b in zip(self.parameters, before, strict=True))
        return {
            "p": float(log_pi.exp() @ torch.tensor(self.reward_K)),
            "entropy": float(-(log_pi.exp() * log_pi).sum()),
            "kl": float((log_pi.exp() * (log_pi - torch.log_softmax(self.start, 0))).sum()),
            "norm": float(change) ** 0.5,
            "reward": float(fresh.mean()),
            "signal": float(signals.mean()),
            "variance": float(signals.var(correction=0)),
            "silent": float((signals.reshape(B, G) == 0).all(1).double().mean()),
        }


def compare(shared: float = 0.0, **fields: object) -> dict[str, np.ndarray]:
    """Check that every number of every round agrees; torch's."""
    steps = {"sgd": 0.7, "adam": 0.05, "adamw": 0.05}
    merged = {"batch_size": 2, "rollouts": 3, "betas": (0.8, 0.99), "adam_eps": 1e-3, "rounds": T, **fields}
    design = Design(learning_rate=steps[str(fields["optimizer"])], **merged)  # type: ignore[arg-type]
    graded = design.reward == "graded"
    bandit = Bandit(np.array(SIZES, float), MASS, REWARD, GRADE if graded else None, shared)
    paths = simulate(bandit, design, root_seed=ROOT, seeds=[SEED], eval_rounds=range(1, T + 1))
    dense = Dense(design, shared)
    rounds = [dense.round(t) for t in range(1, T + 1)]
    theirs = {name: np.array([r[name] for r in rounds]) for name in rounds[0]}
    trace = paths.trace
    ours = {
        "p": paths.p_RE, "entropy": paths.entropy_RE, "kl": paths.kl_RE, "norm": trace.update_norm_RT,
        "reward": trace.reward_mean_RT, "signal": trace.signal_mean_RT, "variance": trace.signal_var_RT,
        "silent": trace.zero_signal_RT,
    }  # fmt: skip
    for name, values in ours.items():
        np.testing.assert_allclose(values[0], theirs[name], rtol=1e-10, atol=1e-12, err_msg=name)
    assert paths.slots_R[0] == len(dense.names.slots)
    assert np.ptp(theirs["p"]) > 1e-3
    return theirs


PENALTIES = {"no KL": {}, **{k: {"kl_coef": 0.3, "kl_estimator": k} for k in ("k1", "k2", "k3")}}
CLIPS: dict[str, dict[str, object]] = {
    "one update": {},
    "clip": {"updates_per_round": 3, "clip_low": 0.05, "clip_high": 0.1},
    "clip, small gradient": {"updates_per_round": 2, "grad_clip": 0.1},
}
OPTIMIZERS: dict[str, dict[str, object]] = {"sgd": {}, "adam": {}, "adamw": {"weight_decay": 0.2}}


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_same_path_as_torch(signal: str, optimizer: str, penalty: str, clip: str) -> None:
    compare(signal=signal, optimizer=optimizer, **OPTIMIZERS[optimizer], **PENALTIES[penalty], **CLIPS[clip])


VARIANTS: dict[str, dict[str, object]] = {
    "graded": {"reward": "graded"},
    "noisy": {"reward": "noisy", "false_positive": 0.2, "false_negative": 0.3},
    "placebo": {"reward": "random"},
    "negative": {"reward": "minus-one-zero"},
    "shared": {"shared": 0.6},
}
POPULATIONS: dict[str, dict[str, object]] = {
    "baseline": {"baseline_rollouts": 2},
    "window": {"replay_window": 8},
    "both": {"baseline_rollouts": 2, "replay_window": 8, "reward": "graded"},
    "window of one rollout": {"rollouts": 1, "replay_window": 5, "batch_size": 3},
    "window within the group": {"replay_window": 3},
}
ALL = {"kl_coef": 0.2, "updates_per_round": 2, "grad_clip": 0.5}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_every_reward_and_shared_parameters(signal: str, optimizer: str, variant: str) -> None:
    for more in ({}, ALL):
        compare(signal=signal, optimizer=optimizer, **OPTIMIZERS[optimizer], **VARIANTS[variant], **more)


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("signal", GROUP_SIGNALS)
def test_baselines_and_windows(signal: str, optimizer: str, population: str) -> None:
    for more in ({}, ALL):
        compare(signal=signal, optimizer=optimizer, **{**POPULATIONS[population], **more})


def test_the_grid_meets_clips_on_both_sides_and_penalties_that_matter() -> None:
    """What the grid varies changes paths: else agreement would say little."""
    base = compare(signal="centered", optimizer="sgd")["p"]
    free = {"updates_per_round": 3, "clip_low": 1.0, "clip_high": 1e3}
    loose = compare(signal="centered", optimizer="sgd", **free)["p"]
    for name in ("clip_low", "clip_high"):
        tight = {**free, name: CLIPS["clip"][name]}
        assert np.abs(compare(signal="centered", optimizer="sgd", **tight)["p"] - loose).max() > 1e-3
    for penalty in ("k1", "k2", "k3"):
        changed = compare(signal="centered", optimizer="sgd", **PENALTIES[penalty])["p"]
        assert np.abs(changed - base).max() > 1e-3
