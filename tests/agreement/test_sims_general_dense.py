"""The general path against dense bandits in plain NumPy, an own logit for every arm, compared in distribution.

Nothing is shared with what is checked: not the draws, nor the naming of arms, nor signals or weights.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from banditrft.design import Design
from sims.lumped.general import simulate
from sims.lumped.simulator import Bandit

pytestmark = pytest.mark.slow(6)

R, ROUNDS, LOOK = 2000, 12, (1, 4, 12)
SIZES, MASS, REWARD = (3, 5, 2), (0.4, 0.35, 0.25), (1.0, 0.0, 0.6)
GRADE = (0.9, 0.2, 0.6)
FAMILY_LEVEL = 1e-3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    B: int = 2
    G: int = 3
    signal: str = "grpo"
    adam: bool = False
    rate: float = 1.5
    baseline: int = 0
    window: int = 0
    kl: str = ""
    kl_coef: float = 0.0
    updates: int = 1
    graded: bool = False
    shared: float = 0.0


CASES = {
    "window of single rollouts": Case(B=3, G=1, window=6, signal="centered"),
    "window, grpo, Adam": Case(B=2, G=2, window=12, adam=True, rate=0.2),
    "baseline, graded": Case(G=2, baseline=3, signal="rloo", graded=True),
    "KL k1": Case(kl="k1", kl_coef=0.3),
    "KL k2, Adam": Case(kl="k2", kl_coef=0.3, adam=True, rate=0.2),
    "KL k3": Case(kl="k3", kl_coef=0.3, signal="raw"),
    "shared": Case(signal="raw", shared=0.8),
    "shared, Adam": Case(shared=0.8, adam=True, rate=0.2),
    "clip, three updates": Case(updates=3, signal="centered", rate=2.0),
    "batch of singles": Case(B=6, G=1, signal="reinforce-plus-plus", rate=1.0),
    "all together": Case(
        B=2, G=2, baseline=1, window=9, kl="k3", kl_coef=0.2, updates=2, graded=True, shared=0.5, rate=1.0
    ),
}


def signals(case: Case, fresh: Floats, others: Floats, known: NDArray[np.bool_]) -> Floats:
    """(R, B, G) signals; others (R, B, M) that are known."""
    if case.signal == "raw":
        return fresh
    if case.signal == "reinforce-plus-plus":
        flat = fresh.reshape(R, -1)
        mean, var = flat.mean(1)[:, None, None], flat.var(1, ddof=1)[:, None, None]
        return (fresh - mean) / np.sqrt(var + 1e-8)
    n = fresh.shape[2] + known.sum(2, keepdims=True)
    total = fresh.sum(2, keepdims=True) + (others * known).sum(2, keepdims=True)
    square = (fresh**2).sum(2, keepdims=True) + (others**2 * known).sum(2, keepdims=True)
    alone = n == 1
    mean = np.where(alone, 0.0, total / n)
    if case.signal == "centered":
        return fresh - mean
    if case.signal == "rloo":
        return fresh - np.where(alone, 0.0, (total - fresh) / np.maximum(n - 1, 1))
    var = np.maximum(square - n * mean**2, 0.0) / np.maximum(n - 1, 1)
    out = (fresh - mean) / (np.where(alone, 1.0, np.sqrt(var)) + 1e-6)
    return np.where(var + alone < 1e-12, 0.0, out)


class Dense:
    """R replicates of the case."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, self.rng = case, np.random.default_rng(seed)
        self.class_K = np.repeat(np.arange(3), SIZES)
        start = np.log(np.repeat(np.array(MASS) / SIZES, SIZES))
        self.start = start
        self.x = np.concatenate([np.tile(start, (R, 1)), np.zeros((R, 3))], axis=1)
        self.m, self.v, self.step = np.zeros_like(self.x), np.zeros_like(self.x), 0
        self.past: list[Floats] = []

    def log_policy(self) -> Floats:
        z = self.x[:, :-3] + self.case.shared * self.x[:, -3:][:, self.class_K]
        z = z - z.max(1, keepdims=True)
        return np.asarray(z - np.log(np.exp(z).sum(1, keepdims=True)))

    def pull(self, log_pi: Floats, n: int) -> tuple[NDArray[np.int64], Floats]:
        """Arms and rewards, (R, n)."""
        edges = np.exp(log_pi).cumsum(1)
        arms = (self.rng.random((R, n, 1)) * edges[:, None, -1:] >= edges[:, None, :]).sum(2)
        right = self.rng.random((R, n)) < np.array(REWARD)[self.class_K[arms]]
        return arms, np.array(GRADE)[self.class_K[arms]] if self.case.graded else right.astype(float)

    def ascend(self, gradient: Floats) -> None:
        self.step += 1
        if not self.case.adam:
            self.x += self.case.rate * gradient
            return
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        m, v = self.m / (1 - 0.9**self.step), self.v / (1 - 0.999**self.step)
        self.x += self.case.rate * m / (np.sqrt(v) + 1e-8)

    def round(self) -> None:
        case, n = self.case, self.case.B * self.case.G
        old = self.log_policy()
        arms, rewards = self.pull(old, n)
        extra = self.pull(old, case.B * case.baseline)[1].reshape(R, case.B, case.baseline)
        fresh = rewards.reshape(R, case.B, case.G)
        room = max(0, case.window - case.G - case.baseline)
        recent = self.past[-room:] if room else []
        window = np.zeros((R, case.B, len(recent)))
        for i, column in enumerate(recent):
            window[:, :, i] = column[:, None]
        others = np.concatenate([extra, window], axis=2)
        s = signals(case, fresh, others, np.ones(others.shape, bool)).reshape(R, n)
        for b in range(case.B):
            self.past += [*fresh[:, b].T, *extra[:, b].T]
        rows = np.arange(R)[:, None]
        for _ in range(case.updates):
            log_pi = self.log_policy()
            now = log_pi[rows, arms]
            ratio = np.exp(now - old[rows, arms])
            weight = s * ratio * ~(((s > 0) & (ratio > 1.2)) | ((s < 0) & (ratio < 0.8)))
            d = self.start[arms] - now
            if case.kl:
                weight = weight + case.kl_coef * {"k1": -1.0 + 0 * d, "k2": d, "k3": np.exp(d) - 1}[case.kl]
            gradient = -weight.mean(1, keepdims=True) * np.exp(log_pi)
            for i in range(n):
                gradient[np.arange(R), arms[:, i]] += weight[:, i] / n
            by_class = np.stack([gradient[:, self.class_K == c].sum(1) for c in range(3)], axis=1)
            self.ascend(np.concatenate([gradient, case.shared * by_class], axis=1))


def dense(case: Case, seed: int) -> Floats:
    """Pass@1 after the rounds of LOOK, (R, 3)."""
    world, seen = Dense(case, seed), []
    for t in range(1, ROUNDS + 1):
        world.round()
        if t in LOOK:
            seen.append(np.exp(world.log_policy()) @ np.repeat(REWARD, SIZES))
    return np.stack(seen, axis=1)


def lumped(case: Case, seeds: range) -> Floats:
    penalty = {"kl_coef": case.kl_coef, "kl_estimator": case.kl} if case.kl else {}
    design = Design(
        batch_size=case.B,
        rollouts=case.G,
        baseline_rollouts=case.baseline,
        replay_window=case.window,
        reward="graded" if case.graded else "zero-one",
        signal=case.signal,  # type: ignore[arg-type]
        optimizer="adam" if case.adam else "sgd",
        learning_rate=case.rate,
        updates_per_round=case.updates,
        rounds=ROUNDS,
        **penalty,  # type: ignore[arg-type]
    )
    arrays = (np.array(x, float) for x in (SIZES, MASS, REWARD, GRADE))
    return simulate(Bandit(*arrays, case.shared), design, root_seed=11, seeds=seeds, eval_rounds=LOOK).p_RE


@cache
def pair(name: str) -> tuple[Floats, Floats]:
    i = list(CASES).index(name)
    return lumped(CASES[name], range(i * R, (i + 1) * R)), dense(CASES[name], 500 + i)


@pytest.mark.parametrize("name", CASES)
def test_same_distribution(name: str) -> None:
    ours, reference = (np.round(x, 9) for x in pair(name))
    level = FAMILY_LEVEL / (len(CASES) * len(LOOK))
    for e in range(len(LOOK)):
        assert stats.ks_2samp(ours[:, e], reference[:, e], method="asymp").pvalue > level


@pytest.mark.parametrize("moment", [1, 2])
def test_no_small_difference_anywhere(moment: int) -> None:
    """Over all cases the standardised differences of mean (and spread) of the last p are standard normal."""
    z = []
    for name in CASES:
        a, b = (sample[:, -1] for sample in pair(name))
        if moment == 2:
            a, b = (a - a.mean()) ** 2, (b - b.mean()) ** 2
        z.append((a.mean() - b.mean()) / np.sqrt(a.var() / R + b.var() / R))
    p_value = stats.chi2.sf(np.sum(np.square(z)), len(z))
    assert 1e-3 < p_value < 1 - 1e-3
    assert abs(np.sum(z)) < 3.5 * np.sqrt(len(z))


@pytest.mark.parametrize("name", [name for name in CASES if name != "KL k1"])
def test_each_feature_matters(name: str) -> None:
    """Without what the case is about the law is another: the comparison above could fail."""
    case = CASES[name]
    fields = {
        **vars(case),
        "baseline": 0,
        "window": 0,
        "kl": "",
        "updates": 1,
        "graded": False,
        "shared": 0.0,
    }
    if case.G == 1:
        fields |= {"signal": "raw"}
    plain = dense(Case(**fields), 77)[:, -1]
    assert stats.ks_2samp(np.round(plain, 9), np.round(pair(name)[0][:, -1], 9)).pvalue < 1e-4
