"""Rollouts per second of the batched contextual world beside dense competitors: one run prints one table.

Setting: d = 64, a pool of 128 training queries per seed, B = 32 queries of G = 8 rollouts a round, Adam, 500
test contexts evaluated every 10 rounds with one sample each, T = 400 rounds, on one core; raw and GRPO
signals. Our lines are whole runs: contexts drawn, trained, evaluated, records made. The competitors compute
the same numbers (of every round: mean reward, mean and variance of signals, share of groups without signal,
norm of the update) in the straightforward way, vectorised over replicates with their library's own generator
and its BLAS: NumPy with all replicates at once and with 16 at a time (closer to the cache), and torch, if it
is installed, without gradients. The floor is the time of the random numbers alone: one Philox block for four
rollouts of a group, and one for four test answers. Each line is the best of several runs in a process of its
own, in CPU time.

    python benchmarks/contextual.py [--json] [--repeats 3]
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS, EVERY, POOL, BATCH, GROUP, DIM, TESTS, ROOT_SEED = 400, 10, 128, 32, 8, 64, 500, 7
REPLICATES = 256
RATE, BETAS, EPS = 0.005, (0.9, 0.999), 1e-8
ROLLOUTS = REPLICATES * ROUNDS * BATCH * GROUP
Floats = NDArray[np.float64]
Job = Callable[[], None]


def ours(signal: str) -> Job:
    """The package's simulator, records included."""
    import sims
    from banditrft.design import Design, Evaluation
    from banditrft.runs import Run
    from banditrft.worlds import ContextualWorld

    world = ContextualWorld(
        seeds=REPLICATES,
        dimension=DIM,
        train_items=POOL,
        base_pass_at_1="any",
        test_items=TESTS,
        keep_groups=False,
    )
    design = Design.model_validate(
        {
            "signal": signal,
            "learning_rate": RATE,
            "rounds": ROUNDS,
            "batch_size": BATCH,
            "rollouts": GROUP,
        }
    )
    evaluation = Evaluation(
        test_every=EVERY, eval_every=ROUNDS, eval_samples=1, final_eval_samples=1, final_test_samples=1
    )
    return lambda: void(sims.execute(Run("id", world, "c", design, evaluation, ROOT_SEED, range(REPLICATES))))


def void(_: object) -> None:
    """Throw a result away."""


def floor(_: str) -> Job:
    """The random numbers alone."""
    from sims.contextual.draws import fill_uniforms

    rollouts, tests = np.empty((REPLICATES, BATCH, GROUP)), np.empty((REPLICATES, 1, TESTS))
    seeds = np.arange(REPLICATES)

    def job() -> None:
        for t in range(1, ROUNDS + 1):
            fill_uniforms(rollouts, ROOT_SEED, seeds, seeds, 1, t)
            if t % EVERY == 0:
                fill_uniforms(tests, ROOT_SEED, seeds, seeds, 4, t)

    return job


def contexts(rng: np.random.Generator, replicates: int) -> tuple[Floats, Floats, Floats]:
    """Pool (R, N, D), test contexts (M, D) and base weights (D,) of theory §6's world."""
    mu, w0 = np.zeros(DIM), np.zeros(DIM)
    mu[0], w0[:2] = 2.0, (0.6, 0.9)
    return mu + rng.standard_normal((replicates, POOL, DIM)), mu + rng.standard_normal((TESTS, DIM)), w0


def numpy_rounds(rng: np.random.Generator, replicates: int, signal: str) -> Floats:
    """Number of right test answers (R, evaluations)."""
    u, test, w0 = contexts(rng, replicates)
    w, rows = np.tile(w0, (replicates, 1)), np.arange(replicates)[:, None]
    m, v = np.zeros_like(w), np.zeros_like(w)
    order = np.tile(np.arange(POOL), (replicates, 1))
    correct, notes = np.zeros((replicates, ROUNDS // EVERY)), np.zeros((5, replicates, ROUNDS))
    for t in range(1, ROUNDS + 1):
        place = (t - 1) * BATCH % POOL
        if place == 0:
            order = rng.permuted(order, axis=1)
        batch = u[rows, order[:, place : place + BATCH]]
        p = 1 / (1 + np.exp(-(batch @ w[:, :, None])))
        right = (rng.random((replicates, BATCH, GROUP)) < p).astype(float)
        s = right
        if signal == "grpo":
            s = (right - right.mean(axis=2, keepdims=True)) / (
                right.std(axis=2, ddof=1, keepdims=True) + 1e-6
            )
        slope = (s * (right - p)).sum(axis=2) / (BATCH * GROUP)
        grad = (slope[:, None, :] @ batch)[:, 0]
        m = BETAS[0] * m + (1 - BETAS[0]) * grad
        v = BETAS[1] * v + (1 - BETAS[1]) * grad**2
        change = RATE * m / (1 - BETAS[0] ** t) / (np.sqrt(v / (1 - BETAS[1] ** t)) + EPS)
        w = w + change
        notes[0, :, t - 1] = right.mean(axis=(1, 2))
        notes[1, :, t - 1], notes[2, :, t - 1] = s.mean(axis=(1, 2)), s.var(axis=(1, 2))
        notes[3, :, t - 1] = 1 - s.any(axis=2).mean(axis=1)
        notes[4, :, t - 1] = np.sqrt((change**2).sum(axis=1))
        if t % EVERY == 0:
            p_test = 1 / (1 + np.exp(-(w @ test.T)))
            correct[:, t // EVERY - 1] = (rng.random((replicates, TESTS)) < p_test).sum(axis=1)
    return correct


def dense_numpy(signal: str) -> Job:
    """All replicates at once."""
    return lambda: void(numpy_rounds(np.random.default_rng(0), REPLICATES, signal))


def dense_numpy_16(signal: str) -> Job:
    """16 replicates at a time."""

    def job() -> None:
        rng = np.random.default_rng(0)
        for _ in range(REPLICATES // 16):
            numpy_rounds(rng, 16, signal)

    return job


def torch_rounds(torch: Any, signal: str) -> Any:
    """As `numpy_rounds`, on torch tensors."""
    u_, test_, w0_ = contexts(np.random.default_rng(0), REPLICATES)
    u, test, w = torch.tensor(u_), torch.tensor(test_), torch.tensor(np.tile(w0_, (REPLICATES, 1)))
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    rows, double = torch.arange(REPLICATES)[:, None], torch.float64
    order = torch.zeros((REPLICATES, POOL), dtype=torch.int64)
    correct, notes = torch.zeros((REPLICATES, ROUNDS // EVERY)), torch.zeros((5, REPLICATES, ROUNDS))
    for t in range(1, ROUNDS + 1):
        place = (t - 1) * BATCH % POOL
        if place == 0:
            order = torch.rand((REPLICATES, POOL)).argsort(dim=1)
        batch = u[rows, order[:, place : place + BATCH]]
        p = torch.sigmoid(batch @ w[:, :, None])
        right = (torch.rand((REPLICATES, BATCH, GROUP), dtype=double) < p).to(double)
        s = right
        if signal == "grpo":
            s = (right - right.mean(2, keepdim=True)) / (right.std(2, correction=1, keepdim=True) + 1e-6)
        slope = (s * (right - p)).sum(2) / (BATCH * GROUP)
        grad = (slope[:, None, :] @ batch)[:, 0]
        m = BETAS[0] * m + (1 - BETAS[0]) * grad
        v = BETAS[1] * v + (1 - BETAS[1]) * grad**2
        change = RATE * m / (1 - BETAS[0] ** t) / (torch.sqrt(v / (1 - BETAS[1] ** t)) + EPS)
        w = w + change
        notes[0, :, t - 1] = right.mean((1, 2))
        notes[1, :, t - 1], notes[2, :, t - 1] = s.mean((1, 2)), s.var((1, 2), correction=0)
        notes[3, :, t - 1] = 1 - s.any(2).double().mean(1)
        notes[4, :, t - 1] = torch.sqrt((change**2).sum(1))
        if t % EVERY == 0:
            p_test = torch.sigmoid(w @ test.T)
            correct[:, t // EVERY - 1] = (
                (torch.rand((REPLICATES, TESTS), dtype=double) < p_test).sum(1).float()
            )
    return correct


def dense_torch(signal: str) -> Job:
    """All replicates at once, one thread."""
    torch: ModuleType = importlib.import_module("torch")
    torch.set_num_threads(1)

    def job() -> None:
        with torch.inference_mode():
            torch_rounds(torch, signal)

    return job


LINES: dict[str, Callable[[str], Job]] = {
    "random numbers alone": floor,
    "banditrft, whole runs": ours,
    "dense NumPy": dense_numpy,
    "dense NumPy, 16 replicates at a time": dense_numpy_16,
    "dense torch": dense_torch,
}


def measure(line: str, signal: str, repeats: int) -> float:
    """Rollouts per second of CPU time, the best run; the first one compiles and does not count."""
    job = LINES[line](signal)
    job()
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        job()
        best = min(best, time.process_time() - start)
    return ROLLOUTS / best


def main() -> None:
    """Measure every line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--repeats", type=int, default=3, help="runs per line; the best counts")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    lines = [line for line in LINES if line != "dense torch" or importlib.util.find_spec("torch")]
    measured: dict[str, dict[str, float]] = {}
    for line in lines:
        for signal in ("raw", "grpo"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                measured.setdefault(line, {})[signal] = pool.apply(measure, (line, signal, options.repeats))
    if options.json:
        print(json.dumps(measured))
        return
    dense = [line for line in lines if line.startswith("dense")]
    print(f"{'M rollouts/s (ns per rollout)':40}{'raw':>18}{'grpo':>18}{'x best dense':>18}")
    for line in lines:
        rates = measured[line]
        cells = "".join(f"{rate / 1e6:9.2f} ({1e9 / rate:6.1f})" for rate in rates.values())
        ratios = " / ".join(f"{rate / max(measured[d][s] for d in dense):.1f}" for s, rate in rates.items())
        print(f"{line:40}{cells}{ratios:>18}")


if __name__ == "__main__":
    main()
