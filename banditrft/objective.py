"""The learner's objective, world-independent: per-token losses and how they become one number.

Written against the array-API standard, so that torch differentiates it and NumPy can check it. What the
signals are is decided in `banditrft.signals`; who takes the step, in the worlds.

The loss of one token (a bandit's arm is one token) with log-probability log pi is

    -min(r s, clip(r, 1 - low, 1 + high) s) + kl_coef k(d),   r = pi / pi_old,   d = log pi_ref - log pi,

pi_old the policy that drew it, s its signal, k1 = -d, k2 = d^2/2, k3 = e^d - d - 1. With `dual_clip` = c the
first term is at most c |s| where s < 0. Nothing is clamped (verl holds both log-ratios within +-20 and k3
within +-10). A world that knows the gradient of log pi in closed form needs only the number that multiplies
it, :func:`weights`. On the first update of a round r = 1: no clip acts, and the surrogate's gradient is the
plain policy gradient (theory §1). One loss comes of the tokens' by :func:`row_weights`.
"""

import math
from typing import Any, Literal

import array_api_compat

from banditrft.design import Design
from banditrft.errors import InputError

Array = Any
"""An array of any library that follows the array-API standard (NumPy, torch)."""
Estimator = Literal["k1", "k2", "k3"]


def clipped_surrogate(design: Design, logprobs: Array, old_logprobs: Array, signals: Array) -> Array:
    """Token losses -min(r s, clip(r, 1 - low, 1 + high) s) (PPO, arXiv 1707.06347; asymmetric as in DAPO).

    With `dual_clip` = c a loss whose signal is negative is at most c |s| (arXiv 1912.09729; verl's
    `clip_ratio_c`). TRL's `delta` is the same for c >= 1 + high.

    Args:
        design: Its clips.
        logprobs: Log-probability of every token, nats; all arrays have one shape.
        old_logprobs: The same under the policy that drew it, a constant.
        signals: Learning signal of every token, a constant.
    """
    return -_held_ratio(design, signals, logprobs - old_logprobs) * signals


def _held_ratio(design: Design, signals: Array, lead: Array) -> Array:
    """What the surrogate multiplies a signal by: r, held where a clip acts, and 1 where the signal is 0.

    The logarithm is held before the exponential is taken. A far ratio whose clip acts is then no infinity,
    and its derivative is 0 rather than 0 times infinity.
    """
    xp = array_api_compat.array_namespace(lead)
    zeros = xp.zeros_like(lead)
    lowest = math.log1p(-design.clip_low) if design.clip_low < 1.0 else -math.inf
    highest = math.inf if design.dual_clip is None else math.log(design.dual_clip)
    lower = xp.where(signals < 0, zeros + lowest, zeros - math.inf)
    upper = xp.where(signals < 0, zeros + highest, zeros + math.log1p(design.clip_high))
    return xp.exp(xp.clip(xp.where(signals == 0, zeros, lead), lower, upper))


def clipped(design: Design, signals: Array, ratio: Array) -> Array:
    """Where a clip acts: the signal pushes the ratio further out, and the surrogate's derivative is 0.

    Args:
        design: Its clips.
        signals: Learning signal of every token.
        ratio: r = pi / pi_old, of the same shape.
    """
    out = ((signals > 0) & (ratio > 1.0 + design.clip_high)) | (
        (signals < 0) & (ratio < 1.0 - design.clip_low)
    )
    return out if design.dual_clip is None else out | ((signals < 0) & (ratio > design.dual_clip))


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

    r s where no clip acts, else 0 (:func:`clipped`); plus kl_coef times -1 (k1), d (k2) or e^d - 1 (k3).

    Args:
        design: Its clips, ``kl_coef`` and ``kl_estimator``.
        signals: Learning signal of every token.
        lead: log r = log pi - log pi_old, of the same shape; None on the first update of a round.
        gap: d = log pi_ref - log pi, of the same shape; None stands for no penalty.
    """
    xp = array_api_compat.array_namespace(signals)
    out = signals
    if lead is not None:
        acts = clipped(design, signals, xp.exp(lead))
        out = xp.where(acts, xp.zeros_like(signals), _held_ratio(design, signals, lead) * signals)
    if gap is None or design.kl_coef == 0.0:
        return out
    match design.kl_estimator:
        case "k1":
            return out - design.kl_coef
        case "k2":
            return out + design.kl_coef * gap
        case "k3":
            return out + design.kl_coef * (xp.exp(gap) - 1.0)


def row_weights(
    design: Design,
    lengths_N: Array,
    active_N: Array | None = None,
    *,
    max_new: int,
    micro_batch: int | None = None,
) -> Array:
    """Weight of each token of a response: the loss is the sum over responses n and tokens t of w_n loss_nt.

    Weights are known before any loss is computed, so a round may be cut into pieces of any size. A response
    without tokens has no loss; its weight is finite, as if it had one token.

    ====================  =======================================  =======  ===========================
    aggregation           w_n                                      TRL      verl
    ====================  =======================================  =======  ===========================
    ``token-mean``        1 / tokens of the round                  dapo     token-mean, globally
    ``sequence-mean``     1 / (responses x length_n)               grpo     seq-mean-token-mean
    ``sequence-sum``      1 / responses                                     seq-mean-token-sum
    ``max-length``        1 / (responses x max_new)                dr_grpo  seq-mean-token-sum-norm
    ``micro-batch-mean``  1 / (micro-batches x tokens of its own)  bnpo     token-mean, per micro-batch
    ====================  =======================================  =======  ===========================

    Args:
        design: Names the aggregation.
        lengths_N: Tokens of each response of a replica's round, query by query; leading axes are free.
        active_N: Which responses count, by 1 and 0 or true and false; all by default. The others weigh 0, as
            if they had not been drawn; where none counts, all weights are 0.
        max_new: Longest response, of ``max-length``.
        micro_batch: Consecutive responses of one micro-batch, of ``micro-batch-mean``.

    Returns:
        float64, of the shape of `lengths_N`.

    Raises:
        InputError: ``micro-batch-mean`` without `micro_batch`.
    """
    xp = array_api_compat.array_namespace(lengths_N)
    lengths_N = xp.astype(lengths_N, xp.float64)
    active_N = xp.ones_like(lengths_N) if active_N is None else xp.astype(active_N, xp.float64)
    responses = xp.clip(xp.sum(active_N, axis=-1, keepdims=True), 1.0, None)
    tokens_N = lengths_N * active_N
    match design.aggregation:
        case "token-mean":
            return active_N / xp.clip(xp.sum(tokens_N, axis=-1, keepdims=True), 1.0, None)
        case "sequence-mean":
            return active_N / (responses * xp.clip(lengths_N, 1.0, None))
        case "sequence-sum":
            return active_N / responses
        case "max-length":
            return active_N / (responses * max_new)
        case "micro-batch-mean":
            if micro_batch is None:
                raise InputError("micro_batch: aggregation 'micro-batch-mean' needs one, got none")
            N = lengths_N.shape[-1]
            where = array_api_compat.device(lengths_N)
            of_N = xp.arange(N, device=where) // micro_batch
            of_M = xp.arange(-(-N // micro_batch), device=where)
            member_MN = xp.astype(of_N == of_M[:, None], xp.float64)
            tokens_M = xp.matmul(tokens_N[..., None, :], member_MN.T)[..., 0, :]
            counted = xp.sum(xp.astype(tokens_M > 0, xp.float64), axis=-1, keepdims=True)
            inverse_M = 1.0 / (xp.clip(tokens_M, 1.0, None) * xp.clip(counted, 1.0, None))
            return active_N * xp.matmul(inverse_M[..., None, :], member_MN)[..., 0, :]
