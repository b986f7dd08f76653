"""The compiled rounds of the classical bandit algorithms: `sims.exploration.algorithms` says what they mean.

An algorithm's choice looks at an arm's pulls n and successes s only, so arms of one class with equal (n, s)
are one lump, never-pulled arms among them. A round scores every lump, finds the best, and moves one arm of it
to the lump of its new (n, s). Replicates run one after another in one state.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.compiled.beta import beta_quantile
from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, Word, block, unit

SAMPLE = 1
"""`banditrft.streams.Purpose.SAMPLE`; of block 0 of a round the words are: arm, coin, grade. Blocks 1, 2, ...
hold the posterior draws of Thompson sampling, four lumps each."""
UCB1, KL_UCB, THOMPSON, BELIEF, EPSILON_GREEDY = range(5)
BISECTIONS = 40
HALF_ULP = 2.0**-54
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Lumps(NamedTuple):
    """One replicate's state, reused by the next; S lumps, the first C those of never-pulled arms."""

    class_S: Ints
    pulls_S: Ints
    successes_S: Ints
    arms_S: Floats
    score_S: Floats


class Rule(NamedTuple):
    """An algorithm: what scores a lump, and how ties and exploring pulls choose among arms."""

    kind: int
    epsilon: float
    decay: float
    log_hit: float
    log_miss: float
    draw_C: Floats
    """Weight of one arm of each class where an arm is drawn at random."""


@kernel
def kl_upper(mean: float, bound: float) -> float:
    """The largest q with kl(mean, q) <= bound, for Bernoulli laws."""
    low, high = mean, 1.0
    for _ in range(BISECTIONS):
        q = 0.5 * (low + high)
        gap = 0.0
        if mean > 0.0:
            gap += mean * math.log(mean / q)
        if mean < 1.0:
            gap += (1.0 - mean) * math.log((1.0 - mean) / (1.0 - q))
        if gap <= bound:
            low = q
        else:
            high = q
    return low


@kernel
def posterior_best(pulls: int, successes: int, arms: float, u: float) -> float:
    """Minus the shortfall from 1 of the largest of ``arms`` draws from Beta(1 + successes, 1 + failures).

    By inversion from one uniform number: the largest exceeds x with probability 1 - F(x)^arms.
    """
    above = -math.expm1(math.log(u) / arms)
    if successes == 0:
        return -math.exp(math.log(above) / (1.0 + pulls))
    if successes == pulls:
        return math.expm1(math.log(u) / (arms * (1.0 + pulls)))
    return -beta_quantile(1.0 + pulls - successes, 1.0 + successes, above)


@kernel
def score(state: Lumps, i: int, rule: Rule, t: int, u: float) -> float:
    """How attractive the best arm of lump i is in round t; arms of equal score tie."""
    n, s = state.pulls_S[i], state.successes_S[i]
    if rule.kind == THOMPSON:
        return posterior_best(n, s, state.arms_S[i], u)
    if rule.kind == BELIEF:
        return float(s * rule.log_hit + (n - s) * rule.log_miss)
    if n == 0:
        return 0.0 if rule.kind == EPSILON_GREEDY else math.inf
    if rule.kind == UCB1:
        return float(s / n + math.sqrt(2.0 * math.log(t) / n))
    if rule.kind == KL_UCB:
        return kl_upper(s / n, math.log(t) / n)
    return float(s / n)


@kernel
def pick(state: Lumps, top: int, rule: Rule, best: float, u: float) -> int:
    """The lump of an arm drawn by the rule's weights, among those that tie at ``best``.

    The belief rule draws among all, weighed by e^score; an infinite negative ``best`` means all alike.
    """
    soft, any_ = rule.kind == BELIEF, best == -math.inf
    total = 0.0
    for i in range(top):
        if any_ or soft or state.score_S[i] == best:
            factor = math.exp(state.score_S[i] - best) if soft else 1.0
            total += state.arms_S[i] * rule.draw_C[state.class_S[i]] * factor
    point, last = u * total, 0
    for i in range(top):
        if any_ or soft or state.score_S[i] == best:
            factor = math.exp(state.score_S[i] - best) if soft else 1.0
            mass = state.arms_S[i] * rule.draw_C[state.class_S[i]] * factor
            if mass > 0.0:
                last = i
                if point < mass:
                    return i
            point -= mass
    return last


@kernel
def choose(state: Lumps, top: int, rule: Rule, t: int, k0: Word, k1: Word, arm: float, coin: float) -> int:
    """The lump that round t pulls an arm of."""
    place, purpose = np.uint64(t) << ROLLOUT_BITS, np.uint64(SAMPLE)
    if rule.kind == EPSILON_GREEDY:
        epsilon = rule.epsilon if rule.decay == 0.0 else min(1.0, rule.decay / t)
        if coin < epsilon:
            return pick(state, top, rule, -math.inf, arm)
    best = -math.inf
    x0, x1, x2, x3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(top):
        word = x0
        if rule.kind == THOMPSON:
            if i % 4 == 0:
                x0, x1, x2, x3 = block(k0, k1, np.uint64(1 + i // 4), place, np.uint64(0), purpose)
            word = x0 if i % 4 == 0 else x1 if i % 4 == 1 else x2 if i % 4 == 2 else x3
        if state.arms_S[i] > 0.0:
            state.score_S[i] = score(state, i, rule, t, unit(word) + HALF_ULP)
            best = max(best, state.score_S[i])
        else:
            state.score_S[i] = -math.inf
    return pick(state, top, rule, best, arm)


@kernel
def move(state: Lumps, top: int, C: int, i: int, success: int) -> int:
    """Move one arm of lump i to the lump of its new counts; lumps in use afterwards."""
    kind, n, s = state.class_S[i], state.pulls_S[i] + 1, state.successes_S[i] + success
    state.arms_S[i] -= 1.0
    home = -1
    for j in range(C, top):
        if state.arms_S[j] == 0.0:
            home = j if home < 0 else home
        elif state.class_S[j] == kind and state.pulls_S[j] == n and state.successes_S[j] == s:
            state.arms_S[j] += 1.0
            return top
    if home < 0:
        home, top = top, top + 1
    state.class_S[home], state.pulls_S[home], state.successes_S[home] = kind, n, s
    state.arms_S[home] = 1.0
    return top


@kernel
def run_replicates(
    root_seed: int,
    seeds_R: Ints,
    rounds: int,
    state: Lumps,
    rule: Rule,
    arms_C: Floats,
    reward_C: Floats,
    until_first: bool,
    eval_rounds_E: Ints,
    gain_RE: Floats,
    first_R: Ints,
    tried_R: Floats,
) -> None:
    """Run every replicate and fill the last three arrays; arguments as in `algorithms.explore`."""
    C = len(arms_C)
    k0, zero, purpose = np.uint64(root_seed), np.uint64(0), np.uint64(SAMPLE)
    for r in range(len(seeds_R)):
        for c in range(C):
            state.class_S[c], state.pulls_S[c], state.successes_S[c] = c, 0, 0
            state.arms_S[c] = arms_C[c]
        top, e, gain, first, k1 = C, 0, 0.0, -1, np.uint64(seeds_R[r])
        for t in range(rounds + 1):
            if t > 0:
                words = block(k0, k1, zero, np.uint64(t) << ROLLOUT_BITS, zero, purpose)
                i = choose(state, top, rule, t, k0, k1, unit(words[0]), unit(words[1]))
                mean = reward_C[state.class_S[i]]
                success = 1 if unit(words[2]) < mean else 0
                gain += mean
                if first < 0 and success == 1:
                    first = t
                top = move(state, top, C, i, success)
                if until_first and first > 0:
                    break
            if e < len(eval_rounds_E) and eval_rounds_E[e] == t:
                gain_RE[r, e] = gain
                e += 1
        untried = 0.0
        for c in range(C):
            untried += state.arms_S[c]
        first_R[r], tried_R[r] = first, arms_C.sum() - untried
