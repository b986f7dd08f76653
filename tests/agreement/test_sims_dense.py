"""Lumped against dense: every arm with a logit of its own, no lumping, plain NumPy, compared in distribution."""

import sys
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from banditrft.design import Design
from banditrft.rewards import RewardMap
from banditrft.signals import table
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

pytestmark = pytest.mark.slow(15)

R, ROUNDS, LOOK = 2000, 16, (1, 5, 16)
MASS, REWARD = (0.4, 0.35, 0.25), (1.0, 0.0, 0.6)
STEP = {"sgd": 2.0, "adam": 0.3}
NOISE = (0.2, 0.3)
"""P(high | wrong), P(low | right) where rewards are noisy."""
SETTINGS = [
    (signal, G, optimizer, size, (0.0, 0.0))
    for signal, G in [("raw", 1), *((s, g) for s in ("raw", "centered", "grpo", "rloo") for g in (2, 4))]
    for optimizer in ("sgd", "adam")
    for size in (1, 3, 50)
] + [
    ("raw", 1, "sgd", 3, NOISE),
    ("grpo", 4, "adam", 3, NOISE),
    ("gpg", 4, "sgd", 3, (0.0, 0.0)),
    ("reinforce-plus-plus", 4, "sgd", 50, NOISE),
    ("batch-centered", 4, "adam", 3, NOISE),
]
Noise = tuple[float, float]
FAMILY_LEVEL = 1e-3
Floats = NDArray[np.float64]


def signals(name: str, r: Floats) -> Floats:
    """Written out again on purpose: the reference shares no code with what it checks."""
    mean = r.mean(axis=1, keepdims=True)
    if name == "raw":
        return r
    if name in ("centered", "batch-centered"):
        return r - mean
    if name == "gpg":
        return (r - mean) * r.shape[1] / np.maximum((r != 0).sum(axis=1, keepdims=True), 1)
    if name == "reinforce-plus-plus":
        return (r - mean) / np.sqrt(((r - mean) ** 2).sum(axis=1, keepdims=True) / (r.shape[1] - 1) + 1e-8)
    if name == "rloo":
        return (r.sum(axis=1, keepdims=True) * -1 + r * r.shape[1]) / (r.shape[1] - 1)
    return (r - mean) / (np.sqrt(((r - mean) ** 2).sum(axis=1, keepdims=True) / (r.shape[1] - 1)) + 1e-6)


def dense(
    signal: str, G: int, optimizer: str, sizes: Sequence[int], seed: int, noise: Noise = (0.0, 0.0)
) -> Floats:
    """Pass@1 after the rounds of LOOK, (R, 3)."""
    rng = np.random.default_rng(seed)
    reward_K = np.repeat(REWARD, sizes)
    theta = np.tile(np.log(np.repeat(np.array(MASS) / sizes, sizes)), (R, 1))
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    rows, lr, seen = np.arange(R), STEP[optimizer], []
    for t in range(1, ROUNDS + 1):
        pi = np.exp(theta - theta.max(axis=1, keepdims=True))
        pi /= pi.sum(axis=1, keepdims=True)
        total = pi.cumsum(axis=1)
        arms = (rng.random((R, G, 1)) * total[:, None, -1:] >= total[:, None, :]).sum(axis=2)
        right = rng.random((R, G)) < reward_K[arms]
        if any(noise):
            right = rng.random((R, G)) < np.where(right, 1 - noise[1], noise[0])
        s = signals(signal, right.astype(float))
        grad = -s.mean(axis=1, keepdims=True) * pi
        for g in range(G):
            grad[rows, arms[:, g]] += s[:, g] / G
        if optimizer == "sgd":
            theta += lr * grad
        else:
            m = 0.9 * m + 0.1 * grad
            v = 0.999 * v + 0.001 * grad**2
            theta += lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        if t in LOOK:
            pi = np.exp(theta - theta.max(axis=1, keepdims=True))
            seen.append(pi @ reward_K / pi.sum(axis=1))
    return np.stack(seen, axis=1)


def lumped(
    signal: str, G: int, optimizer: str, sizes: Sequence[int], seeds: range, noise: Noise = (0.0, 0.0)
) -> Floats:
    design = Design(
        rollouts=G, signal=signal, optimizer=optimizer, learning_rate=STEP[optimizer], rounds=ROUNDS
    )
    false_positive, false_negative = noise
    learner = TableLearner(
        table(design),
        STEP[optimizer],
        design.optimizer,
        reward=RewardMap(0.0, 1.0, false_positive, 1.0 - false_negative),
    )
    paths = simulate(
        Bandit.of(sizes, MASS, REWARD), learner, root_seed=11, seeds=seeds, rounds=ROUNDS, eval_rounds=LOOK
    )
    return paths.p_RE


@cache
def pair(index: int) -> tuple[Floats, Floats]:
    signal, G, optimizer, size, noise = SETTINGS[index]
    seeds = range(index * R, (index + 1) * R)
    return (
        lumped(signal, G, optimizer, [size] * 3, seeds, noise),
        dense(signal, G, optimizer, [size] * 3, 1000 + index, noise),
    )


def same(a: Floats, b: Floats) -> float:
    """p-value that two samples of p have one law: Kolmogorov-Smirnov on values rounded above float noise."""
    return float(stats.ks_2samp(np.round(a, 9), np.round(b, 9), method="asymp").pvalue)


@pytest.mark.parametrize("index", range(len(SETTINGS)), ids=["-".join(map(str, s)) for s in SETTINGS])
def test_same_distribution(index: int) -> None:
    ours, reference = pair(index)
    level = FAMILY_LEVEL / (len(SETTINGS) * len(LOOK))
    worst = min(same(ours[:, e], reference[:, e]) for e in range(len(LOOK)))
    assert worst > level


@pytest.mark.parametrize("moment", [1, 2])
def test_no_small_difference_anywhere(moment: int) -> None:
    """Over all settings the standardised differences of mean (and spread) of the last p are standard normal."""
    z = []
    for index in range(len(SETTINGS)):
        a, b = (sample[:, -1] for sample in pair(index))
        if moment == 2:
            a, b = (a - a.mean()) ** 2, (b - b.mean()) ** 2
        z.append((a.mean() - b.mean()) / np.sqrt(a.var() / R + b.var() / R))
    p_value = stats.chi2.sf(np.sum(np.square(z)), len(z))
    assert 1e-3 < p_value < 1 - 1e-3
    assert abs(np.sum(z)) < 3.5 * np.sqrt(len(z))


def by_hand(repeats: bool, seed: int) -> Floats:
    """Raw signal, two rollouts, SGD: plain Python lumps [arms, weight, reward] that may forget to repeat arms."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(R):
        slots = [[3.0, mass / 3, reward] for mass, reward in zip(MASS, REWARD, strict=True)]
        for _ in range(LOOK[0]):
            share = np.array([n * w for n, w, _ in slots])
            total = share.sum()
            drawn = [
                int(min((rng.random() * total >= share.cumsum()).sum(), len(share) - 1)) for _ in range(2)
            ]
            s = [float(rng.random() < slots[i][2]) for i in drawn]
            born: list[tuple[int, int]] = []
            pushed = []
            for slot, signal in zip(drawn, s, strict=True):
                if signal == 0.0:
                    continue
                arms = [arm for arm, lump in born if lump == slot]
                whole = slots[slot][0] + len(arms)
                if slot >= 3:
                    pushed.append(slot)
                elif repeats and rng.random() * whole < len(arms):
                    pushed.append(arms[int(rng.integers(len(arms)))])
                elif slots[slot][0] > 0:
                    slots[slot][0] -= 1
                    slots.append([1.0, *slots[slot][1:]])
                    born.append((len(slots) - 1, slot))
                    pushed.append(len(slots) - 1)
            for slot in slots:
                slot[1] *= np.exp(-STEP["sgd"] * np.mean(s) * slot[1] / total)
            for i in pushed:
                slots[i][1] *= np.exp(STEP["sgd"] / 2)
        out.append(sum(n * w * r for n, w, r in slots) / sum(n * w for n, w, _ in slots))
    return np.array(out)


def test_forgetting_repeats_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two draws of a small lump may be one arm: a simulator without that fails the two-sample test above."""
    monkeypatch.setattr(sys.modules[__name__], "MASS", (0.8, 0.1, 0.1))
    sizes, level = [3, 3, 3], FAMILY_LEVEL / (len(SETTINGS) * len(LOOK))
    reference = dense("raw", 2, "sgd", sizes, seed=5)[:, 0]
    assert same(lumped("raw", 2, "sgd", sizes, range(R))[:, 0], reference) > 1e-3
    assert same(by_hand(True, seed=6), reference) > 1e-3
    assert same(by_hand(False, seed=6), reference) < level


@pytest.mark.parametrize("G", [1, 4])
def test_a_trillion_arms_behave_like_ten_thousand(G: int) -> None:
    design = Design(rollouts=G, optimizer="sgd", learning_rate=1.0, rounds=400)
    learner, hits = TableLearner(table(design), 1.0), []
    for arms, seeds in ((1e4, range(R)), (1e12, range(R, 2 * R))):
        bandit = Bandit.of([1, arms], [0.05, 0.95], [1, 0])
        paths = simulate(bandit, learner, root_seed=3, seeds=seeds, rounds=600, target=0.95)
        assert (paths.slots_R == 2).all()
        hits.append(np.where(paths.hit_R < 0, 601, paths.hit_R))
    assert stats.ks_2samp(*hits, method="asymp").pvalue > 1e-3


def test_state_grows_with_reinforced_arms_not_with_arms() -> None:
    """Every arm pays off half the time: a slot per success at 1e12 arms, fewer where arms repeat."""
    learner, grown = TableLearner(np.array([[0.0, 0.0], [0.0, 1.0]]), 0.5), []
    for arms in (1e2, 1e12):
        paths = simulate(Bandit.of([arms], [1], [0.5]), learner, root_seed=3, seeds=range(50), rounds=400)
        assert (paths.slots_R <= 1 + np.minimum(paths.high_RT.sum(axis=1), arms)).all()
        grown.append(paths.slots_R.mean())
    assert grown[0] < 101
    assert grown[1] == 1 + paths.high_RT.sum(axis=1).mean()
