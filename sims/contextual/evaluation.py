"""What weights of the contextual world are worth: Pass@1 over contexts, entropy and KL (theory §6).

Answer j of context n, of S drawn per context, is decided by number n S + j of one stream: that of item 0 and
rollout 0 at the evaluation's round and purpose. Four answers thus share a block, whatever S is.

A file of its own, since compiled code is cached by the state of the files that it comes from.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from banditrft.streams import Purpose
from sims.compiled import aligned
from sims.compiled.jit import kernel, reduction
from sims.compiled.philox import ROLLOUT_BITS, block, unit
from sims.contextual.contexts import Contexts
from sims.contextual.rounds import Floats, Ints, dot, log_sigmoid, sigmoid

TOGETHER = 4
"""Weight vectors for which a set of contexts is read once."""
Words = NDArray[np.uint64]


@kernel
def transpose(u_ND: Floats, out_DN: Floats) -> None:
    """Contexts in columns, so that neighbouring contexts fill vector registers."""
    for n in range(len(u_ND)):
        for d in range(u_ND.shape[1]):
            out_DN[d, n] = u_ND[n, d]


@kernel
def add_four(
    start: float, w0: float, w1: float, w2: float, w3: float, u0: float, u1: float, u2: float, u3: float
) -> float:
    """``start`` + w.u for four features, added one after the other."""
    return (((start + w0 * u0) + w1 * u1) + w2 * u2) + w3 * u3


@kernel
def add_products(w_4D: Floats, u_DN: Floats, d: int, l_4N: Floats) -> None:
    """Add the share of features d to d + 3 to the log-odds of all contexts under four weight vectors."""
    a0, a1, a2, a3 = w_4D[0, d], w_4D[0, d + 1], w_4D[0, d + 2], w_4D[0, d + 3]
    b0, b1, b2, b3 = w_4D[1, d], w_4D[1, d + 1], w_4D[1, d + 2], w_4D[1, d + 3]
    c0, c1, c2, c3 = w_4D[2, d], w_4D[2, d + 1], w_4D[2, d + 2], w_4D[2, d + 3]
    e0, e1, e2, e3 = w_4D[3, d], w_4D[3, d + 1], w_4D[3, d + 2], w_4D[3, d + 3]
    for n in range(u_DN.shape[1]):  # spare ones included, which stay 0
        u0, u1, u2, u3 = u_DN[d, n], u_DN[d + 1, n], u_DN[d + 2, n], u_DN[d + 3, n]
        l_4N[0, n] = add_four(l_4N[0, n], a0, a1, a2, a3, u0, u1, u2, u3)
        l_4N[1, n] = add_four(l_4N[1, n], b0, b1, b2, b3, u0, u1, u2, u3)
        l_4N[2, n] = add_four(l_4N[2, n], c0, c1, c2, c3, u0, u1, u2, u3)
        l_4N[3, n] = add_four(l_4N[3, n], e0, e1, e2, e3, u0, u1, u2, u3)


@reduction
def fill_sigmoids(l_N: Floats) -> float:
    """Turn log-odds into probabilities; their sum."""
    total = 0.0
    for n in range(len(l_N)):
        p = sigmoid(l_N[n])
        l_N[n] = p
        total += p
    return total


@kernel
def count_correct(
    root_seed: int, seed: int, round_: int, purpose: int, samples: int, p_N: Floats, word_N: Words
) -> int:
    """Right answers among ``samples`` of each context.

    Words are drawn as many at a time as there are contexts, up to a whole four, then compared.
    """
    k0, k1, c0, c3 = np.uint64(root_seed), np.uint64(seed), np.uint64(0), np.uint64(purpose)
    place = np.uint64(round_) << ROLLOUT_BITS
    numbers, correct, n, used = len(p_N) * samples, 0, 0, 0
    for start in range(0, numbers, len(word_N)):
        for i in range(0, len(word_N), 4):
            words = block(k0, k1, np.uint64((start + i) // 4), place, c0, c3)
            word_N[i], word_N[i + 1], word_N[i + 2], word_N[i + 3] = words[0], words[1], words[2], words[3]
        if samples == 1:
            for i in range(len(p_N)):
                correct += int(unit(word_N[i]) < p_N[i])
        else:
            for i in range(min(len(word_N), numbers - start)):
                correct += int(unit(word_N[i]) < p_N[n])
                used += 1
                if used == samples:
                    n, used = n + 1, 0
    return correct


class Address(NamedTuple):
    """Of the random numbers of evaluations, and how many each context takes."""

    root_seed: int
    seeds_R: Ints
    rounds_F: Ints
    purpose: int
    samples: int


class Scratch(NamedTuple):
    """Room for one set of contexts under `TOGETHER` weight vectors, zeros up to a whole four."""

    u_DN: Floats
    w_4D: Floats
    p_4N: Floats
    word_N: Words


@kernel
def _pass_at_1(
    at: Address,
    w_VD: Floats,
    u_PND: Floats,
    offset_PN: Floats,
    scratch: Scratch,
    p_V: Floats,
    correct_V: Ints,
) -> None:
    """`pass_at_1` of V = R F weight vectors."""
    P, N, D = u_PND.shape
    F, of_a_set = len(at.rounds_F), len(w_VD) // P
    for s in range(P):
        transpose(u_PND[s], scratch.u_DN)
        for first in range(s * of_a_set, (s + 1) * of_a_set, TOGETHER):
            some = min(TOGETHER, (s + 1) * of_a_set - first)
            for j in range(some):
                for d in range(D):
                    scratch.w_4D[j, d] = w_VD[first + j, d]
            for j in range(TOGETHER):
                for n in range(N):
                    scratch.p_4N[j, n] = offset_PN[s, n]
            for d in range(0, D, 4):
                add_products(scratch.w_4D, scratch.u_DN, d, scratch.p_4N)
            for j in range(some):
                v = first + j
                p_V[v] = fill_sigmoids(scratch.p_4N[j, :N]) / N
                seed, round_ = at.seeds_R[v // F], at.rounds_F[v % F]
                correct_V[v] = count_correct(
                    at.root_seed, seed, round_, at.purpose, at.samples, scratch.p_4N[j, :N], scratch.word_N
                )


@kernel
def _information(
    w_RFD: NDArray[np.float64],
    w0_PD: Floats,
    u_PND: Floats,
    offset_PN: Floats,
    entropy_RF: Floats,
    kl_RF: Floats,
) -> None:
    N = u_PND.shape[1]
    for r in range(len(w_RFD)):
        s, b = min(r, len(u_PND) - 1), min(r, len(w0_PD) - 1)
        for f in range(w_RFD.shape[1]):
            entropy, kl = 0.0, 0.0
            for n in range(N):
                now = dot(w_RFD[r, f], u_PND[s, n]) + offset_PN[s, n]
                base = dot(w0_PD[b], u_PND[s, n]) + offset_PN[s, n]
                p, right, wrong = sigmoid(now), log_sigmoid(now), log_sigmoid(-now)
                entropy -= p * right + sigmoid(-now) * wrong
                kl += p * (right - log_sigmoid(base)) + sigmoid(-now) * (wrong - log_sigmoid(-base))
            entropy_RF[r, f], kl_RF[r, f] = entropy / N, max(kl / N, 0.0)


def pass_at_1(
    contexts: Contexts,
    w_RFD: Floats,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    rounds: Sequence[int] | NDArray[np.int64],
    purpose: Purpose,
    samples: int,
) -> tuple[Floats, NDArray[np.int64]]:
    """Evaluate weights on a set of contexts.

    Args:
        contexts: The set, of N contexts.
        w_RFD: Weights of each seed after each of ``rounds``.
        root_seed: First part of the key of the evaluation's random numbers.
        seeds: Seed of each replicate.
        rounds: Round of each evaluation, part of the numbers' address.
        purpose: EVAL_TRAIN, EVAL_TEST, FINAL_TRAIN or FINAL_TEST.
        samples: Answers drawn per context.

    Returns:
        Exact mean Pass@1 (R, F), and the number of correct answers out of N x samples (R, F).
    """
    R, F, D = w_RFD.shape
    N = contexts.N
    p_V, correct_V = np.empty(R * F), np.empty(R * F, np.int64)
    at = Address(root_seed, np.asarray(seeds, np.int64), np.asarray(rounds, np.int64), int(purpose), samples)
    scratch = Scratch(
        aligned.zeros(D + -D % 4, N + -N % 8),
        np.zeros((TOGETHER, D + -D % 4)),
        aligned.zeros(TOGETHER, N + -N % 8),
        np.zeros(N + -N % 4, np.uint64),
    )
    w_VD = np.ascontiguousarray(w_RFD).reshape(R * F, D)
    _pass_at_1(at, w_VD, contexts.u_PND, contexts.offset_PN, scratch, p_V, correct_V)
    return p_V.reshape(R, F), correct_V.reshape(R, F)


def information(
    contexts: Contexts, w_RFD: Floats, w0_PD: Floats, arm_noise: float = 0.0
) -> tuple[Floats, Floats]:
    """Mean entropy of right against wrong, and mean KL to the base policy, in nats per answer: (R, F) each.

    With arms inside the classes the KL has the exact further term tau^2 |w - w0|^2/2; their entropy is
    infinite and left out.
    """
    entropy_RF, kl_RF = np.empty(w_RFD.shape[:2]), np.empty(w_RFD.shape[:2])
    w_RFD = np.ascontiguousarray(w_RFD)
    _information(w_RFD, w0_PD, contexts.u_PND, contexts.offset_PN, entropy_RF, kl_RF)
    return entropy_RF, kl_RF + 0.5 * arm_noise**2 * ((w_RFD - w0_PD[:, None]) ** 2).sum(axis=-1)
