"""One optimiser step of lumped bandits in lockstep: SGD, Adam, AdamW with torch's semantics (theory §1).

The gradient (of minus the loss) in the logit of one arm is the sum of its pulls' weights over M minus the
mean weight times its probability; in its class's shared parameter, ``shared`` times the sum of that over the
class. Weights come from `banditrft.objective`; what they are made of is not known here.
"""

import math
from typing import NamedTuple

import numpy as np

from sims.compiled.jit import kernel, reduction
from sims.lumped.arms import Arms, Floats, Ints, softmax
from sims.lumped.updates import CLIP_EPS


class Rule(NamedTuple):
    """How gradients move parameters; constant over a run."""

    shared: float
    """Strength of the parameters that a class shares."""
    rate: float
    """Learning rate."""
    adam: bool
    """Whether gradients pass through Adam."""
    beta1: float
    beta2: float
    eps: float
    decay: float
    """Share of a parameter that one step of AdamW takes away."""
    clip: float
    """Largest norm of the gradient over all parameters; 0 is no limit."""


ROUNDING = 1e-14
"""A mean weight below this share of the mean size of weights is what rounding left of 0."""


@reduction
def square_row(g_S: Floats, n_S: Floats, w_S: Floats, pull: float) -> float:
    """Sum over arms of squared gradients g - pull w."""
    square = 0.0
    for s in range(len(g_S)):
        g = g_S[s] - pull * w_S[s]
        square += n_S[s] * (g * g)
    return square


class Parameters(NamedTuple):
    """Some parameters of one replicate and what moves them; all but ``w_S`` are changed by a step."""

    value_S: Floats
    change_S: Floats
    """Sum of the round's changes."""
    g_S: Floats
    """Gradient from pulls; a step sets it to zero."""
    w_S: Floats
    """Weights, the factors of the pull."""
    m_S: Floats
    """Adam's moments."""
    v_S: Floats


@reduction
def sgd_row(of: Parameters, pull: float, step: float) -> None:
    """Add step (g - pull w) to every parameter."""
    for s in range(len(of.g_S)):
        d = step * (of.g_S[s] - pull * of.w_S[s])
        of.value_S[s] += d
        of.change_S[s] += d
        of.g_S[s] = 0.0


@reduction
def adam_row(of: Parameters, pull: float, factor: float, rule: Rule, step: float, root: float) -> None:
    """One Adam(W) step with gradients factor (g - pull w).

    Args:
        of: Parameters.
        pull: Mean weight of the pulls over Z.
        factor: Of a clipped gradient.
        rule: Adam's numbers.
        step: Learning rate over the first bias correction.
        root: Square root of the second bias correction.
    """
    fade, keep, eps, decay = 1.0 - rule.beta1, rule.beta2, rule.eps, rule.decay
    gain = 1.0 - keep
    for s in range(len(of.g_S)):
        g = factor * (of.g_S[s] - pull * of.w_S[s])
        m = of.m_S[s]
        m += fade * (g - m)
        v = keep * of.v_S[s] + gain * (g * g)
        d = step * m / (np.sqrt(v) / root + eps) - decay * of.value_S[s]
        of.value_S[s] += d
        of.change_S[s] += d
        of.m_S[s], of.v_S[s], of.g_S[s] = m, v, 0.0


@kernel
def move(of: Parameters, pull: float, factor: float, rule: Rule, update: int) -> None:
    """The optimiser's step on some parameters; arguments as in `adam_row`."""
    if rule.adam:
        step, root = rule.rate / (1.0 - rule.beta1**update), math.sqrt(1.0 - rule.beta2**update)
        adam_row(of, pull, factor, rule, step, root)
    else:
        sgd_row(of, pull, rule.rate * factor)


@kernel
def add_gradients(g_S: Floats, arm_RM: Ints, weight_RM: Floats, r: int) -> tuple[float, float]:
    """Add each pull's weight over M to its arm's gradient; the sum of the weights and of their sizes."""
    total, size, M = 0.0, 0.0, arm_RM.shape[1]
    for i in range(M):
        weight = weight_RM[r, i]
        if weight != 0.0:
            total += weight
            size += abs(weight)
            g_S[arm_RM[r, i]] += weight / M
    return total, size


@kernel
def shared_gradients(state: Arms, r: int, mean: float, shared: float, g_C: Floats, mass_C: Floats) -> float:
    """Gradients of the shared parameters, from those of the arms, into ``g_C``; their sum of squares."""
    g_C[:] = 0.0
    mass_C[:] = 0.0
    for s in range(state.used_R[r]):
        c = state.class_RS[r, s]
        g_C[c] += state.g_RS[r, s]
        mass_C[c] += state.n_RS[r, s] * state.w_RS[r, s]
    square = 0.0
    for c in range(len(g_C)):
        g_C[c] = shared * (g_C[c] - mean * mass_C[c] / state.Z_R[r])
        square += g_C[c] * g_C[c]
    return square


@kernel
def step_all(
    state: Arms,
    arm_RM: Ints,
    weight_RM: Floats,
    update: int,
    first: bool,
    rule: Rule,
    scratch_2C: Floats,
    norm_R: Floats,
) -> None:
    """One update of every replicate, and its new policy.

    Args:
        state: Replicates; weights must be current, and are again afterwards.
        arm_RM: Slot of each pull's arm; may be -1 where the weight is 0.
        weight_RM: Weight of each pull's log-probability.
        update: Number of this update, from 1, for Adam's bias corrections.
        first: Whether it is the first of its round.
        rule: What is done with gradients.
        scratch_2C: Scratch.
        norm_R: Written: norm of the change of all parameters since the start of the round.
    """
    g_C, mass_C = scratch_2C[0], scratch_2C[1]
    for r in range(arm_RM.shape[0]):
        used = state.used_R[r]
        n_S, w_S, g_S = state.n_RS[r, :used], state.w_RS[r, :used], state.g_RS[r, :used]
        logit_S, change_S = state.logit_RS[r, :used], state.change_RS[r, :used]
        m_S, v_S = state.m_RS[r, :used], state.v_RS[r, :used]
        phi_C, change_C = state.shared_4RC[0, r], state.shared_4RC[3, r]
        total, size = add_gradients(g_S, arm_RM, weight_RM, r)
        if first:
            change_S[:] = 0.0
            change_C[:] = 0.0
            norm_R[r] = 0.0
        if size == 0.0 and not rule.adam:
            continue
        mean = total / arm_RM.shape[1] if abs(total) > ROUNDING * size else 0.0
        pull, square, factor = mean / state.Z_R[r], 0.0, 1.0
        if rule.shared > 0.0:
            square = shared_gradients(state, r, mean, rule.shared, g_C, mass_C)
        if rule.clip > 0.0:
            square += square_row(g_S, n_S, w_S, pull)
            factor = min(1.0, rule.clip / (math.sqrt(square) + CLIP_EPS))
        move(Parameters(logit_S, change_S, g_S, w_S, m_S, v_S), pull, factor, rule, update)
        norm = square_row(change_S, n_S, w_S, 0.0)
        if rule.shared > 0.0:
            m_C, v_C = state.shared_4RC[1, r], state.shared_4RC[2, r]
            move(Parameters(phi_C, change_C, g_C, mass_C, m_C, v_C), 0.0, factor, rule, update)
            for c in range(len(change_C)):
                norm += change_C[c] * change_C[c]
        softmax(state, r, rule.shared)
        norm_R[r] = math.sqrt(norm)
