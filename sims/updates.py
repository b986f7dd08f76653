"""One optimiser step of a lumped bandit: every slot's logit, expressed as a factor on its weight (theory §1).

The gradient of one arm's logit is its own pulls' sum of s_i/G minus mean(s) times its probability. The
kernels know signals as numbers; what those mean stands in `sims.lumped`.
"""

import math

import numpy as np

from sims.exponential import MEDIUM, TINY, exp, series5, series13
from sims.jit import kernel, reduction
from sims.slots import Floats, Slots

CLIP_EPS = 1e-6
"""Added to the norm by ``torch.nn.utils.clip_grad_norm_``."""


@reduction
def decay_row_tiny(state: Slots, row: int, rate: float) -> None:
    """Multiply a row's weights by e^(rate * w) where every |rate * w| <= TINY."""
    mass, total = 0.0, 0.0
    for j in range(state.w_SL.shape[1]):
        w = state.w_SL[row, j]
        w += w * series5(rate * w)
        state.w_SL[row, j] = w
        mass += state.n_SL[row, j] * w
        total += w
    state.mass_S[row], state.total_S[row] = mass, total


@reduction
def decay_row_medium(state: Slots, row: int, rate: float) -> None:
    """The same for |rate * w| <= MEDIUM."""
    mass, total = 0.0, 0.0
    for j in range(state.w_SL.shape[1]):
        w = state.w_SL[row, j]
        w += w * series13(rate * w)
        state.w_SL[row, j] = w
        mass += state.n_SL[row, j] * w
        total += w
    state.mass_S[row], state.total_S[row] = mass, total


@reduction
def decay_row_large(state: Slots, row: int, rate: float) -> None:
    """The same without a bound (within `exp`'s)."""
    mass, total = 0.0, 0.0
    for j in range(state.w_SL.shape[1]):
        w = state.w_SL[row, j]
        w *= exp(rate * w)
        state.w_SL[row, j] = w
        mass += state.n_SL[row, j] * w
        total += w
    state.mass_S[row], state.total_S[row] = mass, total


@kernel
def decay_row(state: Slots, row: int, rate: float) -> None:
    """SGD's step for arms that were not pulled: weights times e^(rate * w), by the shortest exact series."""
    largest = abs(rate) * state.total_S[row]
    if largest <= TINY:
        decay_row_tiny(state, row, rate)
    elif largest <= MEDIUM:
        decay_row_medium(state, row, rate)
    else:
        decay_row_large(state, row, rate)


@reduction
def adam_row(state: Slots, row: int, mean: float, betas_eps: Floats, step: float, root: float) -> None:
    """One Adam step (torch semantics, maximising) on a row's logits.

    Args:
        state: The slots; weights and moments change, pulls' gradients are set back to zero.
        row: The row.
        mean: Mean signal over total mass, the factor of -w in the gradient.
        betas_eps: beta1, beta2, eps.
        step: Learning rate over the first bias correction.
        root: Square root of the second bias correction.
    """
    w_SL, n_SL, m_SL, v_SL, g_SL = state.w_SL, state.n_SL, state.m_SL, state.v_SL, state.g_SL
    mass, total = 0.0, 0.0
    fade, keep, eps = 1.0 - betas_eps[0], betas_eps[1], betas_eps[2]
    gain = 1.0 - keep
    for j in range(w_SL.shape[1]):
        w = w_SL[row, j]
        g = g_SL[row, j] - mean * w
        m = m_SL[row, j]
        m += fade * (g - m)
        v = keep * v_SL[row, j] + gain * (g * g)
        w *= exp(step * m / (np.sqrt(v) / root + eps))
        g_SL[row, j], m_SL[row, j], v_SL[row, j], w_SL[row, j] = 0.0, m, v, w
        mass += n_SL[row, j] * w
        total += w
    state.mass_S[row], state.total_S[row] = mass, total


@reduction
def adamw_row(
    state: Slots, row: int, mean: float, betas_eps: Floats, step: float, root: float, decay: float
) -> None:
    """One AdamW step: logits times 1 - decay, then Adam's; arguments as in `adam_row`.

    A weight is e^(logit + constant), so the decayed one is w^(1 - decay): what becomes of the constant shifts
    every logit alike and cancels in the softmax. A weight of zero stays zero.
    """
    w_SL, n_SL, m_SL, v_SL, g_SL = state.w_SL, state.n_SL, state.m_SL, state.v_SL, state.g_SL
    mass, total = 0.0, 0.0
    fade, keep, eps = 1.0 - betas_eps[0], betas_eps[1], betas_eps[2]
    gain = 1.0 - keep
    for j in range(w_SL.shape[1]):
        w = w_SL[row, j]
        g = g_SL[row, j] - mean * w
        m = m_SL[row, j]
        m += fade * (g - m)
        v = keep * v_SL[row, j] + gain * (g * g)
        if w > 0.0:
            w *= exp(step * m / (np.sqrt(v) / root + eps) - decay * np.log(w))
        g_SL[row, j], m_SL[row, j], v_SL[row, j], w_SL[row, j] = 0.0, m, v, w
        mass += n_SL[row, j] * w
        total += w
    state.mass_S[row], state.total_S[row] = mass, total


@reduction
def clip_factor(state: Slots, rows: int, mean: float, clip: float) -> float:
    """What the gradient is multiplied by so that its norm over *all* arms is at most ``clip`` (torch's rule).

    A slot of n arms counts n times; the pulls' part of a gradient belongs to single arms (slots with n = 1).
    """
    square = 0.0
    for row in range(rows):
        for j in range(state.w_SL.shape[1]):
            g = state.g_SL[row, j] - mean * state.w_SL[row, j]
            square += state.n_SL[row, j] * (g * g)
    return min(1.0, clip / (math.sqrt(square) + CLIP_EPS))


@kernel
def scale_gradients(state: Slots, rows: int, factor: float) -> None:
    """Multiply the pulls' gradients by a factor."""
    for row in range(rows):
        for j in range(state.g_SL.shape[1]):
            state.g_SL[row, j] *= factor
