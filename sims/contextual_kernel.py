"""The compiled rounds of the log-linear contextual world with one training query (theory §6).

`sims.contextual` says what it means. A replicate is computed on its own, in an order that depends on the
dimension alone, so records do not depend on which replicates share a call.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.exponential import exp
from sims.jit import kernel, reduction
from sims.philox import ROLLOUT_BITS, block, count_below, unit
from sims.slots import Floats
from sims.updates import CLIP_EPS

SAMPLE = 1
"""`banditrft.streams.Purpose.SAMPLE`; word 2 of a block decides the answer, word 3 noise or placebo."""
LARGEST_LOG_ODDS = 700.0
Ints = NDArray[np.int64]
Counts = NDArray[np.int32]


class Weights(NamedTuple):
    """One replicate's parameters, reused by the next."""

    w_D: Floats
    m_D: Floats
    v_D: Floats


@reduction
def log_odds(w_D: Floats, u_D: Floats) -> float:
    """The inner product l = u.w."""
    total = 0.0
    for i in range(len(w_D)):
        total += w_D[i] * u_D[i]
    return total


@kernel
def sigmoid(x: float) -> float:
    """1/(1 + e^-x)."""
    return 1.0 / (1.0 + exp(min(max(-x, -LARGEST_LOG_ODDS), LARGEST_LOG_ODDS)))


@kernel
def sgd_step(weights: Weights, u_D: Floats, slope: float) -> None:
    """Add slope u to the weights."""
    for i in range(len(u_D)):
        weights.w_D[i] += slope * u_D[i]


@kernel
def adam_step(
    weights: Weights, u_D: Floats, slope: float, betas_eps: Floats, step: float, root: float
) -> None:
    """One Adam step (torch semantics, maximising) on the gradient slope u."""
    fade, keep, eps = 1.0 - betas_eps[0], betas_eps[1], betas_eps[2]
    for i in range(len(u_D)):
        g = slope * u_D[i]
        m = weights.m_D[i] + fade * (g - weights.m_D[i])
        v = keep * weights.v_D[i] + (1.0 - keep) * (g * g)
        weights.w_D[i] += step * m / (np.sqrt(v) / root + eps)
        weights.m_D[i], weights.v_D[i] = m, v


@kernel
def run_replicates(
    root_seed: int,
    seeds_R: Ints,
    rounds: int,
    weights: Weights,
    high_G: Ints,
    right_G: Ints,
    u_RD: Floats,
    w0_D: Floats,
    table_S2: Floats,
    rate: float,
    adam: bool,
    betas_eps: Floats,
    decay: float,
    clip: float,
    if_wrong: float,
    if_right: float,
    eval_rounds_E: Ints,
    keep_rounds_F: Ints,
    high_RT: Counts,
    correct_RT: Counts,
    p_RE: Floats,
    w_RFD: NDArray[np.float64],
) -> None:
    """Run every replicate and fill the last four arrays; arguments as in `sims.contextual.simulate`."""
    G = len(high_G)
    k0, c2, c3, first = np.uint64(root_seed), np.uint64(0), np.uint64(SAMPLE), np.uint64(0)
    for r in range(len(seeds_R)):
        for i in range(len(w0_D)):
            weights.w_D[i], weights.m_D[i], weights.v_D[i] = w0_D[i], 0.0, 0.0
        p, e, f, moving = sigmoid(log_odds(weights.w_D, u_RD[r])), 0, 0, decay > 0.0
        length = math.sqrt(log_odds(u_RD[r], u_RD[r]))
        for t in range(rounds + 1):
            if t > 0:
                place = np.uint64(t) << ROLLOUT_BITS
                highs, corrects = 0, 0
                for g in range(G):
                    words = block(k0, np.uint64(seeds_R[r]), first, place | np.uint64(g), c2, c3)
                    right_G[g] = 1 if unit(words[2]) < p else 0
                    high_G[g] = right_G[g]
                    if if_right >= 0.0:
                        high_G[g] = 1 if unit(words[3]) < (if_right if right_G[g] == 1 else if_wrong) else 0
                    corrects += right_G[g]
                    highs += high_G[g]
                high_RT[r, t - 1], correct_RT[r, t - 1] = highs, corrects
                slope = 0.0
                for g in range(G):
                    slope += table_S2[highs, high_G[g]] * (right_G[g] - p)
                slope /= G
                if clip > 0.0:
                    slope *= min(1.0, clip / (abs(slope) * length + CLIP_EPS))
                if adam:
                    moving = moving or slope != 0.0
                    if moving:
                        if decay > 0.0:
                            for i in range(len(w0_D)):
                                weights.w_D[i] *= 1.0 - decay
                        root = math.sqrt(1.0 - betas_eps[1] ** t)
                        adam_step(weights, u_RD[r], slope, betas_eps, rate / (1.0 - betas_eps[0] ** t), root)
                elif slope != 0.0:
                    sgd_step(weights, u_RD[r], rate * slope)
                p = sigmoid(log_odds(weights.w_D, u_RD[r]))
            if e < len(eval_rounds_E) and eval_rounds_E[e] == t:
                p_RE[r, e] = p
                e += 1
            if f < len(keep_rounds_F) and keep_rounds_F[f] == t:
                for i in range(len(w0_D)):
                    w_RFD[r, f, i] = weights.w_D[i]
                f += 1


@kernel
def held_out(
    root_seed: int,
    seeds_R: Ints,
    rounds_F: Ints,
    purpose: int,
    samples: int,
    w_RFD: NDArray[np.float64],
    test_ND: Floats,
    p_RF: Floats,
    correct_RF: Ints,
) -> None:
    """Mean Pass@1 over the test contexts, and how many of ``samples`` drawn answers to each were correct."""
    for r in range(len(seeds_R)):
        for f in range(len(rounds_F)):
            total, correct = 0.0, 0
            for n in range(len(test_ND)):
                p = sigmoid(log_odds(w_RFD[r, f], test_ND[n]))
                total += p
                correct += count_below(root_seed, seeds_R[r], rounds_F[f], n, purpose, samples, p)
            p_RF[r, f], correct_RF[r, f] = total / len(test_ND), correct
