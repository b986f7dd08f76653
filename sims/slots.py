"""The state of one lumped bandit: slots, each a weight and the number of arms that share it (theory §1).

A slot holds the unnormalised probability w = e^(theta + constant) of *one* of its n arms. The first C slots
are the lumps of never-reinforced arms; every later one is a single arm split off a lump. Slots are laid out
in rows of LANES so that an update of a row fills vector registers, and each row keeps its mass (sum of n w),
by which a draw finds its slot. Nothing here knows a learning signal or an optimiser.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.jit import kernel, reduction

LANES = 32
"""Slots in a row."""
CEILING, FLOOR = 2.0**100, 2.0**-100
"""Total mass outside of which all weights are multiplied by a power of two (which is exact)."""
Floats = NDArray[np.float64]


class Slots(NamedTuple):
    """Arrays of one replicate's state, reused by the next; S rows of L = LANES slots."""

    w_SL: Floats
    """Weight of one arm."""
    n_SL: Floats
    """Arms in the slot; exact, since it is a whole number below 2**53."""
    reward_SL: Floats
    """P(correct) of a pull."""
    m_SL: Floats
    """Adam's first moment of one arm's logit."""
    v_SL: Floats
    """Adam's second moment of one arm's logit."""
    g_SL: Floats
    """This round's gradient from pulls of the arm itself; zero between rounds."""
    mass_S: Floats
    """Sum of n w over a row."""
    total_S: Floats
    """At least the sum of w over a row, and so a bound of its largest weight."""


def allocate(capacity: int, adam: bool) -> Slots:
    """State for up to ``capacity`` slots. Pages take memory only once slots reach them."""
    rows = -(-capacity // LANES)
    shapes = [(rows, LANES)] * 3 + [(rows if adam else 1, LANES)] * 3
    w, n, reward, m, v, g = (np.zeros(shape) for shape in shapes)
    return Slots(w, n, reward, m, v, g, np.zeros(rows), np.zeros(rows))


@reduction
def sum_row(state: Slots, row: int) -> None:
    """Recompute a row's mass and its sum of w."""
    mass, total = 0.0, 0.0
    for j in range(state.w_SL.shape[1]):
        mass += state.n_SL[row, j] * state.w_SL[row, j]
        total += state.w_SL[row, j]
    state.mass_S[row], state.total_S[row] = mass, total


@reduction
def total_mass(state: Slots, rows: int) -> float:
    """Sum of the rows' masses."""
    mass = 0.0
    for row in range(rows):
        mass += state.mass_S[row]
    return mass


@reduction
def rewarded_mass(state: Slots, rows: int) -> float:
    """Sum over slots of n w reward: Pass@1 times the total mass."""
    mass = 0.0
    for row in range(rows):
        for j in range(state.w_SL.shape[1]):
            mass += state.n_SL[row, j] * state.w_SL[row, j] * state.reward_SL[row, j]
    return mass


@kernel
def find(state: Slots, rows: int, point: float) -> int:
    """The slot that holds ``point`` in [0, total mass) of the slots laid end to end."""
    row = 0
    while row < rows - 1 and point >= state.mass_S[row]:
        point -= state.mass_S[row]
        row += 1
    for j in range(LANES):
        mass = state.n_SL[row, j] * state.w_SL[row, j]
        if point < mass:
            return row * LANES + j
        point -= mass
    slot = row * LANES + LANES - 1  # rounding left the point past the end of the row
    while slot > 0 and state.w_SL[slot // LANES, slot % LANES] == 0.0:
        slot -= 1
    return slot


@kernel
def split(state: Slots, lump: int, slot: int, adam: bool) -> None:
    """Move one arm of a lump, with a copy of the lump's state, to a new slot of its own."""
    i, j, row, lane = lump // LANES, lump % LANES, slot // LANES, slot % LANES
    state.w_SL[row, lane] = state.w_SL[i, j]
    state.reward_SL[row, lane] = state.reward_SL[i, j]
    state.n_SL[row, lane] = 1.0
    state.total_S[row] += state.w_SL[i, j]
    if adam:
        state.m_SL[row, lane], state.v_SL[row, lane] = state.m_SL[i, j], state.v_SL[i, j]
    state.n_SL[i, j] -= 1.0
    if state.n_SL[i, j] == 0.0:
        state.w_SL[i, j] = 0.0


@kernel
def reset(state: Slots, rows: int, adam: bool, arms_C: Floats, weight_C: Floats, reward_C: Floats) -> None:
    """Clear the first ``rows`` rows and lay the classes into the first C slots."""
    for i in range(rows):
        state.mass_S[i] = state.total_S[i] = 0.0
        for j in range(LANES):
            state.w_SL[i, j] = state.n_SL[i, j] = state.reward_SL[i, j] = 0.0
            if adam:
                state.m_SL[i, j] = state.v_SL[i, j] = state.g_SL[i, j] = 0.0
    for c in range(len(arms_C)):
        i, j = c // LANES, c % LANES
        state.w_SL[i, j], state.n_SL[i, j], state.reward_SL[i, j] = weight_C[c], arms_C[c], reward_C[c]
    for row in range((len(arms_C) + LANES - 1) // LANES):
        sum_row(state, row)


@kernel
def rescale(state: Slots, rows: int, factor: float) -> None:
    """Multiply every weight by a power of two."""
    for i in range(rows):
        state.mass_S[i] *= factor
        state.total_S[i] *= factor
        for j in range(LANES):
            state.w_SL[i, j] *= factor
