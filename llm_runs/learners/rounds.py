"""What a learner of any model keeps of a round while it steps on it.

Axes: N rows of the round, T response tokens, R tokens of a micro-batch laid end to end.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from llm_runs.learners.rows import MicroBatch, Rows


@dataclass
class Round:
    """A round on the learner's device: its constants, and what its updates find out.

    Attributes:
        rows: Its rows.
        live: Micro-batches of the rows that can move the weights.
        quiet: Micro-batches of the others.
        signals_N: Learning signals.
        weights_N: Weight of every token of a row in the loss.
        sampler_NT: Log-probabilities that the sampler reported, nats.
        ref_NT: Log-probabilities under the initial policy, where it is kept.
        old_NT: Log-probabilities before the first step.
        entropy_NT: Full-softmax entropies before the first step, nats.
        loss: Loss before the first step.
        clipped: Tokens whose ratio was clipped, over all steps.
    """

    rows: Rows
    live: list[MicroBatch]
    quiet: list[MicroBatch]
    signals_N: Tensor
    weights_N: Tensor
    sampler_NT: Tensor
    ref_NT: Tensor | None
    old_NT: Tensor
    entropy_NT: Tensor
    loss: Tensor
    clipped: Tensor

    def look(self, piece: MicroBatch, logp_R: Tensor, entropy_R: Tensor) -> None:
        """Note the policy before the first step."""
        piece.put(self.old_NT, logp_R.detach())
        piece.put(self.entropy_NT, entropy_R)
