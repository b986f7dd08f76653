"""Philox4x64-10 for compiled loops, bit-equal to `banditrft.streams` and so to ``numpy.random.Philox``.

A block is addressed by key (root seed, seed) and counter (block, round << 32 | rollout, item, purpose), as
`banditrft.streams` lays down. One block serves one pull. Nothing here keeps a state between calls.
"""

import numpy as np
from numpy.typing import NDArray

from sims.compiled.jit import kernel, mulhilo

M0, M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
W0, W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
SHIFT = np.uint64(11)
ROLLOUT_BITS = np.uint64(32)
ULP = 2.0**-53
Word = np.uint64


@kernel
def block(k0: Word, k1: Word, c0: Word, c1: Word, c2: Word, c3: Word) -> tuple[Word, Word, Word, Word]:
    """The four words of one block."""
    for _ in range(10):
        hi0, lo0 = mulhilo(M0, c0)
        hi1, lo1 = mulhilo(M1, c2)
        c0, c1, c2, c3 = hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0
        k0 += W0
        k1 += W1
    return c0, c1, c2, c3


@kernel
def unit(word: Word) -> float:
    """Uniform number in [0, 1) with 53 bits: the same number as `banditrft.streams.uniforms` makes."""
    return np.int64(word >> SHIFT) * ULP


@kernel
def fill_pulls(
    out: NDArray[np.float64],
    rounds: int,
    root_seed: int,
    seed: int,
    item: int,
    purpose: int,
    first_round: int,
    G: int,
) -> None:
    """Four uniforms for each pull of ``rounds`` consecutive rounds.

    Args:
        out: (pulls, 4), of which the first ``rounds * G`` are written.
        rounds: Rounds to fill, from ``first_round`` on.
        root_seed: First key word.
        seed: Second key word.
        item: Third counter word.
        purpose: Fourth counter word.
        first_round: Round of the first pull.
        G: Rollouts in a round.
    """
    k0, k1, c2, c3 = np.uint64(root_seed), np.uint64(seed), np.uint64(item), np.uint64(purpose)
    for t in range(rounds):
        place = np.uint64(first_round + t) << ROLLOUT_BITS
        for g in range(G):
            x0, x1, x2, x3 = block(k0, k1, np.uint64(0), place | np.uint64(g), c2, c3)
            i = t * G + g
            out[i, 0] = unit(x0)
            out[i, 1] = unit(x1)
            out[i, 2] = unit(x2)
            out[i, 3] = unit(x3)


@kernel
def count_below(
    root_seed: int, seed: int, round_: int, item: int, purpose: int, samples: int, p: float
) -> int:
    """How many of a stream's first ``samples`` uniforms lie below p: a Binomial(samples, p) draw.

    Monotone in p, so that conditions which share a stream are compared under common random numbers.
    """
    place = np.uint64(round_) << ROLLOUT_BITS
    hits = 0
    for b in range((samples + 3) // 4):
        words = block(
            np.uint64(root_seed), np.uint64(seed), np.uint64(b), place, np.uint64(item), np.uint64(purpose)
        )
        left = samples - 4 * b
        for j in range(min(4, left)):
            hits += unit(words[j]) < p
    return hits


@kernel
def binomials(
    root_seed: int,
    seeds_R: NDArray[np.int64],
    rounds_E: NDArray[np.int64],
    purpose: int,
    samples: int,
    p_RE: NDArray[np.float64],
    counts_RE: NDArray[np.int64],
) -> None:
    """Fill in Binomial(samples, p) counts of item 0 for every seed and round."""
    for r in range(len(seeds_R)):
        for e in range(len(rounds_E)):
            counts_RE[r, e] = count_below(root_seed, seeds_R[r], rounds_E[e], 0, purpose, samples, p_RE[r, e])
