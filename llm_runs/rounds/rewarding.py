"""From grades to rewards: the design's reward map on graded responses, noise and placebo included.

Every rollout has one uniform number of purpose REWARD at its own address, drawn only where the map asks for
it. What is measured (Pass@1) never passes through here.

Axes: S replicas, Q queries, G rollouts.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from banditrft.design import PLACEBOS, Design
from banditrft.errors import InputError
from banditrft.rewards import is_honest, reward_map
from banditrft.theory.matching import matching_factor

Floats = NDArray[np.float64]
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
