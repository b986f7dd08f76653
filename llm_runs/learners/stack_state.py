"""What a stacked learner holds: weights, gradients, optimiser state and initial policy of S replicas.

Every tensor has a leading replica axis, and every operation acts on each replica alone. A replica's state can
be taken out and put back, into a stack of any size, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from banditrft.design import Design
from banditrft.errors import InputError
from llm_runs.learners.optimizers import make_optimizer
from llm_runs.network.architecture import Architecture, pack, unpack
from llm_runs.network.stacked import Weights, replica

MOMENTS = ("exp_avg", "exp_avg_sq")
"""torch's names of Adam's moments."""


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
