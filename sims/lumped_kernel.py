"""The compiled rounds of the lumped bandit: pulls (`sims.pulls`), then an optimiser's step (theory §1).

`sims.lumped` says what they mean and why they are exact.

Not a place for learning signals (they arrive as a table) nor for records. Replicates run one after another in
one state, so memory does not grow with their number and a replicate cannot depend on its neighbours.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sims.jit import kernel
from sims.philox import fill_pulls
from sims.pulls import SAMPLE, Ints, Pulls, draw, name_arms
from sims.slots import (
    CEILING,
    FLOOR,
    LANES,
    Floats,
    Slots,
    rescale,
    reset,
    rewarded_mass,
    sum_row,
    total_mass,
)
from sims.updates import adam_row, adamw_row, clip_factor, decay_row, scale_gradients

Counts = NDArray[np.int32]


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
def add_gradients(state: Slots, pulls: Pulls, low: float, high: float) -> None:
    """Add each pull's signal over G, by its reward, to the gradient of its arm."""
    for g in range(len(pulls.slot_G)):
        arm = pulls.slot_G[g]
        if arm >= 0:
            state.g_SL[arm // LANES, arm % LANES] += high if pulls.high_G[g] == 1 else low


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
    decay: float,
    clip: float,
    if_wrong: float,
    if_right: float,
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
        top, rows, moving, e = C, start, decay > 0.0, 0
        Z = total_mass(state, rows)
        base = len(pulls.u_P4) - G
        hit = 0 if rewarded_mass(state, rows) >= target * Z else -1
        for t in range(rounds + 1):
            if t > 0:
                base += G
                if base == len(pulls.u_P4):
                    base = 0
                    fill_pulls(pulls.u_P4, root_seed, seeds_R[r], 0, SAMPLE, t, G)
                highs, corrects = draw(state, pulls, rows, Z, base, if_wrong, if_right)
                high_RT[r, t - 1], correct_RT[r, t - 1] = highs, corrects
                low, high = table_S2[highs, 0], table_S2[highs, 1]
                heard = low != 0.0 or high != 0.0
                if heard:
                    births = name_arms(state, pulls, low, high, base, top, adam)
                    top += births
                    rows = (top + LANES - 1) // LANES
                    moving = True
                    mean, factor = mean_S[highs] / Z, 1.0
                    if adam or clip > 0.0:
                        add_gradients(state, pulls, low / G, high / G)
                    if clip > 0.0:
                        factor = clip_factor(state, rows, mean, clip)
                        scale_gradients(state, rows, factor if adam else 0.0)
                        mean *= factor
                    if not adam:
                        pull, low_push, high_push = (
                            -rate * mean_S[highs] / Z,
                            push_S2[highs, 0],
                            push_S2[highs, 1],
                        )
                        if factor < 1.0:
                            eta = rate * factor / G
                            pull, low_push, high_push = (
                                pull * factor,
                                math.exp(eta * low),
                                math.exp(eta * high),
                            )
                        sgd(state, pulls, births, rows, pull, low_push, high_push)
                else:
                    mean = 0.0
                if adam and moving:
                    step, root = rate / (1.0 - betas_eps[0] ** t), math.sqrt(1.0 - betas_eps[1] ** t)
                    for row in range(rows):
                        if decay > 0.0:
                            adamw_row(state, row, mean, betas_eps, step, root, decay)
                        else:
                            adam_row(state, row, mean, betas_eps, step, root)
                if heard or (adam and moving):
                    Z = total_mass(state, rows)
                    if not FLOOR < Z < CEILING:
                        scale = 2.0 ** -math.floor(math.log2(Z))
                        rescale(state, rows, scale)
                        Z *= scale
                    if hit < 0 and target <= 1.0 and rewarded_mass(state, rows) >= target * Z:
                        hit = t
            if e < len(eval_rounds_E) and eval_rounds_E[e] == t:
                p_RE[r, e] = rewarded_mass(state, rows) / Z
                e += 1
        hit_R[r], slots_R[r] = hit, top
