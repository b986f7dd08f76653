"""The contextual world's fast path: rounds whose signals are a table by a group's number of right answers.

That is so for two-valued rewards that follow the answer, signals of a group (or of a batch of one query), a
population that is the group itself, and one update a round without penalty: the weights of a group's
rollouts, their mean and their squares then hang on one count. Each replicate runs through all its rounds in
one compiled loop. A yoked placebo runs here after its pair, whose counts of high rewards it is given. The
same random numbers, trajectories and records as the general path of `sims.contextual.simulator`, up to
rounding (tested); anything else runs there.

A file of its own, since compiled code is cached by the state of the files that it comes from.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from banditrft import signals
from banditrft.design import BATCH_SIGNALS, Design
from banditrft.feedback import baseline_rollouts, depth
from banditrft.rewards import is_honest, reward_map
from banditrft.streams import Purpose, own_purpose
from sims.compiled import aligned
from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, SHIFT, block
from sims.contextual.contexts import Contexts
from sims.contextual.draws import scratch, shuffle
from sims.contextual.rounds import (
    Floats,
    Ints,
    adam_row,
    adam_scales,
    clip_row,
    dot,
    odds_of_some,
    sigmoid,
    sum_of_some,
)
from sims.trace import Trace


def has_table(design: Design, arm_noise: float) -> bool:
    """Whether rounds of a design (a placebo's pair) hang on the number of right answers in each group."""
    return (
        is_honest(design)
        and not (design.signal in BATCH_SIGNALS and design.batch_size > 1)
        and baseline_rollouts(design) == depth(design) == 0
        and design.updates_per_round == 1
        and design.kl_coef == arm_noise == 0
    )


@kernel
def draw_words(
    root_seed: int,
    purpose: int,
    seed: int,
    round_: int,
    rollouts: int,
    item_B: Ints,
    word_BQ4: NDArray[np.uint64],
) -> None:
    """The words that decide a round's answers, as in `draw_answers`; four to a block, the last ones spare."""
    k0, k1, c0, c3 = np.uint64(root_seed), np.uint64(seed), np.uint64(0), np.uint64(purpose)
    place = np.uint64(round_) << ROLLOUT_BITS
    for b in range(len(item_B)):
        for q in range(word_BQ4.shape[1]):
            words = block(k0, k1, c0, place + np.uint64(b * rollouts + 4 * q), np.uint64(item_B[b]), c3)
            word_BQ4[b, q, 0], word_BQ4[b, q, 1] = words[2], words[3]
            word_BQ4[b, q, 2], word_BQ4[b, q, 3] = words[0], words[1]


@kernel
def count_right(word_Q4: NDArray[np.uint64], rollouts: int, p: float) -> int:
    """How many of a group's first answers are right.

    A 53-bit uniform number k 2^-53 lies below p exactly if k < ceil(p 2^53).
    """
    below, full, right = np.uint64(math.ceil(p * 2.0**53)), rollouts // 4, 0
    for q in range(full):
        a, b = (word_Q4[q, 0] >> SHIFT) < below, (word_Q4[q, 1] >> SHIFT) < below
        c, d = (word_Q4[q, 2] >> SHIFT) < below, (word_Q4[q, 3] >> SHIFT) < below
        right += (int(a) + int(b)) + (int(c) + int(d))
    for j in range(rollouts % 4):
        right += int((word_Q4[full, j] >> SHIFT) < below)
    return right


@kernel
def next_batch(
    root_seed: int, seed: int, purpose: int, first: int, order_N: Ints, partner_N: Ints, item_B: Ints
) -> None:
    """Queries at positions ``first`` on of the endless sequence of permutations; ``order_N`` holds one."""
    N = len(order_N)
    epoch, i = first // N, first % N
    for b in range(len(item_B)):
        if i == N:
            epoch, i = epoch + 1, 0
        if i == 0:
            shuffle(order_N, partner_N, root_seed, seed, epoch, purpose)
        item_B[b] = order_N[i]
        i += 1


class Course(NamedTuple):
    """Which replicates run, how long, and when their weights are kept."""

    root_seed: int
    seeds_R: Ints
    rounds: int
    purpose: int
    """Of the random numbers of the answers."""
    order_purpose: int
    """Of those that order the pool."""
    keep_F: Ints


class Queries(NamedTuple):
    """The pool of each seed (or one for all), and its base weights."""

    u_PND: Floats
    offset_PN: Floats
    w0_PD: Floats


class Rule(NamedTuple):
    """What a round's counts do to the weights."""

    rollouts: int
    table_S7: Floats
    """Of `_table`."""
    dealt_RTB: NDArray[np.int32]
    """If it is not empty, so many rollouts of a group are given the high reward, whatever was answered: the
    first ones (`sims.learner.deal`)."""
    rate: float
    adam: bool
    scale_T2: Floats
    betas_eps: Floats
    decay: float
    clip: float
    """Largest norm of the gradient; 0 is no limit."""


class Scratch(NamedTuple):
    """Room for one replicate: its order of the pool, a round's queries and words, weights and moments."""

    order_N: Ints
    partner_N: Ints
    item_B: Ints
    word_BQ4: NDArray[np.uint64]
    p_B: Floats
    state_4D: Floats


class Seen(NamedTuple):
    """What is noted of every replicate; the last three are empty where groups are not kept."""

    w_RFD: Floats
    """Kept weights."""
    sums_RT3: Floats
    """Sums of the first three columns of the table over the round's groups."""
    high_RT: Ints
    """High rewards of the round."""
    norm_RT: Floats
    """Norm of the step."""
    right_RTB: NDArray[np.int32]
    high_RTB: NDArray[np.int32]
    items_RTB: NDArray[np.int32]


@kernel
def run_tabled(
    course: Course,
    queries: Queries,
    rule: Rule,
    scratch: Scratch,
    seen: Seen,
) -> None:
    """Run every replicate and fill ``seen``."""
    yoked = len(rule.dealt_RTB) > 0
    root_seed, table_S7 = course.root_seed, rule.table_S7
    order_N, partner_N, item_B = scratch.order_N, scratch.partner_N, scratch.item_B
    word_BQ4, p_B = scratch.word_BQ4, scratch.p_B
    B, D = len(item_B), queries.w0_PD.shape[1]
    w_D, m_D, v_D, grad_D = scratch.state_4D[0], scratch.state_4D[1], scratch.state_4D[2], scratch.state_4D[3]
    for r in range(len(course.seeds_R)):
        seed = course.seeds_R[r]
        s, f, w0_D = min(r, len(queries.u_PND) - 1), 0, queries.w0_PD[min(r, len(queries.w0_PD) - 1)]
        for i in range(D):
            w_D[i], m_D[i], v_D[i] = w0_D[i], 0.0, 0.0
        for t in range(course.rounds + 1):
            if t > 0:
                next_batch(root_seed, seed, course.order_purpose, (t - 1) * B, order_N, partner_N, item_B)
                draw_words(root_seed, course.purpose, seed, t, rule.rollouts, item_B, word_BQ4)
                odds_of_some(w_D, queries.u_PND[s], queries.offset_PN[s], item_B, p_B)
                for b in range(B):
                    p_B[b] = sigmoid(p_B[b])
                signal_sum, square_sum, silent, highs = 0.0, 0.0, 0.0, 0
                for b in range(B):
                    right = count_right(word_BQ4[b], rule.rollouts, p_B[b])
                    high = rule.dealt_RTB[r, t - 1, b] if yoked else right
                    up = table_S7[high, 3]
                    if yoked:
                        both = count_right(word_BQ4[b], high, p_B[b])
                        up = both * table_S7[high, 6] + (right - both) * table_S7[high, 5]
                    highs += high
                    signal_sum += table_S7[high, 0]
                    square_sum += table_S7[high, 1]
                    silent += table_S7[high, 2]
                    p_B[b] = up - table_S7[high, 4] * p_B[b]
                    if seen.right_RTB.shape[2] > 0:
                        seen.right_RTB[r, t - 1, b], seen.items_RTB[r, t - 1, b] = right, item_B[b]
                        seen.high_RTB[r, t - 1, b] = high
                sum_of_some(queries.u_PND[s], item_B, p_B, grad_D)
                seen.sums_RT3[r, t - 1, 0], seen.sums_RT3[r, t - 1, 1] = signal_sum, square_sum
                seen.sums_RT3[r, t - 1, 2], seen.high_RT[r, t - 1] = silent, highs
                if rule.clip > 0.0:
                    clip_row(grad_D, rule.clip)
                if rule.adam:
                    step, inverse_root = rule.scale_T2[t - 1, 0], rule.scale_T2[t - 1, 1]
                    norm = adam_row(w_D, m_D, v_D, grad_D, step, inverse_root, rule.betas_eps, rule.decay)
                else:
                    norm = rule.rate * rule.rate * dot(grad_D, grad_D)
                    for i in range(D):
                        w_D[i] += rule.rate * grad_D[i]
                seen.norm_RT[r, t - 1] = math.sqrt(norm)
            if f < len(course.keep_F) and course.keep_F[f] == t:
                for i in range(D):
                    seen.w_RFD[r, f, i] = w_D[i]
                f += 1


def simulate_tabled(
    w0_PD: Floats,
    pool: Contexts,
    design: Design,
    root_seed: int,
    seeds_R: Ints,
    keep_F: Ints,
    factor: float,
    keep_groups: bool,
) -> tuple[Floats, Trace]:
    """Kept weights (R, F, D) and trace; arguments as in `sims.contextual.simulator.simulate`."""
    R, T, B, G, D = len(seeds_R), design.rounds, design.batch_size, design.rollouts, w0_PD.shape[1]
    dealt_RTB = np.empty((0, 0, 0), np.int32)
    if design.reward == "yoked":
        no_rounds = np.empty(0, np.int64)
        pair = simulate_tabled(
            w0_PD, pool, design.treatment, root_seed, seeds_R, no_rounds, factor, keep_groups=True
        )
        dealt_RTB = pair[1].correct_RTB
    table_S7 = _table(signals.table(design) * factor, B)
    low, high = reward_map(design)[:2]
    trace = Trace.empty(R, T, B, keep_groups=keep_groups)
    high_RTB = np.empty_like(trace.correct_RTB)
    w_RFD, sums_RT3, high_RT = np.empty((R, len(keep_F), D)), np.empty((R, T, 3)), np.empty((R, T), np.int64)
    course = Course(
        root_seed,
        seeds_R,
        T,
        int(own_purpose(Purpose.SAMPLE, design.reward)),
        int(Purpose.ORDER),
        keep_F,
    )
    rule = Rule(
        G,
        table_S7,
        dealt_RTB,
        design.learning_rate,
        design.optimizer != "sgd",
        adam_scales(design, T),
        np.array([*design.betas, design.adam_eps]),
        design.learning_rate * design.weight_decay,
        design.grad_clip or 0.0,
    )
    room = Scratch(
        np.zeros(pool.N, np.int64),
        scratch(pool.N),
        np.zeros(B, np.int64),
        np.zeros((B, -(-G // 4), 4), np.uint64),
        np.empty(B),
        aligned.zeros(4, D),
    )
    seen = Seen(w_RFD, sums_RT3, high_RT, trace.update_norm_RT, trace.correct_RTB, high_RTB, trace.items_RTB)
    run_tabled(course, Queries(pool.u_PND, pool.offset_PN, w0_PD), rule, room, seen)
    rollouts = B * G
    trace.reward_mean_RT[:] = (high_RT * high + (rollouts - high_RT) * low) / rollouts
    mean_RT = sums_RT3[..., 0] / rollouts
    trace.signal_mean_RT[:] = mean_RT
    trace.signal_var_RT[:] = np.maximum(sums_RT3[..., 1] / rollouts - mean_RT**2, 0.0)
    trace.zero_signal_RT[:] = sums_RT3[..., 2] / B
    trace.reward_sum_RTB[:] = high_RTB * high + (G - high_RTB) * low
    return w_RFD, trace


def _table(table_S2: Floats, groups: int) -> Floats:
    """By a group's number of high rewards, for rounds of so many groups, (S, 7).

    Sum of the group's signals, of their squares, whether all are 0; and the parts a and b of the factor
    a - b p by which the features of a query of Pass@1 p enter the gradient, where the right answers have the
    high rewards; what a right answer adds to a with the low and with the high reward.
    """
    G = len(table_S2) - 1
    right_S = np.arange(G + 1)
    up_S, down_S = right_S * table_S2[:, 1], (G - right_S) * table_S2[:, 0]
    squares_S = down_S * table_S2[:, 0] + up_S * table_S2[:, 1]
    sum_S = np.where(np.abs(up_S + down_S) <= 1e-12 * np.sqrt(squares_S), 0.0, up_S + down_S)
    rollouts = groups * G
    return np.column_stack(
        [sum_S, squares_S, squares_S == 0.0, up_S / rollouts, sum_S / rollouts, table_S2 / rollouts]
    )
