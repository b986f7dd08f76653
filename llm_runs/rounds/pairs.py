"""What yoked runs are given: how often their pairs were rewarded, read from the pairs' records.

A yoked placebo trains on its pair's queries in its pair's order. Each of its groups is given as many
successes as the pair's group at the same place, so that every group and round has the pair's rewards in it.
Which of its own responses get them is decided at random, in `llm_runs.rounds.rewarding`.

Axes: S runs, T rounds, Q queries of a round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError, RecordError
from banditrft.records import GROUPS, read_table
from banditrft.runs import Run
from llm_runs.tasks import Item

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Groups of the pairs of S runs.

    Attributes:
        items_STQ: Item of each group.
        successes_STQ: Its successes, as the learner was told.
    """

    items_STQ: Ints
    successes_STQ: Ints

    def successes(self, round_: int, items_SQ: Sequence[Sequence[Item]]) -> Ints:
        """Successes of the groups of round t = 1, 2, ..., (S, Q).

        Raises:
            InputError: The pairs trained on other items in this round.
        """
        own_SQ = np.array([[item.index for item in row] for row in items_SQ])
        if not np.array_equal(own_SQ, self.items_STQ[:, round_ - 1]):
            raise InputError(
                f"reward: 'yoked' runs are given the rewards of runs on the same items, got others in round "
                f"{round_}"
            )
        return self.successes_STQ[:, round_ - 1]


def read_pairs(runs: Sequence[Run], root: Path | None) -> Pairs:
    """Read what the pairs of a stack of yoked runs have recorded.

    Args:
        runs: Runs of one design.
        root: The study's folder.

    Raises:
        InputError: There is no folder, or a pair has not been run.
        RecordError: A pair's records are damaged or of another design.
    """
    groups = [_read(run, root) for run in runs]
    return Pairs(np.stack([items for items, _ in groups]), np.stack([count for _, count in groups]))


def _read(run: Run, root: Path | None) -> tuple[Ints, Ints]:
    design = run.design
    if root is None or run.pair is None or not (root / run.pair / "run.json").exists():
        raise InputError(
            f"{run.label()}: is given the rewards of run {run.pair}, which is not recorded; first run the "
            f"condition with reward = '{design.yoked_to}'"
        )
    path = root / run.pair / "groups.parquet"
    table = read_table(path, GROUPS)
    T, Q = design.rounds, design.batch_size
    whole = table["round"].to_list() == np.repeat(np.arange(1, T + 1), Q).tolist()
    if not whole or (table["n"] != design.rollouts).any():
        raise RecordError(f"{path}: must hold {T} rounds of {Q} groups of {design.rollouts} rollouts")
    told = table["reward_sum"] if design.yoked_to == "noisy" else table["correct_strict"]
    return table["item"].to_numpy().reshape(T, Q), told.to_numpy().astype(np.int64).reshape(T, Q)
