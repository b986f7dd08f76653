"""A round's pulls of a lumped bandit: draw slots and rewards, then name the arms that were met (theory §1).

A pull's four random words are slot, arm within the lump, grade, reward.

`sims.lumped.simulator` says why arms may be named after the rewards are known. Nothing here moves a logit.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.compiled.jit import kernel
from sims.lumped.slots import Floats, Gradients, Slots, find, split

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

    A reward is high with probability ``if_wrong`` or ``if_right``, or is the grade if these are negative. If
    ``dealt`` is not negative, so many rewards are high whatever was drawn: the first ones
    (`sims.learner.deal`).
    """
    highs, corrects = 0, 0
    for g in range(len(pulls.slot_G)):
        slot = find(state, rows, pulls.u_P4[base + g, 0] * Z)
        right = 1 if pulls.u_P4[base + g, 2] < state.reward_N[slot] else 0
        high = right
        if if_right >= 0.0:
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
