"""The compiled rounds of the lumped bandit: draw, name the arms, update (theory §1).

`sims.lumped` says what they mean and why they are exact.

Not a place for learning signals (they arrive as a table) nor for records. Replicates run one after another in
one state, so memory does not grow with their number and a replicate cannot depend on its neighbours.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.jit import kernel
from sims.philox import fill_pulls
from sims.slots import (
    CEILING,
    FLOOR,
    LANES,
    Floats,
    Slots,
    find,
    rescale,
    reset,
    rewarded_mass,
    split,
    sum_row,
    total_mass,
)
from sims.updates import adam_row, decay_row

PULLS_AHEAD = 256
"""Pulls whose random numbers are made in one go."""
SAMPLE = 1
"""`banditrft.streams.Purpose.SAMPLE`: a pull's four words are slot, arm within the lump, reward, placebo."""
Ints = NDArray[np.int64]
Counts = NDArray[np.int32]


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
def draw(state: Slots, pulls: Pulls, rows: int, Z: float, base: int, placebo: float) -> tuple[int, int]:
    """Draw the round's slots and rewards; how many rewards were high, how many answers correct."""
    highs, corrects = 0, 0
    for g in range(len(pulls.slot_G)):
        slot = find(state, rows, pulls.u_P4[base + g, 0] * Z)
        right = 1 if pulls.u_P4[base + g, 2] < state.reward_SL[slot // LANES, slot % LANES] else 0
        high = right
        if placebo >= 0.0:
            high = 1 if pulls.u_P4[base + g, 3] < placebo else 0
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
    size = state.n_SL[slot // LANES, slot % LANES] + gone
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
    state: Slots, pulls: Pulls, low_signal: float, high_signal: float, base: int, top: int, adam: bool
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
            split(state, lump, arm, adam)
            pulls.gone_C[lump] += 1
            pulls.born_G[births], pulls.parent_G[births] = arm, lump
            births += 1
    for b in range(births):
        pulls.gone_C[pulls.parent_G[b]] = 0
    return births


@kernel
def sgd(
    state: Slots, pulls: Pulls, births: int, rows: int, rate: float, low_push: float, high_push: float
) -> None:
    """SGD: every weight times e^(rate w), every pulled arm's times its push.

    Args:
        state: The slots.
        pulls: The round, arms named.
        births: Arms split off in this round.
        rows: Rows in use.
        rate: - learning rate x mean signal / total mass; 0 leaves all arms but the pulled ones alone.
        low_push: e^(learning rate x signal / G) of a pull with the low reward.
        high_push: Of one with the high reward.
    """
    if rate != 0.0:
        for row in range(rows):
            decay_row(state, row, rate)
    resum = False
    for g in range(len(pulls.slot_G)):
        arm = pulls.slot_G[g]
        if arm >= 0:
            push = high_push if pulls.high_G[g] == 1 else low_push
            before = state.w_SL[arm // LANES, arm % LANES]
            state.w_SL[arm // LANES, arm % LANES] = before * push
            added = before * push - before
            state.mass_S[arm // LANES] += added
            state.total_S[arm // LANES] += added
            resum = resum or push < 1.0
    if resum:  # a sum may have cancelled; without a mean signal some push is always below 1
        for g in range(len(pulls.slot_G)):
            if pulls.slot_G[g] >= 0:
                sum_row(state, pulls.slot_G[g] // LANES)
    if rate == 0.0:
        for b in range(births):
            sum_row(state, pulls.parent_G[b] // LANES)


@kernel
def run_replicates(
    root_seed: int,
    seeds_R: Ints,
    rounds: int,
    state: Slots,
    pulls: Pulls,
    arms_C: Floats,
    weight_C: Floats,
    reward_C: Floats,
    table_S2: Floats,
    mean_S: Floats,
    push_S2: Floats,
    rate: float,
    adam: bool,
    betas_eps: Floats,
    placebo: float,
    target: float,
    eval_rounds_E: Ints,
    high_RT: Counts,
    correct_RT: Counts,
    p_RE: Floats,
    hit_R: Ints,
    slots_R: Ints,
) -> None:
    """Run every replicate and fill the last five arrays; arguments as in `sims.lumped.simulate`."""
    C, G = len(arms_C), len(pulls.slot_G)
    start = (C + LANES - 1) // LANES
    rows = start
    for r in range(len(seeds_R)):
        reset(state, rows, adam, arms_C, weight_C, reward_C)
        top, rows, moving, e = C, start, False, 0
        Z = total_mass(state, rows)
        base = len(pulls.u_P4) - G
        hit = 0 if rewarded_mass(state, rows) >= target * Z else -1
        for t in range(rounds + 1):
            if t > 0:
                base += G
                if base == len(pulls.u_P4):
                    base = 0
                    fill_pulls(pulls.u_P4, root_seed, seeds_R[r], 0, SAMPLE, t, G)
                highs, corrects = draw(state, pulls, rows, Z, base, placebo)
                high_RT[r, t - 1], correct_RT[r, t - 1] = highs, corrects
                low, high = table_S2[highs, 0], table_S2[highs, 1]
                heard = low != 0.0 or high != 0.0
                if heard:
                    births = name_arms(state, pulls, low, high, base, top, adam)
                    top += births
                    rows = (top + LANES - 1) // LANES
                    moving = True
                    if not adam:
                        sgd(
                            state, pulls, births, rows, -rate * mean_S[highs] / Z,
                            push_S2[highs, 0], push_S2[highs, 1],
                        )  # fmt: skip
                    else:
                        for g in range(G):
                            arm = pulls.slot_G[g]
                            if arm >= 0:
                                state.g_SL[arm // LANES, arm % LANES] += table_S2[highs, pulls.high_G[g]] / G
                if adam and moving:
                    mean = mean_S[highs] / Z
                    step, root = rate / (1.0 - betas_eps[0] ** t), math.sqrt(1.0 - betas_eps[1] ** t)
                    for row in range(rows):
                        adam_row(state, row, mean, betas_eps, step, root)
                if heard or (adam and moving):
                    Z = total_mass(state, rows)
                    if not FLOOR < Z < CEILING:
                        factor = 2.0 ** -math.floor(math.log2(Z))
                        rescale(state, rows, factor)
                        Z *= factor
                    if hit < 0 and target <= 1.0 and rewarded_mass(state, rows) >= target * Z:
                        hit = t
            if e < len(eval_rounds_E) and eval_rounds_E[e] == t:
                p_RE[r, e] = rewarded_mass(state, rows) / Z
                e += 1
        hit_R[r], slots_R[r] = hit, top
