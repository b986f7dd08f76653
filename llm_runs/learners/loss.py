"""The loss of sampled tokens under a design, for learners: what a row of tokens adds, and its weight.

A replica's loss is the sum over responses n of w_n times the sum over tokens t of loss_nt: `row_weights` and
`token_losses`. Weights are fixed before the first forward pass, so that micro-batches and shards add up to
the same loss and gradient. Formulas: `banditrft.objective`. KL in the reward is no part of the loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from banditrft.design import Design
from banditrft.objective import clipped_surrogate, kl_penalty


def token_losses(
    design: Design,
    logp: Tensor,
    old_logp: Tensor | None,
    ref_logp: Tensor | None,
    signals: Tensor,
    importance: Tensor | None = None,
) -> Tensor:
    """Loss of every token; all tensors broadcast to the shape of `logp`.

    Args:
        design: Its clips and KL.
        logp: Log-probability of each token, nats; the only tensor that is differentiated.
        old_logp: The same before the round's first step; None on the first step, where it is `logp` itself
            and the gradient is the plain policy gradient.
        ref_logp: The same under the initial policy; needed where `kl_coef` > 0 and `kl_placement` is "loss".
        signals: Learning signal of each token's response.
        importance: Weight of the surrogate where sampler and learner differ (`importance_weights`).
    """
    old_logp = logp.detach() if old_logp is None else old_logp
    losses: Tensor = clipped_surrogate(design, logp, old_logp, signals.to(logp.dtype))
    if importance is not None:
        losses = losses * importance
    if design.kl_coef > 0.0 and design.kl_placement == "loss":
        losses = losses + design.kl_coef * kl_penalty(logp, ref_logp, design.kl_estimator)
    return losses


def importance_weights(logp: Tensor, sampler_logp: Tensor, cap: float) -> Tensor:
    """Truncated importance weight min(learner / sampler probability, cap) of each token, a constant.

    Args:
        logp: Log-probability under the learner before the round's first step, nats.
        sampler_logp: Log-probability that the sampler reported, nats.
        cap: Positive.
    """
    return torch.exp(logp.detach() - sampler_logp).clamp(max=cap)
