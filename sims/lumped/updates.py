"""One optimiser step of a lumped bandit: every slot's logit, expressed as a factor on its weight (theory §1).

The gradient of one arm's logit is its own pulls' sum of s_i/G minus mean(s) times its probability. The
kernels know signals as numbers; what those mean stands in `sims.lumped.simulator`.
"""

import math

import numpy as np

from sims.compiled.exponential import MEDIUM, TINY, exp, series5, series13
from sims.compiled.jit import kernel, reduction
from sims.lumped.slots import LANES, Floats, Gradients, Pulls, Slots, lump_mass, sum_row, total_mass

CLIP_EPS = 1e-6
"""Added to the norm by ``torch.nn.utils.clip_grad_norm_``."""


@reduction
def decay_tiny(state: Slots, row: int, rate: float) -> float:
    """Multiply a row's weights by e^(rate * w) where every |rate * w| <= TINY; the sum of the new ones."""
    total = 0.0
    for j in range(state.w_SL.shape[1]):
        w = state.w_SL[row, j]
        w += w * series5(rate * w)
        state.w_SL[row, j] = w
        total += w
    return total


@reduction
def decay_medium(state: Slots, row: int, rate: float) -> float:
    """The same for |rate * w| <= MEDIUM."""
    total = 0.0
    for j in range(state.w_SL.shape[1]):
        w = state.w_SL[row, j]
        w += w * series13(rate * w)
        state.w_SL[row, j] = w
        total += w
    return total


@reduction
def decay_large(state: Slots, row: int, rate: float) -> float:
    """The same without a bound (within `exp`'s)."""
    total = 0.0
    for j in range(state.w_SL.shape[1]):
        w = state.w_SL[row, j]
        w *= exp(rate * w)
        state.w_SL[row, j] = w
        total += w
    return total


@kernel
def decay(state: Slots, rows: int, lump_rows: int, rate: float) -> float:
    """SGD's step for arms that were not pulled: weights times e^(rate * w), by the shortest exact series.

    Args:
        state: The slots.
        rows: Rows in use.
        lump_rows: Rows, the first ones, that may hold lumps; in the others every slot is one arm.
        rate: - learning rate x mean signal / total mass.

    Returns:
        The new total mass.
    """
    mass = 0.0
    for row in range(rows):
        largest = abs(rate) * state.total_S[row]
        if largest <= TINY:
            total = decay_tiny(state, row, rate)
        elif largest <= MEDIUM:
            total = decay_medium(state, row, rate)
        else:
            total = decay_large(state, row, rate)
        state.total_S[row] = state.mass_S[row] = total
        if row < lump_rows:
            state.mass_S[row] = lump_mass(state, row)
        mass += state.mass_S[row]
    return mass


@kernel
def push(
    state: Slots,
    pulls: Pulls,
    births: int,
    rows: int,
    Z: float,
    summed: bool,
    low_push: float,
    high_push: float,
) -> float:
    """SGD's step for the arms that were pulled: each weight times the push of its signal, pull by pull.

    Args:
        state: The slots.
        pulls: The round, arms named.
        births: Arms split off in this round.
        rows: Rows in use.
        Z: Total mass.
        summed: Whether `decay` has summed the rows since arms were split off.
        low_push: e^(learning rate x signal / G) of a pull with the low reward.
        high_push: Of one with the high reward.

    Returns:
        The new total mass.
    """
    resum = not summed
    for g in range(len(pulls.slot_G)):
        arm = pulls.slot_G[g]
        if arm >= 0:
            factor = high_push if pulls.high_G[g] == 1 else low_push
            before = state.w_N[arm]
            state.w_N[arm] = before * factor
            added = before * factor - before
            state.mass_S[arm // LANES] += added
            state.total_S[arm // LANES] += added
            Z += added
            resum = resum or factor < 1.0
    if resum:  # a sum lacks an arm, or may have cancelled
        for g in range(len(pulls.slot_G)):
            if pulls.slot_G[g] >= 0:
                sum_row(state, pulls.slot_G[g] // LANES)
        for b in range(births):
            sum_row(state, pulls.parent_G[b] // LANES)
        Z = total_mass(state, rows)
    return Z


@kernel
def add_gradients(gradients: Gradients, pulls: Pulls, low: float, high: float) -> None:
    """Add each pull's signal over G, by its reward, to the gradient of its arm."""
    for g in range(len(pulls.slot_G)):
        arm = pulls.slot_G[g]
        if arm >= 0:
            gradients.g_SL[arm // LANES, arm % LANES] += high if pulls.high_G[g] == 1 else low


@reduction
def adam_row(
    state: Slots, gradients: Gradients, row: int, mean: float, betas_eps: Floats, step: float, root: float
) -> None:
    """One Adam step (torch semantics, maximising) on a row's logits.

    Args:
        state: The slots; weights change.
        gradients: Moments change, pulls' gradients are set back to zero.
        row: The row.
        mean: Mean signal over total mass, the factor of -w in the gradient.
        betas_eps: beta1, beta2, eps.
        step: Learning rate over the first bias correction.
        root: Square root of the second bias correction.
    """
    w_SL, n_SL = state.w_SL, state.n_SL
    m_SL, v_SL, g_SL = gradients
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
    state: Slots,
    gradients: Gradients,
    row: int,
    mean: float,
    betas_eps: Floats,
    step: float,
    root: float,
    decay: float,
) -> None:
    """One AdamW step: logits times 1 - decay, then Adam's; arguments as in `adam_row`.

    A weight is e^(logit + constant), so the decayed one is w^(1 - decay): what becomes of the constant shifts
    every logit alike and cancels in the softmax. A weight of zero stays zero.
    """
    w_SL, n_SL = state.w_SL, state.n_SL
    m_SL, v_SL, g_SL = gradients
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
def clip_factor(state: Slots, gradients: Gradients, rows: int, mean: float, clip: float) -> float:
    """What the gradient is multiplied by so that its norm over *all* arms is at most ``clip`` (torch's rule).

    A slot of n arms counts n times; the pulls' part of a gradient belongs to single arms (slots with n = 1).
    """
    square = 0.0
    for row in range(rows):
        for j in range(state.w_SL.shape[1]):
            g = gradients.g_SL[row, j] - mean * state.w_SL[row, j]
            square += state.n_SL[row, j] * (g * g)
    return min(1.0, clip / (math.sqrt(square) + CLIP_EPS))


@kernel
def scale_gradients(gradients: Gradients, rows: int, factor: float) -> None:
    """Multiply the pulls' gradients by a factor."""
    for row in range(rows):
        for j in range(gradients.g_SL.shape[1]):
            gradients.g_SL[row, j] *= factor
