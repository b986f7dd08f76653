"""Standard normal numbers in bulk for compiled loops, two from two random words (Box and Muller).

Addresses as in `banditrft.streams`: number i of a rollout is half of pair i // 2, and pair k is made of words
2k and 2k + 1 of the rollout's stream. Sine and cosine are Taylor series without branches, so that loops over
pairs fill vector registers; their error is below 1e-15 (tested).
"""

import math

import numpy as np
from numpy.typing import NDArray

from banditrft.streams import Purpose
from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, block, unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
HALF_ULP = 2.0**-54
S3, S5, S7, S9, S11, S13, S15 = ((-1) ** (k // 2) / math.factorial(k) for k in range(3, 16, 2))
C2, C4, C6, C8, C10, C12, C14, C16 = ((-1) ** (k // 2) / math.factorial(k) for k in range(2, 17, 2))


@kernel
def turn(x: float) -> tuple[float, float]:
    """Cosine and sine of x turns, 0 <= x < 1, by series about the nearest quarter."""
    quarter = np.floor(4.0 * x + 0.5)
    angle = 2.0 * math.pi * (x - 0.25 * quarter)
    y = angle * angle
    sine = S3 + y * (S5 + y * (S7 + y * (S9 + y * (S11 + y * (S13 + y * S15)))))
    sine = angle + angle * (y * sine)
    cosine = C4 + y * (C6 + y * (C8 + y * (C10 + y * (C12 + y * (C14 + y * C16)))))
    cosine = 1.0 + y * (C2 + y * cosine)
    odd = quarter == 1.0 or quarter == 3.0
    across, up = (sine, cosine) if odd else (cosine, sine)
    across = -across if quarter == 1.0 or quarter == 2.0 else across
    up = -up if quarter == 2.0 or quarter == 3.0 else up
    return across, up


@kernel
def radius_squared(word: np.uint64) -> float:
    """Squared length of a pair of normal numbers."""
    return -2.0 * math.log(unit(word) + HALF_ULP)


@kernel
def normal_pair(first: np.uint64, second: np.uint64) -> tuple[float, float]:
    """Two independent standard normal numbers from two words."""
    across, up = turn(unit(second))
    radius = math.sqrt(radius_squared(first))
    return radius * across, radius * up


@kernel
def turn_pairs(square_K: Floats, turn_K: Floats) -> None:
    """Squared lengths and angles of pairs -> their two numbers, in place."""
    for k in range(len(square_K)):
        across, up = turn(turn_K[k])
        radius = math.sqrt(square_K[k])
        square_K[k], turn_K[k] = radius * across, radius * up


@kernel
def _fill_normals(
    z_SGD: NDArray[np.float64],
    root_seed: int,
    seeds_S: Ints,
    items_S: Ints,
    purpose: int,
    round_: int,
    mean_PD: Floats,
    sd: float,
    pair_2K: Floats,
) -> None:
    """`fill_normals`; ``pair_2K`` is scratch for D numbers up to a whole four."""
    k0, c3 = np.uint64(root_seed), np.uint64(purpose)
    S, G, D = z_SGD.shape
    for s in range(S):
        k1, c2 = np.uint64(seeds_S[s]), np.uint64(items_S[s])
        mean_D = mean_PD[min(s, len(mean_PD) - 1)]
        for g in range(G):
            place = (np.uint64(round_) << ROLLOUT_BITS) | np.uint64(g)
            for b in range(pair_2K.shape[1] // 2):
                words = block(k0, k1, np.uint64(b), place, c2, c3)
                pair_2K[0, 2 * b], pair_2K[1, 2 * b] = radius_squared(words[0]), unit(words[1])
                pair_2K[0, 2 * b + 1], pair_2K[1, 2 * b + 1] = radius_squared(words[2]), unit(words[3])
            turn_pairs(pair_2K[0], pair_2K[1])
            for d in range(D):
                z_SGD[s, g, d] = mean_D[d] + sd * pair_2K[d % 2, d // 2]


def fill_normals(
    z_SGD: NDArray[np.float64],
    root_seed: int,
    seeds: Ints,
    items: Ints,
    purpose: Purpose,
    round_: int,
    mean_PD: Floats | None = None,
    sd: float = 1.0,
) -> None:
    """Fill in normal vectors of D numbers for rollouts 0..G-1 of each of S seeds and items.

    Args:
        z_SGD: What is filled.
        root_seed: First part of the key.
        seeds: One for each of S.
        items: One for each of S.
        purpose: What the numbers are for.
        round_: Round.
        mean_PD: Mean of each of S, or one (P = 1) for all; 0 by default.
        sd: Standard deviation of each number.
    """
    D = z_SGD.shape[2]
    mean_PD = np.zeros((1, D)) if mean_PD is None else mean_PD
    pair_2K = np.empty((2, -(-D // 4) * 2))
    _fill_normals(z_SGD, root_seed, seeds, items, int(purpose), round_, mean_PD, sd, pair_2K)
