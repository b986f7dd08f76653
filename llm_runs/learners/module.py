"""The learner of any causal language model of transformers: one run, any size of micro-batch, one loss.

Every response's weight in the loss is known before the first forward pass (`row_weights`), so gradients of
micro-batches add up to the round's, whatever their size. Rows that cannot move the weights - inactive ones,
and without a KL in the loss those of signal 0 - go through the model without a backward pass.

The policy before the round's first step is read off that step's own forward pass. The initial policy is the
model without its adapters, or a frozen copy. On the CPU in float32 all is deterministic.

Axes: S = 1 replica, Q prompts, G rollouts, N = Q x G rows, T response tokens, R tokens of a micro-batch laid
end to end.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.objective import clipped, kl_penalty, row_weights
from banditrft.worlds import LLMWorld
from llm_runs.interfaces import Batch, Limits, Prompts, Samples, StepRecord
from llm_runs.learners import tensors
from llm_runs.learners.loss import importance_weights, token_losses
from llm_runs.learners.optimizers import Stepper
from llm_runs.learners.scoring import MicroBatch, Rows, Scorer


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

    def note(self, piece: MicroBatch, logp_R: Tensor, entropy_R: Tensor) -> None:
        """Note the policy before the first step."""
        piece.put(self.old_NT, logp_R.detach())
        piece.put(self.entropy_NT, entropy_R)


class ModuleLearner:
    """Holds and trains the weights of one run; a `llm_runs.interfaces.Learner`.

    Args:
        module: What `llm_runs.base_models.modules.load_module` returned, with the base weights. It is trained
        in
            place.
        design: What a step does.
        world: Its `micro_batch` and `importance_cap` are read.
        limits: Shapes and temperature of sampling.
        reference: Keep the initial policy where the design asks for none too, to record the KL from it.
    """

    replicas = 1

    def __init__(
        self, module: nn.Module, design: Design, world: LLMWorld, limits: Limits, *, reference: bool = False
    ) -> None:
        self.design, self.world, self.limits = design, world, limits
        self.module: Any = module
        self.device = next(module.parameters()).device
        self.reference: Scorer | None = None
        wanted, adapters = reference or design.kl_coef > 0.0, hasattr(module, "disable_adapter")
        if wanted and not adapters:
            frozen = copy.deepcopy(module).requires_grad_(False).eval()
            self.reference = self._placed(Scorer(frozen, limits.temperature))
        self.policy = self._placed(Scorer(module, limits.temperature))
        if wanted and adapters:
            self.reference = self.policy
        self.stepper = Stepper(design, module)

    def step(self, batch: Batch) -> StepRecord:
        """Take the design's `updates_per_round` optimiser steps on one round."""
        now = self._round(batch)
        before, norms = self.stepper.snapshot(), []
        for update in range(self.design.updates_per_round):
            for piece in now.live:
                logp_R, entropy_R = self.policy(piece)
                if update == 0:
                    now.note(piece, logp_R, entropy_R)
                self._loss(now, piece, logp_R, update).backward()  # type: ignore[no-untyped-call]
            if update == 0:
                self._note_quiet(now)
            norms.append(self.stepper.step().double())
        return self._record(now, norms, None if before is None else self.stepper.moved(before))

    def logprobs(self, prompts: Prompts, samples: Samples) -> Tensor:
        """Log-probabilities (1, Q, G, T) of responses under the weights of now, nats, 0 after the end."""
        rows = self._rows(prompts, samples)
        scores = self._scores(self.policy, rows, self._cut(rows, range(len(rows))))
        return scores.reshape(samples.tokens_SQGT.shape).cpu()

    def divergence(self, prompts: Prompts, samples: Samples) -> Tensor:
        """The design's KL estimate from the initial policy, summed over each response: (1, Q, G) nats.

        Raises:
            InputError: the initial policy was not kept.
        """
        if self.reference is None:
            raise InputError("kl_coef: must be positive for a divergence from the initial policy, got 0")
        rows = self._rows(prompts, samples)
        pieces = self._cut(rows, range(len(rows)))
        scores = self._scores(self.policy, rows, pieces)
        penalty: Tensor = kl_penalty(scores, self._initial(rows, pieces), self.design.kl_estimator)
        return penalty.sum(-1).double().reshape(samples.lengths_SQG.shape).cpu()

    def named_weights(self, replica: int) -> Iterator[tuple[str, Tensor]]:
        """The weights under transformers' names, adapters merged; they share memory where they can."""
        return tensors.exported(self.module)

    def checkpoint(self, replica: int) -> bytes:
        """The weights as the bytes of a safetensors file; those merged with adapters in float32."""
        from safetensors.torch import save

        weights = {name: tensor.cpu().contiguous() for name, tensor in self.named_weights(replica)}
        content: bytes = save(weights, metadata={"format": "pt"})
        return content

    def load_checkpoint(self, replica: int, content: bytes) -> None:
        """Take over weights that `checkpoint` wrote; the optimiser's state stays.

        Adapters are merged in a checkpoint: afterwards they are 0 and the initial policy is the checkpoint's.

        Raises:
            InputError: the bytes are damaged or another model's.
        """
        tensors.take(self.module, content)
        self.stepper.reread()

    def state(self, replica: int) -> Mapping[str, Tensor]:
        """Trained weights (masters, adapters unmerged) and the optimiser's state, copied to the CPU.

        The initial policy is no part of it: it is made again from the base weights.
        """
        return dict(self.stepper.items())

    def load_state(self, replica: int, state: Mapping[str, Tensor]) -> None:
        """Go on from a state; the next steps are bit-identical on the CPU.

        Raises:
            InputError: it is another model's, or other weights were trained.
        """
        self.stepper.load_state(state)

    def _placed(self, policy: Scorer) -> Scorer:
        """A policy where it is to be computed."""
        return policy

    def _shares(self, order: Sequence[int], size: int) -> Iterator[tuple[Sequence[int], bool]]:
        """Rows cut into micro-batches, each with whether it is idle."""
        return ((order[i : i + size], False) for i in range(0, len(order), size))

    def _total(self, value: Tensor) -> Tensor:
        """Sum of a tensor over all that hold a part of it."""
        return value

    def _rows(self, prompts: Prompts, samples: Samples) -> Rows:
        return Rows(prompts, samples, self.limits.pad, self.device)

    def _cut(self, rows: Rows, chosen: Sequence[int]) -> list[MicroBatch]:
        size = self.world.micro_batch or max(1, len(rows))
        return [rows.micro_batch(part, idle) for part, idle in self._shares(rows.order(chosen), size)]

    def _round(self, batch: Batch) -> Round:
        """What is known of a round before its first update."""
        rows, design = self._rows(batch.prompts, batch.samples), self.design
        signals_N = batch.signals_SQG.reshape(-1).cpu()
        weights_N = row_weights(
            design,
            rows.lengths_N,
            None if batch.active_SQG is None else batch.active_SQG.reshape(-1).cpu(),
            max_new=self.limits.max_new,
            micro_batch=self.world.micro_batch,
        )
        pulled = design.kl_coef > 0.0 and design.kl_placement == "loss"
        live_N = ((weights_N > 0) & ((signals_N != 0) | pulled)).tolist()
        live = self._cut(rows, [n for n in range(len(rows)) if live_N[n]])
        quiet = self._cut(rows, [n for n in range(len(rows)) if not live_N[n]])
        zero = torch.zeros((), dtype=torch.float64, device=self.device)
        table = rows.table()
        return Round(
            rows=rows,
            live=live,
            quiet=quiet,
            signals_N=signals_N.to(self.device),
            weights_N=weights_N.to(self.device),
            sampler_NT=batch.samples.logprobs_SQGT.reshape(table.shape).to(table),
            ref_NT=None if self.reference is None else self._initial(rows, live + quiet),
            old_NT=table,
            entropy_NT=table.clone(),
            loss=zero,
            clipped=zero.clone(),
        )

    def _loss(self, now: Round, piece: MicroBatch, logp_R: Tensor, update: int) -> Tensor:
        """What a micro-batch adds to the round's loss."""
        if piece.idle:
            return logp_R.sum() * 0.0
        old = logp_R.detach() if update == 0 else piece.at_tokens(now.old_NT).to(logp_R.dtype)
        ref = None if now.ref_NT is None else piece.at_tokens(now.ref_NT).to(logp_R.dtype)
        signals, cap = piece.of_tokens(now.signals_N).to(logp_R.dtype), self.world.importance_cap
        trust = (
            None
            if cap is None
            else importance_weights(old, piece.at_tokens(now.sampler_NT).to(old.dtype), cap)
        )
        losses = token_losses(self.design, logp_R, old, ref, signals, trust)
        loss = (losses * piece.of_tokens(now.weights_N).to(losses.dtype)).sum()
        if update == 0:
            now.loss += loss.detach()
        now.clipped += clipped(self.design, signals, torch.exp(logp_R.detach() - old)).sum()
        return loss

    @torch.no_grad()
    def _note_quiet(self, now: Round) -> None:
        """Complete what is known of the policy before the first step."""
        for piece in now.quiet:
            now.note(piece, *self.policy(piece))
        now.old_NT, now.entropy_NT = self._total(now.old_NT), self._total(now.entropy_NT)

    def _record(self, now: Round, norms: list[Tensor], moved: Tensor | None) -> StepRecord:
        gap_NT = (now.old_NT - now.sampler_NT) * now.rows.mask().to(self.device)
        tokens = now.rows.lengths_N[now.weights_N.cpu() > 0].sum()
        kl_N = None if now.ref_NT is None else kl_penalty(now.old_NT, now.ref_NT, "k3").sum(-1)
        share = self._total(now.clipped) / (max(1, int(tokens)) * len(norms))
        return StepRecord(
            loss_S=self._total(now.loss)[None].cpu(),
            grad_norm_S=torch.stack(norms).mean()[None].cpu(),
            update_norm_S=None if moved is None else moved[None].cpu(),
            entropy_S=now.entropy_NT.sum(-1).mean()[None].cpu(),
            kl_S=None if kl_N is None else kl_N.mean()[None].cpu(),
            clip_fraction_S=share[None].cpu(),
            mismatch_S=gap_NT.abs().max()[None].cpu(),
            tokens_S=tokens[None],
        )

    @torch.no_grad()
    def _scores(self, policy: Scorer, rows: Rows, pieces: Sequence[MicroBatch]) -> Tensor:
        """Log-probabilities (N, T) of all rows, nats, 0 after the end."""
        table = rows.table()
        for piece in pieces:
            piece.put(table, policy(piece)[0])
        return self._total(table)

    def _initial(self, rows: Rows, pieces: Sequence[MicroBatch]) -> Tensor:
        """Log-probabilities (N, T) of all rows under the initial policy."""
        assert self.reference is not None
        off = self.module.disable_adapter() if self.reference is self.policy else nullcontext()
        with off:
            return self._scores(self.reference, rows, pieces)
