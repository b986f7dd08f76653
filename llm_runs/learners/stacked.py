"""One optimiser step for S replicas at once: signals to loss to gradients to new weights.

The loss of a replica is the mean over its round's response tokens of -signal x log-probability. Replicas
never meet: their losses are summed only so that one backward pass serves them all, and torch.optim's SGD
and Adam act on coordinates. Adam also steps on a zero gradient, as torch does. Shapes are the task's and
the design's: responses are not trimmed, so what is stacked changes no bit.

Axes: S replicas, G rollouts, P prompt tokens, T response tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from banditrft.design import Design
from banditrft.objective import policy_gradient, token_mean
from llm_runs.network.architecture import Architecture
from llm_runs.network.policy import response_logits
from llm_runs.network.stacked import Weights


@dataclass(frozen=True)
class StepRecord:
    """What one step did, per replica.

    Attributes:
        loss_S: Loss before the step.
        update_norm_S: Euclidean norm of the change of the weights.
        entropy_S: Mean over rollouts of a response's summed full-softmax entropy, nats.
        tokens_S: Response tokens of the round, `<eos>` included.
    """

    loss_S: Tensor
    update_norm_S: Tensor
    entropy_S: Tensor
    tokens_S: Tensor


def make_optimizer(design: Design, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """The design's optimiser over stacked parameters; `design` must have passed `check_supported`."""
    if design.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=design.learning_rate, fused=True)
    return torch.optim.Adam(
        parameters, lr=design.learning_rate, betas=design.betas, eps=design.adam_eps, fused=True
    )


class Learner:
    """S replicas' weights and optimiser state."""

    def __init__(self, arch: Architecture, weights: Weights, design: Design, temperature: float) -> None:
        self.arch = arch
        self.weights = {name: tensor.clone().requires_grad_() for name, tensor in weights.items()}
        self.temperature = temperature
        self.optimizer = make_optimizer(design, list(self.weights.values()))

    def loss(
        self, prompts_SP: Tensor, pads_S: Tensor, tokens_SGT: Tensor, lengths_SG: Tensor, signals_SG: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss and entropy of each replica (S,), and its tokens (S,); the loss is differentiable."""
        logits = response_logits(
            self.arch, self.weights, prompts_SP[:, None], pads_S[:, None], tokens_SGT[:, None]
        )[:, 0]
        logp = torch.log_softmax(logits / self.temperature, dim=-1)
        drawn = logp.gather(-1, tokens_SGT[..., None])[..., 0]
        mask = (torch.arange(tokens_SGT.shape[-1]) < lengths_SG[..., None]).to(drawn.dtype)
        loss: Tensor = token_mean(policy_gradient(drawn, signals_SG.to(drawn.dtype)), mask)
        with torch.no_grad():
            entropy = ((-logp.exp() * logp).sum(-1) * mask).sum(-1).mean(-1)
        return loss, entropy, lengths_SG.sum(-1)

    def step(
        self, prompts_SP: Tensor, pads_S: Tensor, tokens_SGT: Tensor, lengths_SG: Tensor, signals_SG: Tensor
    ) -> StepRecord:
        """Take one step on one round's rollouts.

        Args:
            prompts_SP: Each replica's prompt, padded on the left.
            pads_S: Pads of each prompt.
            tokens_SGT: Response tokens.
            lengths_SG: Tokens of each response, with its `<eos>`.
            signals_SG: Learning signals.
        """
        parameters = list(self.weights.values())
        loss, entropy, tokens = self.loss(prompts_SP, pads_S, tokens_SGT, lengths_SG, signals_SG)
        for parameter, grad in zip(parameters, torch.autograd.grad(loss.sum(), parameters), strict=True):
            parameter.grad = grad
        before = torch._foreach_clone(parameters)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_sub_(before, parameters)
            square = torch.zeros(len(tokens), dtype=torch.float64)
            for change in before:  # one after the other: a sum over tensors would depend on the stack's size
                square += torch.linalg.vector_norm(change.flatten(1), dim=1).double().square()
        return StepRecord(loss.detach(), square.sqrt(), entropy, tokens)
