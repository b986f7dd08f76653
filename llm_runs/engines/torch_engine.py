"""The torch sampler: draws responses of S stacked replicas, with a static cache of keys and values.

A token is a function of its replica's weights, its prompt and its own uniform number; nothing else that is
sampled in the same call changes a bit of it. Shapes follow from the task and the design alone. No
gradients, no grading.

Axes: S replicas, Q prompts of a replica, P prompt tokens, G rollouts of a prompt, T response tokens, R = Q
G rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from llm_runs import attention as att
from llm_runs.architecture import Architecture
from llm_runs.stacked import Weights, embed, folded, layers, logits, rotations


@dataclass(frozen=True)
class Samples:
    """What was drawn.

    Attributes:
        tokens_SQGT: int64; `<eos>` closes a response, `<pad>` fills the rest.
        lengths_SQG: int64, tokens of each response with its `<eos>`; T if it never ended.
        logprobs_SQGT: Log-probability (nats) of each token at the sampling temperature, 0 after the
            end.
    """

    tokens_SQGT: Tensor
    lengths_SQG: Tensor
    logprobs_SQGT: Tensor


class _Cache:
    """Keys and values of all rows: per layer two tensors (S R H, P + T, D)."""

    def __init__(
        self, arch: Architecture, S: int, Q: int, G: int, P: int, T: int, dtype: torch.dtype
    ) -> None:
        self.shape = (S, Q, G, arch.heads)
        rows = S * Q * G * arch.heads
        self.keys = [torch.empty(rows, P + T, arch.head_dim, dtype=dtype) for _ in range(arch.layers)]
        self.values = [torch.empty(rows, P + T, arch.head_dim, dtype=dtype) for _ in range(arch.layers)]

    def put_prompt(self, layer: int, k_SQPHD: Tensor, v_SQPHD: Tensor) -> None:
        """Store a prompt's keys and values for each of its rollouts."""
        P, D = k_SQPHD.shape[2], k_SQPHD.shape[4]
        for cache, x in ((self.keys, k_SQPHD), (self.values, v_SQPHD)):
            by_row = cache[layer].view(*self.shape, -1, D)
            by_row[..., :P, :] = x.transpose(2, 3)[:, :, None]

    def put(self, layer: int, at: int, k_SRHD: Tensor, v_SRHD: Tensor) -> tuple[Tensor, Tensor]:
        """Store one token of every row; return all keys and values so far."""
        S, Q, G, H = self.shape
        for cache, x in ((self.keys, k_SRHD), (self.values, v_SRHD)):
            cache[layer].view(S, Q * G, H, -1, x.shape[-1])[..., at, :] = x
        return self.keys[layer][:, : at + 1], self.values[layer][:, : at + 1]


def draw(logits_SRV: Tensor, uniforms_SR: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """One token per row by inverse CDF, and its log-probability.

    Args:
        logits_SRV: Logits.
        uniforms_SR: float64 in [0, 1).
        temperature: Positive.

    Returns:
        Tokens int64 (S, R): the smallest index whose cumulative probability exceeds the uniform number; and
        their log-probabilities (S, R), nats.
    """
    logp = torch.log_softmax(logits_SRV / temperature, dim=-1)
    cdf = logp.double().exp().cumsum_(-1)
    tokens = (cdf[..., :-1] <= uniforms_SR[..., None] * cdf[..., -1:]).sum(-1)
    return tokens, logp.gather(-1, tokens[..., None])[..., 0]


@torch.no_grad()
def sample(
    arch: Architecture,
    weights: Weights,
    prompts_SQP: Tensor,
    pads_SQ: Tensor,
    uniforms_SQGT: Tensor,
    *,
    temperature: float,
    eos: int,
    pad: int,
) -> Samples:
    """Draw G responses of at most T tokens to each prompt of each replica.

    Args:
        arch: The architecture.
        weights: Stacked weights.
        prompts_SQP: Prompt tokens, padded on the left.
        pads_SQ: Pads of each prompt.
        uniforms_SQGT: One uniform number (float64) per possible token; its shape fixes G and T.
        temperature: Positive.
        eos: Token that ends a response; -1 for none.
        pad: Token that fills up after the end.
    """
    weights = folded(arch, weights)
    S, Q, P = prompts_SQP.shape
    G, T = uniforms_SQGT.shape[2:]
    R, H, D = Q * G, arch.heads, arch.head_dim
    turns = rotations(arch, P + T)
    dtype = weights["embed"].dtype
    cache = _Cache(arch, S, Q, G, P, T, dtype)
    prompt_bias = att.prompt_bias(pads_SQ, P)

    def prefill(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.reshape(S, Q, P, H, D) for x in (q, k, v))
        cache.put_prompt(layer, k, v)
        return att.attention(q, k, v, prompt_bias).flatten(1, 2)

    positions = att.prompt_positions(pads_SQ, P).flatten(1)
    hidden = layers(arch, weights, embed(arch, weights, prompts_SQP.flatten(1)), turns[positions], prefill)
    first = logits(arch, weights, hidden[:, P - 1 :: P])
    current = first[:, :, None].expand(S, Q, G, -1).flatten(1, 2)

    uniforms = uniforms_SQGT.flatten(1, 2)
    starts = (P - pads_SQ)[..., None].expand(S, Q, G).flatten(1)
    last = att.response_bias(pads_SQ, P, T)[:, :, -1].to(dtype)
    bias = last[:, :, None, None].expand(S, Q, G, H, P + T).reshape(-1, 1, P + T)
    tokens = torch.full((S, R, T), pad)
    logprobs = torch.zeros(S, R, T, dtype=dtype)
    alive = torch.ones(S, R, dtype=torch.bool)
    lengths = torch.zeros(S, R, dtype=torch.int64)
    at = P

    def decode(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = cache.put(layer, at, k, v)
        scores = torch.baddbmm(bias[..., : at + 1], q.reshape(-1, 1, D), keys.transpose(1, 2), alpha=D**-0.5)
        return torch.bmm(scores.softmax(-1), values).view(S, R, H, D)

    for t in range(T):
        drawn, logp = draw(current, uniforms[..., t], temperature)
        tokens[..., t] = drawn.where(alive, pad)
        logprobs[..., t] = logp.where(alive, 0.0)
        lengths += alive
        alive = alive & (drawn != eos)
        if t == T - 1 or not alive.any():
            break
        at = P + t
        hidden = layers(arch, weights, embed(arch, weights, tokens[..., t]), turns[starts + t], decode)
        current = logits(arch, weights, hidden)
    return Samples(tokens.view(S, Q, G, T), lengths.view(S, Q, G), logprobs.view(S, Q, G, T))
