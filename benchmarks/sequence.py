"""Tokens per second of the sequence bandit beside its random numbers and dense competitors: one table a run.

RLOO with four rollouts under Adam, base Pass@1 .3, T of 8, 64 and 512 positions, on one core. A token is one
position of one rollout: drawn, rewarded, and fed to the position's update. "floor" makes the random numbers
alone: a Philox block for four tokens ("direction") or for two ("table"). The dense competitors keep one gap
(direction) or V logits (table) for every position of every replicate and draw with their own generators; they
run fewer rounds where the full number would take minutes, which the rate allows for. Each line is the best of
several runs, in CPU seconds.

    python benchmarks/sequence.py [--json] [--repeats 3]
"""

import argparse
import json
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import expit, logit

from banditrft.design import Design
from banditrft.worlds import SequenceWorld
from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, block
from sims.sequence import simulate

LENGTHS, GROUP, BASE, RATE, ROOT = (8, 64, 512), 4, 0.3, 0.01, 7
ROUNDS, REPLICATES = 100, {8: 256, 64: 256, 512: 64}
OPTIONS = 1_000
DENSE_ROUNDS = 3
DESIGN = Design(learning_rate=RATE, rounds=ROUNDS, rollouts=GROUP, signal="rloo", optimizer="adam")
Job = Callable[[], int]
"""Runs something and says how many tokens that were."""


@kernel
def draw_blocks(blocks: int, replicates: int, rounds: int, group: int) -> int:
    """Philox blocks and nothing else; a number that depends on all of them."""
    total = np.uint64(0)
    for r in range(replicates):
        for t in range(rounds):
            for g in range(group):
                place = (np.uint64(t) << ROLLOUT_BITS) | np.uint64(g)
                for b in range(blocks):
                    words = block(np.uint64(7), np.uint64(r), np.uint64(b), place, np.uint64(0), np.uint64(1))
                    total ^= words[0] ^ words[1] ^ words[2] ^ words[3]
    return int(total & np.uint64(1))


def floor(length: int, tokens_of_a_block: int) -> Job:
    def job() -> int:
        draw_blocks(-(-length // tokens_of_a_block), REPLICATES[length], ROUNDS, GROUP)
        return REPLICATES[length] * ROUNDS * GROUP * length

    return job


def ours(length: int, geometry: str, options: int) -> Job:
    settings = {"tokens": length, "base_pass_at_1": BASE, "geometry": geometry, "vocabulary": options}
    world = SequenceWorld.model_validate({"seeds": 1} | settings)

    def job() -> int:
        simulate(world, DESIGN, root_seed=ROOT, seeds=range(REPLICATES[length]), eval_rounds=[0, ROUNDS])
        return REPLICATES[length] * ROUNDS * GROUP * length

    return job


def numpy_direction(length: int) -> Job:
    R, rng = REPLICATES[length], np.random.default_rng(0)

    def job() -> int:
        gap = np.full((R, length), logit(BASE ** (1 / length)))
        m, v = np.zeros_like(gap), np.zeros_like(gap)
        for t in range(1, ROUNDS + 1):
            q = expit(gap)[:, None, :]
            right = rng.random((R, GROUP, length)) < q
            reward = right.all(axis=2).astype(float)
            signal = (reward - reward.mean(axis=1, keepdims=True)) * GROUP / (GROUP - 1)
            g = np.einsum("rg,rgt->rt", signal, right - q) / GROUP
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            gap += RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return R * ROUNDS * GROUP * length

    return job


def numpy_table(length: int) -> Job:
    R, rng = REPLICATES[length], np.random.default_rng(0)

    def job() -> int:
        q = BASE ** (1 / length)
        logits = np.full((R, length, OPTIONS), np.log((1 - q) / (OPTIONS - 1)))
        logits[:, :, 0] = np.log(q)
        m, v = np.zeros_like(logits), np.zeros_like(logits)
        rows, columns = np.arange(R)[:, None, None], np.arange(length)
        for t in range(1, DENSE_ROUNDS + 1):
            pi = np.exp(logits - logits.max(axis=2, keepdims=True))
            pi /= pi.sum(axis=2, keepdims=True)
            mass = pi.cumsum(axis=2)[:, None]
            token = (mass < rng.random((R, GROUP, length, 1))).sum(axis=3)
            reward = (token == 0).all(axis=2).astype(float)
            signal = (reward - reward.mean(axis=1, keepdims=True)) * GROUP / (GROUP - 1) / GROUP
            g = -signal.sum(axis=1)[:, None, None] * pi
            np.add.at(g, (rows, columns, token), signal[:, :, None])
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            logits += RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return R * DENSE_ROUNDS * GROUP * length

    return job


def torch_table(length: int) -> Job:
    R = REPLICATES[length]

    def job() -> int:
        torch.manual_seed(0)
        q = BASE ** (1 / length)
        logits = torch.full((R, length, OPTIONS), float(np.log((1 - q) / (OPTIONS - 1))), dtype=torch.float64)
        logits[:, :, 0] = float(np.log(q))
        logits.requires_grad_()
        optimiser = torch.optim.Adam([logits], lr=RATE)
        for _ in range(DENSE_ROUNDS):
            log_pi = torch.log_softmax(logits, 2)
            flat = log_pi.detach().exp().reshape(R * length, OPTIONS)
            token = torch.multinomial(flat, GROUP, replacement=True).reshape(R, length, GROUP)
            reward = (token == 0).all(1).double()
            signal = (reward - reward.mean(1, keepdim=True)) * GROUP / (GROUP - 1)
            loss = -(log_pi.gather(2, token) * signal[:, None, :]).sum() / GROUP
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return R * DENSE_ROUNDS * GROUP * length

    return job


def rate(job: Job, repeats: int) -> float:
    """Best tokens per CPU second."""
    job()  # compiles
    best = 0.0
    for _ in range(repeats):
        start = time.process_time()
        tokens = job()
        best = max(best, tokens / (time.process_time() - start))
    return best


def rows(repeats: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for length in LENGTHS:
        jobs = {
            ("direction", "floor"): floor(length, 4),
            ("direction", "banditrft, V = 2"): ours(length, "direction", 2),
            ("direction", "banditrft, V = 200,000"): ours(length, "direction", 200_000),
            ("direction", "NumPy"): numpy_direction(length),
            ("table", "floor"): floor(length, 2),
            ("table", f"banditrft, V = {OPTIONS:,}"): ours(length, "table", OPTIONS),
            ("table", f"NumPy, V = {OPTIONS:,}"): numpy_table(length),
            ("table", f"torch, V = {OPTIONS:,}"): torch_table(length),
        }
        rates = {key: rate(job, repeats) for key, job in jobs.items()}
        found += [
            {"T": length, "geometry": g, "line": n, "tokens_per_s": r, "of_floor": r / rates[g, "floor"]}
            for (g, n), r in rates.items()
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    table = rows(given.repeats)
    if given.json:
        print(json.dumps(table, indent=1))
        return
    print("| T | geometry | line | million tokens a second | of the floor |\n|---|---|---|---|---|")
    for row in table:
        shown = f"{row['tokens_per_s'] / 1e6:.2f} | {row['of_floor']:.2f}"
        print(f"| {row['T']} | {row['geometry']} | {row['line']} | {shown} |")


if __name__ == "__main__":
    main()
