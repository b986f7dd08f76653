"""The torch sampler: draws responses of S stacked replicas, with a static cache of keys and values.

A token is a function of its replica's weights, its prompt and its own uniform numbers; nothing else that is
sampled in a call of the same Q and G changes a bit of it, and no number of replicas does. Shapes follow from
the task and the design alone. No gradients, no grading.

Axes: S replicas, Q prompts of a replica, P prompt tokens, G rollouts of a prompt, T response tokens, R = Q
G rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_runs.network import attention as att
from llm_runs.network.architecture import Architecture
from llm_runs.network.decode import attend_last
from llm_runs.network.stacked import Weights, embed, folded, layers, logits, rotations


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
    """Keys and values of all rows: per layer two tensors (N, H, P + T, D), N = S R rows."""

    def __init__(
        self, arch: Architecture, S: int, Q: int, G: int, P: int, T: int, dtype: torch.dtype
    ) -> None:
        self.groups = (S, Q, G)
        shape = (S * Q * G, arch.heads, P + T, arch.head_dim)
        self.keys = [torch.empty(shape, dtype=dtype) for _ in range(arch.layers)]
        self.values = [torch.empty(shape, dtype=dtype) for _ in range(arch.layers)]

    def put_prompt(self, layer: int, k_SQPHD: Tensor, v_SQPHD: Tensor) -> None:
        """Store a prompt's keys and values for each of its rollouts."""
        P = k_SQPHD.shape[2]
        for cache, x in ((self.keys, k_SQPHD), (self.values, v_SQPHD)):
            by_group = cache[layer].view(*self.groups, *cache[layer].shape[1:])
            by_group[..., :P, :] = x.transpose(2, 3)[:, :, None]

    def attend(self, layer: int, at: int, first_N: Tensor, alive_N: Tensor, qkv: Sequence[Tensor]) -> Tensor:
        """Store one token of every row and attend to the row so far; (N, H, D)."""
        q, k, v = (x.reshape(-1, *x.shape[2:]).numpy() for x in qkv)
        out = torch.zeros(q.shape, dtype=self.keys[layer].dtype)
        keys, values = self.keys[layer].numpy(), self.values[layer].numpy()
        attend_last(q, k, v, keys, values, first_N.numpy(), at, alive_N.numpy(), out.numpy())
        return out


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
    first_N = pads_SQ[..., None].expand(S, Q, G).flatten()
    tokens = torch.full((S, R, T), pad)
    logprobs = torch.zeros(S, R, T, dtype=dtype)
    alive = torch.ones(S, R, dtype=torch.bool)
    lengths = torch.zeros(S, R, dtype=torch.int64)
    at = P

    def decode(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return cache.attend(layer, at, first_N, alive.flatten(), (q, k, v)).view(S, R, H, D)

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
