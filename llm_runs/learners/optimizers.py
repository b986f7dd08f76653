"""The design's optimiser on the trainable weights of a module; low-precision weights have float32 masters.

Weights in float32 (or float64) are stepped on as they are. For a bfloat16 module, forward and backward are
those of the very weights that a sampler is pushed; each weight's gradient is added to its master's in float32
as soon as it exists and then dropped, the step is taken on the master, and its rounding becomes the weight.
(Autocast over a float32 module would compute in other places in float32 than a bfloat16 sampler does.) The
learning rate is constant. Weight decay is torch's: decoupled, on every weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from banditrft.design import Design
from banditrft.errors import InputError
from llm_runs.learners.tensors import fitted, full

UPDATE_NORM_WEIGHTS = 2**28
"""Up to so many trainable weights (1 GiB of them) are copied to measure how far a step went."""


def make_optimizer(design: Design, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    """The design's optimiser with torch's semantics; one fused kernel, but where weights are sharded."""
    parameters = list(parameters)
    fused = None if any(isinstance(p, DTensor) for p in parameters) else True
    match design.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr=design.learning_rate, fused=fused)
        case "adam":
            return torch.optim.Adam(
                parameters, lr=design.learning_rate, betas=design.betas, eps=design.adam_eps, fused=fused
            )
        case "adamw":
            return torch.optim.AdamW(
                parameters,
                lr=design.learning_rate,
                betas=design.betas,
                eps=design.adam_eps,
                weight_decay=design.weight_decay,
                fused=fused,
            )


class Stepper:
    """Takes the steps of a design on a module's trainable weights."""

    def __init__(self, design: Design, module: nn.Module) -> None:
        self.clip = design.grad_clip
        self.weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.masters = {name: _master(p) for name, p in self.weights.items()}
        self.optimizer = make_optimizer(design, self.masters.values())

    def snapshot(self) -> list[Tensor] | None:
        """Copies of the masters; None where they would take too much memory."""
        if sum(p.numel() for p in self.masters.values()) > UPDATE_NORM_WEIGHTS:
            return None
        return [p.detach().clone() for p in self.masters.values()]

    @torch.no_grad()
    def moved(self, before: list[Tensor]) -> Tensor:
        """Euclidean norm, float64, of the change of the masters since a snapshot."""
        pairs = zip(self.masters.values(), before, strict=True)
        squares = [full(torch.linalg.vector_norm(p - old)).double().square() for p, old in pairs]
        return torch.stack(squares).sum().sqrt()

    def step(self) -> Tensor:
        """Step on the gradients accumulated since the last step; a weight without one has gradient 0.

        Returns:
            Euclidean norm of the whole gradient before clipping.
        """
        masters = list(self.masters.values())
        for p in masters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        norm = full(torch.nn.utils.get_total_norm([p.grad for p in masters if p.grad is not None]))
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(masters, self.clip, norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.round()
        return norm

    @torch.no_grad()
    def round(self) -> None:
        """Round the masters to the module's weights."""
        for name, p in self.weights.items():
            if self.masters[name] is not p:
                p.copy_(self.masters[name])

    @torch.no_grad()
    def reread(self) -> None:
        """Take the masters from the module's weights, which somebody else has changed."""
        for name, p in self.weights.items():
            if self.masters[name] is not p:
                self.masters[name].copy_(p)

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """The state, copied to the CPU: `weights.NAME`, and `optimizer.KIND.NAME` once a step was taken."""
        found = {f"weights.{name}": p for name, p in self.masters.items()}
        for name, p in self.masters.items():
            for kind, value in self.optimizer.state.get(p, {}).items():
                found[f"optimizer.{kind}.{name}"] = value
        for name, value in found.items():
            yield name, full(value.detach()).to("cpu", copy=True)

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state.

        Raises:
            InputError: it is another model's, or other weights were trained.
        """
        shapes = {
            name.removeprefix("weights."): v.shape for name, v in state.items() if name[:8] == "weights."
        }
        if shapes != {name: p.shape for name, p in self.masters.items()}:
            raise InputError("state: not of this model (names or shapes of its trained weights differ)")
        self.optimizer.state.clear()
        for name, p in self.masters.items():
            p.copy_(fitted(state[f"weights.{name}"], p))
        for key, value in state.items():
            part, _, rest = key.partition(".")
            if part == "optimizer":
                kind, _, name = rest.partition(".")
                p = self.masters[name]
                self.optimizer.state[p][kind] = (
                    fitted(value, p) if value.dim() else value.to(p.device, copy=True)
                )
        self.round()


def _master(p: nn.Parameter) -> Tensor:
    """What is stepped on for a weight: itself, or a float32 copy that collects its gradients."""
    if p.dtype in (torch.float32, torch.float64):
        return p
    master = p.detach().float().requires_grad_()

    def collect(weight: Tensor) -> None:
        assert weight.grad is not None
        if master.grad is None:
            master.grad = weight.grad.float()
        else:
            master.grad += weight.grad
        weight.grad = None

    p.register_post_accumulate_grad_hook(collect)  # type: ignore[no-untyped-call]
    return master
