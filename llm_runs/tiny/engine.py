"""The torch engine of tiny models: draws responses of S stacked replicas, with a static key-value cache.

A token is a function of its replica's weights, its prompt and its own uniform numbers; nothing else that is
sampled in a call of the same Q and G changes a bit of it, and no number of replicas does. Shapes follow from
the task and the design alone. No gradients, no grading.

The attention of a new token to its row's cached keys and values is compiled: one pass over the cache per row
and head. A batch of thousands of 1 x D by D x L products is what batched matrix libraries are worst at.
Prompts use torch's attention.

Axes: S replicas, Q prompts of a replica, P prompt tokens, G rollouts of a prompt, T response tokens, R = Q
G rows of a replica, N = S R rows, H heads, D channels, L cache length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_runs.base_models import BaseModel
from llm_runs.compiled import compiled
from llm_runs.engines.drawing import draw, draws
from llm_runs.interfaces import Address, Learner, Limits, Prompts, Samples
from llm_runs.tiny.architecture import Architecture, architecture_of
from llm_runs.tiny.network import (
    Weights,
    attention,
    embed,
    folded,
    layers,
    logits,
    prompt_mask,
    prompt_positions,
    rotations,
)


class HoldsStack(Protocol):
    """A learner whose weights are one stack (`llm_runs.tiny.learner`).

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

    @classmethod
    def of(cls, model: BaseModel, limits: Limits) -> Self:
        """The engine of a model that stacks.

        Raises:
            InputError: The stacked program does not compute it.
        """
        return cls(architecture_of(model), limits)

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
    mask = prompt_mask(pads_SQ, P)

    def prefill(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.reshape(S, Q, P, H, D) for x in (q, k, v))
        cache.put_prompt(layer, k, v)
        return attention(q, k, v, mask).flatten(1, 2)

    positions = prompt_positions(pads_SQ, P).flatten(1)
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


Floats = NDArray[np.floating[Any]]


@compiled
def attend_last(
    q_NHD: Floats,
    k_NHD: Floats,
    v_NHD: Floats,
    keys_NHLD: Floats,
    values_NHLD: Floats,
    first_N: NDArray[np.int64],
    at: int,
    alive_N: NDArray[np.bool_],
    out_NHD: Floats,
) -> None:
    """Store each row's key and value at position `at` of its cache, and attend to positions first..at.

    Args:
        q_NHD: Queries, rotated.
        k_NHD: Keys, rotated.
        v_NHD: Values.
        keys_NHLD: Cached keys, written at `at`.
        values_NHLD: Cached values, written at `at`.
        first_N: First position of each row that is no pad.
        at: Position of the new token.
        alive_N: Rows to compute.
        out_NHD: Receives softmax(q k / sqrt(D)) v; rows that are not alive keep what stands there.
    """
    N, H, D = q_NHD.shape
    zero = q_NHD.dtype.type(0)
    scale = q_NHD.dtype.type(1 / math.sqrt(D))
    weights = np.empty(at + 1, q_NHD.dtype)
    for n in range(N):
        if not alive_N[n]:
            continue
        for h in range(H):
            q, keys, values, out = q_NHD[n, h], keys_NHLD[n, h], values_NHLD[n, h], out_NHD[n, h]
            top = q_NHD.dtype.type(-np.inf)
            for d in range(D):
                keys[at, d] = k_NHD[n, h, d]
                values[at, d] = v_NHD[n, h, d]
                out[d] = zero
            for j in range(first_N[n], at + 1):
                score = zero
                for d in range(D):
                    score += q[d] * keys[j, d]
                weights[j] = score * scale
                top = max(top, weights[j])
            total = zero
            for j in range(first_N[n], at + 1):
                weights[j] = math.exp(weights[j] - top)
                total += weights[j]
            for j in range(first_N[n], at + 1):
                share = weights[j] / total
                for d in range(D):
                    out[d] += share * values[j, d]
