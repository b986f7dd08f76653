"""The learner's objective, world-independent: per-token losses and how they become one number.

Written against the array-API standard, so that torch differentiates it and NumPy can check it. What the
signals are is decided in `banditrft.signals`; who takes the step, in the worlds.

The loss of one token (a bandit's arm is one token) with log-probability log pi is

    -min(r s, clip(r, 1 - low, 1 + high) s) + kl_coef k(d),   r = pi / pi_old,   d = log pi_ref - log pi,

pi_old the policy that drew it, s its signal, k1 = -d, k2 = d^2/2, k3 = e^d - d - 1 (not clamped). A world
that knows the gradient of log pi in closed form needs only the number that multiplies it, :func:`weights`. On
the first update of a round r = 1: no clip acts, and the surrogate's gradient is the plain policy gradient
(theory §1).
"""

from typing import Any, Literal

import array_api_compat

from banditrft.design import Design

Array = Any
"""An array of any library that follows the array-API standard (NumPy, torch)."""
Estimator = Literal["k1", "k2", "k3"]


def policy_gradient(logprobs_SGT: Array, signals_SG: Array) -> Array:
    """Token losses whose gradient is the policy gradient: -signal x log-probability (theory §1).

    Args:
        logprobs_SGT: Log-probability of every token drawn, nats.
        signals_SG: Learning signal of every rollout, a constant.

    Returns:
        (S, G, T) losses.
    """
    return -signals_SG[..., None] * logprobs_SGT


def clipped_surrogate(
    logprobs: Array, old_logprobs: Array, signals: Array, clip_low: float, clip_high: float
) -> Array:
    """Token losses -min(r s, clip(r, 1 - low, 1 + high) s) (PPO, arXiv 1707.06347; asymmetric as in DAPO).

    Args:
        logprobs: Log-probability of every token, nats; all arrays have one shape.
        old_logprobs: The same under the policy that drew it, a constant.
        signals: Learning signal of every token, a constant.
        clip_low: The ratio counts down to 1 - clip_low.
        clip_high: The ratio counts up to 1 + clip_high.
    """
    xp = array_api_compat.array_namespace(logprobs)
    ratio = xp.exp(logprobs - old_logprobs)
    return -xp.minimum(ratio * signals, xp.clip(ratio, 1.0 - clip_low, 1.0 + clip_high) * signals)


def kl_penalty(logprobs: Array, ref_logprobs: Array, estimator: Estimator) -> Array:
    """Estimate, token by token, of the KL divergence from the reference policy (Schulman's k1, k2, k3).

    With d = log pi_ref - log pi: k1 = -d and k3 = e^d - d - 1 are unbiased as *values*, k2 = d^2/2 is not.
    Not so their gradients: k1's is 0 in expectation, k2's is the KL's, k3's that of KL(pi_ref || pi).

    Args:
        logprobs: Log-probability of every token drawn from pi, nats.
        ref_logprobs: The same under the reference policy.
        estimator: "k1", "k2" or "k3".
    """
    xp = array_api_compat.array_namespace(logprobs)
    gap = ref_logprobs - logprobs
    match estimator:
        case "k1":
            return -gap
        case "k2":
            return 0.5 * gap * gap
        case "k3":
            return xp.exp(gap) - gap - 1.0


def weights(design: Design, signals: Array, lead: Array | None = None, gap: Array | None = None) -> Array:
    """Weight of every token's log-probability: minus the derivative of its loss.

    r s where the clip does not act (r <= 1 + high for s > 0, r >= 1 - low for s < 0), else 0; plus kl_coef
    times -1 (k1), d (k2) or e^d - 1 (k3).

    Args:
        design: Its clips, ``kl_coef`` and ``kl_estimator``.
        signals: Learning signal of every token.
        lead: log r = log pi - log pi_old, of the same shape; None on the first update of a round.
        gap: d = log pi_ref - log pi, of the same shape; None stands for no penalty.
    """
    xp = array_api_compat.array_namespace(signals)
    out = signals
    if lead is not None:
        ratio = xp.exp(lead)
        clipped = ((signals > 0) & (ratio > 1.0 + design.clip_high)) | (
            (signals < 0) & (ratio < 1.0 - design.clip_low)
        )
        out = xp.where(clipped, xp.zeros_like(signals), ratio * signals)
    if gap is None or design.kl_coef == 0.0:
        return out
    match design.kl_estimator:
        case "k1":
            return out - design.kl_coef
        case "k2":
            return out + design.kl_coef * gap
        case "k3":
            return out + design.kl_coef * (xp.exp(gap) - 1.0)


def token_mean(losses_SGT: Array, mask_SGT: Array) -> Array:
    """Mean over all tokens of a replica's round, its `<eos>` tokens included.

    The "global token mean" (`dapo` in TRL): independent of how a round is cut into micro-batches.

    Args:
        losses_SGT: Token losses.
        mask_SGT: 1 for a token of a response, 0 for what follows its end; at least one 1 per replica.

    Returns:
        (S,) losses.
    """
    xp = array_api_compat.array_namespace(losses_SGT)
    return xp.sum(losses_SGT * mask_SGT, axis=(-2, -1)) / xp.sum(mask_SGT, axis=(-2, -1))
