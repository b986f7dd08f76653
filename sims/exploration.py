"""Classical exploration on the lumped bandit: UCB, Thompson sampling, epsilon-greedy (theory §1).

The reference for "why has reinforcement fine-tuning no exploration bonus?". These algorithms know an arm by
its pulls and successes alone, so the arms of a class with equal counts are interchangeable, never-pulled ones
above all: like a policy's lumps, they share one entry with a multiplicity. State grows with the number of
*distinct counts* seen, not with the number of arms: up to 2**53 arms a class, exactly, and posterior draws of
n equal arms cost one number, by inversion of the law of their maximum.

What happens as the number of arms K grows, with m good ones:

- UCB must pull every arm once before it uses what it learned: no exploitation before round K;
- a search that knows nothing finds a good arm after (K + 1)/(m + 1) pulls without repetition, K/m with it;
- sampling from a policy that gives good arms the mass p0 finds one after 1/p0 pulls, whatever K.

The *informed* variants are given that policy (the classes' initial masses) as well. Nothing here has
parameters or gradients: for policy gradient see `sims.lumped.simulator`.

The compiled rounds: an algorithm's choice looks at an arm's pulls n and successes s only, so arms of one
class with equal (n, s) are one lump, never-pulled arms among them. A round scores every lump, finds the best,
and moves one arm of it to the lump of its new (n, s). Replicates run one after another in one state. Numba
has no incomplete beta function, so quantiles of a Beta law are found by its continued fraction (modified
Lentz), for parameters of at least 1, which is what posteriors of Bernoulli arms have.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError
from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, Word, block, unit
from sims.lumped.simulator import Bandit
from sims.trace import check_rising

TERMS = 1000
TINY = 1e-300
STEPS = 100
PRECISION = 1e-13


@kernel
def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b); converges fast for x < (a + 1)/(a + b + 2)."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > TINY else TINY)
    total = d
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        change = 1.0
        for step in range(2):
            numerator = even if step == 0 else odd
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > TINY else TINY)
            c = 1.0 + numerator / c
            c = c if abs(c) > TINY else TINY
            change = c * d
            total *= change
        if abs(change - 1.0) < 1e-16:
            break
    return total


@kernel
def beta_cdf(a: float, b: float, x: float) -> float:
    """I_x(a, b), the probability that a Beta(a, b) variable is at most x in (0, 1)."""
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


@kernel
def beta_quantile(a: float, b: float, q: float) -> float:
    """The x with I_x(a, b) = q, for a, b >= 1 and q in [0, 1]: Newton's method on log I over log x.

    log I is concave in log x, so steps from the left never overshoot; a bracket catches the others.
    """
    if q <= 0.0:
        return 0.0
    if q >= 1.0:
        return 1.0
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    low, high = -745.0, 0.0
    z = min((math.log(q) + math.log(a) - scale) / a, -PRECISION)
    for _ in range(STEPS):
        x = math.exp(z)
        value = beta_cdf(a, b, x)
        if value < q:
            low = z
        else:
            high = z
        slope = math.exp(scale + a * z + (b - 1.0) * math.log1p(-x)) / value if value > 0.0 else 0.0
        step = math.log(q / value) / slope if slope > 0.0 else math.inf
        if abs(step) < PRECISION:
            return x
        z += step
        if not low < z < high:
            z = 0.5 * (low + high)
    return math.exp(z)


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


class Course(NamedTuple):
    """Which replicates run, how long, and when they are looked at."""

    root_seed: int
    seeds_R: Ints
    rounds: int
    until_first: bool
    """Whether a replicate ends with its first success."""
    eval_E: Ints


class ExplorationPaths(NamedTuple):
    """What R replicates did."""

    gain_RE: Floats
    """Sum of the success probabilities of the arms pulled up to each evaluation round; its increments
    estimate Pass@1; rounds times the best arm's probability minus it is the regret."""
    first_R: Ints
    """Round of the first success, -1 if there was none."""
    tried_R: Floats
    """Number of different arms pulled."""


@kernel
def run_replicates(
    course: Course,
    state: Lumps,
    rule: Rule,
    arms_C: Floats,
    reward_C: Floats,
    paths: ExplorationPaths,
) -> None:
    """Run every replicate and fill the last three arrays; arguments as in `algorithms.explore`."""
    C = len(arms_C)
    k0, zero, purpose = np.uint64(course.root_seed), np.uint64(0), np.uint64(SAMPLE)
    for r in range(len(course.seeds_R)):
        for c in range(C):
            state.class_S[c], state.pulls_S[c], state.successes_S[c] = c, 0, 0
            state.arms_S[c] = arms_C[c]
        top, e, gain, first, k1 = C, 0, 0.0, -1, np.uint64(course.seeds_R[r])
        for t in range(course.rounds + 1):
            if t > 0:
                words = block(k0, k1, zero, np.uint64(t) << ROLLOUT_BITS, zero, purpose)
                i = choose(state, top, rule, t, k0, k1, unit(words[0]), unit(words[1]))
                mean = reward_C[state.class_S[i]]
                success = 1 if unit(words[2]) < mean else 0
                gain += mean
                if first < 0 and success == 1:
                    first = t
                top = move(state, top, C, i, success)
                if course.until_first and first > 0:
                    break
            if e < len(course.eval_E) and course.eval_E[e] == t:
                paths.gain_RE[r, e] = gain
                e += 1
        untried = 0.0
        for c in range(C):
            untried += state.arms_S[c]
        paths.first_R[r], paths.tried_R[r] = first, arms_C.sum() - untried


Kind = Literal["ucb1", "kl-ucb", "thompson", "belief", "epsilon-greedy"]
CODES = {
    "ucb1": UCB1,
    "kl-ucb": KL_UCB,
    "thompson": THOMPSON,
    "belief": BELIEF,
    "epsilon-greedy": EPSILON_GREEDY,
}


@dataclass(frozen=True)
class Explorer:
    """A bandit algorithm.

    Attributes:
        kind: "ucb1" (index s/n + sqrt(2 ln t/n)); "kl-ucb" (largest q with n kl(s/n, q) <= ln t); "thompson"
            (a draw from every arm's Beta(1 + s, 1 + n - s)); "belief" (Thompson sampling of *which* arm is
            good: an arm is drawn in proportion to prior mass times likelihood of its rewards);
            "epsilon-greedy" (largest s/n, 0 for an arm never pulled, ties drawn; with probability epsilon
            any arm).
        informed: Whether arms that tie, explored arms and beliefs weigh the classes' initial masses; else all
            arms alike.
        epsilon: Share of exploring rounds of "epsilon-greedy", in [0, 1].
        decay: Above 0: epsilon is min(1, decay/t) in round t instead.
        assumed: Success probability of a wrong and of a good arm that "belief" assumes, rising, in (0, 1).
    """

    kind: Kind
    informed: bool = False
    epsilon: float = 0.1
    decay: float = 0.0
    assumed: tuple[float, float] = (0.01, 0.99)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"kind: must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        if not 0.0 <= self.epsilon <= 1.0:
            raise InputError(f"epsilon: must lie in [0, 1], got {self.epsilon}")
        if not 0.0 <= self.decay < math.inf:
            raise InputError(f"decay: must be finite and 0 or more, got {self.decay}")
        wrong, good = self.assumed
        if not 0.0 < wrong < good < 1.0:
            raise InputError(f"assumed: must rise within (0, 1), got {self.assumed}")


def explore(
    bandit: Bandit,
    explorer: Explorer,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    rounds: int,
    eval_rounds: Sequence[int] | NDArray[np.int64] = (),
    until_first: bool = False,
) -> ExplorationPaths:
    """Run one replicate per seed on one core, one pull a round.

    Args:
        bandit: The arms; initial masses matter to an informed explorer only.
        explorer: The algorithm.
        root_seed: First part of the key of every random number, in [0, 2**63).
        seeds: One per replicate; a replicate depends on its own seed alone.
        rounds: Rounds T, at least 0.
        eval_rounds: Rising rounds in 0..T after which the gain is recorded.
        until_first: End a replicate with its first success; takes no ``eval_rounds``.

    Raises:
        InputError: An argument is outside its range.
    """
    seeds_R, eval_E = np.asarray(seeds, np.int64), np.asarray(eval_rounds, np.int64)
    if not 0 <= rounds < 2**31 or root_seed < 0 or (seeds_R < 0).any():
        raise InputError(f"rounds, root_seed, seeds: must be at least 0, got rounds = {rounds}")
    check_rising("eval_rounds", eval_E, rounds)
    if until_first and len(eval_E):
        raise InputError("eval_rounds: must be empty where a replicate ends with its first success")
    R, capacity = len(seeds_R), len(bandit.arms_C) + rounds
    counts, values = np.zeros((3, capacity), np.int64), np.zeros((2, capacity))
    lumps = Lumps(counts[0], counts[1], counts[2], values[0], values[1])
    paths = ExplorationPaths(np.empty((R, len(eval_E))), np.empty(R, np.int64), np.empty(R))
    course = Course(root_seed, seeds_R, rounds, until_first, eval_E)
    run_replicates(course, lumps, rule(bandit, explorer), bandit.arms_C, bandit.reward_C, paths)
    return paths


def rule(bandit: Bandit, explorer: Explorer) -> Rule:
    """An explorer as the kernel sees it."""
    wrong, good = explorer.assumed
    return Rule(
        CODES[explorer.kind],
        explorer.epsilon,
        explorer.decay,
        math.log(good / wrong),
        math.log1p(-good) - math.log1p(-wrong),
        bandit.mass_C / bandit.arms_C if explorer.informed else np.ones_like(bandit.arms_C),
    )


def search_rounds(num_arms: int, num_correct: int, *, repeats: bool) -> float:
    """Expected pulls to the first correct arm when arms are drawn uniformly.

    K/m with repetition (geometric), (K + 1)/(m + 1) without (negative hypergeometric).

    Args:
        num_arms: K.
        num_correct: m, from 1 to K; a pull of a correct arm always succeeds.
        repeats: Whether an arm may be pulled again.

    Raises:
        InputError: ``num_correct`` is not between 1 and ``num_arms``.
    """
    if not 1 <= num_correct <= num_arms:
        raise InputError(f"num_correct: must lie in 1..{num_arms}, got {num_correct}")
    return num_arms / num_correct if repeats else (num_arms + 1) / (num_correct + 1)
