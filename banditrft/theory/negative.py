"""Rewards in {-1,0}, one rollout, SGD: when punishing wrong arms lowers Pass@1 (theory §5).

{0,1} and {-1,0} have the same mean gradient, but a softmax policy moves by finite steps. A punished arm
loses eta (1 - pi) of logit and every other arm b gains eta pi_b: the more probable, the more. With m equal
correct arms of probability a = p/m and n = K - m equal wrong ones of w = (1-p)/n, one punishment moves the
log-odds of Pass@1 by exactly eta (a - w) + c, c = -log(1 - (1 - exp(-eta))/n): c is the punished arm's own
loss, and the other wrong arms profit where a < w. So punishment lowers the log-odds iff a/w < 1 - n c/eta,
for many wrong arms 1 - (1 - exp(-eta))/eta, about eta/2. Correct arms as probable as a wrong one, a >= w,
are never hurt; nor is anything as eta -> 0. A reward of 1 for a success never lowers the expected log-odds.

That is the first round. Later wrong arms differ: each one's logit spreads by eta per punishment while the
correct ones grow like eta a, so by the time 1/(eta a) that they need, the spread is eta^2 w/(eta a). This
is the trap ratio R = eta w/a, in which the first-round boundary is about R = 2. It orders runs, it is not
their law.

When the wrong arms move as one (one wrong arm, or shared parameters) nothing can spread: the log-odds climb
a ladder of fixed rungs, and negative rewards always arrive.
"""

import math

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import honest, reward_map
from banditrft.theory import domain
from banditrft.theory.hitting import MAX_RUNGS, HittingLaw
from banditrft.theory.laws import require


def expected_move(design: Design, p: float, num_arms: int, num_correct: int = 1) -> float:
    """Expected change of Pass@1's log-odds in one round, from classes uniform inside (theory §5). Exact.

    Args:
        design: One rollout, raw signal, sgd, a two-valued reward.
        p: Pass@1, in (0, 1).
        num_arms: K, above ``num_correct``.
        num_correct: m, at least 1.

    Raises:
        InputError: An argument is outside its domain, or the design is another one.
    """
    for field, allowed in (("rollouts", (1,)), ("signal", ("raw",)), ("optimizer", ("sgd",))):
        require(design, field, allowed)
    require(design, "reward", tuple(honest()))
    m, n = domain.arms(num_arms, num_correct)
    domain.open_unit("p", p)
    low, high = (design.learning_rate * value for value in reward_map(design)[:2])
    ahead = p / m - (1.0 - p) / n
    success = -high * ahead + math.log1p(math.expm1(high) / m)
    failure = -low * ahead - _log1p_share(low, n)
    return p * success + (1.0 - p) * failure


def trap_boundary(learning_rate: float, num_arms: int, num_correct: int = 1) -> float:
    """Pass@1 below which {-1,0} rewards lower its expected log-odds in the first round (theory §5).

    Equals (1/n - c/eta)/(1/m + 1/n), see the module's docstring: between 0 (a single wrong arm, or eta -> 0)
    and the uniform policy's m/K (eta -> infinity). To start above it is necessary for a safe run, not
    sufficient: see :func:`trap_ratio`.

    Args:
        learning_rate: SGD's step size eta, above 0.
        num_arms: K, above ``num_correct``.
        num_correct: m, at least 1.

    Raises:
        InputError: An argument is outside its domain.
    """
    eta = domain.positive("learning_rate", learning_rate)
    m, n = domain.arms(num_arms, num_correct)
    own = -_log1p_share(-eta, n)
    return max((1.0 / n - own / eta) / (1.0 / m + 1.0 / n), 0.0)


def trap_ratio(p: float, learning_rate: float, num_arms: int, num_correct: int = 1) -> float:
    """R = eta w/a, spread of the wrong arms over growth of the correct ones under {-1,0} rewards (theory §5).

    Measured for m = 1..100, K = 11..1100, eta = .25..2, 40 seeds each, after four times the flow's time to
    .9: at R = 0.5 every run is above Pass@1 = 1/2, at R = 1 most are, at R = 2 all, some or none, and at
    R = 4 three in ten or more, usually all, are not. It orders runs where wrong arms are many: with no
    more of them than of correct ones it says nothing (10 wrong, 100 correct, eta = 1, p = .16: R = 52, yet no
    run of 32 fails; docs/results/sim/negative.md), and with 10 wrong and 1 correct :func:`trap_boundary` is
    closer.

    Args:
        p: Pass@1, in (0, 1).
        learning_rate: SGD's step size eta, above 0.
        num_arms: K, above ``num_correct``.
        num_correct: m, at least 1.

    Raises:
        InputError: An argument is outside its domain.
    """
    m, n = domain.arms(num_arms, num_correct)
    domain.open_unit("p", p)
    return domain.positive("learning_rate", learning_rate) * ((1.0 - p) / n) / (p / m)


def negative_law(p0: float, step: float, target: float) -> HittingLaw:
    """Law of the first round with Pass@1 >= target: {-1,0} rewards, the wrong arms as one (theory §5).

    A success leaves the policy alone, the k-th failure adds ``step`` p_k to the log-odds: the mirror image of
    :func:`banditrft.theory.hitting.hitting_law`, waits Geometric(1 - p_k). Exact for m equal correct arms and
    one wrong arm, ``step`` = eta (1 + 1/m), and for one shared direction, ``step`` = eta |u|^2.

    Args:
        p0: Base Pass@1, in (0, 1).
        step: Learning rate times gain, above 0.
        target: Pass@1 to reach, in (0, 1).

    Returns:
        The law of T; its rungs are stored as log-odds of *failure*, so that its waits are those above.

    Raises:
        InputError: An argument is outside its domain, or the ladder has more than two million rungs.
    """
    log_odds = domain.log_odds(domain.open_unit("p0", p0))
    end = domain.log_odds(domain.open_unit("target", target))
    domain.positive("learning_rate", step)
    rungs: list[float] = []
    while log_odds < end:
        if len(rungs) == MAX_RUNGS:
            raise InputError(
                f"learning_rate: a step of {step:g} log-odds takes over {MAX_RUNGS} failures "
                f"to reach {target!r}"
            )
        rungs.append(-log_odds)
        log_odds += step / (1.0 + math.exp(min(-log_odds, 700.0)))
    failures_N: NDArray[np.float64] = np.array(rungs, dtype=np.float64)
    return HittingLaw(failures_N)


def _log1p_share(change: float, arms: int) -> float:
    """Log of the factor on a class's mass when one of its equal arms moves by ``change`` in logit."""
    return math.log1p(math.expm1(change) / arms)
