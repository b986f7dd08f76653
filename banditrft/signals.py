"""Learning signals: rewards of a round's rollouts -> the weight of each rollout's log-probability.

The only place where a signal is defined (`SIGNALS`); its name stands in `banditrft.design` as well. Written
against the array-API standard, so the same function serves NumPy arrays in the simulator and torch tensors in
the learner. The simulator's compiled kernel never re-implements a signal: it reads :func:`table`, which is
computed here.

Names as users know them: ``raw`` is the bare reward; ``centered`` is Dr.GRPO (verl with
``norm_adv_by_std_in_grpo=False``, TRL ``scale_rewards="none"``); ``grpo`` is (r - mean)/(std + eps), with
ddof=1 and eps=1e-6 as in verl (TRL ``scale_rewards="group"``: eps=1e-4); ``rloo`` is r minus the mean of the
others. These map an array (..., G) to one of the same shape, group by group. ``batch-centered``, ``gpg`` and
``reinforce-plus-plus`` look at a whole round and take (..., B, G); with one query a round (B = 1) the group
is the batch. The population of a group's mean and standard deviation may hold more than the group: baseline
rollouts and past rewards are `others` of :func:`signal`. ``match_step_size`` is not applied here, since it
needs a base Pass@1: see :mod:`banditrft.theory.matching`.
"""

import math
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from banditrft.design import BATCH_SIGNALS, Design
from banditrft.errors import InputError
from banditrft.rewards import reward_map

Array = Any
"""An array of any library that follows the array-API standard (NumPy, torch)."""
WHITENING_EPS = 1e-8
"""Added to the variance by `reinforce_plus_plus`, as in verl."""


def raw(rewards_BG: Array) -> Array:
    """The reward itself, s = r (theory §3)."""
    return rewards_BG


def centered(rewards_BG: Array, others_BM: Array | None = None, valid_BM: Array | None = None) -> Array:
    """Reward minus the group mean, s = r - mean(r) (Dr.GRPO, arXiv 2503.20783; theory §3).

    Args:
        rewards_BG: Rewards, one group per row.
        others_BM: Further rewards that enter the mean alone; finite. As for all signals of a group.
        valid_BM: Which of them exist, by 1 and 0 or true and false; all by default.
    """
    return _as_given(_population(rewards_BG, others_BM, valid_BM)[0], rewards_BG)


def grpo(
    rewards_BG: Array,
    others_BM: Array | None = None,
    valid_BM: Array | None = None,
    *,
    ddof: int,
    eps: float,
) -> Array:
    """Group-normalised advantage, s = (r - mean)/(std_ddof + eps) (GRPO, arXiv 2402.03300; theory §3).

    Args:
        rewards_BG: Rewards, one group per row; without others at least ``ddof + 1`` rollouts in a group.
        others_BM: Further rewards that enter mean and standard deviation alone.
        valid_BM: Which of them exist; all by default.
        ddof: Delta degrees of freedom of the standard deviation: 1 in verl and TRL, 0 in theory §3's table.
        eps: Added to the standard deviation: 1e-6 in verl, 1e-4 in TRL.

    Raises:
        InputError: The group is too small for a standard deviation.
    """
    if others_BM is None and rewards_BG.shape[-1] <= ddof:
        raise InputError(
            f"signal: 'grpo' with signal_ddof = {ddof} needs groups of at least {ddof + 1} rollouts, "
            f"got {rewards_BG.shape[-1]}"
        )
    xp = array_api_compat.array_namespace(rewards_BG)
    deviation_BG, n_B1, squares_B1 = _population(rewards_BG, others_BM, valid_BM)
    std_B1 = xp.sqrt(squares_B1 / xp.clip(n_B1 - ddof, 1.0, None))
    if others_BM is not None:
        std_B1 = xp.where(n_B1 == 1.0, xp.ones_like(std_B1), std_B1)
    return _as_given(_over(deviation_BG, std_B1 + eps), rewards_BG)


def rloo(rewards_BG: Array, others_BM: Array | None = None, valid_BM: Array | None = None) -> Array:
    """Reward minus the mean of the others, s_i = r_i - mean_{j != i} r_j (arXiv 2402.14740; theory §3).

    Equals n/(n-1) times :func:`centered`, n the size of the population (G without others).

    Args:
        rewards_BG: Rewards, one group per row.
        others_BM: Further members of every mean.
        valid_BM: Which of them exist; all by default.

    Raises:
        InputError: A group of one has no others.
    """
    G = rewards_BG.shape[-1]
    if others_BM is None and G < 2:
        raise InputError(f"signal: 'rloo' needs groups of at least 2 rollouts, got {G}")
    xp = array_api_compat.array_namespace(rewards_BG)
    deviation_BG, n_B1, _ = _population(rewards_BG, others_BM, valid_BM)
    return _as_given(deviation_BG * (n_B1 / xp.clip(n_B1 - 1.0, 1.0, None)), rewards_BG)


def _population(
    rewards_BG: Array, others_BM: Array | None, valid_BM: Array | None
) -> tuple[Array, Array, Array]:
    """Rewards minus their population's mean (..., B, G), its size and sum of squared deviations (..., B, 1).

    Everything is taken relative to the first reward, so that equal rewards deviate by exactly 0. A rollout
    alone in its population keeps its reward (mean 0), as in verl, where others are asked for at all. Sums of
    half-precision rewards are taken in single precision.
    """
    rewards_BG = _single(rewards_BG)
    xp = array_api_compat.array_namespace(rewards_BG)
    first_B1 = rewards_BG[..., :1]
    shifted_BG = rewards_BG - first_B1
    if others_BM is None:
        deviation_BG = shifted_BG - xp.mean(shifted_BG, axis=-1, keepdims=True)
        squares_B1 = xp.sum(deviation_BG * deviation_BG, axis=-1, keepdims=True)
        return deviation_BG, xp.ones_like(first_B1) * rewards_BG.shape[-1], squares_B1
    if others_BM.shape[:-1] != rewards_BG.shape[:-1]:
        raise InputError(
            f"others: need the rewards' leading axes {tuple(rewards_BG.shape[:-1])}, "
            f"got shape {tuple(others_BM.shape)}"
        )
    others_BM = _single(others_BM)
    valid_BM = xp.ones_like(others_BM) if valid_BM is None else xp.astype(valid_BM, rewards_BG.dtype)
    shifted_BM = (others_BM - first_B1) * valid_BM
    n_B1 = rewards_BG.shape[-1] + xp.sum(valid_BM, axis=-1, keepdims=True)
    sums = (xp.sum(x, axis=-1, keepdims=True) for x in (shifted_BG, shifted_BM))
    mean_B1 = sum(sums) / n_B1
    deviation_BG = shifted_BG - mean_B1
    deviation_BM = (shifted_BM - mean_B1) * valid_BM
    squares_B1 = xp.sum(deviation_BG * deviation_BG, axis=-1, keepdims=True)
    squares_B1 = squares_B1 + xp.sum(deviation_BM * deviation_BM, axis=-1, keepdims=True)
    return xp.where(n_B1 == 1.0, rewards_BG, deviation_BG), n_B1, squares_B1


def _half(rewards: Array) -> bool:
    """Whether rewards are half-precision numbers, in which squares and eps fall below the smallest one."""
    xp = array_api_compat.array_namespace(rewards)
    return bool(xp.isdtype(rewards.dtype, "real floating")) and rewards.dtype.itemsize < 4


def _single(rewards: Array) -> Array:
    """Rewards in at least single precision, in which statistics are taken."""
    xp = array_api_compat.array_namespace(rewards)
    return xp.astype(rewards, xp.float32) if _half(rewards) else rewards


def _as_given(signals: Array, rewards: Array) -> Array:
    """Signals in the precision of the rewards that they were taken from."""
    xp = array_api_compat.array_namespace(rewards)
    return xp.astype(signals, rewards.dtype) if _half(rewards) else signals


def _over(deviation: Array, scale: Array) -> Array:
    """Deviations in units of a scale; 0 stays 0 whatever the scale."""
    xp = array_api_compat.array_namespace(deviation)
    return deviation / xp.where(deviation == 0, xp.ones_like(scale), scale)


def batch_centered(rewards_BG: Array) -> Array:
    """Reward minus the mean of the whole batch, s = r - mean over queries and rollouts (theory §3).

    Args:
        rewards_BG: Rewards, (..., B, G); leading axes are separate batches.

    Raises:
        InputError: The array has no batch axis.
    """
    _batch("batch-centered", rewards_BG, 1)
    return _as_given(_from_mean(_single(rewards_BG)), rewards_BG)


def _from_mean(rewards_BG: Array) -> Array:
    """Rewards minus their batch's mean; equal ones deviate by exactly 0."""
    xp = array_api_compat.array_namespace(rewards_BG)
    deviation_BG = rewards_BG - xp.mean(rewards_BG, axis=(-2, -1), keepdims=True)
    differs_11 = xp.any(rewards_BG != rewards_BG[..., :1, :1], axis=(-2, -1), keepdims=True)
    return xp.where(differs_11, deviation_BG, xp.zeros_like(deviation_BG))


def gpg(rewards_BG: Array) -> Array:
    """Group-centred reward over the share of non-zero rewards (verl ``gpg``, arXiv 2504.02546; theory §3).

    s = alpha (r - group mean), alpha = B G / number of rewards that are not 0 (at least 1). As in verl the
    mean of a group of one is 0. What is counted is rewards, not advantages: under {-1, 0} alpha is the
    inverse share of failures, under {-1, 1} it is 1.

    Args:
        rewards_BG: Rewards, (..., B, G); leading axes are separate batches.

    Raises:
        InputError: The array has no batch axis.
    """
    xp = array_api_compat.array_namespace(rewards_BG)
    B, G = _batch("gpg", rewards_BG, 1)
    exact_BG = _single(rewards_BG)
    rewarded_11 = xp.sum(xp.astype(rewards_BG != 0, exact_BG.dtype), axis=(-2, -1), keepdims=True)
    alpha_11 = (B * G) / xp.clip(rewarded_11, 1.0, None)
    return _as_given(alpha_11 * (centered(exact_BG) if G > 1 else exact_BG), rewards_BG)


def reinforce_plus_plus(rewards_BG: Array) -> Array:
    """Rewards whitened over the batch, s = (r - mean)/sqrt(var + 1e-8) (arXiv 2501.03262; theory §3).

    The variance has ddof 1, as in verl, whose mean and variance weigh tokens; here every response counts
    once, which is the same where responses are equally long (a bandit's arm is one token).

    Args:
        rewards_BG: Rewards, (..., B, G) with B G > 1; leading axes are separate batches.

    Raises:
        InputError: The array has no batch axis, or the batch holds a single reward.
    """
    xp = array_api_compat.array_namespace(rewards_BG)
    _batch("reinforce-plus-plus", rewards_BG, 2)
    exact_BG = _single(rewards_BG)
    var_11 = xp.var(exact_BG, axis=(-2, -1), correction=1.0, keepdims=True)
    return _as_given(_over(_from_mean(exact_BG), xp.sqrt(var_11 + WHITENING_EPS)), rewards_BG)


def _batch(name: str, rewards_BG: Array, least: int) -> tuple[int, int]:
    """B and G of an array that must have both."""
    if rewards_BG.ndim < 2:
        raise InputError(f"signal: '{name}' needs rewards (..., B, G), got shape {tuple(rewards_BG.shape)}")
    B, G = rewards_BG.shape[-2:]
    size = B * G
    if size < least:
        raise InputError(f"signal: '{name}' needs batches of at least {least} rewards, got {size}")
    return B, G


SIGNALS: dict[str, Callable[[Design, Array, Array | None, Array | None], Array]] = {
    "raw": lambda design, rewards, others, valid: raw(rewards),
    "centered": lambda design, rewards, others, valid: centered(rewards, others, valid),
    "batch-centered": lambda design, rewards, others, valid: batch_centered(rewards),
    "grpo": lambda design, rewards, others, valid: grpo(
        rewards, others, valid, ddof=design.signal_ddof, eps=design.signal_eps
    ),
    "rloo": lambda design, rewards, others, valid: rloo(rewards, others, valid),
    "gpg": lambda design, rewards, others, valid: gpg(rewards),
    "reinforce-plus-plus": lambda design, rewards, others, valid: reinforce_plus_plus(rewards),
}
"""Every signal by its name in a study file. Whether it looks at a group or at the whole batch is said in
`banditrft.design`."""
STANDARDISED = ("grpo", "reinforce-plus-plus")
"""Signals that are divided by a standard deviation."""


def signal(
    design: Design, rewards_BG: Array, others_BM: Array | None = None, valid_BM: Array | None = None
) -> Array:
    """Learning signals of one round under a design.

    Args:
        design: Names the signal and, for ``grpo``, its ``signal_ddof`` and ``signal_eps``.
        rewards_BG: Rewards, (..., G) floating point; (..., B, G) with B = ``batch_size`` for a signal over
            the batch.
        others_BM: Rewards that enter a group's mean and standard deviation but are not reinforced (baseline
            rollouts, a window of past rewards), (..., M) with the same leading axes; finite. The raw signal
            has no statistic and ignores them.
        valid_BM: Which of the others exist, by 1 and 0 or true and false; all by default. A rollout that is
            alone in its population has mean 0 and standard deviation 1, as in verl.

    Raises:
        InputError: The design's signal has no definition on rewards of this shape, or is one over the batch,
            which takes no others.
    """
    if design.signal in BATCH_SIGNALS:
        if rewards_BG.shape[-2:-1] != (design.batch_size,):
            raise InputError(
                f"signal: '{design.signal}' needs rewards (..., B, G) with B = batch_size = "
                f"{design.batch_size}, got shape {tuple(rewards_BG.shape)}"
            )
        if others_BM is not None:
            raise InputError(
                f"baseline_rollouts, replay_window: '{design.signal}' knows the batch's own rewards only"
            )
    return SIGNALS[design.signal](design, rewards_BG, others_BM, valid_BM)


def largest(design: Design) -> float:
    """Largest size of a signal in a round with one success, rewards being 0 and 1 (theory §3)."""
    size = design.batch_size * design.rollouts
    if design.signal in STANDARDISED:
        return math.sqrt(size)
    return float(size) if design.signal == "gpg" else 1.0


def table(design: Design, low: float | None = None, high: float | None = None) -> NDArray[np.float64]:
    """Signal of a rollout by its group's success count: all that two-valued rewards leave to know.

    Args:
        design: Its ``rollouts`` is the group size G.
        low: Value of a failure; the design's reward map by default.
        high: Value of a success; likewise.

    Returns:
        float64 (G + 1, 2): row s holds the signals of a failure (column 0) and of a success (column 1) in a
        group with s successes. The two unreachable cells, a success among none and a failure among G, are 0.

    Raises:
        InputError: A signal over a batch of several queries, where a group's count does not decide it.
    """
    if design.signal in BATCH_SIGNALS and design.batch_size > 1:
        raise InputError(
            f"signal: '{design.signal}' depends on the whole batch; it has a table with batch_size = 1 only, "
            f"got {design.batch_size}"
        )
    rewards = reward_map(design)
    low = rewards.low if low is None else low
    high = rewards.high if high is None else high
    G = design.rollouts
    rewards_SG = np.where(np.arange(G) < np.arange(G + 1)[:, None], high, low).astype(np.float64)
    signals_SG = signal(design, rewards_SG[:, None, :])[:, 0, :]
    out = np.zeros((G + 1, 2))
    out[:-1, 0] = signals_SG[:-1, -1]
    out[1:, 1] = signals_SG[1:, 0]
    return out
