"""What a round trains on: copies of one query, or a batch of a pool in shuffled order.

A pool is gone through in random permutations, one after the other: round t takes positions (t-1) B .. t B - 1
of that endless sequence, which depends on the run's seed alone and is the simulated world's
(`sims.contextual.draws`).

A rollout's random numbers stand at index c + g B of its item and round: g is its number, baseline rollouts
after the others, and c counts the earlier copies of the item in the batch. So every copy has numbers of its
own, and the first rollout meets the same luck whatever the batch and the group.

Axes: S replicas, B positions of a batch, N items of a pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditrft.streams import Purpose, uniforms

Ints = NDArray[np.int64]


def permutation(root_seed: int, seed: int, epoch: int, items: int) -> Ints:
    """A uniform permutation of 0..N-1 for a seed and epoch (Fisher-Yates from the end), int64 (N,).

    Uniform number N - 1 - i of the stream (item 0, round `epoch`, rollout 0) picks the partner of place i.
    """
    u_N = uniforms(root_seed, [seed], [0], Purpose.ORDER, epoch, 1, items)[0, 0]
    partners = (u_N * (items - np.arange(items))).astype(np.int64).tolist()
    order = list(range(items))
    for i in range(items - 1, 0, -1):
        other = partners[items - 1 - i]
        order[i], order[other] = order[other], order[i]
    return np.array(order, np.int64)


@dataclass(frozen=True)
class Places:
    """Where a round's batch stands.

    Attributes:
        pool_SB: Position in the pool of every query of the batch; 0 for a single query.
        first_SB: Earlier copies of the same query in the batch.
    """

    pool_SB: Ints
    first_SB: Ints


class Batches:
    """Which queries each round trains on.

    Args:
        root_seed: The study's.
        seeds: Seed of each replica.
        items: Size N of the pool, 1 for a single query.
        batch_size: B.
    """

    def __init__(self, root_seed: int, seeds: Sequence[int], items: int, batch_size: int) -> None:
        self.root_seed, self.seeds = root_seed, list(seeds)
        self.items, self.batch_size = items, batch_size
        self._epoch = -1
        self._order_SN = np.zeros((len(self.seeds), items), np.int64)

    def at(self, round_: int) -> Places:
        """The batch of round t = 1, 2, ...; a function of its arguments and the pool alone."""
        N, B = self.items, self.batch_size
        pool_SB = np.zeros((len(self.seeds), B), np.int64)
        done = 0
        while N > 1 and done < B:
            epoch, start = divmod((round_ - 1) * B + done, N)
            stop = min(N, start + B - done)
            pool_SB[:, done : done + stop - start] = self._orders(epoch)[:, start:stop]
            done += stop - start
        return Places(pool_SB, copies(pool_SB))

    def rollouts(self, count: int) -> range:
        """Indices of `count` rollouts of a group, baseline rollouts included, from its first one."""
        return range(0, count * self.batch_size, self.batch_size)

    def _orders(self, epoch: int) -> Ints:
        if epoch != self._epoch:
            self._order_SN = np.stack(
                [permutation(self.root_seed, seed, epoch, self.items) for seed in self.seeds]
            )
            self._epoch = epoch
        return self._order_SN


def copies(items_SB: Ints) -> Ints:
    """How often each entry stands before in its row."""
    out_SB = np.zeros_like(items_SB)
    for row_B, out_B in zip(items_SB, out_SB, strict=True):
        seen: dict[int, int] = {}
        for b, item in enumerate(row_B.tolist()):
            out_B[b] = seen.get(item, 0)
            seen[item] = out_B[b] + 1
    return out_SB
