"""What the rounds of R replicates looked like, noted while they run; `sims.tables` makes records of it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.errors import InputError
from sims.learner import TableLearner, reward_sums

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """Rounds and groups of R replicates over T rounds of B groups.

    Attributes:
        reward_mean_RT: Mean of the B G fresh rewards that the learner saw.
        signal_mean_RT: Mean of their signals.
        signal_var_RT: Population variance of their signals.
        zero_signal_RT: Share of the B groups whose signals are all 0.
        update_norm_RT: Norm of the change of all parameters; NaN where it is not known.
        reward_sum_RTB: Sum of the rewards of each group; B = 0 where groups are not kept.
        correct_RTB: Correct answers in each group.
        items_RTB: Query of each group.
    """

    reward_mean_RT: Floats
    signal_mean_RT: Floats
    signal_var_RT: Floats
    zero_signal_RT: Floats
    update_norm_RT: Floats
    reward_sum_RTB: Floats
    correct_RTB: NDArray[np.int32]
    items_RTB: NDArray[np.int32]

    @classmethod
    def empty(cls, replicates: int, rounds: int, groups: int, *, keep_groups: bool = True) -> Self:
        """Room for R replicates of T rounds of B groups."""
        mean, of_signal, var, silent, norm = (np.full((replicates, rounds), np.nan) for _ in range(5))
        shape = (replicates, rounds, groups if keep_groups else 0)
        counts, items = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        return cls(mean, of_signal, var, silent, norm, np.zeros(shape), counts, items)

    @classmethod
    def of_counts(
        cls,
        design: Design,
        learner: TableLearner,
        high_RT: NDArray[np.int32],
        correct_RT: NDArray[np.int32],
        *,
        keep_groups: bool = True,
    ) -> Self:
        """From the numbers of high rewards and right answers in rounds of one group, by a learner's table."""
        mean_S, var_S = learner.moments_S()
        sums_RT = reward_sums(design, high_RT)
        groups = slice(None) if keep_groups else slice(0)
        return cls(
            reward_mean_RT=sums_RT / design.rollouts,
            signal_mean_RT=mean_S[high_RT],
            signal_var_RT=var_S[high_RT],
            zero_signal_RT=((mean_S == 0.0) & (var_S == 0.0))[high_RT].astype(float),
            update_norm_RT=np.full(high_RT.shape, np.nan),
            reward_sum_RTB=sums_RT[..., None][..., groups],
            correct_RTB=correct_RT[..., None][..., groups],
            items_RTB=np.zeros_like(correct_RT)[..., None][..., groups],
        )

    def record(
        self,
        round_: int,
        rewards_RBG: Floats,
        signals_RBG: Floats,
        correct_RB: NDArray[np.integer],
        items_RB: NDArray[np.integer] | None = None,
        rows: slice = slice(None),
    ) -> None:
        """Note one round (1..T) of the replicates ``rows``."""
        t, (replicates, _, G) = round_ - 1, rewards_RBG.shape
        flat_RS = signals_RBG.reshape(replicates, -1)
        mean_R = flat_RS.mean(axis=1)
        sums_RB = rewards_RBG.sum(axis=2)
        self.reward_mean_RT[rows, t] = sums_RB.mean(axis=1) / G
        self.signal_mean_RT[rows, t] = mean_R
        deviations_RS = flat_RS - mean_R[:, None]
        self.signal_var_RT[rows, t] = (deviations_RS * deviations_RS).mean(axis=1)
        self.zero_signal_RT[rows, t] = 1.0 - signals_RBG.any(axis=2).mean(axis=1)
        if self.correct_RTB.shape[2]:
            self.reward_sum_RTB[rows, t] = sums_RB
            self.correct_RTB[rows, t] = correct_RB
            if items_RB is not None:
                self.items_RTB[rows, t] = items_RB


def check_rising(name: str, grid_E: NDArray[np.int64], rounds: int) -> None:
    """Refuse a grid that does not rise strictly within 0..rounds; an empty one is a grid.

    Raises:
        InputError: Names the argument.
    """
    if len(grid_E) and (grid_E[0] < 0 or grid_E[-1] > rounds or (np.diff(grid_E) <= 0).any()):
        raise InputError(f"{name}: must rise strictly within 0..{rounds}, got {grid_E.tolist()}")
