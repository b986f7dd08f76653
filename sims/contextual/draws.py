"""Random numbers of the contextual world in bulk: uniforms, and orders of a pool.

Addresses as in `banditrft.streams`; nothing here keeps a state, so numbers do not depend on who asks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from banditrft.streams import Purpose
from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, SHIFT, ULP, block, unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@kernel
def fill_uniforms(
    out_SGT: Floats, root_seed: int, seeds_S: Ints, items_S: Ints, purpose: int, round_: int
) -> None:
    """The numbers of `banditrft.streams.uniforms`, bit by bit, written to ``out_SGT``."""
    k0, c3 = np.uint64(root_seed), np.uint64(purpose)
    S, G, T = out_SGT.shape
    for s in range(S):
        k1, c2 = np.uint64(seeds_S[s]), np.uint64(items_S[s])
        for g in range(G):
            place = (np.uint64(round_) << ROLLOUT_BITS) | np.uint64(g)
            for t in range(0, T, 4):
                words = block(k0, k1, np.uint64(t // 4), place, c2, c3)
                for j in range(min(4, T - t)):
                    out_SGT[s, g, t + j] = unit(words[j])


@kernel
def shuffle(order_N: Ints, partner_N: Ints, root_seed: int, seed: int, epoch: int, purpose: int) -> None:
    """A uniform permutation of 0..N-1 for a seed and epoch (Fisher-Yates from the end).

    Uniform number N - 1 - i of the stream (item 0, round ``epoch``, rollout 0) picks the partner of place i.
    ``partner_N`` is scratch for N numbers up to a whole four.
    """
    k0, k1, c2, c3 = np.uint64(root_seed), np.uint64(seed), np.uint64(0), np.uint64(purpose)
    place = np.uint64(epoch) << ROLLOUT_BITS
    N = len(order_N)
    for first in range(0, N - 1, 4):
        words = block(k0, k1, np.uint64(first // 4), place, c2, c3)
        partner_N[first], partner_N[first + 1] = words[0] >> SHIFT, words[1] >> SHIFT
        partner_N[first + 2], partner_N[first + 3] = words[2] >> SHIFT, words[3] >> SHIFT
    for i in range(N):
        order_N[i] = i
        partner_N[i] = np.int64(partner_N[i] * ULP * (N - i))
    for i in range(N - 1, 0, -1):
        other = partner_N[N - 1 - i]
        order_N[i], order_N[other] = order_N[other], order_N[i]


@kernel
def shuffle_all(
    order_RN: Ints, partner_N: Ints, root_seed: int, seeds_R: Ints, epoch: int, purpose: int
) -> None:
    """The same for each seed."""
    for r in range(len(seeds_R)):
        shuffle(order_RN[r], partner_N, root_seed, seeds_R[r], epoch, purpose)


def scratch(items: int) -> Ints:
    """What `shuffle` needs for a pool of so many items."""
    return np.zeros(items + -items % 4, np.int64)


class Order:
    """Which queries a round trains on.

    Round t takes positions (t-1) B .. t B - 1 of an endless sequence: random permutations of the pool, one
    after the other. The sequence depends on the seed alone: the same for every condition and batch size.
    """

    def __init__(self, root_seed: int, seeds: Sequence[int] | Ints, items: int, batch_size: int) -> None:
        self._root_seed, self._seeds_R = root_seed, np.asarray(seeds, np.int64)
        self._epoch = -1
        self._order_RN = np.zeros((len(self._seeds_R), items), np.int64)
        self._partner_N = scratch(items)
        self._batch_RB = np.zeros((len(self._seeds_R), batch_size), np.int64)

    def batch(self, round_: int) -> Ints:
        """Items of round t = 1, 2, ..., (R, B); valid until the next call."""
        N, B = self._order_RN.shape[1], self._batch_RB.shape[1]
        done = 0
        while N > 1 and done < B:
            epoch, start = divmod((round_ - 1) * B + done, N)
            if epoch != self._epoch:
                shuffle_all(
                    self._order_RN, self._partner_N, self._root_seed, self._seeds_R, epoch, int(Purpose.ORDER)
                )
                self._epoch = epoch
            stop = min(N, start + B - done)
            self._batch_RB[:, done : done + stop - start] = self._order_RN[:, start:stop]
            done += stop - start
        return self._batch_RB
