"""What a learner is: it holds the weights of S runs and steps on their rounds. No sampling, no grading.

Axes: S replicas, Q prompts of a replica, G rollouts of a prompt, T response tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from llm_runs.engines.base import Prompts, Samples


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
