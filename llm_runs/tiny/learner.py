"""The learner of tiny models: S runs of one design as one tensor program.

Replicas never meet: the losses of those computed together are summed only so that one backward pass serves
them all, torch's optimisers act on coordinates, and gradients are clipped replica by replica. So what is
stacked changes no bit of a replica, and a replica's state can be taken out and put back, into a stack of any
size, bit for bit. Adam also steps on a zero gradient, as torch does.

Log-probabilities (`llm_runs.tiny.responses`): with one query, replicas are computed side by side, padded to
the task's shapes; with batches of queries, one replica after the other, without padding, some prompts at a
time. Gradients add up.

Axes: S replicas, Q prompts of a replica, G rollouts of a prompt, T response tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.objective import clipped, kl_penalty, row_weights
from banditrft.worlds import LLMWorld
from llm_runs.base_models import BaseModel
from llm_runs.interfaces import Batch, Limits, Prompts, Samples, StepRecord
from llm_runs.learners.loss import importance_weights, token_losses
from llm_runs.learners.optimizers import make_optimizer
from llm_runs.tiny.architecture import Architecture, architecture_of, pack, unpack, weights_of
from llm_runs.tiny.network import Weights, replica, stack
from llm_runs.tiny.responses import response_logits, token_logprobs

MOMENTS = ("exp_avg", "exp_avg_sq")
"""torch's names of Adam's moments."""
ROWS = 64
"""Responses of one forward and backward pass, or the rollouts of one prompt where they are more."""
Piece = tuple[slice, slice]
"""Which replicas and which of their prompts are computed at once."""


class StackState:
    """Weights and optimiser state of S replicas.

    Attributes:
        replicas: S.
        weights: Stacked weights, changed in place by each step.
        keeps_initial: Whether the initial policy is kept; where the design has a KL.
    """

    def __init__(self, arch: Architecture, weights: Weights, design: Design) -> None:
        self.arch, self.design = arch, design
        self.weights = {name: tensor.clone().requires_grad_() for name, tensor in weights.items()}
        self.replicas = len(self.weights["embed"])
        self.keeps_initial = design.kl_coef > 0.0
        self._initial = _shared(weights) if self.keeps_initial else {}
        self._steps = [0] * self.replicas
        self.optimizer = make_optimizer(design, list(self.weights.values()))
        if design.optimizer != "sgd":
            for tensor in self.weights.values():
                moments = {name: torch.zeros_like(tensor, requires_grad=False) for name in MOMENTS}
                self.optimizer.state[tensor] = {"step": torch.zeros(()), **moments}

    def initial(self) -> Weights:
        """Stacked weights of the initial policy; one copy serves replicas that started equal.

        Raises:
            InputError: it was not kept.
        """
        if not self.keeps_initial:
            raise InputError("kl_coef: a divergence needs the initial policy, which is kept where it is > 0")
        return {
            name: tensor.expand(self.replicas, *tensor.shape[1:]) for name, tensor in self._initial.items()
        }

    def add_gradients(self, replicas: slice, grads: Sequence[Tensor]) -> None:
        """Add gradients of some replicas' weights, in order of the weights."""
        whole = replicas == slice(0, self.replicas)
        for parameter, grad in zip(self.weights.values(), grads, strict=True):
            if parameter.grad is None:
                parameter.grad = grad if whole else torch.zeros_like(parameter)
                if whole:
                    continue
            parameter.grad[replicas] += grad

    @torch.no_grad()
    def descend(self) -> Tensor:
        """Clip each replica's gradient by its own norm and step; the norms before clipping, float64 (S,)."""
        grads = [p.grad for p in self.weights.values() if p.grad is not None]
        norm_S = replica_norms(grads)
        if self.design.grad_clip is not None:
            scale_S = (self.design.grad_clip / (norm_S + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_
            for grad in grads:
                grad *= scale_S.to(grad.dtype).view(-1, *[1] * (grad.ndim - 1))
        self.optimizer.step()
        self._steps = [count + 1 for count in self._steps]
        return norm_S

    def check_in_step(self) -> None:
        """Refuse to step replicas together that have not taken equally many steps.

        Raises:
            InputError: states of different rounds were loaded.
        """
        if len(set(self._steps)) > 1:
            raise InputError(f"state: replicas of a stack must have taken the same steps, got {self._steps}")

    def named_weights(self, index: int) -> Iterator[tuple[str, Tensor]]:
        """The weights of one replica under transformers' names."""
        yield from unpack(self.arch, replica(self.weights, index)).items()

    def checkpoint(self, index: int) -> bytes:
        """The weights of one replica as the bytes of a safetensors file."""
        from safetensors.torch import save

        content: bytes = save(dict(self.named_weights(index)), metadata={"format": "pt"})
        return content

    @torch.no_grad()
    def load_checkpoint(self, index: int, content: bytes) -> None:
        """Take over weights that `checkpoint` wrote; the optimiser's state and the initial policy stay.

        Raises:
            InputError: damaged, or of another model.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            state = load(content)
        except SafetensorError as error:
            raise InputError(f"checkpoint: damaged ({error})") from None
        shapes = {name: tensor.shape for name, tensor in self.named_weights(index)}
        if shapes != {name: tensor.shape for name, tensor in state.items()}:
            raise InputError("checkpoint: not of this model (names or shapes of weights differ)")
        for name, tensor in pack(self.arch, state).items():
            self.weights[name][index] = tensor

    def state(self, index: int) -> dict[str, Tensor]:
        """Everything that the next step of one replica depends on; copies."""
        return {"steps": torch.tensor(self._steps[index])} | {
            name: tensor[index].detach().clone() for name, tensor in self._tensors()
        }

    @torch.no_grad()
    def load_state(self, index: int, state: Mapping[str, Tensor]) -> None:
        """Go on from a state; the next steps are bit-identical to those of the learner that gave it.

        Raises:
            InputError: it is of another model or design.
        """
        expected = {name: tensor.shape[1:] for name, tensor in self._tensors()} | {"steps": torch.Size()}
        if expected != {name: tensor.shape for name, tensor in state.items()}:
            raise InputError("state: not of this model and design (names or shapes differ)")
        kept = self.initial() if self.keeps_initial else {}
        if any(not torch.equal(t[index], state[f"initial.{n}"]) for n, t in kept.items()):
            self._initial = {name: tensor.clone() for name, tensor in kept.items()}
        self._steps[index] = int(state["steps"])
        for entry in self.optimizer.state.values():
            entry["step"].fill_(self._steps[index])
        for name, tensor in self._tensors():
            if not torch.equal(tensor[index], state[name]):
                tensor[index] = state[name]

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """All stacked tensors of the state, by name."""
        for name, tensor in self.weights.items():
            yield f"weights.{name}", tensor
            for moment in MOMENTS if tensor in self.optimizer.state else ():
                yield f"{moment}.{name}", self.optimizer.state[tensor][moment]
        if self.keeps_initial:
            yield from ((f"initial.{name}", tensor) for name, tensor in self.initial().items())


def replica_norms(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of each replica's share of stacked tensors, float64 (S,)."""
    square = torch.zeros(len(tensors[0]), dtype=torch.float64)
    for tensor in tensors:  # one after the other: a sum over tensors would depend on the stack's size
        square += torch.linalg.vector_norm(tensor.detach().flatten(1), dim=1).double().square()
    return square.sqrt()


def _shared(weights: Weights) -> dict[str, Tensor]:
    """Copies with a replica axis of 1 where all replicas are equal."""
    equal = all(torch.equal(tensor, tensor[:1].expand_as(tensor)) for tensor in weights.values())
    return {name: (tensor[:1] if equal else tensor).clone() for name, tensor in weights.items()}


@dataclass
class _Round:
    """What a round's steps share; `old` is written by the first."""

    batch: Batch
    mask_SQGT: Tensor
    trained_SQGT: Tensor
    weights_SQGT: Tensor
    ref_SQGT: Tensor | None
    old_SQGT: Tensor


@dataclass
class _Sums:
    """What one gradient is measured by, summed over responses or tokens, per replica.

    Entropy and KL are of a round's first, clipped tokens of the others.
    """

    loss_S: Tensor
    entropy_S: Tensor
    kl_S: Tensor
    clipped_S: Tensor


class StackedLearner(StackState):
    """Holds and trains the weights of S replicas; a `llm_runs.interfaces.Learner`.

    Args:
        arch: The architecture.
        weights: Stacked base weights; copied. They are the initial policy of the KL.
        design: What a step does.
        world: Its `micro_batch` (of the aggregation of that name) and `importance_cap` are read.
        limits: Shapes and temperature of sampling.
    """

    def __init__(
        self, arch: Architecture, weights: Weights, design: Design, world: LLMWorld, limits: Limits
    ) -> None:
        super().__init__(arch, weights, design)
        self.world, self.limits = world, limits

    @classmethod
    def of(cls, model: BaseModel, replicas: int, design: Design, world: LLMWorld, limits: Limits) -> Self:
        """The learner of so many replicas of a model that stacks, with its weights.

        Raises:
            InputError: The stacked program does not compute it, or its file is damaged.
        """
        return cls(architecture_of(model), stack([weights_of(model)] * replicas), design, world, limits)

    def step(self, batch: Batch) -> StepRecord:
        """Take the design's `updates_per_round` optimiser steps on one round.

        Raises:
            InputError: the replicas' states are from different rounds.
        """
        self.check_in_step()
        parameters = list(self.weights.values())
        before = torch._foreach_clone([p.detach() for p in parameters])
        round_ = self._round(batch)
        updates = self.design.updates_per_round
        sums, norms = [], []
        for update in range(updates):
            sums.append(self._gradient(round_, first=update == 0))
            norms.append(self.descend())
        with torch.no_grad():
            torch._foreach_sub_(before, parameters)
        responses = batch.samples.lengths_SQG[0].numel()
        tokens_S = round_.trained_SQGT.flatten(1).sum(-1)
        gap = (batch.samples.logprobs_SQGT - round_.old_SQGT) * round_.mask_SQGT
        return StepRecord(
            loss_S=sums[0].loss_S,
            grad_norm_S=_mean(norms),
            update_norm_S=replica_norms(before),
            entropy_S=sums[0].entropy_S / responses,
            kl_S=None if round_.ref_SQGT is None else sums[0].kl_S / responses,
            clip_fraction_S=_mean([s.clipped_S for s in sums]) / tokens_S.clamp(min=1),
            mismatch_S=gap.abs().flatten(1).amax(-1),
            tokens_S=tokens_S,
        )

    @torch.no_grad()
    def logprobs(self, prompts: Prompts, samples: Samples) -> Tensor:
        """Log-probabilities (S, Q, G, T) of responses under the weights of now, 0 after the end."""
        return self._logprobs(self.weights, prompts, samples)

    @torch.no_grad()
    def divergence(self, prompts: Prompts, samples: Samples) -> Tensor:
        """The design's KL estimate from the initial policy, summed over each response: (S, Q, G) nats.

        Raises:
            InputError: the design has no KL, so that no initial policy was kept.
        """
        now = self._logprobs(self.weights, prompts, samples)
        initial = self._logprobs(self.initial(), prompts, samples)
        divergence: Tensor = kl_penalty(now, initial, self.design.kl_estimator).sum(-1)
        return divergence

    def _round(self, batch: Batch) -> _Round:
        samples, limits = batch.samples, self.limits
        active_SQG = (
            torch.ones_like(samples.lengths_SQG, dtype=torch.bool)
            if batch.active_SQG is None
            else batch.active_SQG
        )
        weights_SN = row_weights(
            self.design,
            samples.lengths_SQG.flatten(1),
            active_SQG.flatten(1),
            max_new=limits.max_new,
            micro_batch=self.world.micro_batch,
        )
        mask = _mask(samples)
        dtype = self.weights["embed"].dtype
        weights = weights_SN.view(active_SQG.shape)[..., None].to(dtype) * mask
        with torch.no_grad():
            ref = self._logprobs(self.initial(), batch.prompts, samples) if self.keeps_initial else None
        return _Round(
            batch, mask, mask & active_SQG[..., None], weights, ref, torch.zeros(mask.shape, dtype=dtype)
        )

    def _gradient(self, round_: _Round, *, first: bool) -> _Sums:
        """Leave the gradient of the round's loss in the weights' `.grad`."""
        design, batch, cap = self.design, round_.batch, self.world.importance_cap
        S = self.replicas
        sums = _Sums(*(torch.zeros(S, dtype=round_.old_SQGT.dtype) for _ in range(4)))
        for tensor in self.weights.values():
            tensor.grad = None
        for s, q in _pieces(batch.samples):
            live = {name: tensor.detach()[s].requires_grad_() for name, tensor in self.weights.items()}
            logp, entropy = self._score(live, batch.prompts, batch.samples, s, q)
            mask, old = round_.mask_SQGT[s, q], round_.old_SQGT[s, q]
            logp = logp * mask
            if first:
                old.copy_(logp.detach())
            ref = None if round_.ref_SQGT is None else round_.ref_SQGT[s, q]
            sampled = batch.samples.logprobs_SQGT[s, q].to(old.dtype)
            signals = batch.signals_SQG[s, q][..., None].to(old.dtype)
            trust = None if cap is None else importance_weights(old, sampled, cap)
            losses = token_losses(design, logp, old, ref, signals, trust) * round_.weights_SQGT[s, q]
            loss = losses.flatten(1).sum(-1)
            self.add_gradients(s, torch.autograd.grad(loss.sum(), list(live.values())))
            with torch.no_grad():
                sums.loss_S[s] += loss
                if first:
                    sums.entropy_S[s] += (entropy * mask).sum(-1).flatten(1).sum(-1)
                    if ref is not None:
                        sums.kl_S[s] += kl_penalty(logp, ref, "k3").flatten(1).sum(-1)
                else:
                    acts = clipped(design, signals, (logp - old).exp()) & round_.trained_SQGT[s, q]
                    sums.clipped_S[s] += acts.flatten(1).sum(-1)
        return sums

    def _logprobs(self, weights: Weights, prompts: Prompts, samples: Samples) -> Tensor:
        out = torch.zeros(samples.tokens_SQGT.shape, dtype=weights["embed"].dtype)
        for s, q in _pieces(samples):
            some = {name: tensor[s] for name, tensor in weights.items()}
            out[s, q] = self._score(some, prompts, samples, s, q)[0]
        return out * _mask(samples)

    def _score(
        self, weights: Weights, prompts: Prompts, samples: Samples, s: slice, q: slice
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of a piece's tokens; what stands after an end means nothing."""
        tokens, temperature = samples.tokens_SQGT[s, q], self.limits.temperature
        if samples.tokens_SQGT.shape[1] > 1:
            one = (prompts.ids[s.start][q], tokens[0], samples.lengths_SQG[s, q][0])
            logp, entropy = token_logprobs(self.arch, weights, *one, temperature)
            return logp[None], entropy[None]
        rows = Prompts(prompts.ids[s], prompts.items[s])
        prompts_SQP, pads_SQ = rows.padded(self.limits.prompt_max, self.limits.pad)
        logits = response_logits(self.arch, weights, prompts_SQP, pads_SQ, tokens)
        table = torch.log_softmax(logits / temperature, dim=-1)
        with torch.no_grad():
            entropy = (-table.exp() * table).sum(-1)
        return table.gather(-1, tokens[..., None])[..., 0], entropy


def _pieces(samples: Samples) -> Iterator[Piece]:
    """Cut a round up; the shapes of a replica's pieces depend on the design alone."""
    S, Q, G = samples.lengths_SQG.shape
    many = max(1, ROWS // G)
    if Q == 1:
        yield from ((slice(s, min(s + many, S)), slice(0, 1)) for s in range(0, S, many))
        return
    for s in range(S):
        yield from ((slice(s, s + 1), slice(q, min(q + many, Q))) for q in range(0, Q, many))


def _mask(samples: Samples) -> Tensor:
    """True for a response's tokens, its end token included; bool (S, Q, G, T)."""
    return torch.arange(samples.tokens_SQGT.shape[-1]) < samples.lengths_SQG[..., None]


def _mean(values_S: list[Tensor]) -> Tensor:
    return values_S[0] if len(values_S) == 1 else torch.stack(values_S).mean(0)
