"""A token from logits and one uniform number: inverse CDF, in float64 whatever the logits are."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(logits_RV: Tensor, uniforms_R: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """One token per row by inverse CDF, and its log-probability.

    Args:
        logits_RV: Logits (..., V).
        uniforms_R: float64 in [0, 1), (...).
        temperature: Positive.

    Returns:
        Tokens int64 (...): the smallest index whose cumulative probability exceeds the uniform number; and
        their log-probabilities (...), nats.
    """
    logp = torch.log_softmax(logits_RV / temperature, dim=-1)
    cdf = logp.double().exp().cumsum_(-1)
    tokens = (cdf[..., :-1] <= uniforms_R[..., None] * cdf[..., -1:]).sum(-1)
    return tokens, logp.gather(-1, tokens[..., None])[..., 0]
