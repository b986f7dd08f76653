"""The compiled parts of a round of the log-linear contextual world (theory §6, §8).

`sims.contextual.simulator` says what they mean and in which order they come. Replicates stand side by side,
but each is computed on its own, in an order that depends on the dimension alone: records do not depend on
which replicates share a call.

Four consecutive rollouts of a group share the address of the first of them, and take words 2, 3, 0 and 1:
those of block 0 decide the answers (so word 2 that of a group of one), those of block 1 noise, placebo and
half marks. An answer's own features are read off block 2 at the address of the rollout itself.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from sims.compiled.exponential import exp
from sims.compiled.jit import kernel, reduction
from sims.compiled.normals import normal_pair
from sims.compiled.philox import ROLLOUT_BITS, block, unit
from sims.lumped.updates import CLIP_EPS

LARGEST_LOG_ODDS = 700.0
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]


@reduction
def dot(a_D: Floats, b_D: Floats) -> float:
    """The inner product a.b."""
    total = 0.0
    for i in range(len(a_D)):
        total += a_D[i] * b_D[i]
    return total


@reduction
def dot4(
    w_D: Floats, a_D: Floats, b_D: Floats, c_D: Floats, d_D: Floats
) -> tuple[float, float, float, float]:
    """The inner products w.a, w.b, w.c and w.d, faster together than one by one."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for i in range(len(w_D)):
        w = w_D[i]
        a += w * a_D[i]
        b += w * b_D[i]
        c += w * c_D[i]
        d += w * d_D[i]
    return a, b, c, d


@kernel
def odds_of_some(w_D: Floats, u_ND: Floats, offset_N: Floats, item_B: Ints, l_B: Floats) -> None:
    """Log-odds l = u.w + b of the queries of one replicate's batch."""
    full = len(item_B) // 4 * 4
    for b in range(0, full, 4):
        i, j, k, n = item_B[b], item_B[b + 1], item_B[b + 2], item_B[b + 3]
        products = dot4(w_D, u_ND[i], u_ND[j], u_ND[k], u_ND[n])
        l_B[b], l_B[b + 1] = products[0] + offset_N[i], products[1] + offset_N[j]
        l_B[b + 2], l_B[b + 3] = products[2] + offset_N[k], products[3] + offset_N[n]
    for b in range(full, len(item_B)):
        l_B[b] = dot(w_D, u_ND[item_B[b]]) + offset_N[item_B[b]]


@kernel
def sum_of_some(u_ND: Floats, item_B: Ints, slope_B: Floats, out_D: Floats) -> None:
    """The sum of slope x u over the queries of one replicate's batch."""
    for i in range(len(out_D)):
        out_D[i] = 0.0
    full = len(item_B) // 4 * 4
    for b in range(0, full, 4):
        s0, s1, s2, s3 = slope_B[b], slope_B[b + 1], slope_B[b + 2], slope_B[b + 3]
        u0, u1, u2, u3 = u_ND[item_B[b]], u_ND[item_B[b + 1]], u_ND[item_B[b + 2]], u_ND[item_B[b + 3]]
        for i in range(len(out_D)):
            out_D[i] += (s0 * u0[i] + s1 * u1[i]) + (s2 * u2[i] + s3 * u3[i])
    for b in range(full, len(item_B)):
        s, u = slope_B[b], u_ND[item_B[b]]
        for i in range(len(out_D)):
            out_D[i] += s * u[i]


@kernel
def sigmoid(x: float) -> float:
    """1/(1 + e^-x)."""
    return 1.0 / (1.0 + exp(min(max(-x, -LARGEST_LOG_ODDS), LARGEST_LOG_ODDS)))


@kernel
def log_sigmoid(x: float) -> float:
    """log(1/(1 + e^-x)), accurate for all x."""
    return min(x, 0.0) - math.log1p(exp(max(-abs(x), -LARGEST_LOG_ODDS)))


@kernel
def fill_odds(w_RD: Floats, u_PND: Floats, offset_PN: Floats, batch_RB: Ints, l_RB: Floats) -> None:
    """Log-odds l = u.w + b of each query of the batch."""
    for r in range(len(batch_RB)):
        s = min(r, len(u_PND) - 1)
        odds_of_some(w_RD[r], u_PND[s], offset_PN[s], batch_RB[r], l_RB[r])


@kernel
def fill_pass_at_1(w_RD: Floats, u_PND: Floats, offset_PN: Floats, batch_RB: Ints, p_RB: Floats) -> None:
    """Pass@1 of each query of the batch."""
    fill_odds(w_RD, u_PND, offset_PN, batch_RB, p_RB)
    for r in range(len(p_RB)):
        for b in range(p_RB.shape[1]):
            p_RB[r, b] = sigmoid(p_RB[r, b])


@kernel
def word_of(words: tuple[np.uint64, np.uint64, np.uint64, np.uint64], j: int) -> np.uint64:
    """The word of rollout j = 0..3 of those that share a block: words 2, 3, 0, 1."""
    if j == 0:
        return words[2]
    if j == 1:
        return words[3]
    return words[0] if j == 2 else words[1]


class Address(NamedTuple):
    """Of the random numbers of a round's answers."""

    root_seed: int
    purpose: int
    seeds_R: Ints
    round_: int
    first: int
    """Number of the first rollout."""


class Rewards(NamedTuple):
    """What answers are worth."""

    law_23: Floats
    """For a wrong (row 0) and a right answer: the probability of the first of two rewards, and the two."""
    placebo_PN: Floats
    """If it is not empty, by query, it takes the place of both probabilities."""


@kernel
def draw_answers(
    at: Address, batch_RB: Ints, l_RB: Floats, rewards: Rewards, right_RBG: Flags, reward_RBG: Floats
) -> None:
    """Answers and rewards of some rollouts of a round."""
    R, B, G = right_RBG.shape
    k0, c3 = np.uint64(at.root_seed), np.uint64(at.purpose)
    place = np.uint64(at.round_) << ROLLOUT_BITS
    blind = len(rewards.placebo_PN) > 0
    drawn = blind or rewards.law_23[0, 0] > 0.0 or rewards.law_23[1, 0] < 1.0
    for r in range(R):
        k1 = np.uint64(at.seeds_R[r])
        for b in range(B):
            n = batch_RB[r, b]
            p = sigmoid(l_RB[r, b])
            rate = rewards.placebo_PN[min(r, len(rewards.placebo_PN) - 1), n] if blind else 0.0
            if_wrong = rate if blind else rewards.law_23[0, 0]
            if_right = rate if blind else rewards.law_23[1, 0]
            for first_g in range(0, G, 4):
                here = place | np.uint64(at.first + b * G + first_g)
                answers = block(k0, k1, np.uint64(0), here, np.uint64(n), c3)
                extras = block(k0, k1, np.uint64(1), here, np.uint64(n), c3) if drawn else answers
                for j in range(min(4, G - first_g)):
                    right = 1 if unit(word_of(answers, j)) < p else 0
                    hit = unit(word_of(extras, j)) < (if_right if right == 1 else if_wrong)
                    right_RBG[r, b, first_g + j] = right
                    reward_RBG[r, b, first_g + j] = (
                        rewards.law_23[right, 1] if hit else rewards.law_23[right, 2]
                    )


@kernel
def fill_log_probs(l_RB: Floats, right_RBG: Flags, out_RBG: Floats) -> None:
    """Log-probability of being right, or wrong, as each answer was."""
    R, B, G = right_RBG.shape
    for r in range(R):
        for b in range(B):
            if_right, if_wrong = log_sigmoid(l_RB[r, b]), log_sigmoid(-l_RB[r, b])
            for g in range(G):
                out_RBG[r, b, g] = if_right if right_RBG[r, b, g] == 1 else if_wrong


@kernel
def fill_gradient(
    u_PND: Floats,
    batch_RB: Ints,
    l_RB: Floats,
    right_RBG: Flags,
    weights_RBG: Floats,
    slope_B: Floats,
    grad_RD: Floats,
) -> None:
    """The gradient (1/(B G)) sum_i omega_i (right_i - p) u of each replicate."""
    R, B, G = weights_RBG.shape
    for r in range(R):
        for b in range(B):
            p, slope = sigmoid(l_RB[r, b]), 0.0
            for g in range(G):
                slope += weights_RBG[r, b, g] * (right_RBG[r, b, g] - p)
            slope_B[b] = slope / (B * G)
        sum_of_some(u_PND[min(r, len(u_PND) - 1)], batch_RB[r], slope_B, grad_RD[r])


@kernel
def fill_own_normals(
    root_seed: int, purpose: int, seeds_R: Ints, round_: int, batch_RB: Ints, out_RBG: Floats
) -> None:
    """A standard normal number for each fresh rollout, from words 0 and 1 of its block 2."""
    R, B, G = out_RBG.shape
    place = np.uint64(round_) << ROLLOUT_BITS
    for r in range(R):
        for b in range(B):
            for g in range(G):
                words = block(
                    np.uint64(root_seed),
                    np.uint64(seeds_R[r]),
                    np.uint64(2),
                    place | np.uint64(b * G + g),
                    np.uint64(batch_RB[r, b]),
                    np.uint64(purpose),
                )
                out_RBG[r, b, g] = normal_pair(words[0], words[1])[0]


@kernel
def add_arm_noise(
    tau: float, weights_RBG: Floats, own_RBG: Floats, moved_RD: Floats, z_RD: Floats, grad_RD: Floats
) -> None:
    """Add (tau/(B G)) sum_i omega_i xi_i of standard normal vectors xi_i to the gradient.

    ``own_RBG`` are their parts along ``moved_RD`` (any, where that is 0); across it the sum is sqrt(sum
    omega^2) times one normal vector ``z_RD``.
    """
    R, B, G = weights_RBG.shape
    for r in range(R):
        squares, along = 0.0, 0.0
        for b in range(B):
            for g in range(G):
                squares += weights_RBG[r, b, g] ** 2
                along += weights_RBG[r, b, g] * own_RBG[r, b, g]
        length = math.sqrt(dot(moved_RD[r], moved_RD[r]))
        root = math.sqrt(squares)
        fix = (along - root * dot(z_RD[r], moved_RD[r]) / length) / length if length > 0.0 else 0.0
        for i in range(grad_RD.shape[1]):
            grad_RD[r, i] += tau / (B * G) * (root * z_RD[r, i] + fix * moved_RD[r, i])


class Optimizer:
    """SGD, Adam or AdamW on the weights of R replicates, with the gradient's norm limited if asked for.

    Args:
        design: Optimiser, learning rate, betas, eps, decay, clip.
        replicates: R.
        dimension: D.
    """

    def __init__(self, design: Design, replicates: int, dimension: int) -> None:
        self.design = design
        self.betas_eps = np.array([*design.betas, design.adam_eps])
        self.scale_T2 = adam_scales(design, design.rounds * design.updates_per_round)
        self.count = 0
        moments = (replicates, dimension if design.optimizer != "sgd" else 0)
        self.m_RD, self.v_RD = np.zeros(moments), np.zeros(moments)

    def step(self, w_RD: Floats, grad_RD: Floats) -> None:
        """Move the weights along their gradients, which are scaled in place by a clip."""
        design = self.design
        if design.grad_clip is not None:
            clip_gradient(grad_RD, design.grad_clip)
        self.count += 1
        if design.optimizer == "sgd":
            sgd_step(w_RD, grad_RD, design.learning_rate)
            return
        decay = design.learning_rate * design.weight_decay if design.optimizer == "adamw" else 0.0
        step, inverse_root = self.scale_T2[self.count - 1]
        adam_step(w_RD, self.m_RD, self.v_RD, grad_RD, step, inverse_root, self.betas_eps, decay)


def adam_scales(design: Design, steps: int) -> Floats:
    """Rate over the first moment's correction, 1 over the root of the second's: (steps, 2)."""
    count_T = np.arange(1, steps + 1)
    first_T, second_T = (1.0 - beta**count_T for beta in design.betas)
    with np.errstate(over="ignore"):  # found out where weights leave double precision
        return np.stack([design.learning_rate / first_T, 1.0 / np.sqrt(second_T)], axis=1)


@kernel
def clip_row(grad_D: Floats, largest: float) -> None:
    """Scale a gradient whose norm exceeds ``largest`` (torch's clip_grad_norm_)."""
    scale = min(1.0, largest / (math.sqrt(dot(grad_D, grad_D)) + CLIP_EPS))
    for i in range(len(grad_D)):
        grad_D[i] *= scale


@kernel
def clip_gradient(grad_RD: Floats, largest: float) -> None:
    """The same for each replicate."""
    for r in range(len(grad_RD)):
        clip_row(grad_RD[r], largest)


@kernel
def sgd_step(w_RD: Floats, grad_RD: Floats, rate: float) -> None:
    """Add rate x gradient to the weights."""
    for r in range(len(w_RD)):
        for i in range(w_RD.shape[1]):
            w_RD[r, i] += rate * grad_RD[r, i]


@reduction
def adam_row(
    w_D: Floats,
    m_D: Floats,
    v_D: Floats,
    grad_D: Floats,
    step: float,
    inverse_root: float,
    betas_eps: Floats,
    decay: float,
) -> float:
    """A step of Adam(W), torch semantics, maximising; gives the squared norm of the change.

    ``step`` and ``inverse_root`` are a row of `adam_scales`.
    """
    fade, keep, eps = 1.0 - betas_eps[0], betas_eps[1], betas_eps[2]
    total = 0.0
    for i in range(len(w_D)):
        g = grad_D[i]
        m = m_D[i] + fade * (g - m_D[i])
        v = keep * v_D[i] + (1.0 - keep) * (g * g)
        change = step * m / (np.sqrt(v) * inverse_root + eps) - decay * w_D[i]
        w_D[i] += change
        m_D[i], v_D[i] = m, v
        total += change * change
    return total


@kernel
def adam_step(
    w_RD: Floats,
    m_RD: Floats,
    v_RD: Floats,
    grad_RD: Floats,
    step: float,
    inverse_root: float,
    betas_eps: Floats,
    decay: float,
) -> None:
    """The same for each replicate."""
    for r in range(len(w_RD)):
        adam_row(w_RD[r], m_RD[r], v_RD[r], grad_RD[r], step, inverse_root, betas_eps, decay)


@kernel
def fill_distance(a_RD: Floats, b_RD: Floats, out_R: Floats) -> None:
    """Euclidean distance of each replicate's two vectors."""
    for r in range(len(a_RD)):
        total = 0.0
        for i in range(a_RD.shape[1]):
            total += (a_RD[r, i] - b_RD[r, i]) ** 2
        out_R[r] = math.sqrt(total)
