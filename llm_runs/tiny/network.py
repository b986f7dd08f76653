"""S language models with different weights as one tensor program: matrix products carry a replica axis.

The same logits as transformers' own forward to 1e-5 (rounding of large float32 logits aside), for Qwen2,
Llama and OLMo2; a replica's results are bit-identical whatever is stacked with it, provided the other
shapes are equal. What is sampled is decided in `llm_runs.tiny.engine`, what is learned in
`llm_runs.tiny.learner`.

Which tokens attend to which is given by the caller. Where G rollouts share a prompt that is computed once,
each sees the prompt and itself (`prompt_mask`, `response_mask`): prompts are padded on the left to the task's
`prompt_max`, positions count from a prompt's first real token, a pad attends to itself alone, and nothing
attends to a pad.

Axes: S replicas, N tokens of a replica in any arrangement, H heads, D channels of a head, W width, V
vocabulary; Q prompts of a replica, P prompt tokens, T response tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from llm_runs.tiny.architecture import Architecture

Weights = Mapping[str, Tensor]
"""Stacked weights: the tensors of `llm_runs.tiny.architecture.pack` with a leading replica axis."""

FOLDS = (("qkv", "norm1"), ("gate_up", "norm2"))
"""Products of a layer and the normalisation before each, where one stands before."""

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""attend(layer, q, k, v): queries, keys, values (S, N, H, D), rotated, to outputs (S, N, H, D)."""


def stack(models: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Stack packed models of one architecture along a new leading replica axis."""
    return {name: torch.stack([model[name] for model in models]) for name in models[0]}


def replica(weights: Weights, index: int) -> dict[str, Tensor]:
    """Packed weights of one replica of a stack."""
    return {name: tensor[index] for name, tensor in weights.items()}


def rotations(arch: Architecture, count: int) -> Tensor:
    """Rotary factors exp(i position frequency), complex64 (count, D/2), in float32 as transformers does."""
    exponent = torch.arange(0, arch.head_dim, 2, dtype=torch.float32) / arch.head_dim
    frequencies = 1.0 / (arch.rope_theta**exponent)
    angles = torch.arange(count, dtype=torch.float32)[:, None] * frequencies
    return torch.complex(angles.cos(), angles.sin())


def embed(arch: Architecture, weights: Weights, ids_SN: Tensor) -> Tensor:
    """Token embeddings (S, N, W); the pad token's is a constant to autograd, as in transformers."""
    table = weights["embed"]
    S, V, W = table.shape
    offsets = torch.arange(S)[:, None] * V
    x = functional.embedding(ids_SN + offsets, table.reshape(S * V, W))
    if arch.pad is None or not x.requires_grad:
        return x
    return x.detach().where((ids_SN == arch.pad)[..., None], x)


def logits(arch: Architecture, weights: Weights, x_SNW: Tensor) -> Tensor:
    """Next-token logits (S, N, V) from the last layer's output."""
    return torch.bmm(_norm(arch, x_SNW, weights.get("norm")), weights["head"])


def layers(arch: Architecture, weights: Weights, x_SNW: Tensor, turn_SND: Tensor, attend: Attend) -> Tensor:
    """All decoder layers.

    Args:
        arch: The architecture.
        weights: Stacked weights.
        x_SNW: Token embeddings.
        turn_SND: Rotary factor of every token, complex (S or 1, N, D/2).
        attend: What attends to what.

    Returns:
        Hidden states (S, N, W) before the final normalisation.
    """
    x = x_SNW
    S, N, _ = x.shape
    HD = arch.heads * arch.head_dim
    turn = turn_SND[:, :, None]
    for i in range(arch.layers):
        h = x if arch.post_norm else _norm(arch, x, weights.get(f"{i}.norm1"))
        if arch.qkv_bias:
            qkv = torch.baddbmm(weights[f"{i}.bias"][:, None], h, weights[f"{i}.qkv"])
        else:
            qkv = torch.bmm(h, weights[f"{i}.qkv"])
        qk, v = qkv[..., : 2 * HD], qkv[..., 2 * HD :]
        if arch.post_norm:
            q, k = qk.chunk(2, dim=-1)
            qk = torch.cat(
                (_norm(arch, q, weights[f"{i}.q_norm"]), _norm(arch, k, weights[f"{i}.k_norm"])), dim=-1
            )
        paired = torch.view_as_complex(qk.reshape(S, N, 2 * arch.heads, arch.head_dim // 2, 2))
        turned = torch.view_as_real(paired * turn).reshape(S, N, 2, arch.heads, arch.head_dim)
        q, k = turned.unbind(2)
        a = attend(i, q, k, v.view(S, N, arch.heads, arch.head_dim)).reshape(S, N, HD)
        x = _residual(arch, x, a, weights[f"{i}.out"], weights.get(f"{i}.norm1"))
        h = x if arch.post_norm else _norm(arch, x, weights.get(f"{i}.norm2"))
        gate, up = torch.bmm(h, weights[f"{i}.gate_up"]).chunk(2, dim=-1)
        x = _residual(arch, x, functional.silu(gate) * up, weights[f"{i}.down"], weights.get(f"{i}.norm2"))
    return x


def folded(arch: Architecture, weights: Weights) -> Weights:
    """The same network with the gains of normalisations merged into the products that follow them.

    Worth it when weights serve many steps, as in sampling. OLMo2, which normalises after its products, is
    unchanged.
    """
    if arch.post_norm:
        return weights
    gains = {f"{i}.{product}": f"{i}.{norm}" for i in range(arch.layers) for product, norm in FOLDS}
    gains["head"] = "norm"
    merged = {name: gain_free for name, gain_free in weights.items() if name not in gains.values()}
    return merged | {product: weights[gain][..., None] * weights[product] for product, gain in gains.items()}


def _norm(arch: Architecture, x_SNW: Tensor, gain_SW: Tensor | None) -> Tensor:
    """Root-mean-square normalisation with an optional gain."""
    normed = x_SNW * torch.rsqrt(x_SNW.square().mean(-1, keepdim=True) + arch.eps)
    return normed if gain_SW is None else normed * gain_SW[:, None]


def _residual(
    arch: Architecture, x_SNW: Tensor, a_SNK: Tensor, weight_SKW: Tensor, gain_SW: Tensor | None
) -> Tensor:
    if arch.post_norm:
        return x_SNW + _norm(arch, torch.bmm(a_SNK, weight_SKW), gain_SW)
    return torch.baddbmm(x_SNW, a_SNK, weight_SKW)


HIDDEN = float("-inf")


def prompt_mask(pads_SQ: Tensor, P: int) -> Tensor:
    """Additive mask (S, Q, P, P) of prompts: causal, without the pads."""
    at = torch.arange(P)
    seen = (at <= at[:, None]) & (at >= pads_SQ[..., None, None])
    return torch.zeros(()).where(seen | torch.eye(P, dtype=torch.bool), HIDDEN)


def response_mask(pads_SQ: Tensor, P: int, T: int) -> Tensor:
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
