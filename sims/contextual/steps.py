"""Optimiser steps of the contextual world's weights, torch's semantics, all replicates side by side."""

import math

import numpy as np

from banditrft.design import Design
from sims.compiled.jit import kernel, reduction
from sims.contextual.rounds import Floats, dot
from sims.lumped.updates import CLIP_EPS


class Optimizer:
    """SGD, Adam or AdamW on the weights of R replicates, with the gradient's norm limited if asked for.

    Args:
        design: Optimiser, learning rate, betas, eps, decay, clip.
        replicates: R.
        dimension: D.
    """

    def __init__(self, design: Design, replicates: int, dimension: int) -> None:
        self.design = design
        self.betas_eps = np.array([*design.betas, design.adam_eps])
        self.scale_T2 = adam_scales(design, design.rounds * design.updates_per_round)
        self.count = 0
        moments = (replicates, dimension if design.optimizer != "sgd" else 0)
        self.m_RD, self.v_RD = np.zeros(moments), np.zeros(moments)

    def step(self, w_RD: Floats, grad_RD: Floats) -> None:
        """Move the weights along their gradients, which are scaled in place by a clip."""
        design = self.design
        if design.grad_clip is not None:
            clip_gradient(grad_RD, design.grad_clip)
        self.count += 1
        if design.optimizer == "sgd":
            sgd_step(w_RD, grad_RD, design.learning_rate)
            return
        decay = design.learning_rate * design.weight_decay if design.optimizer == "adamw" else 0.0
        step, inverse_root = self.scale_T2[self.count - 1]
        adam_step(w_RD, self.m_RD, self.v_RD, grad_RD, step, inverse_root, self.betas_eps, decay)


def adam_scales(design: Design, steps: int) -> Floats:
    """Rate over the first moment's correction, 1 over the root of the second's: (steps, 2)."""
    count_T = np.arange(1, steps + 1)
    first_T, second_T = (1.0 - beta**count_T for beta in design.betas)
    with np.errstate(over="ignore"):  # found out where weights leave double precision
        return np.stack([design.learning_rate / first_T, 1.0 / np.sqrt(second_T)], axis=1)


@kernel
def clip_row(grad_D: Floats, largest: float) -> None:
    """Scale a gradient whose norm exceeds ``largest`` (torch's clip_grad_norm_)."""
    scale = min(1.0, largest / (math.sqrt(dot(grad_D, grad_D)) + CLIP_EPS))
    for i in range(len(grad_D)):
        grad_D[i] *= scale


@kernel
def clip_gradient(grad_RD: Floats, largest: float) -> None:
    """The same for each replicate."""
    for r in range(len(grad_RD)):
        clip_row(grad_RD[r], largest)


@kernel
def sgd_step(w_RD: Floats, grad_RD: Floats, rate: float) -> None:
    """Add rate x gradient to the weights."""
    for r in range(len(w_RD)):
        for i in range(w_RD.shape[1]):
            w_RD[r, i] += rate * grad_RD[r, i]


@reduction
def adam_row(
    w_D: Floats,
    m_D: Floats,
    v_D: Floats,
    grad_D: Floats,
    step: float,
    inverse_root: float,
    betas_eps: Floats,
    decay: float,
) -> float:
    """A step of Adam(W), torch semantics, maximising; gives the squared norm of the change.

    ``step`` and ``inverse_root`` are a row of `adam_scales`.
    """
    fade, keep, eps = 1.0 - betas_eps[0], betas_eps[1], betas_eps[2]
    total = 0.0
    for i in range(len(w_D)):
        g = grad_D[i]
        m = m_D[i] + fade * (g - m_D[i])
        v = keep * v_D[i] + (1.0 - keep) * (g * g)
        change = step * m / (np.sqrt(v) * inverse_root + eps) - decay * w_D[i]
        w_D[i] += change
        m_D[i], v_D[i] = m, v
        total += change * change
    return total


@kernel
def adam_step(
    w_RD: Floats,
    m_RD: Floats,
    v_RD: Floats,
    grad_RD: Floats,
    step: float,
    inverse_root: float,
    betas_eps: Floats,
    decay: float,
) -> None:
    """The same for each replicate."""
    for r in range(len(w_RD)):
        adam_row(w_RD[r], m_RD[r], v_RD[r], grad_RD[r], step, inverse_root, betas_eps, decay)


@kernel
def fill_distance(a_RD: Floats, b_RD: Floats, out_R: Floats) -> None:
    """Euclidean distance of each replicate's two vectors."""
    for r in range(len(a_RD)):
        total = 0.0
        for i in range(a_RD.shape[1]):
            total += (a_RD[r, i] - b_RD[r, i]) ** 2
        out_R[r] = math.sqrt(total)
