"""The contextual world against torch: the objective differentiated by autograd, torch's own optimisers."""

import numpy as np
import pytest
import torch
from support.contextual_replay import Floats, Setting, replay, setting, train
from support.sims import torch_optimiser

from banditrft.design import BATCH_SIGNALS, Design
from banditrft.worlds import ContextualWorld

pytestmark = pytest.mark.slow(25)

SIGNALS = ["raw", "centered", "grpo", "rloo", "batch-centered", "gpg", "reinforce-plus-plus"]
OPTIMIZERS: dict[str, dict[str, object]] = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1},
    "sgd clipped": {"optimizer": "sgd", "learning_rate": 0.3, "grad_clip": 0.2},
    "adam": {"optimizer": "adam", "learning_rate": 0.02},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.02, "weight_decay": 0.5, "betas": (0.8, 0.99)},
}
PENALTIES = {"none": {}, **{k: {"kl_coef": 0.3, "kl_estimator": k} for k in ("k1", "k2", "k3")}}
UPDATES = {"one update": {}, "three, clipped": {"updates_per_round": 3, "clip_low": 0.05, "clip_high": 0.08}}
FEEDBACK: dict[str, dict[str, object]] = {
    "baseline": {"baseline_rollouts": 3},
    "window": {"replay_window": 9},
    "baseline and window": {"baseline_rollouts": 2, "replay_window": 11, "kl_coef": 0.1},
    "graded": {"reward": "graded"},
    "noisy": {"reward": "noisy", "false_positive": 0.2, "false_negative": 0.1},
    "placebo": {"reward": "random"},
    "placebo at a rate": {"reward": "random", "rate": 0.6},
    "negative": {"reward": "minus-one-zero", "updates_per_round": 2},
    "copies": {"batch_size": 9},
}
WORLD = ContextualWorld(
    seeds=2, dimension=6, train_items=5, base_pass_at_1=(0.1, 0.7), offset_spread=0.5, partial=0.3
)
MADE = setting(WORLD, [3, 8])


def advantages(name: str, r_BG: torch.Tensor, known: list[Floats]) -> torch.Tensor:
    """Signals written out again, from a batch's rewards and each group's population."""
    G = r_BG.shape[1]
    pools = [torch.tensor(pool) for pool in known]
    if name == "raw":
        return r_BG
    if name == "batch-centered":
        return r_BG - r_BG.mean()
    if name == "reinforce-plus-plus":
        return (r_BG - r_BG.mean()) * torch.rsqrt(r_BG.var(correction=1) + 1e-8)
    if name == "gpg":
        share = max(int(torch.count_nonzero(r_BG)), 1) / r_BG.numel()
        return (r_BG - r_BG.mean(dim=1, keepdim=True)) / share
    if name == "rloo":
        return torch.stack([
            torch.stack([r[i] - torch.cat([pool[:i], pool[i + 1 :]]).mean() for i in range(G)])
            for r, pool in zip(r_BG, pools, strict=True)
        ])  # fmt: skip
    rows = [r - pool.mean() for r, pool in zip(r_BG, pools, strict=True)]
    if name == "grpo":
        rows = [row / (pool.std(correction=1) + 1e-6) for row, pool in zip(rows, pools, strict=True)]
    return torch.stack(rows)


def torch_weights(made: Setting, seed: int, design: Design) -> Floats:
    """Final weights of one seed, trained by autograd on the objective as it is written."""
    row = made.seeds.index(seed)
    u_ND, offset_N = torch.tensor(made.pool.u_PND[row]), torch.tensor(made.pool.offset_PN[row])
    w0 = torch.tensor(made.w0_PD[row])
    w = w0.clone().requires_grad_()
    optimiser = torch_optimiser(design, w)

    def log_probs(weights: torch.Tensor, items: list[int], right: torch.Tensor) -> torch.Tensor:
        odds = (u_ND[items] @ weights + offset_N[items])[:, None]
        return -torch.log1p(torch.exp(torch.where(right == 1, -odds, odds)))

    def pass_at_1(u: Floats, offset: Floats) -> Floats:
        return torch.sigmoid(torch.tensor(u) @ w.detach() + torch.tensor(offset)).numpy()

    def learn(items: list[int], answers: Floats, rewards: Floats, known: list[Floats]) -> None:
        right = torch.tensor(answers)
        s = advantages(design.signal, torch.tensor(rewards), known)
        old = log_probs(w.detach(), items, right)
        for _ in range(design.updates_per_round):
            new = log_probs(w, items, right)
            ratio, d = torch.exp(new - old), log_probs(w0, items, right) - new
            clipped = torch.clamp(ratio, 1 - design.clip_low, 1 + design.clip_high)
            penalty = {"k1": -d, "k2": d * d / 2, "k3": torch.exp(d) - d - 1}[design.kl_estimator]
            optimiser.zero_grad()
            (-torch.minimum(ratio * s, clipped * s) + design.kl_coef * penalty).mean().backward()
            if design.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_([w], design.grad_clip)
            optimiser.step()

    replay(made, seed, design, pass_at_1, learn)
    return w.detach().numpy()


def agree(fields: dict[str, object], moves: float = 1e-3) -> None:
    design = Design(**{"batch_size": 3, "rollouts": 4, "rounds": 8, "adam_eps": 1e-3, **fields})  # type: ignore[arg-type]
    paths = train(MADE, (design.rounds,), **design.model_dump())
    for row, seed in enumerate(MADE.seeds):
        np.testing.assert_allclose(paths.w_RFD[row, 0], torch_weights(MADE, seed, design), atol=1e-10, rtol=0)
        assert np.abs(paths.w_RFD[row, 0] - MADE.w0_PD[row]).max() > moves


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_weights_as_by_autograd(signal: str, optimizer: str, penalty: str, updates: str) -> None:
    agree({"signal": signal, **OPTIMIZERS[optimizer], **PENALTIES[penalty], **UPDATES[updates]})


@pytest.mark.parametrize("feedback", FEEDBACK)
@pytest.mark.parametrize("signal", SIGNALS)
def test_rewards_and_populations_as_by_autograd(signal: str, feedback: str) -> None:
    fields = FEEDBACK[feedback]
    if signal in BATCH_SIGNALS and {"baseline_rollouts", "replay_window"} & set(fields):
        fields = {"batch_size": 7}  # refused together; a batch that straddles two permutations instead
    agree({"signal": signal, "optimizer": "sgd", "learning_rate": 0.1, **fields})


def test_clips_and_penalties_act() -> None:
    """The cases above would agree without a clip that acts; these say that it does."""
    ends = []
    base = {"batch_size": 3, "rollouts": 4, "rounds": 12, "signal": "grpo", **OPTIMIZERS["sgd"]}
    for fields in (
        UPDATES["three, clipped"],
        {"updates_per_round": 3, "clip_low": 1.0, "clip_high": 1e9},
        {**UPDATES["three, clipped"], "clip_low": 1.0},
        {**UPDATES["three, clipped"], **PENALTIES["k1"]},
        {**UPDATES["three, clipped"], **PENALTIES["k2"]},
        {**UPDATES["three, clipped"], **PENALTIES["k3"]},
        {**UPDATES["three, clipped"], "grad_clip": 0.2},
    ):
        ends.append(train(MADE, (12,), **{**base, **fields}).w_RFD[:, 0])
    for i, one in enumerate(ends):
        assert all(np.abs(one - other).max() > 1e-3 for other in ends[:i])
