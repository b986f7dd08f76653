"""Pulls per second of the exact lumped bandit beside dense competitors: one run prints one table.

Setting: every arm pays off with probability .5, one rollout, raw {0,1} reward, SGD with learning rate .5,
T = 400 rounds, on one core. The dense competitors keep a logit per arm and draw every arm: NumPy batched over
replicates; Numba, one replicate at a time, with this package's vectorised exponential and no update on a
failure (which changes nothing). Where the full number of replicates would take minutes they run fewer rounds
or replicates, as the table says; pulls per second are per pull they did make. The floor is the time of the
random numbers alone, one Philox block a pull. Beside it stands the RFT regime (10% of 1e4 arms correct,
learning rate 2). Each line is the best of several runs in a process of its own; memory is its growth.

    python benchmarks/lumped.py [--json] [--repeats 3]
"""

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from sims.exponential import exp
from sims.learner import Learner
from sims.lumped import Bandit, simulate
from sims.philox import block, fill_pulls, unit

ROUNDS, REPLICATES, ROOT_SEED, SAMPLE = 400, 1000, 7, 1
RAW = np.array([[0.0, 0.0], [0.0, 1.0]])
Floats = NDArray[np.float64]
Job = Callable[[], int]


def lumped(arms: list[float], mass: list[float], reward: list[float], rate: float) -> Job:
    """The package's simulator."""
    bandit, learner = Bandit.of(arms, mass, reward), Learner(RAW, rate)

    def job() -> int:
        simulate(
            bandit,
            learner,
            root_seed=ROOT_SEED,
            seeds=range(REPLICATES),
            rounds=ROUNDS,
            eval_rounds=[0, ROUNDS],
        )
        return REPLICATES * ROUNDS

    return job


def floor() -> Job:
    """The random numbers alone."""
    out = np.empty((ROUNDS, 4))

    def job() -> int:
        for seed in range(REPLICATES):
            fill_pulls(out, ROOT_SEED, seed, 0, SAMPLE, 1, 1)
        return REPLICATES * ROUNDS

    return job


def dense_numpy(reward_K: Floats, rate: float, replicates: int, rounds: int) -> Job:
    """Logits (R, K), batched over replicates."""

    def job() -> int:
        rng = np.random.default_rng(0)
        theta = np.zeros((replicates, len(reward_K)))
        rows = np.arange(replicates)
        for _ in range(rounds):
            pi = np.exp(theta - theta.max(axis=1, keepdims=True))
            total = pi.cumsum(axis=1)
            arms = (total < (rng.random(replicates) * total[:, -1])[:, None]).sum(axis=1)
            s = (rng.random(replicates) < reward_K[arms]).astype(float)
            theta -= (rate * s / total[:, -1])[:, None] * pi
            theta[rows, arms] += rate * s
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
def _dense_numba(w: Floats, reward: Floats, rate: float, seed: int, rounds: int) -> float:
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
    return total


def dense_numba(reward_K: Floats, rate: float, replicates: int, rounds: int) -> Job:
    """Weights (K,), one replicate at a time."""
    w = np.empty(len(reward_K))

    def job() -> int:
        for seed in range(replicates):
            _dense_numba(w, reward_K, rate, seed, rounds)
        return replicates * rounds

    return job


def half(K: float) -> Job:
    """The lumped simulator where every arm is Bernoulli(.5)."""
    return lumped([K], [1.0], [0.5], 0.5)


def rft_rewards() -> Floats:
    """1,000 correct arms of 10,000."""
    return np.repeat([1.0, 0.0], [1000, 9000])


LINES: dict[str, tuple[str, str, Callable[[], Job]]] = {
    "floor": ("random numbers alone", "any", floor),
    "half 1e4": ("lumped, Bernoulli(.5), K = 1e4", "half", lambda: half(1e4)),
    "half 1e6": ("lumped, Bernoulli(.5), K = 1e6", "half", lambda: half(1e6)),
    "half 1e12": ("lumped, Bernoulli(.5), K = 1e12", "half", lambda: half(1e12)),
    "numba": (
        "dense Numba, K = 1e4 (R = 20)",
        "half",
        lambda: dense_numba(np.full(10_000, 0.5), 0.5, 20, ROUNDS),
    ),
    "numpy": (
        "dense NumPy, K = 1e4 (R = 100, T = 20)",
        "half",
        lambda: dense_numpy(np.full(10_000, 0.5), 0.5, 100, 20),
    ),
    "rft": (
        "lumped, RFT regime, K = 1e4",
        "rft",
        lambda: lumped([1000, 9000], [0.1, 0.9], [1, 0], 2.0),
    ),
    "rft numba": (
        "dense Numba, RFT regime (R = 20)",
        "rft",
        lambda: dense_numba(rft_rewards(), 2.0, 20, ROUNDS),
    ),
    "rft numpy": (
        "dense NumPy, RFT regime (R = 100, T = 20)",
        "rft",
        lambda: dense_numpy(rft_rewards(), 2.0, 100, 20),
    ),
}


def measure(key: str, repeats: int) -> dict[str, float]:
    """Seconds of the best run, pulls per second, and growth of peak memory in MiB after the compile."""
    job = LINES[key][2]()
    if key == "numba" or key == "rft numba":
        _dense_numba(np.empty(8), np.zeros(8), 1.0, 0, 1)
        _dense_numba(np.empty(8), np.ones(8), 1.0, 0, 1)
    else:
        simulate(
            Bandit.of([2], [1], [1]), Learner(RAW, 1.0), root_seed=0, seeds=[0], rounds=2, eval_rounds=[0, 2]
        )
        fill_pulls(np.empty((4, 4)), 0, 0, 0, 1, 1, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    best, pulls = np.inf, 0
    for _ in range(repeats):
        start = time.process_time()
        pulls = job()
        best = min(best, time.process_time() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": best, "pulls": pulls, "pulls_per_s": pulls / best, "peak_mib": grown}


def main() -> None:
    """Measure every line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--repeats", type=int, default=3, help="runs per line; the best counts")
    options = parser.parse_args()
    measured = {}
    for key in LINES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            measured[key] = pool.apply(measure, (key, options.repeats))
    if options.json:
        print(json.dumps(measured))
        return
    best_half = max(measured[k]["pulls_per_s"] for k in ("numba", "numpy"))
    best_rft = max(measured[k]["pulls_per_s"] for k in ("rft numba", "rft numpy"))
    print(f"{'':42}{'M pulls/s':>10}{'ns/pull':>10}{'MiB':>8}{'x best dense':>14}")
    for key, (label, regime, _) in LINES.items():
        line = measured[key]
        rate = line["pulls_per_s"]
        ratio = "" if regime == "any" else f"{rate / (best_half if regime == 'half' else best_rft):,.1f}"
        print(f"{label:42}{rate / 1e6:10.3f}{1e9 / rate:10.1f}{line['peak_mib']:8.1f}{ratio:>14}")


if __name__ == "__main__":
    main()
