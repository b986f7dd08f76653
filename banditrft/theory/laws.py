"""From a design to the law of its rounds, and the designs that have one (theory §3).

Signals are read from `banditrft.signals` and never written down again. Which population a rollout is compared
with follows the simulator: its group, its baseline rollouts, and past rewards up to the replay window, which
are taken to be as good as fresh here (their staleness: :mod:`banditrft.theory.replay`).
"""

import math
from dataclasses import replace

import numpy as np
from scipy.special import expm1, log_expit

from banditrft.design import BATCH_SIGNALS, GROUP_SIGNALS, Design
from banditrft.errors import InputError
from banditrft.rewards import is_honest, reward_map, two_valued
from banditrft.signals import signal
from banditrft.theory import domain
from banditrft.theory.batches import BatchLaw
from banditrft.theory.groups import GroupLaw, Pull, log_choose, mute, split_rule
from banditrft.theory.moments import Floats

SIGNALS = ("raw", *GROUP_SIGNALS)
"""Signals whose groups have a law of their own."""
MOST_REWARDS, MOST_RAW = 8_192, 200_000
"""Most rewards that one signal is computed from; under the raw signal, whose rewards do not meet."""
MOST_PAIRS = 4_096
"""Most pairs of counts that are summed over one by one."""
FARTHEST = 150.0
"""Log-ratio to the reference above which k3 stops growing here, so that its square stays a number."""
MOST_CELLS = 1_000_000
"""Rewards in memory at once."""


def require(design: Design, field: str, allowed: tuple[object, ...]) -> None:
    """Refuse a design outside the closed forms' reach.

    Raises:
        InputError: ``field`` holds none of the allowed values.
    """
    value = getattr(design, field)
    if value not in allowed:
        known = " | ".join(map(repr, allowed))
        raise InputError(f"{field}: the closed forms cover {known}, got {value!r}")


def reward_chances(design: Design, base: float | None) -> tuple[float, float]:
    """P(high reward) of a wrong and of a right answer.

    Args:
        design: A two-valued reward map.
        base: Base Pass@1, the placebo's default rate.

    Raises:
        InputError: The placebo's rate is the base Pass@1, which is not given.
    """
    rewards = reward_map(design, math.nan if base is None else base)
    if math.isnan(rewards.p_high_if_right):
        raise InputError("rate: 'base' needs the base Pass@1, which is not given here")
    return rewards.p_high_if_wrong, rewards.p_high_if_right


def silent_failures(design: Design) -> bool:
    """Whether a wrong answer moves nothing: raw rewards that are 0 for it."""
    return design.signal == "raw" and is_honest(design) and reward_map(design).low == 0.0


def others(design: Design) -> int:
    """Rewards that enter a group's mean and standard deviation beside its own: none for the raw signal."""
    if design.signal == "raw":
        return 0
    return max(design.baseline_rollouts, design.replay_window - design.rollouts)


def round_law(design: Design, base: float | None = None) -> GroupLaw | BatchLaw:
    """The law of a design's rounds: B copies of one query, step-size matching left out.

    Args:
        design: Any signal; a two-valued reward map, honest, noisy or placebo; any batch, baseline rollouts
            and window.
        base: Base Pass@1, where the placebo's rate or a KL penalty's reference is it.

    Raises:
        InputError: The design has no such law: graded rewards, a signal over the batch with other rewards.
    """
    require(design, "reward", two_valued())
    probabilities = reward_chances(design, base)
    if design.signal in BATCH_SIGNALS:
        for field in ("baseline_rollouts", "replay_window"):
            require(design, field, (0,))
        if design.signal == "gpg" and design.batch_size > 1:
            require(design, "kl_coef", (0.0,))
            return BatchLaw.of(design, probabilities)
        # these see the number of high rewards in the batch alone: one large group
        return _group(design, probabilities, design.batch_size * design.rollouts, 0, 1, base)
    if design.signal == "raw":
        size = design.batch_size * design.rollouts
        return replace(_group(design, probabilities, size, 0, 1, base), merged=design.batch_size)
    return _group(design, probabilities, design.rollouts, others(design), design.batch_size, base)


def _group(
    design: Design, probabilities: tuple[float, float], G: int, M: int, copies: int, base: float | None
) -> GroupLaw:
    """G fresh rollouts and M other rewards, signals from the rewards of all G + M."""
    most = MOST_RAW if design.signal == "raw" else MOST_REWARDS
    total = G + M
    if total > most:
        raise InputError(
            "rollouts, batch_size, baseline_rollouts, replay_window: the closed forms cover signals of "
            f"'{design.signal}' over up to {most} rewards, got {total}"
        )
    low_T, high_T = _signals(design, total)
    split, pairs = None, (G + 1) * (M + 1)
    if not M or pairs <= MOST_PAIRS:
        fresh_S, other_S = (grid.ravel() for grid in np.meshgrid(np.arange(G + 1), np.arange(M + 1)))
        total_S = fresh_S + other_S
    else:
        node_T3, weight_T3, none_T, all_T = split_rule(G, M)
        total_S = np.repeat(np.arange(total + 1), 3)
        fresh_S, other_S = node_T3.ravel(), total_S - node_T3.ravel()
        ways_T = log_choose(total, np.arange(total + 1))
        mute_high_T, mute_low_T = mute(low_T, high_T)
        silent_T = np.where(mute_high_T, np.where(mute_low_T, 1.0, all_T), np.where(mute_low_T, none_T, 0.0))
        with np.errstate(divide="ignore"):
            split = ways_T[total_S] + np.log(weight_T3.ravel()), silent_T[total_S]
    return GroupLaw(
        np.where(fresh_S < G, low_T[total_S], 0.0),
        np.where(fresh_S > 0, high_T[total_S], 0.0),
        fresh_S.astype(np.float64),
        other_S.astype(np.float64),
        G,
        M,
        probabilities,
        copies,
        penalty=_penalty(design, base),
        split=split,
    )


def _signals(design: Design, size: int) -> tuple[Floats, Floats]:
    """Signals of a low and of a high reward by the number T of high ones among all, both (size + 1,)."""
    low, high = reward_map(design)[:2]
    if design.signal == "raw":
        return np.full(size + 1, float(low)), np.full(size + 1, float(high))
    alone = design.model_copy(update={"batch_size": 1})
    out_T2 = np.zeros((size + 1, 2))
    rows = max(MOST_CELLS // size, 1)
    for start in range(0, size + 1, rows):
        total_T = np.arange(start, min(start + rows, size + 1))
        rewards_TN = np.where(np.arange(size) < total_T[:, None], high, low).astype(np.float64)
        signals_TN = signal(alone, rewards_TN[:, None, :])[:, 0, :]
        out_T2[total_T, 0], out_T2[total_T, 1] = signals_TN[:, -1], signals_TN[:, 0]
    # where every reward is the same, the other value has no signal
    out_T2[size, 0] = out_T2[0, 1] = 0.0
    return out_T2[:, 0], out_T2[:, 1]


def _penalty(design: Design, base: float | None) -> Pull | None:
    """What the KL penalty adds to the signals of right and wrong answers: kl_coef k'(log ref - log pi)."""
    if design.kl_coef == 0.0:
        return None
    if base is None:
        raise InputError("kl_coef: the penalty's reference is the base Pass@1, which is not given here")
    start, coefficient = domain.log_odds(base), design.kl_coef

    def slope(gap: Floats) -> Floats:
        if design.kl_estimator == "k1":
            return np.full_like(gap, -coefficient)
        return np.asarray(
            coefficient * (gap if design.kl_estimator == "k2" else expm1(np.minimum(gap, FARTHEST)))
        )

    def pull(log_odds: Floats) -> tuple[Floats, Floats]:
        return slope(log_expit(start) - log_expit(log_odds)), slope(log_expit(-start) - log_expit(-log_odds))

    return pull
