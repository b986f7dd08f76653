"""One lumped bandit: its slots, each a weight and the arms that share it, and a round's pulls (theory §1).

A slot holds the unnormalised probability w = e^(theta + constant) of *one* of its n arms. The first C slots
are the lumps of never-reinforced arms; every later one is a single arm split off a lump. Slots are laid out
in rows of LANES so that an update of a row fills vector registers, and each row keeps its mass (sum of n w),
by which a draw finds its slot.

A round first draws slots and rewards, then names the arms that were met: a pull's four random words are slot,
arm within the lump, grade, reward. `sims.lumped.simulator` says why arms may be named after the rewards are
known. Nothing here moves a logit, or knows a learning signal or an optimiser.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.compiled.jit import kernel, reduction

LANES = 16
"""Slots in a row."""
CEILING, FLOOR = 2.0**100, 2.0**-100
"""Total mass outside of which all weights are multiplied by a power of two (which is exact)."""
Floats = NDArray[np.float64]


class Classes(NamedTuple):
    """Classes of interchangeable arms before the first round."""

    arms_C: Floats
    """Arms of the class."""
    weight_C: Floats
    """Weight of one arm."""
    reward_C: Floats
    """P(correct) of a pull."""


class Slots(NamedTuple):
    """Arrays of one replicate's state, reused by the next: N slots in S rows of L = LANES."""

    w_N: Floats
    """Weight of one arm."""
    n_N: Floats
    """Arms in the slot; exact, since it is a whole number below 2**53."""
    reward_N: Floats
    """P(correct) of a pull."""
    start_N: Floats
    """Logarithm of one arm's probability before the first round."""
    w_SL: Floats
    """The same memory as ``w_N``, by rows."""
    n_SL: Floats
    """The same memory as ``n_N``, by rows."""
    mass_S: Floats
    """Sum of n w over a row."""
    total_S: Floats
    """At least the sum of w over a row, and so a bound of its largest weight."""


class Gradients(NamedTuple):
    """What an optimiser other than plain SGD keeps of every slot, laid out as in `Slots`.

    Kernels take None in its place where there is none. They are compiled apart for the two cases, so that
    plain SGD, the common one, carries nothing it does not use.
    """

    m_SL: Floats
    """Adam's first moment of one arm's logit."""
    v_SL: Floats
    """Adam's second moment of one arm's logit."""
    g_SL: Floats
    """This round's gradient from pulls of the arm itself; zero between rounds."""


def allocate(capacity: int) -> Slots:
    """State for up to ``capacity`` slots. Pages take memory only once slots reach them."""
    rows = -(-capacity // LANES)
    w, n, reward, start = (np.zeros(rows * LANES) for _ in range(4))
    shape = (rows, LANES)
    return Slots(w, n, reward, start, w.reshape(shape), n.reshape(shape), np.zeros(rows), np.zeros(rows))


def allocate_gradients(capacity: int) -> Gradients:
    """Gradients and moments of up to ``capacity`` slots."""
    rows = -(-capacity // LANES)
    return Gradients(*(np.zeros((rows, LANES)) for _ in range(3)))


@reduction
def sum_row(state: Slots, row: int) -> None:
    """Recompute a row's mass and its sum of w."""
    mass, total = 0.0, 0.0
    for j in range(state.w_SL.shape[1]):
        mass += state.n_SL[row, j] * state.w_SL[row, j]
        total += state.w_SL[row, j]
    state.mass_S[row], state.total_S[row] = mass, total


@reduction
def lump_mass(state: Slots, row: int) -> float:
    """Sum of n w over a row."""
    mass = 0.0
    for j in range(state.w_SL.shape[1]):
        mass += state.n_SL[row, j] * state.w_SL[row, j]
    return mass


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
    for slot in range(rows * LANES):
        mass += state.n_N[slot] * state.w_N[slot] * state.reward_N[slot]
    return mass


@kernel
def entropy_kl(state: Slots, rows: int, Z: float) -> tuple[float, float]:
    """Entropy of the policy and its KL divergence from the initial one, in nats, over all arms."""
    entropy, kl = 0.0, 0.0
    for slot in range(rows * LANES):
        p = state.w_N[slot] / Z
        if p > 0.0:
            log_p = math.log(p)
            entropy -= state.n_N[slot] * (p * log_p)
            kl += state.n_N[slot] * (p * (log_p - state.start_N[slot]))
    return max(entropy, 0.0), max(kl, 0.0)


@kernel
def find(state: Slots, rows: int, point: float) -> int:
    """The slot that holds ``point`` in [0, total mass) of the slots laid end to end."""
    row = 0
    while row < rows - 1 and point >= state.mass_S[row]:
        point -= state.mass_S[row]
        row += 1
    for slot in range(row * LANES, (row + 1) * LANES):
        mass = state.n_N[slot] * state.w_N[slot]
        if point < mass:
            return slot
        point -= mass
    slot = (row + 1) * LANES - 1  # rounding left the point past the end of the row
    while slot > 0 and state.w_N[slot] == 0.0:
        slot -= 1
    return slot


@kernel
def split(state: Slots, gradients: Gradients | None, lump: int, slot: int) -> None:
    """Move one arm of a lump, with a copy of the lump's state, to a new slot of its own.

    The rows' masses are summed by the step that follows.
    """
    w, row = state.w_N[lump], slot // LANES
    state.w_N[slot] = w
    state.n_N[slot] = 1.0
    state.reward_N[slot] = state.reward_N[lump]
    state.start_N[slot] = state.start_N[lump]
    state.total_S[row] += w
    if gradients is not None:
        i, j, lane = lump // LANES, lump % LANES, slot % LANES
        gradients.m_SL[row, lane] = gradients.m_SL[i, j]
        gradients.v_SL[row, lane] = gradients.v_SL[i, j]
    state.n_N[lump] -= 1.0
    if state.n_N[lump] == 0.0:
        state.w_N[lump] = 0.0


@kernel
def reset(
    state: Slots,
    gradients: Gradients | None,
    rows: int,
    classes: Classes,
) -> None:
    """Clear the first ``rows`` rows and lay the classes into the first C slots."""
    for slot in range(rows * LANES):
        state.w_N[slot] = state.n_N[slot] = state.reward_N[slot] = 0.0
    for row in range(rows):
        state.mass_S[row] = state.total_S[row] = 0.0
        if gradients is not None:
            for j in range(LANES):
                gradients.m_SL[row, j] = gradients.v_SL[row, j] = gradients.g_SL[row, j] = 0.0
    C = len(classes.arms_C)
    for c in range(C):
        state.w_N[c], state.n_N[c], state.reward_N[c] = (
            classes.weight_C[c],
            classes.arms_C[c],
            classes.reward_C[c],
        )
    for row in range((C + LANES - 1) // LANES):
        sum_row(state, row)
    Z = total_mass(state, rows)
    for c in range(C):
        state.start_N[c] = math.log(classes.weight_C[c] / Z)


@kernel
def rescale(state: Slots, rows: int, factor: float) -> None:
    """Multiply every weight by a power of two."""
    for row in range(rows):
        state.mass_S[row] *= factor
        state.total_S[row] *= factor
    for slot in range(rows * LANES):
        state.w_N[slot] *= factor


PULLS_AHEAD = 256
"""Pulls whose random numbers are made in one go."""
Ints = NDArray[np.int64]


class Pulls(NamedTuple):
    """Scratch of one round."""

    u_P4: Floats
    """Uniforms of the pulls of this and some following rounds."""
    slot_G: Ints
    """Slot of each pull; after naming, slot of its arm, or -1 where the pull has no signal."""
    high_G: Ints
    """1 where the learner was given the high reward."""
    born_G: Ints
    """Slots split off in this round."""
    parent_G: Ints
    """The lumps they came from."""
    gone_C: Ints
    """How many arms each lump has lost in this round."""


@kernel
def draw(
    state: Slots,
    pulls: Pulls,
    rows: int,
    Z: float,
    base: int,
    if_wrong: float,
    if_right: float,
    dealt: int,
) -> tuple[int, int]:
    """Draw the round's slots and rewards; how many rewards were high, how many answers correct.

    A reward is high with probability ``if_wrong`` or ``if_right``. If ``dealt`` is not negative, so many
    rewards are high whatever was drawn: the first ones (`sims.learner.deal`).
    """
    highs, corrects = 0, 0
    for g in range(len(pulls.slot_G)):
        slot = find(state, rows, pulls.u_P4[base + g, 0] * Z)
        right = 1 if pulls.u_P4[base + g, 2] < state.reward_N[slot] else 0
        high = 1 if pulls.u_P4[base + g, 3] < (if_right if right == 1 else if_wrong) else 0
        if dealt >= 0:
            high = 1 if g < dealt else 0
        pulls.slot_G[g], pulls.high_G[g] = slot, high
        corrects += right
        highs += high
    return highs, corrects


@kernel
def arm_slot(state: Slots, pulls: Pulls, slot: int, u: float, births: int, top: int) -> int:
    """The slot of the arm that a pull of ``slot`` met; ``top`` says: an arm still to be split off.

    A lump that held n arms when the round began and has lost j of them since repeats one of those j with
    probability j/n (theory §1).
    """
    if slot >= len(pulls.gone_C):
        return slot
    gone = pulls.gone_C[slot]
    size = state.n_N[slot] + gone
    if size == 1.0:
        return slot
    which = math.floor(u * size)
    if which >= gone:
        return top
    seen = -1
    for b in range(births):
        seen += pulls.parent_G[b] == slot
        if seen == which:
            return int(pulls.born_G[b])
    return slot


@kernel
def name_arms(
    state: Slots,
    gradients: Gradients | None,
    pulls: Pulls,
    low_signal: float,
    high_signal: float,
    base: int,
    top: int,
) -> int:
    """Replace each pull's slot by its arm's, splitting lumps; the number of arms split off."""
    births = 0
    for g in range(len(pulls.slot_G)):
        signal = high_signal if pulls.high_G[g] == 1 else low_signal
        if signal == 0.0:
            pulls.slot_G[g] = -1
            continue
        lump = pulls.slot_G[g]
        arm = arm_slot(state, pulls, lump, pulls.u_P4[base + g, 1], births, top + births)
        pulls.slot_G[g] = arm
        if arm == top + births:
            split(state, gradients, lump, arm)
            pulls.gone_C[lump] += 1
            pulls.born_G[births], pulls.parent_G[births] = arm, lump
            births += 1
    for b in range(births):
        pulls.gone_C[pulls.parent_G[b]] = 0
    return births
