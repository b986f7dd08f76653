"""From a round's rewards to its signals, in every world: who counts in a mean, and how far back.

The population of a group's mean and standard deviation is, first, the group's own rewards; then those of its
baseline rollouts; then, with a window of W, past rewards of the same query so that the W newest rewards are
in it (fewer while fewer exist). The window never drops a reward of the current round: with W no larger than
the group it is the group. Positions of one batch that hold the same query are groups of their own, which meet
in the window one round later. What a signal makes of a population is decided in `banditrft.signals`.

Of past rewards only numbers are kept, one window per replicate and query (theory §8): which response earned
one is forgotten. One loop is compiled; this module is loaded by those who run designs, never by
`import banditrft`.
"""

from collections.abc import Mapping
from typing import Self

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from banditrft.design import BATCH_SIGNALS, Design
from banditrft.errors import InputError
from banditrft.signals import signal

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


LARGEST_ROUND = 2**25
"""Most rewards that the statistics of one round may take in, all groups together: about 2 GB of arrays."""


def baseline_rollouts(design: Design) -> int:
    """Baseline rollouts worth drawing: none for the raw signal, which has no statistic to improve.

    Leaving them out moves no other random number, since every rollout has an address of its own.
    """
    return 0 if design.signal == "raw" else design.baseline_rollouts


def depth(design: Design) -> int:
    """Past rewards that the window adds to the statistics of a group."""
    if design.signal == "raw":
        return 0
    return max(0, design.replay_window - design.rollouts - design.baseline_rollouts)


def check(design: Design) -> None:
    """Refuse a population that the signal cannot use, or that is too large to hold.

    Raises:
        InputError: Baseline rollouts or a window under a signal over the batch; more than LARGEST_ROUND
            rewards in a round.
    """
    if design.signal in BATCH_SIGNALS and (design.baseline_rollouts or design.replay_window):
        raise InputError(
            f"baseline_rollouts, replay_window: must be 0 with signal = '{design.signal}', which knows the "
            f"batch's own rewards only; got {design.baseline_rollouts} and {design.replay_window}"
        )
    group = design.rollouts + baseline_rollouts(design) + depth(design)
    if design.batch_size * group > LARGEST_ROUND:
        raise InputError(
            "batch_size, baseline_rollouts, replay_window: batch_size times the rewards in a group's "
            f"statistics must be at most {LARGEST_ROUND}, got {design.batch_size} x {group}"
        )


class Feedback:
    """Signals of R replicates in lockstep; keeps the windows of their queries.

    Args:
        design: Signal, group and population.
        replicates: R.
        items: Queries N in the training pool.
        factor: What every signal is multiplied by (`banditrft.theory.matching.matching_factor`); one number,
            or one per replicate.

    Raises:
        InputError: See :func:`check`.
    """

    def __init__(self, design: Design, replicates: int, *, items: int = 1, factor: ArrayLike = 1.0) -> None:
        check(design)
        self.design = design
        self.factor_R11 = np.asarray(factor, np.float64).reshape(-1, 1, 1)
        past = depth(design)
        self.windows = Windows.empty(replicates, items, past) if past else None

    def signals(
        self, rewards_RBG: Floats, baseline_RBM: Floats | None = None, items_RB: Ints | None = None
    ) -> Floats:
        """Signals of the next round, (R, B, G); its rewards join the windows.

        Args:
            rewards_RBG: Rewards of the fresh rollouts.
            baseline_RBM: Rewards of the baseline rollouts, if any; (R, B, M).
            items_RB: Query of every position, in [0, N); 0 by default.
        """
        known, valid = baseline_RBM, None
        if self.windows is not None:
            if items_RB is None:
                items_RB = np.zeros(rewards_RBG.shape[:2], np.int64)
            known, valid = self.windows.take(items_RB)
            current = rewards_RBG
            if baseline_RBM is not None:
                current = np.concatenate([rewards_RBG, baseline_RBM], axis=-1)
                known = np.concatenate([known, baseline_RBM], axis=-1)
                valid = np.concatenate([valid, np.ones(baseline_RBM.shape, np.bool_)], axis=-1)
            self.windows.push(items_RB, current)
        if self.design.signal == "raw":
            known = valid = None
        signals_RBG = signal(self.design, rewards_RBG, known, valid)
        return np.asarray(signals_RBG * self.factor_R11, np.float64)

    def state(self, replicate: int) -> dict[str, NDArray[np.generic]]:
        """What the next signals of one replicate depend on, beside their rewards; empty without windows."""
        if self.windows is None:
            return {}
        return {"past": self.windows.past_RNP[replicate], "seen": self.windows.seen_RN[replicate]}

    def load_state(self, replicate: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from a state.

        Raises:
            InputError: It is of a feedback with other windows.
        """
        own = self.state(replicate)
        if {name: x.shape for name, x in own.items()} != {name: x.shape for name, x in state.items()}:
            raise InputError("the windows of past rewards are those of another design or pool")
        for name, values in own.items():
            values[...] = state[name]
