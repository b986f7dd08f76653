"""The compiled rounds of the lumped bandit: pulls, then an optimiser's step (theory §1).

`sims.lumped.simulator` says what they mean and why they are exact. A file of its own, since compiled code is
cached by the state of the files that it comes from, which the rest need not touch.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.compiled.jit import kernel
from sims.compiled.philox import fill_pulls
from sims.lumped.slots import (
    CEILING,
    FLOOR,
    LANES,
    Classes,
    Floats,
    Gradients,
    Ints,
    Pulls,
    Slots,
    draw,
    entropy_kl,
    name_arms,
    rescale,
    reset,
    rewarded_mass,
    total_mass,
)
from sims.lumped.updates import adam_row, adamw_row, add_gradients, clip_factor, decay, push, scale_gradients

Counts = NDArray[np.int32]


class Course(NamedTuple):
    """Which replicates run, how long, and when they are looked at."""

    root_seed: int
    seeds_R: Ints
    rounds: int
    purpose: int
    """Of the random numbers of the pulls."""
    dealt_RT: Counts
    """High rewards of each round of a yoked placebo; empty where rewards are earned."""
    target: float
    """Pass@1 whose first passage is timed; above 1 none is."""
    eval_E: Ints


class Rule(NamedTuple):
    """What a round's counts do to the weights (`sims.learner.TableLearner`)."""

    table_S2: Floats
    mean_S: Floats
    """Mean signal by the number of high rewards."""
    push_S2: Floats
    """e^(learning rate x signal / G)."""
    rate: float
    adam: bool
    betas_eps: Floats
    weight_decay: float
    clip: float
    """Largest norm of the gradient; 0 is no limit."""
    if_wrong: float
    """P(high reward) of a wrong answer."""
    if_right: float


class LumpedPaths(NamedTuple):
    """What R replicates did."""

    p_RE: Floats
    """Exact Pass@1, sum of pi_b P(correct | b), after each evaluation round."""
    entropy_RE: Floats
    """Exact entropy of the policy after each evaluation round, nats."""
    kl_RE: Floats
    """Exact KL(policy || initial policy) after each evaluation round, nats."""
    high_RT: Counts
    """Number of high rewards the learner saw in each round."""
    correct_RT: Counts
    """Number of correct pulls in each round (differs from `high_RT` under noise or a placebo)."""
    hit_R: Ints
    """First round after which p >= target, 0 for the start; -1 if never, or without a target."""
    slots_R: Ints
    """Slots in use at the end: classes plus arms that ever received a signal."""


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
    course: Course,
    classes: Classes,
    rule: Rule,
    state: Slots,
    gradients: Gradients | None,
    pulls: Pulls,
    paths: LumpedPaths,
) -> None:
    """Run every replicate and fill ``paths``. Without ``gradients`` the optimiser is plain SGD."""
    C, G = len(classes.arms_C), len(pulls.slot_G)
    lump_rows = (C + LANES - 1) // LANES
    rows = lump_rows
    for r in range(len(course.seeds_R)):
        reset(state, gradients, rows, classes)
        top, rows, moving, e = C, lump_rows, rule.weight_decay > 0.0, 0
        Z = total_mass(state, rows)
        base = len(pulls.u_P4) - G
        hit = 0 if rewarded_mass(state, rows) >= course.target * Z else -1
        for t in range(course.rounds + 1):
            if t > 0:
                base += G
                if base == len(pulls.u_P4):
                    base = 0
                    ahead = min(len(pulls.u_P4) // G, course.rounds + 1 - t)
                    fill_pulls(
                        pulls.u_P4, ahead, course.root_seed, course.seeds_R[r], 0, course.purpose, t, G
                    )
                dealt = course.dealt_RT[r, t - 1] if len(course.dealt_RT) > 0 else -1
                highs, corrects = draw(state, pulls, rows, Z, base, rule.if_wrong, rule.if_right, dealt)
                paths.high_RT[r, t - 1], paths.correct_RT[r, t - 1] = highs, corrects
                low, high = rule.table_S2[highs, 0], rule.table_S2[highs, 1]
                taught = low != 0.0 or high != 0.0
                if taught:
                    births = name_arms(state, gradients, pulls, low, high, base, top)
                    top += births
                    rows = (top + LANES - 1) // LANES
                    moving = True
                    pull, low_push, high_push = (
                        -rule.rate * rule.mean_S[highs],
                        rule.push_S2[highs, 0],
                        rule.push_S2[highs, 1],
                    )
                mean = rule.mean_S[highs] / Z
                if gradients is not None:
                    if taught:
                        factor = clip_gradients(state, gradients, pulls, rows, mean, low, high, rule.clip)
                        mean *= factor
                        if factor < 1.0:
                            step = rule.rate * factor / G
                            pull *= factor
                            low_push, high_push = math.exp(step * low), math.exp(step * high)
                    if rule.adam and moving:
                        Z = adam_step(
                            state, gradients, rows, mean, t, rule.rate, rule.betas_eps, rule.weight_decay
                        )
                    elif not rule.adam:
                        scale_gradients(gradients, rows, 0.0)
                if taught and not rule.adam:
                    Z = sgd_step(state, pulls, births, rows, lump_rows, Z, pull, low_push, high_push)
                if taught or (rule.adam and moving):
                    if not FLOOR < Z < CEILING:
                        scale = 2.0 ** -math.floor(math.log2(Z))
                        rescale(state, rows, scale)
                        Z *= scale
                    if hit < 0 and course.target <= 1.0 and rewarded_mass(state, rows) >= course.target * Z:
                        hit = t
            if e < len(course.eval_E) and course.eval_E[e] == t:
                paths.p_RE[r, e] = rewarded_mass(state, rows) / Z
                paths.entropy_RE[r, e], paths.kl_RE[r, e] = entropy_kl(state, rows, Z)
                e += 1
        paths.hit_R[r], paths.slots_R[r] = hit, top
