"""The torch engine of tiny models: draws responses of S stacked replicas, with a static key-value cache.

A token is a function of its replica's weights, its prompt and its own uniform numbers; nothing else that is
sampled in a call of the same Q and G changes a bit of it, and no number of replicas does. Shapes follow from
the task and the design alone. No gradients, no grading.

Axes: S replicas, Q prompts of a replica, P prompt tokens, G rollouts of a prompt, T response tokens, R = Q
G rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor

from llm_runs.engines.base import Address, Limits, Prompts, Samples, draws
from llm_runs.engines.inverse_cdf import draw
from llm_runs.network import attention as att
from llm_runs.network.architecture import Architecture
from llm_runs.network.decode import attend_last
from llm_runs.network.stacked import Weights, embed, folded, layers, logits, rotations

if TYPE_CHECKING:
    from llm_runs.learners.base import Learner


class HoldsStack(Protocol):
    """A learner whose weights are one stack (`llm_runs.learners.stacked`).

    Attributes:
        weights: The live tensors, each with a leading replica axis.
    """

    weights: Weights


class StackedEngine:
    """Draws for all replicas of a stack at once.

    It keeps a reference to the learner's tensors, which the optimiser changes in place: after a push it
    samples from the weights of the moment of sampling.
    """

    rows = 64

    def __init__(self, arch: Architecture, limits: Limits) -> None:
        self.arch = arch
        self.limits = limits
        self._weights: Weights | None = None

    def push(self, learner: Learner) -> None:
        """Sample from this learner's stack from now on."""
        self._weights = cast(HoldsStack, learner).weights

    def sample(self, prompts: Prompts, rollouts: Sequence[int], address: Address) -> Samples:
        """Draw one response per replica, prompt and rollout.

        Raises:
            RuntimeError: nothing was pushed yet.
        """
        if self._weights is None:
            raise RuntimeError("no weights to sample from: push a learner first")
        limits = self.limits
        prompts_SQP, pads_SQ = prompts.padded(limits.prompt_max, limits.pad)
        uniforms_SQGT = torch.from_numpy(draws(prompts, rollouts, address, limits.max_new))
        return sample(
            self.arch,
            self._weights,
            prompts_SQP,
            pads_SQ,
            uniforms_SQGT,
            temperature=limits.temperature,
            ends=limits.ends,
            pad=limits.pad,
        )

    def close(self) -> None:
        """Let go of the weights."""
        self._weights = None


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
        q, k, v = (x.reshape(-1, *x.shape[2:]).contiguous().numpy() for x in qkv)
        out = torch.zeros(q.shape, dtype=self.keys[layer].dtype)
        keys, values = self.keys[layer].numpy(), self.values[layer].numpy()
        attend_last(q, k, v, keys, values, first_N.numpy(), at, alive_N.numpy(), out.numpy())
        return out


@torch.no_grad()
def sample(
    arch: Architecture,
    weights: Weights,
    prompts_SQP: Tensor,
    pads_SQ: Tensor,
    uniforms_SQGT: Tensor,
    *,
    temperature: float,
    ends: Sequence[int],
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
        ends: Tokens that end a response; empty for none.
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
        for end in ends:
            alive = alive & (drawn != end)
        if t == T - 1 or not alive.any():
            break
        at = P + t
        hidden = layers(arch, weights, embed(arch, weights, tokens[..., t]), turns[starts + t], decode)
        current = logits(arch, weights, hidden)
    return Samples(tokens.view(S, Q, G, T), lengths.view(S, Q, G), logprobs.view(S, Q, G, T))
