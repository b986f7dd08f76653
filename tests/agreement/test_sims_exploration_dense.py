"""Lumped bandit algorithms against dense ones: every arm with counts of its own, plain NumPy, in distribution."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sims.exploration import Explorer, explore
from sims.lumped.simulator import Bandit

pytestmark = pytest.mark.slow(10)

ARMS, MASS, REWARD = (2, 3, 4), (0.5, 0.2, 0.3), (0.8, 0.35, 0.1)
R, ROUNDS, LOOK = 1500, 50, (10, 50)
FAMILY_LEVEL = 1e-3
Floats = NDArray[np.float64]
EXPLORERS = [
    Explorer("ucb1"),
    Explorer("ucb1", informed=True),
    Explorer("kl-ucb"),
    Explorer("thompson"),
    Explorer("belief", informed=True, assumed=(0.2, 0.7)),
    Explorer("epsilon-greedy", epsilon=0.3),
    Explorer("epsilon-greedy", informed=True, decay=4.0),
]


@cache
def kl_index(n: int, s: int, t: int) -> float:
    """By a fine grid, to share nothing with what it checks."""
    p, q = s / n, np.linspace(s / n, 1.0, 20_001)[1:-1]
    gap = (p * np.log(p / q) if p else 0.0) + ((1 - p) * np.log((1 - p) / (1 - q)) if p < 1 else 0.0)
    return float(q[np.atleast_1d(gap) <= math.log(t) / n].max(initial=p))


def index(explorer: Explorer, n: int, s: int, t: int) -> float:
    if explorer.kind == "epsilon-greedy":
        return s / n if n else 0.0
    if n == 0:
        return math.inf
    return s / n + math.sqrt(2 * math.log(t) / n) if explorer.kind == "ucb1" else kl_index(n, s, t)


def chooser(
    explorer: Explorer, prior: Floats, rng: np.random.Generator
) -> Callable[[Floats, Floats, int], int]:
    """An arm for given pulls n and successes s of every arm."""
    weight = prior if explorer.informed else np.ones_like(prior)

    def choose(n: Floats, s: Floats, t: int) -> int:
        if explorer.kind == "thompson":
            return int(np.argmax(rng.beta(1 + s, 1 + n - s)))
        if explorer.kind == "belief":
            wrong, good = explorer.assumed
            odds = weight * (good / wrong) ** s * ((1 - good) / (1 - wrong)) ** (n - s)
            return int(rng.choice(len(n), p=odds / odds.sum()))
        epsilon = min(1.0, explorer.decay / t) if explorer.decay else explorer.epsilon
        tied = np.ones(len(n), bool)
        if explorer.kind != "epsilon-greedy" or rng.random() >= epsilon:
            values = np.array([index(explorer, int(a), int(b), t) for a, b in zip(n, s, strict=True)])
            tied = values == values.max()
        return int(rng.choice(np.flatnonzero(tied), p=weight[tied] / weight[tied].sum()))

    return choose


def dense(explorer: Explorer, replicates: int) -> tuple[Floats, Floats]:
    prior = np.repeat(np.divide(MASS, ARMS), ARMS)
    reward = np.repeat(REWARD, ARMS)
    gain, tried = np.zeros((replicates, len(LOOK))), np.zeros(replicates)
    for r in range(replicates):
        rng = np.random.default_rng([17, r])
        choose = chooser(explorer, prior, rng)
        n, s, total = np.zeros(len(prior)), np.zeros(len(prior)), 0.0
        for t in range(1, ROUNDS + 1):
            arm = choose(n, s, t)
            total += reward[arm]
            n[arm] += 1
            s[arm] += rng.random() < reward[arm]
            if t in LOOK:
                gain[r, LOOK.index(t)] = total
        tried[r] = (n > 0).sum()
    return gain, tried


def same_law(ours: Floats, theirs: Floats) -> float:
    """p-value of a chi-squared test of two samples over pooled tenths."""
    edges = np.unique(np.quantile(np.concatenate([ours, theirs]), np.linspace(0, 1, 11)[1:-1]))
    counts = np.array(
        [np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1) for x in (ours, theirs)]
    )
    counts = counts[:, counts.sum(axis=0) >= 10]
    return 1.0 if counts.shape[1] < 2 else float(stats.chi2_contingency(counts).pvalue)


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: f"{e.kind}{'-informed' * e.informed}")
def test_lumps_follow_the_law_of_single_arms(explorer: Explorer) -> None:
    few = R if explorer.kind in ("thompson", "belief") else R // 3
    paths = explore(
        Bandit.of(ARMS, MASS, REWARD), explorer, root_seed=3, seeds=range(R), rounds=ROUNDS, eval_rounds=LOOK
    )
    gain, tried = dense(explorer, few)
    pairs = [(paths.gain_RE[:, e], gain[:, e]) for e in range(len(LOOK))] + [(paths.tried_R, tried)]
    rounded = [(np.round(a, 9), np.round(b, 9)) for a, b in pairs]
    assert min(same_law(a, b) for a, b in rounded) > FAMILY_LEVEL / (3 * len(EXPLORERS))
