"""Random numbers of responses by their addresses, and tokens drawn with them.

Axes: S replicas, Q prompts of a replica, G rollouts of a prompt, T response tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from banditrft.streams import uniforms
from llm_runs.interfaces import Address, Prompts

SEEDS = 2**53
"""Seeds of requests lie in [0, SEEDS)."""


def draws(prompts: Prompts, rollouts: Sequence[int], address: Address, count: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), (S, Q, G, count), each at its own address."""
    S, Q = prompts.shape
    index_NG = np.zeros((S * Q, 1), np.int64) + np.asarray(rollouts)
    if prompts.first:
        index_NG += np.reshape(prompts.first, (S * Q, 1))
    seeds_N = np.repeat(np.asarray(address.seeds, np.int64), Q)
    items_N = np.asarray(prompts.items, np.int64).ravel()
    u_NGT = uniforms(address.root_seed, seeds_N, items_N, address.purpose, address.round, index_NG, count)
    return u_NGT.reshape(S, Q, len(rollouts), count)


def request_seeds(prompts: Prompts, rollouts: Sequence[int], address: Address) -> NDArray[np.int64]:
    """One seed per response, (S, Q, G) in [0, SEEDS), for engines with generators of their own."""
    return (draws(prompts, rollouts, address, 1)[..., 0] * SEEDS).astype(np.int64)


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
