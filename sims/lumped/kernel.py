"""The compiled rounds of the lumped bandit: `sims.lumped.pulls`, then an optimiser's step (theory §1).

`sims.lumped.simulator` says what they mean and why they are exact.

Not a place for learning signals (they arrive as a table) nor for records. Replicates run one after another in
one state, so memory does not grow with their number and a replicate cannot depend on its neighbours.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sims.compiled.jit import kernel
from sims.compiled.philox import fill_pulls
from sims.lumped.pulls import Ints, Pulls, draw, name_arms
from sims.lumped.slots import (
    CEILING,
    FLOOR,
    LANES,
    Floats,
    Gradients,
    Slots,
    entropy_kl,
    rescale,
    reset,
    rewarded_mass,
    total_mass,
)
from sims.lumped.updates import adam_row, adamw_row, add_gradients, clip_factor, decay, push, scale_gradients

Counts = NDArray[np.int32]


@kernel
def sgd_step(
    state: Slots,
    pulls: Pulls,
    births: int,
    rows: int,
    lump_rows: int,
    Z: float,
    pull: float,
    low_push: float,
    high_push: float,
) -> float:
    """One step of SGD, arms named; ``pull`` is - learning rate x mean signal. Returns the total mass."""
    if pull != 0.0:
        Z = decay(state, rows, lump_rows, pull / Z)
    return push(state, pulls, births, rows, Z, pull != 0.0, low_push, high_push)


@kernel
def clip_gradients(
    state: Slots,
    gradients: Gradients,
    pulls: Pulls,
    rows: int,
    mean: float,
    low: float,
    high: float,
    clip: float,
) -> float:
    """Lay the pulls' gradients into their slots, bounded in norm; what they were multiplied by."""
    G, factor = len(pulls.slot_G), 1.0
    add_gradients(gradients, pulls, low / G, high / G)
    if clip > 0.0:
        factor = clip_factor(state, gradients, rows, mean, clip)
        scale_gradients(gradients, rows, factor)
    return factor


@kernel
def adam_step(
    state: Slots,
    gradients: Gradients,
    rows: int,
    mean: float,
    t: int,
    rate: float,
    betas_eps: Floats,
    weight_decay: float,
) -> float:
    """One step of Adam(W) in round ``t``; arguments as in `adam_row`. Returns the total mass."""
    step, root = rate / (1.0 - betas_eps[0] ** t), math.sqrt(1.0 - betas_eps[1] ** t)
    for row in range(rows):
        if weight_decay > 0.0:
            adamw_row(state, gradients, row, mean, betas_eps, step, root, weight_decay)
        else:
            adam_row(state, gradients, row, mean, betas_eps, step, root)
    return total_mass(state, rows)


@kernel
def run_replicates(
    root_seed: int,
    seeds_R: Ints,
    rounds: int,
    state: Slots,
    gradients: Gradients | None,
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
    weight_decay: float,
    clip: float,
    if_wrong: float,
    if_right: float,
    target: float,
    purpose: int,
    dealt_RT: Counts,
    eval_rounds_E: Ints,
    high_RT: Counts,
    correct_RT: Counts,
    p_RE: Floats,
    entropy_RE: Floats,
    kl_RE: Floats,
    hit_R: Ints,
    slots_R: Ints,
) -> None:
    """Run every replicate and fill the last seven arrays; arguments as in `sims.lumped.simulator.simulate`.

    Without ``gradients`` the optimiser is plain SGD.
    """
    C, G = len(arms_C), len(pulls.slot_G)
    lump_rows = (C + LANES - 1) // LANES
    rows = lump_rows
    for r in range(len(seeds_R)):
        reset(state, gradients, rows, arms_C, weight_C, reward_C)
        top, rows, moving, e = C, lump_rows, weight_decay > 0.0, 0
        Z = total_mass(state, rows)
        base = len(pulls.u_P4) - G
        hit = 0 if rewarded_mass(state, rows) >= target * Z else -1
        for t in range(rounds + 1):
            if t > 0:
                base += G
                if base == len(pulls.u_P4):
                    base = 0
                    ahead = min(len(pulls.u_P4) // G, rounds + 1 - t)
                    fill_pulls(pulls.u_P4, ahead, root_seed, seeds_R[r], 0, purpose, t, G)
                dealt = dealt_RT[r, t - 1] if len(dealt_RT) > 0 else -1
                highs, corrects = draw(state, pulls, rows, Z, base, if_wrong, if_right, dealt)
                high_RT[r, t - 1], correct_RT[r, t - 1] = highs, corrects
                low, high = table_S2[highs, 0], table_S2[highs, 1]
                heard = low != 0.0 or high != 0.0
                if heard:
                    births = name_arms(state, gradients, pulls, low, high, base, top)
                    top += births
                    rows = (top + LANES - 1) // LANES
                    moving = True
                    pull, low_push, high_push = -rate * mean_S[highs], push_S2[highs, 0], push_S2[highs, 1]
                mean = mean_S[highs] / Z
                if gradients is not None:
                    if heard:
                        factor = clip_gradients(state, gradients, pulls, rows, mean, low, high, clip)
                        mean *= factor
                        if factor < 1.0:
                            step = rate * factor / G
                            pull *= factor
                            low_push, high_push = math.exp(step * low), math.exp(step * high)
                    if adam and moving:
                        Z = adam_step(state, gradients, rows, mean, t, rate, betas_eps, weight_decay)
                    elif not adam:
                        scale_gradients(gradients, rows, 0.0)
                if heard and not adam:
                    Z = sgd_step(state, pulls, births, rows, lump_rows, Z, pull, low_push, high_push)
                if heard or (adam and moving):
                    if not FLOOR < Z < CEILING:
                        scale = 2.0 ** -math.floor(math.log2(Z))
                        rescale(state, rows, scale)
                        Z *= scale
                    if hit < 0 and target <= 1.0 and rewarded_mass(state, rows) >= target * Z:
                        hit = t
            if e < len(eval_rounds_E) and eval_rounds_E[e] == t:
                p_RE[r, e] = rewarded_mass(state, rows) / Z
                entropy_RE[r, e], kl_RE[r, e] = entropy_kl(state, rows, Z)
                e += 1
        hit_R[r], slots_R[r] = hit, top
