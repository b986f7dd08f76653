"""The sequence bandit's geometry "direction": one gap a position, on which wrong options agree (theory §10).

A response matters only through which of its positions are right, so V never enters a loop. Compiled loops
draw tokens and take the steps; `sims.sequence.simulator` drives them.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, xlogy

from banditrft.design import Design
from banditrft.rewards import RewardMap
from banditrft.worlds import SequenceWorld
from sims.compiled.exponential import exp
from sims.compiled.jit import kernel, reduction
from sims.compiled.philox import ROLLOUT_BITS, SHIFT, block, unit
from sims.lumped.updates import CLIP_EPS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Marks = NDArray[np.uint8]
TWO53 = 2.0**53
RIGHT = 1
"""Mark of a right token; a wrong one is 0, one that a tree's response does not reach 2."""


class Rule(NamedTuple):
    """How gradients move gaps; constant over a run."""

    rate: float
    adam: bool
    beta1: float
    beta2: float
    eps: float
    decay: float
    """Share of a parameter that one step of AdamW takes away."""
    clip: float
    """Largest norm of the gradient over all gaps; 0 is no limit."""
    rest: float
    """Gap where parameters are 0, towards which weight decay pulls."""


@kernel
def draw(
    q_RT: Floats,
    root_seed: int,
    purpose: int,
    seeds_R: NDArray[np.int64],
    round_: int,
    first: int,
    tree: bool,
    if_wrong: float,
    if_right: float,
    below_T: NDArray[np.uint64],
    mark_RMT: Marks,
    right_RM: NDArray[np.int64],
    high_RM: NDArray[np.bool_],
) -> None:
    """Draw M responses of every replicate, rollouts ``first`` on of the round.

    Args:
        q_RT: P(right option) of each position.
        root_seed: First key word of the random numbers.
        purpose: Of the random numbers.
        seeds_R: Second key word.
        round_: Round, from 1.
        first: Rollout number of the first response.
        tree: Whether a response ends, as far as parameters go, at its first wrong token.
        if_wrong: P(high reward) of a wrong answer.
        if_right: Of a right one.
        below_T: Scratch.
        mark_RMT: Written: right, wrong or untouched, token by token.
        right_RM: Written: right tokens.
        high_RM: Written: whether the reward is the high one.
    """
    R, T = q_RT.shape
    whole, rest = T // 4, T % 4
    place = np.uint64(round_) << ROLLOUT_BITS
    k0, kind = np.uint64(root_seed), np.uint64(purpose)
    for r in range(R):
        k1 = np.uint64(seeds_R[r])
        for t in range(T):  # the word of a number below q is below this
            below_T[t] = np.uint64(math.ceil(q_RT[r, t] * TWO53))
        for i in range(mark_RMT.shape[1]):
            at = place | np.uint64(first + i)
            for b in range(whole):
                w0, w1, w2, w3 = block(k0, k1, np.uint64(b), at, np.uint64(0), kind)
                t = 4 * b
                mark_RMT[r, i, t] = (w0 >> SHIFT) < below_T[t]
                mark_RMT[r, i, t + 1] = (w1 >> SHIFT) < below_T[t + 1]
                mark_RMT[r, i, t + 2] = (w2 >> SHIFT) < below_T[t + 2]
                mark_RMT[r, i, t + 3] = (w3 >> SHIFT) < below_T[t + 3]
            if rest > 0:
                words = block(k0, k1, np.uint64(whole), at, np.uint64(0), kind)
                for j in range(rest):
                    mark_RMT[r, i, 4 * whole + j] = (words[j] >> SHIFT) < below_T[4 * whole + j]
            count = count_right(mark_RMT[r, i], tree)
            right_RM[r, i] = count
            high = count == T
            if if_right != 1.0 or if_wrong != 0.0:
                words = block(k0, k1, np.uint64((T + 3) // 4), at, np.uint64(0), kind)
                high = unit(words[0]) < (if_right if high else if_wrong)
            high_RM[r, i] = high


@kernel
def count_right(mark_T: Marks, tree: bool) -> int:
    """Right tokens; of a tree those before the first wrong one, after which tokens are marked untouched."""
    T, count = len(mark_T), 0
    if not tree:
        for t in range(T):
            count += mark_T[t]
        return count
    while count < T and mark_T[count] == 1:
        count += 1
    mark_T[count + 1 :] = 2
    return count


@kernel
def add_responses(g_T: Floats, q_T: Floats, mark_MT: Marks, weight_M: Floats, tree: bool) -> bool:
    """Gradients of the gaps, mean over M of weight (y - q), into ``g_T``; whether any weight is not 0."""
    M, T = mark_MT.shape
    loud, total = False, 0.0
    g_T[:] = 0.0
    for i in range(M):
        weight = weight_M[i] / M
        if weight == 0.0:
            continue
        loud = True
        total += weight
        mark_T = mark_MT[i]
        if tree:
            for t in range(T):
                g_T[t] += weight * (mark_T[t] - q_T[t]) if mark_T[t] != 2 else 0.0
        else:
            for t in range(T):
                g_T[t] += weight * mark_T[t]
    if not tree:
        for t in range(T):
            g_T[t] -= total * q_T[t]
    return loud


@kernel
def add_tokens(g_T: Floats, q_T: Floats, mark_MT: Marks, weight_MT: Floats) -> bool:
    """As :func:`add_responses`, with a weight for every token."""
    M, T = mark_MT.shape
    g_T[:] = 0.0
    for i in range(M):
        for t in range(T):
            mark = mark_MT[i, t]
            g_T[t] += weight_MT[i, t] / M * (mark - q_T[t]) if mark != 2 else 0.0
    return True


@reduction
def square_of(x_T: Floats) -> float:
    """Sum of squares."""
    total = 0.0
    for t in range(len(x_T)):
        total += x_T[t] * x_T[t]
    return total


@kernel
def step_row(
    gap_T: Floats, change_T: Floats, g_T: Floats, m_T: Floats, v_T: Floats, rule: Rule, update: int
) -> None:
    """One optimiser step on T gaps, with torch's semantics."""
    factor = 1.0
    if rule.clip > 0.0:
        factor = min(1.0, rule.clip / (math.sqrt(square_of(g_T)) + CLIP_EPS))
    if not rule.adam:
        for t in range(len(g_T)):
            d = rule.rate * factor * g_T[t]
            gap_T[t] += d
            change_T[t] += d
        return
    step, root = rule.rate / (1.0 - rule.beta1**update), 1.0 / math.sqrt(1.0 - rule.beta2**update)
    fade, keep, eps, decay, rest = 1.0 - rule.beta1, rule.beta2, rule.eps, rule.decay, rule.rest
    gain = 1.0 - keep
    for t in range(len(g_T)):
        g = factor * g_T[t]
        m = m_T[t] + fade * (g - m_T[t])
        v = keep * v_T[t] + gain * (g * g)
        d = step * m / (np.sqrt(v) * root + eps) - decay * (gap_T[t] - rest)
        gap_T[t] += d
        change_T[t] += d
        m_T[t], v_T[t] = m, v


@kernel
def step_all(
    gap_RT: Floats,
    change_RT: Floats,
    m_RT: Floats,
    v_RT: Floats,
    q_RT: Floats,
    mark_RMT: Marks,
    weight_RMW: Floats,
    rule: Rule,
    tree: bool,
    update: int,
    first: bool,
    g_T: Floats,
    norm_R: Floats,
) -> None:
    """One update of every replicate, and its new policy.

    Args:
        gap_RT: Gaps, changed; so are moments ``m_RT``, ``v_RT``, a round's ``change_RT`` and ``q_RT``.
        change_RT: Sum of the round's changes.
        m_RT: Adam's first moments.
        v_RT: Adam's second moments.
        q_RT: P(right option).
        mark_RMT: The round's responses.
        weight_RMW: Weight of each response (W = 1) or of each token (W = T).
        rule: What is done with gradients.
        tree: Whether tokens may be untouched.
        update: Number of this update, from 1, for Adam's bias corrections.
        first: Whether it is the first of its round.
        g_T: Scratch.
        norm_R: Written: norm of the change since the start of the round.
    """
    R, T = gap_RT.shape
    for r in range(R):
        if first:
            change_RT[r, :] = 0.0
            norm_R[r] = 0.0
        if weight_RMW.shape[2] == 1:
            loud = add_responses(g_T, q_RT[r], mark_RMT[r], weight_RMW[r, :, 0], tree)
        else:
            loud = add_tokens(g_T, q_RT[r], mark_RMT[r], weight_RMW[r])
        if not loud and not rule.adam:
            continue
        step_row(gap_RT[r], change_RT[r], g_T, m_RT[r], v_RT[r], rule, update)
        q_T, gap_T = q_RT[r], gap_RT[r]
        for t in range(T):
            q_T[t] = 1.0 / (1.0 + exp(max(min(-gap_T[t], 700.0), -700.0)))
        norm_R[r] = math.sqrt(square_of(change_RT[r]))


class Direction:
    """Policies of R replicates with one gap a position.

    Args:
        world: The positions.
        design: Optimiser and its numbers.
        seeds_R: Seed of each replicate.
    """

    def __init__(self, world: SequenceWorld, design: Design, seeds_R: Ints) -> None:
        R, q_T = len(seeds_R), np.array(world.probabilities())
        self.tree, self.seeds_R = world.prefixes == "tree", seeds_R
        self.start_T = np.log(q_T) - np.log1p(-q_T)
        self.gap_RT = np.tile(self.start_T, (R, 1))
        self.q_RT = np.tile(q_T, (R, 1))
        self.change_RT, self.m_RT, self.v_RT = np.zeros((3, R, len(q_T)))
        self.rule = Rule(
            rate=design.learning_rate,
            adam=design.optimizer != "sgd",
            beta1=design.betas[0],
            beta2=design.betas[1],
            eps=design.adam_eps,
            decay=design.learning_rate * design.weight_decay if design.optimizer == "adamw" else 0.0,
            clip=design.grad_clip or 0.0,
            rest=-float(np.log(world.vocabulary - 1.0)),
        )
        self.g_T, self.norm_R = np.empty(len(q_T)), np.zeros(R)
        self.below_T = np.empty(len(q_T), np.uint64)

    def draw(
        self, root_seed: int, purpose: int, t: int, first: int, reward: RewardMap, M: int
    ) -> tuple[Marks, Ints, NDArray[np.bool_]]:
        """M responses each, rollouts ``first`` on: tokens (R, M, T), right tokens, high rewards (R, M)."""
        R, T = self.q_RT.shape
        mark_RMT = np.empty((R, M, T), np.uint8)
        right_RM, high_RM = np.empty((R, M), np.int64), np.empty((R, M), np.bool_)
        draw(
            self.q_RT,
            root_seed,
            purpose,
            self.seeds_R,
            t,
            first,
            self.tree,
            reward.p_high_if_wrong,
            reward.p_high_if_right,
            self.below_T,
            mark_RMT,
            right_RM,
            high_RM,
        )
        return mark_RMT, right_RM, high_RM

    def named(self, mark_RMT: Marks, loud_RM: NDArray[np.bool_]) -> Marks:
        """Tokens as :meth:`step` takes them: here as they are."""
        return mark_RMT

    def step(self, mark_RMT: Marks, weight_RMW: Floats, update: int, *, first: bool) -> None:
        """One update, by a weight of each response (W = 1) or token (W = T)."""
        state = self.gap_RT, self.change_RT, self.m_RT, self.v_RT, self.q_RT
        step_all(*state, mark_RMT, weight_RMW, self.rule, self.tree, update, first, self.g_T, self.norm_R)

    def finite(self) -> bool:
        """Whether every parameter is a number."""
        return bool(np.isfinite(self.gap_RT).all() and np.isfinite(self.norm_R).all())

    def log_probabilities(self, mark_RMT: Marks, *, start: bool = False) -> Floats:
        """Log-probability of each token now, or at the start; a wrong one is one of V - 1."""
        gap_RT = np.broadcast_to(self.start_T, self.gap_RT.shape) if start else self.gap_RT
        right_RT = np.asarray(log_expit(gap_RT))[:, None, :]
        wrong_RT = np.asarray(log_expit(-gap_RT))[:, None, :] + self.rule.rest
        return np.where(mark_RMT == RIGHT, right_RT, wrong_RT)

    def measure(self) -> tuple[Floats, Floats, Floats]:
        """Log q of each position, its entropy and its KL to the start, nats, each (R, T)."""
        gap_RT = self.gap_RT
        log_q_RT, log_w_RT = np.asarray(log_expit(gap_RT)), np.asarray(log_expit(-gap_RT))
        q_RT, w_RT = expit(gap_RT), expit(-gap_RT)
        entropy_RT = -xlogy(q_RT, q_RT) - xlogy(w_RT, w_RT) - w_RT * self.rule.rest
        start_T = self.start_T
        kl_RT = q_RT * (log_q_RT - log_expit(start_T)) + w_RT * (log_w_RT - log_expit(-start_T))
        return log_q_RT, entropy_RT, np.maximum(kl_RT, 0.0)
