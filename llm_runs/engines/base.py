"""What an engine is: it draws responses to prompts under the weights last pushed to it. Nothing is learned.

Axes: S replicas (runs of one design side by side), Q prompts of a replica, G rollouts of a prompt, T response
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from banditrft.streams import Purpose, uniforms

if TYPE_CHECKING:
    from llm_runs.learners.base import Learner

SEEDS = 2**53
"""Seeds of requests lie in [0, SEEDS)."""


@dataclass(frozen=True)
class Address:
    """Which random numbers: root seed, seed of each replica (S), purpose and round."""

    root_seed: int
    seeds: Sequence[int]
    purpose: Purpose
    round: int = 0


@dataclass(frozen=True)
class Prompts:
    """Token ids of prompts, and where their random numbers stand.

    Attributes:
        ids: Nested [S][Q], the tokens of each prompt, unpadded.
        items: [S][Q], item of each prompt: part of its random numbers' address.
        first: [S][Q], index of each prompt's first rollout; copies of one item in a batch differ in it. All 0
            when not given.
    """

    ids: Sequence[Sequence[Sequence[int]]]
    items: Sequence[Sequence[int]]
    first: Sequence[Sequence[int]] = field(default=())

    @property
    def shape(self) -> tuple[int, int]:
        """S and Q."""
        return len(self.ids), len(self.ids[0])

    def padded(self, width: int, pad: int) -> tuple[Tensor, Tensor]:
        """Prompts padded on the left, int64 (S, Q, width), and the pads of each, (S, Q)."""
        rows = [[[pad] * (width - len(ids)) + list(ids) for ids in row] for row in self.ids]
        return torch.tensor(rows), torch.tensor([[width - len(ids) for ids in row] for row in self.ids])


@dataclass(frozen=True)
class Samples:
    """What was drawn.

    Attributes:
        tokens_SQGT: int64; a token of `ends` closes a response, the pad token fills the rest.
        lengths_SQG: int64, tokens of each response with its end token; T if it never ended.
        logprobs_SQGT: Log-probability (nats) of each token at the sampling temperature, 0 after the end.
    """

    tokens_SQGT: Tensor
    lengths_SQG: Tensor
    logprobs_SQGT: Tensor


@dataclass(frozen=True)
class Limits:
    """Shapes and stops of sampling.

    Attributes:
        prompt_max: Longest prompt, tokens.
        max_new: Longest response T, tokens.
        temperature: Positive.
        ends: Tokens that end a response.
        pad: Token that fills up.
    """

    prompt_max: int
    max_new: int
    temperature: float
    ends: tuple[int, ...]
    pad: int


class Engine(Protocol):
    """Draws responses.

    Attributes:
        rows: Responses of a replica that are drawn at once in an evaluation; a constant of the engine, so
            that shapes never depend on what is asked for.
    """

    rows: int

    def sample(self, prompts: Prompts, rollouts: Sequence[int], address: Address) -> Samples:
        """Draw one response per prompt and rollout index (offset by the prompt's `first`).

        A response is a function of its replica's weights, its prompt and its own random numbers.
        """
        ...

    def push(self, learner: Learner) -> None:
        """Take over the learner's weights of now."""
        ...

    def close(self) -> None:
        """Release what the engine holds; it is not used again."""
        ...


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
    return (draws(prompts, rollouts, address, 1)[..., 0] * 2**53).astype(np.int64)
