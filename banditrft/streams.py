"""Counter-based random numbers: every draw has an address, so results do not depend on who computes them.

The generator is Philox4x64-10 (Salmon et al., SC'11), bit-equal to ``numpy.random.Philox``. An address is
(root seed, seed) as the key and (block, round and rollout, item, purpose) as the counter. Conditions never
enter an address: the same seed meets the same luck under every condition, which pairs them. Neither do worker
numbers, chunk borders or stack sizes, so records are bit-identical however the work is cut up.

One kind of condition draws its rollouts elsewhere: a yoked placebo. It is given the rewards of its pair, so
with its pair's numbers it would give the same first answers, find them rewarded as its pair's were and, round
by round, be its pair. What decides its answers therefore has purposes of its own (`own_purpose`); batches and
evaluations stay paired.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError

MASK32 = np.uint64(0xFFFFFFFF)
MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
WEYL = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
ROUNDS = 10
U64 = NDArray[np.uint64]


class Purpose(IntEnum):
    """What a stream is for. Numbers are part of every record's meaning: never renumber."""

    SAMPLE = 1
    REWARD = 2
    EVAL_TRAIN = 3
    EVAL_TEST = 4
    FINAL_TRAIN = 5
    FINAL_TEST = 6
    CONTEXT = 7
    SELECT = 8
    PRETRAIN = 9
    ORDER = 10
    YOKED_SAMPLE = 11
    YOKED_REWARD = 12


YOKED = {Purpose.SAMPLE: Purpose.YOKED_SAMPLE, Purpose.REWARD: Purpose.YOKED_REWARD}


def own_purpose(purpose: Purpose, reward: str) -> Purpose:
    """The purpose of a stream of rollouts or rewards under a reward map: its own for a yoked placebo."""
    return YOKED[purpose] if reward == "yoked" else purpose


def per_query(seed: int, query: int) -> int:
    """Seed part of the key of a stream that must differ between training queries of one seed.

    A test evaluation's item is the test item, so the training query goes here: runs of one seed on different
    queries are then independent, and conditions on one query still paired.

    Args:
        seed: In [0, 2**32).
        query: Item of the training query, in [0, 2**31).
    """
    return seed | (query << 32)


def _check_root(root_seed: int) -> None:
    if not 0 <= root_seed < 2**63:
        raise InputError(f"root_seed: must lie in [0, 2**63), got {root_seed}")


def _mulhilo(a: np.uint64, b: U64) -> tuple[U64, U64]:
    """High and low 64 bits of the 128-bit product, from four 32-bit ones."""
    s = np.uint64(32)
    a0, a1, b0, b1 = a & MASK32, a >> s, b & MASK32, b >> s
    low, mid, cross = a0 * b0, a1 * b0, a0 * b1
    carry = (low >> s) + (mid & MASK32) + cross
    return a1 * b1 + (mid >> s) + (carry >> s), a * b


def philox(key0: U64, key1: U64, counter: tuple[U64, U64, U64, U64]) -> tuple[U64, U64, U64, U64]:
    """One Philox4x64-10 block per element: four uint64 arrays, all inputs broadcast against one another."""
    c0, c1, c2, c3 = counter
    k0, k1 = key0, key1
    with np.errstate(over="ignore"):
        for _ in range(ROUNDS):
            hi0, lo0 = _mulhilo(MULTIPLIERS[0], c0)
            hi1, lo1 = _mulhilo(MULTIPLIERS[1], c2)
            c0, c1, c2, c3 = hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0
            k0, k1 = k0 + WEYL[0], k1 + WEYL[1]
    return c0, c1, c2, c3


def uniforms(
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    items: Sequence[int] | NDArray[np.int64],
    purpose: Purpose,
    round_: int,
    rollouts: int | Sequence[int] | NDArray[np.int64],
    count: int,
) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for a stack of replicas.

    Args:
        root_seed: The study's root seed, in [0, 2**63).
        seeds: Seed of each of the S replicas.
        items: Item (query) of each replica, as many as seeds.
        purpose: What the numbers are for.
        round_: Round, in [0, 2**31).
        rollouts: Number G of rollouts (0..G-1), or the rollout indices themselves: (G,), or (S, G) where
            they differ between replicas.
        count: Numbers T per rollout.

    Returns:
        float64 (S, G, T): number t of replica s, rollout g depends on its own address alone.

    Raises:
        InputError: ``root_seed`` is out of range.
    """
    _check_root(root_seed)
    g = np.arange(rollouts) if isinstance(rollouts, int) else np.asarray(rollouts)
    blocks = -(-count // 4)
    s_, g_, b_ = (np.asarray(seeds, np.uint64)[:, None, None], np.atleast_2d(g.astype(np.uint64))[..., None],
                  np.arange(blocks, dtype=np.uint64)[None, None, :])  # fmt: skip
    shape = (len(seeds), g.shape[-1], blocks)
    place = (np.uint64(round_) << np.uint64(32)) | g_
    item_ = np.asarray(items, np.int64).astype(np.uint64)[:, None, None]
    words = philox(
        np.broadcast_to(np.uint64(root_seed), shape),
        np.broadcast_to(s_, shape),
        (np.broadcast_to(b_, shape), np.broadcast_to(place, shape), np.broadcast_to(item_, shape),
         np.broadcast_to(np.uint64(purpose), shape)),
    )  # fmt: skip
    flat = np.stack(words, axis=-1).reshape(shape[0], shape[1], 4 * blocks)[:, :, :count]
    return np.asarray((flat >> np.uint64(11)) * 2.0**-53, np.float64)


def generator(
    root_seed: int, seed: int, item: int, purpose: Purpose, round_: int = 0, rollout: int = 0
) -> np.random.Generator:
    """A NumPy generator at the head of one stream: its raw words are those of :func:`uniforms`.

    Raises:
        InputError: ``root_seed`` is out of range, or ``seed`` is negative.
    """
    _check_root(root_seed)
    if seed < 0:
        raise InputError(f"seed: must be at least 0, got {seed}")
    place = (round_ << 32) | rollout
    # NumPy advances its counter before it produces a block: start one block early.
    counter = ((int(purpose) << 192) | (item << 128) | (place << 64)) - 1
    return np.random.Generator(np.random.Philox(key=root_seed | (seed << 64), counter=counter % (1 << 256)))
