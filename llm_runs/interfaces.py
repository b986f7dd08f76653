"""What the parts of the language-model world hand to one another, in the order in which data flows.

An item is written in tokens (`Tokenizer`), an engine draws samples of prompts (`Engine`), and a learner steps
on a batch of them (`Learner`). Another tokenizer, engine or learner is another class with these methods; it
need not derive from anything. No torch is loaded here.

Axes: S replicas (runs of one design side by side), Q prompts of a replica, G rollouts of a prompt, T response
tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from banditrft.streams import Purpose

if TYPE_CHECKING:
    from torch import Tensor


class Message(NamedTuple):
    """One turn of a chat: its role ("system", "user", "assistant") and text."""

    role: str
    content: str


@dataclass(frozen=True)
class Item:
    """One problem.

    Attributes:
        index: Its number in the task's item space, in [0, 2**31): the key of records and random streams.
        prompt: What a model without chat template reads.
        answer: The bare answer, as the task's grader compares it.
        family: What kind of problem it is, for records; may be empty.
        messages: The prompt as a chat; empty means one user message with the prompt.
    """

    index: int
    prompt: str
    answer: str
    family: str = ""
    messages: tuple[Message, ...] = ()

    @property
    def chat(self) -> tuple[Message, ...]:
        """The prompt as a chat, at least one message."""
        return self.messages or (Message("user", self.prompt),)


class Tokenizer(Protocol):
    """What the language-model world asks of a tokenizer.

    Attributes:
        pad: Token that fills shapes up.
        ends: Tokens that end a response, at least one; the first is the tokenizer's own.
        size: Number of tokens it knows; ids lie in [0, size).
    """

    @property
    def pad(self) -> int: ...  # noqa: D102
    @property
    def ends(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102

    def encode(self, item: Item) -> list[int]:
        """Tokens of an item's prompt, up to where the response begins.

        Raises:
            InputError: The prompt cannot be written in these tokens.
        """
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of a response: what stands before the first end token."""
        ...


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
        import torch

        rows = [[[pad] * (width - len(ids)) + list(ids) for ids in row] for row in self.ids]
        return torch.tensor(rows), torch.tensor([[width - len(ids) for ids in row] for row in self.ids])


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


@dataclass(frozen=True)
class Batch:
    """The rollouts of one round that are trained on.

    Attributes:
        prompts: Prompts of the round.
        samples: Their responses.
        signals_SQG: Learning signals, float64.
        active_SQG: Which responses count in the loss, bool; None is all. A replica without any takes its step
            on a zero gradient, as Adam's moments ask for.
    """

    prompts: Prompts
    samples: Samples
    signals_SQG: Tensor
    active_SQG: Tensor | None = None


@dataclass(frozen=True)
class StepRecord:
    """What one round's update did, per replica.

    Attributes:
        loss_S: Loss before the first step.
        grad_norm_S: Euclidean norm of the gradient before clipping; mean over the optimiser steps.
        update_norm_S: Euclidean norm of the whole change of the weights; None where it is not measured.
        entropy_S: Mean over responses of a response's summed full-softmax entropy, nats; of the policy that
            sampled them, before the first step.
        kl_S: Mean over responses of the summed k3 estimate of KL(policy || initial policy), nats; likewise.
            None without a reference policy.
        clip_fraction_S: Share of tokens whose ratio was clipped; mean over the optimiser steps.
        mismatch_S: Largest |log-probability of the sampler - the learner's| of a token, before the first
            step.
        tokens_S: Response tokens that count in the loss, end tokens included.
    """

    loss_S: Tensor
    grad_norm_S: Tensor
    update_norm_S: Tensor | None
    entropy_S: Tensor
    kl_S: Tensor | None
    clip_fraction_S: Tensor
    mismatch_S: Tensor
    tokens_S: Tensor


class Learner(Protocol):
    """Holds and trains the weights of S replicas."""

    replicas: int

    def step(self, batch: Batch) -> StepRecord:
        """Take the design's `updates_per_round` optimiser steps on one round."""
        ...

    def logprobs(self, prompts: Prompts, samples: Samples) -> Tensor:
        """Log-probabilities (S, Q, G, T) of responses under the weights of now, 0 after the end."""
        ...

    def divergence(self, prompts: Prompts, samples: Samples) -> Tensor:
        """The design's KL estimate from the initial policy, summed over each response: (S, Q, G) nats."""
        ...

    def named_weights(self, replica: int) -> Iterator[tuple[str, Tensor]]:
        """The weights of one replica under transformers' names, adapters merged: what an engine is pushed."""
        ...

    def checkpoint(self, replica: int) -> bytes:
        """The weights of one replica as the bytes of a safetensors file."""
        ...

    def load_checkpoint(self, replica: int, content: bytes) -> None:
        """Take over weights that `checkpoint` wrote; raises InputError where they are of another model."""
        ...

    def state(self, replica: int) -> Mapping[str, Tensor]:
        """Everything that the next step of one replica depends on: weights, optimiser state, reference."""
        ...

    def load_state(self, replica: int, state: Mapping[str, Tensor]) -> None:
        """Go on from a state; the next steps are bit-identical to those of the learner that gave it."""
        ...
