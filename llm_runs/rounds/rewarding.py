"""From grades to rewards: the design's reward map on graded responses, noise and placebos included.

Every rollout has one uniform number of purpose REWARD at its own address, drawn only where the map asks for
it. What is measured (Pass@1) never passes through here.

A yoked placebo trains on its pair's queries in its pair's order. Each of its groups is given as many
successes as the pair's group at the same place, so that every group and round has the pair's rewards in it
(`read_pairs` reads them from the pair's records). Which of its own responses get them is decided at random.

Axes: S replicas, Q queries of a round, G rollouts, T rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from banditrft.design import PLACEBOS, Design
from banditrft.errors import InputError, RecordError
from banditrft.records import GROUPS, read_table
from banditrft.rewards import is_honest, reward_map
from banditrft.runs import Run
from banditrft.theory.matching import matching_factor
from llm_runs.tasks import Item

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LARGEST_KL = 1e6
"""Largest KL estimate of a response that enters a reward, nats."""


def draws_rewards(design: Design) -> bool:
    """Whether the rewards of a design need random numbers."""
    return design.reward in PLACEBOS or not (is_honest(design) or reward_map(design).graded)


def rewards(
    design: Design,
    strict_SQG: NDArray[np.bool_],
    score_SQG: Floats,
    u_SQG: Floats | None,
    base_S: Floats,
    dealt_SQ: NDArray[np.int64] | None = None,
) -> Floats:
    """Rewards of one round, float64 (S, Q, G).

    Args:
        design: Names the reward map. "graded" is the task's own score; "noisy" turns a right answer into a
            wrong one with probability `false_negative` and a wrong one into a right one with
            `false_positive`; "random" (a placebo) draws a success at `rate`, whatever was answered, and
            "yoked" (the other one) deals out as many successes as its pair had, in a random order.
        strict_SQG: Right under strict grading.
        score_SQG: The task's own reward, in [0, 1].
        u_SQG: Uniform numbers in [0, 1), where `draws_rewards` asks for them.
        base_S: Base Pass@1 of each replica's query, the random placebo's rate by default.
        dealt_SQ: Successes of the pair's groups, for "yoked".
    """
    of = reward_map(design, base_S[:, None, None])
    if of.graded:
        return of.low + (of.high - of.low) * score_SQG
    success_SQG = strict_SQG
    if u_SQG is not None and dealt_SQ is not None:
        success_SQG = u_SQG.argsort(axis=-1).argsort(axis=-1) < dealt_SQ[..., None]
    elif u_SQG is not None:
        success_SQG = u_SQG < np.where(strict_SQG, of.p_high_if_right, of.p_high_if_wrong)
    return np.where(success_SQG, of.high, of.low)


def factors(design: Design, base_S: Floats) -> Floats:
    """What the signals of each replica are multiplied by: 1 unless the step is to be matched to raw's.

    Raises:
        InputError: A base Pass@1 at which there is no drift to match, or rewards that it does not describe.
    """
    if not design.match_step_size:
        return np.ones(len(base_S))
    if reward_map(design).graded:
        raise InputError("match_step_size: must be false with reward = 'graded', got true")
    return np.array([matching_factor(design, float(p)) for p in base_S])


def penalised(design: Design, rewards_SQG: Floats, divergence_SQG: Tensor) -> Floats:
    """Rewards less `kl_coef` times each response's KL estimate, nats.

    An estimate that is no number, or beyond `LARGEST_KL`, belongs to a run that has diverged.
    """
    kl_SQG: Floats = np.nan_to_num(divergence_SQG.double().cpu().numpy(), nan=LARGEST_KL)
    clipped_SQG: Floats = np.clip(kl_SQG, -LARGEST_KL, LARGEST_KL)
    return rewards_SQG - design.kl_coef * clipped_SQG


def differing(rewards_SQM: Floats, rollouts: int) -> Tensor:
    """Which responses belong to a group whose rewards differ at all, (S, Q, `rollouts`).

    Rewards of baseline rollouts count as the group's; a KL penalty, which tells all responses apart, does
    not.
    """
    active_SQ = (rewards_SQM != rewards_SQM[..., :1]).any(-1)
    return torch.from_numpy(np.repeat(active_SQ[..., None], rollouts, axis=-1))


@dataclass(frozen=True)
class Pairs:
    """Groups of the pairs of S runs.

    Attributes:
        items_STQ: Item of each group.
        successes_STQ: Its successes, as the learner was given them.
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
    given = table["reward_sum"] if design.yoked_to == "noisy" else table["correct_strict"]
    return table["item"].to_numpy().reshape(T, Q), given.to_numpy().astype(np.int64).reshape(T, Q)
