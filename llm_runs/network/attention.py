"""Who attends to whom when G rollouts share a prompt that is computed once: each sees it and itself.

Prompts are padded on the left to the task's `prompt_max`; positions count from a prompt's first real token.
A pad attends to itself alone and nothing attends to it. No weights here.

Axes: S replicas, Q prompts of a replica, P prompt tokens, G rollouts of a prompt, T response tokens, H
heads, D channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

HIDDEN = float("-inf")


def prompt_bias(pads_SQ: Tensor, P: int) -> Tensor:
    """Additive mask (S, Q, P, P) of prompts: causal, without the pads."""
    at = torch.arange(P)
    seen = (at <= at[:, None]) & (at >= pads_SQ[..., None, None])
    return torch.zeros(()).where(seen | torch.eye(P, dtype=torch.bool), HIDDEN)


def response_bias(pads_SQ: Tensor, P: int, T: int) -> Tensor:
    """Additive mask (S, Q, T, P + T) of responses: the prompt without its pads, and the response so far."""
    key, query = torch.arange(P + T), torch.arange(P, P + T)[:, None]
    return torch.zeros(()).where((key <= query) & (key >= pads_SQ[..., None, None]), HIDDEN)


def prompt_positions(pads_SQ: Tensor, P: int) -> Tensor:
    """Positions (S, Q, P) of prompt tokens; pads are given 0."""
    return (torch.arange(P) - pads_SQ[..., None]).clamp_(min=0)


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Softmax attention, (..., L, H, D) queries over (..., M, H, D) keys and values with bias (..., L, M).

    Returns:
        (..., L, H, D).
    """
    shape, last = q.shape, q.ndim - 4
    q, k, v = (x.flatten(0, last).transpose(1, 2) for x in (q, k, v))
    out = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=bias.flatten(0, last)[:, None].to(q.dtype)
    )
    return out.transpose(1, 2).reshape(shape)
