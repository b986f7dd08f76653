"""Dense softmax bandits to measure the lumped one against: a weight per arm, every arm in every draw.

All of them hold unnormalised probabilities w (total Z, at first uniform), draw from the cumulative sum over
all arms, and change nothing on a failure, since raw {0,1} rewards then carry no signal. On a success every
weight is multiplied by e^(-rate w / Z) and the pulled one by e^rate besides. NumPy and torch take all
replicates at once, and the failures' rows are left alone; Numba one at a time with this package's vectorised
exponential. The JAX version stands in `dense_jax.py`, since JAX is installed for the benchmark only.
"""

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from sims.compiled.exponential import exp
from sims.compiled.philox import block, unit

Floats = NDArray[np.float64]
Job = Callable[[], int]
"""Runs once and says how many pulls it made."""


def rewards(K: int, correct: int | None) -> Floats:
    """P(reward) of each arm, (K,): one half everywhere, or 1 for the first ``correct`` arms and 0 beyond."""
    return np.full(K, 0.5) if correct is None else (np.arange(K) < correct).astype(float)


def with_numpy(reward_K: Floats, rate: float, replicates: int, rounds: int) -> Job:
    """Weights (R, K)."""

    def job() -> int:
        rng = np.random.default_rng(0)
        w_RK = np.full((replicates, len(reward_K)), 1.0 / len(reward_K))
        cumulative_RK = w_RK.cumsum(axis=1)
        for _ in range(rounds):
            point_R = rng.random(replicates) * cumulative_RK[:, -1]
            arm_R = (cumulative_RK <= point_R[:, None]).sum(axis=1)
            won = np.flatnonzero(rng.random(replicates) < reward_K[arm_R])
            if len(won):
                w_WK = w_RK[won]
                w_WK *= np.exp((-rate / cumulative_RK[won, -1])[:, None] * w_WK)
                w_WK[np.arange(len(won)), arm_R[won]] *= np.exp(rate)
                w_RK[won] = w_WK
                cumulative_RK[won] = w_WK.cumsum(axis=1)
        return replicates * rounds

    return job


def with_torch(reward_K: Floats, rate: float, replicates: int, rounds: int) -> Job:
    """Weights (R, K) as a float64 tensor, one thread."""
    import torch

    torch.set_num_threads(1)
    rewards_K = torch.from_numpy(reward_K)

    def job() -> int:
        torch.manual_seed(0)
        w_RK = torch.full((replicates, len(reward_K)), 1.0 / len(reward_K), dtype=torch.float64)
        cumulative_RK = w_RK.cumsum(1)
        for _ in range(rounds):
            point_R = torch.rand(replicates, dtype=torch.float64) * cumulative_RK[:, -1]
            arm_R = torch.searchsorted(cumulative_RK, point_R[:, None], right=True)[:, 0]
            chance_R = rewards_K[arm_R.clamp(max=len(reward_K) - 1)]
            won = (torch.rand(replicates, dtype=torch.float64) < chance_R).nonzero()[:, 0]
            if len(won):
                w_WK = w_RK[won]
                w_WK *= torch.exp_((-rate / cumulative_RK[won, -1:]) * w_WK)
                w_WK[torch.arange(len(won)), arm_R[won]] *= np.exp(rate)
                w_RK[won] = w_WK
                cumulative_RK[won] = w_WK.cumsum(1)
        return replicates * rounds

    return job


@numba.njit(error_model="numpy", fastmath={"contract", "reassoc", "nnan", "nsz"})
def _step(w: Floats, rate: float) -> float:
    total = 0.0
    for k in range(len(w)):
        x = w[k] * exp(rate * w[k])
        w[k] = x
        total += x
    return total


@numba.njit(error_model="numpy")
def replicate(w: Floats, reward: Floats, rate: float, seed: int, rounds: int) -> None:
    """One replicate of the Numba version; ``w`` is scratch, (K,)."""
    w[:] = 1.0 / len(w)
    total = 1.0
    for t in range(1, rounds + 1):
        place = np.uint64(t) << np.uint64(32)
        zero, one = np.uint64(0), np.uint64(1)
        words = block(np.uint64(7), np.uint64(seed), zero, place, zero, one)
        point, arm = unit(words[0]) * total, 0
        while arm < len(w) - 1 and point >= w[arm]:
            point -= w[arm]
            arm += 1
        if unit(words[2]) < reward[arm]:
            total = _step(w, -rate / total) - w[arm]
            w[arm] *= np.exp(rate)
            total += w[arm]


def with_numba(reward_K: Floats, rate: float, replicates: int, rounds: int) -> Job:
    """Weights (K,), one replicate at a time."""
    w_K = np.empty(len(reward_K))
    replicate(np.empty(8), np.ones(8), 1.0, 0, 1)

    def job() -> int:
        for seed in range(replicates):
            replicate(w_K, reward_K, rate, seed, rounds)
        return replicates * rounds

    return job


DENSE = {"NumPy": with_numpy, "torch": with_torch, "Numba": with_numba}
