"""Windows of past scalar rewards, one per replicate and query (theory §8).

Only numbers are kept, and only for means and standard deviations: which response earned one is forgotten.
What a window is *for* is decided in `banditrft.feedback`. One loop is compiled; this module is loaded
by those who run designs, never by `import banditrft`.
"""

from typing import Self

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def push_rewards(past_RNP: Floats, seen_RN: Ints, items_RB: Ints, rewards_RBM: Floats) -> None:
    """Write rewards over the oldest of their query's; the ring's head is (rewards ever seen) mod P."""
    depth = past_RNP.shape[2]
    for r in range(rewards_RBM.shape[0]):
        for b in range(rewards_RBM.shape[1]):
            item = items_RB[r, b]
            for m in range(rewards_RBM.shape[2]):
                past_RNP[r, item, seen_RN[r, item] % depth] = rewards_RBM[r, b, m]
                seen_RN[r, item] += 1


class Windows:
    """The last P rewards of each of N queries in each of R replicates."""

    def __init__(self, past_RNP: Floats, seen_RN: Ints) -> None:
        self.past_RNP = past_RNP
        self.seen_RN = seen_RN

    @classmethod
    def empty(cls, replicates: int, items: int, depth: int) -> Self:
        """No rewards yet; depth P >= 1."""
        return cls(np.zeros((replicates, items, depth)), np.zeros((replicates, items), np.int64))

    def take(self, items_RB: Ints) -> tuple[Floats, NDArray[np.bool_]]:
        """Past rewards of the queries of a batch, (R, B, P), in no particular order, and which exist."""
        rows_R1 = np.arange(len(items_RB))[:, None]
        depth = self.past_RNP.shape[2]
        valid_RBP = np.arange(depth) < self.seen_RN[rows_R1, items_RB][..., None]
        return self.past_RNP[rows_R1, items_RB], valid_RBP

    def push(self, items_RB: Ints, rewards_RBM: Floats) -> None:
        """Append a round's rewards, (R, B, M), position by position: the last ones are the newest."""
        push_rewards(self.past_RNP, self.seen_RN, items_RB, np.ascontiguousarray(rewards_RBM))
