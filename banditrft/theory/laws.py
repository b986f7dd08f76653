"""From a design to the law of its rounds, and the designs that have one (theory §3).

Signals are read from `banditrft.signals` and never written down again. Which population a rollout is compared
with follows the simulator: its group, its baseline rollouts, and past rewards up to the replay window, which
are taken to be as good as fresh here (their staleness: :mod:`banditrft.theory.replay`).
"""

from dataclasses import replace

import numpy as np
from scipy.special import expm1, log_expit

from banditrft.design import BATCH_SIGNALS, Design
from banditrft.errors import InputError
from banditrft.rewards import placebo_rate, reward_values
from banditrft.signals import signal
from banditrft.theory import domain
from banditrft.theory.batches import BatchLaw
from banditrft.theory.groups import GroupLaw, Pull
from banditrft.theory.moments import Floats

SIGNALS = ("raw", "centered", "grpo", "rloo")
REWARDS = ("zero-one", "minus-one-zero", "minus-one-one")
LAW_REWARDS = (*REWARDS, "noisy", "random")


def require(design: Design, field: str, allowed: tuple[object, ...]) -> None:
    """Refuse a design outside the closed forms' reach.

    Raises:
        InputError: ``field`` holds none of the allowed values.
    """
    value = getattr(design, field)
    if value not in allowed:
        known = " | ".join(map(repr, allowed))
        raise InputError(f"{field}: the closed forms cover {known}, got {value!r}")


def heard(design: Design, base: float | None) -> tuple[float, float]:
    """P(high reward) of a wrong and of a right answer.

    Args:
        design: A two-valued reward map.
        base: Base Pass@1, the placebo's default rate.

    Raises:
        InputError: The placebo's rate is the base Pass@1, which is not given.
    """
    if design.reward == "random":
        if base is None and design.rate == "base":
            raise InputError("rate: 'base' needs the base Pass@1, which is not given here")
        rate = placebo_rate(design, base or 0.0)
        return rate, rate
    if design.reward == "noisy":
        return design.false_positive, 1.0 - design.false_negative
    return 0.0, 1.0


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
    require(design, "reward", LAW_REWARDS)
    probabilities = heard(design, base)
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
    low, high = reward_values(design)
    fresh_S, other_S = (grid.ravel() for grid in np.meshgrid(np.arange(G + 1), np.arange(M + 1)))
    if design.signal == "raw":
        low_S, high_S = np.full(G + 1, low), np.full(G + 1, high)
    else:
        highs_SG = np.arange(G) < fresh_S[:, None]
        extra_SM = np.arange(M) < other_S[:, None]
        rewards_SP = np.where(np.concatenate([highs_SG, extra_SM], axis=1), high, low).astype(np.float64)
        alone = design.model_copy(update={"batch_size": 1})
        signals_SP = signal(alone, rewards_SP[:, None, :])[:, 0, :]
        low_S = np.where(fresh_S < G, signals_SP[:, G - 1], 0.0)
        high_S = np.where(fresh_S > 0, signals_SP[:, 0], 0.0)
    return GroupLaw(
        low_S,
        high_S,
        fresh_S.astype(np.float64),
        other_S.astype(np.float64),
        G,
        M,
        probabilities,
        copies,
        penalty=_penalty(design, base),
    )


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
        return np.asarray(coefficient * (gap if design.kl_estimator == "k2" else expm1(gap)))

    def pull(log_odds: Floats) -> tuple[Floats, Floats]:
        return slope(log_expit(start) - log_expit(log_odds)), slope(log_expit(-start) - log_expit(-log_odds))

    return pull
