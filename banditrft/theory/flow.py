"""The exact policy-gradient flow of a softmax bandit: what sampling noise is added to (theory §2).

With m correct and K - m wrong arms, uniform inside each class, dp/dt = eta [p(1-p)]^2 (1/m + 1/(K-m)), so
that t = [F(p) - F(p0)] / (eta (1/m + 1/(K-m))) with F(p) = 1/(1-p) - 1/p + 2 log(p/(1-p)), which in the
log-odds l is 2 sinh(l) + 2 l. A parameter that each class shares with strength kappa (logit = theta + kappa
phi) adds 2 kappa^2 to 1/m + 1/(K-m). It is the limit of small steps, not the law of a run: for that see
:mod:`banditrft.theory.hitting`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from banditrft.theory import domain

NEWTON_STEPS = 60


def _speed(learning_rate: float, num_correct: int, num_arms: int, shared: float) -> float:
    m, wrong = domain.arms(num_arms, num_correct)
    gain = 1.0 / m + 1.0 / wrong + 2.0 * domain.non_negative("shared", shared) ** 2
    return domain.positive("learning_rate", learning_rate) * gain


def _potential(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2.0 * np.sinh(log_odds) + 2.0 * log_odds, dtype=np.float64)


def flow_time(
    p0: float, p: float, learning_rate: float, num_correct: int, num_arms: int, shared: float = 0.0
) -> float:
    """Time, in rounds, that the flow takes from Pass@1 = p0 to p (theory §2); negative when p < p0.

    Args:
        p0: Start, in (0, 1).
        p: End, in (0, 1).
        learning_rate: SGD's step size eta, above 0.
        num_correct: m, number of correct arms.
        num_arms: K, number of arms, above m.
        shared: kappa, strength of the parameter that each class shares, 0 or more.

    Raises:
        InputError: An argument is outside its domain.
    """
    ends = np.array([domain.log_odds(domain.open_unit("p0", p0)), domain.log_odds(domain.open_unit("p", p))])
    start, end = _potential(ends)
    return float(end - start) / _speed(learning_rate, num_correct, num_arms, shared)


def flow_curve(
    p0: float,
    times: ArrayLike,
    learning_rate: float,
    num_correct: int,
    num_arms: int,
    shared: float = 0.0,
) -> NDArray[np.float64]:
    """Pass@1 of the flow at each time (theory §2): the inverse of :func:`flow_time` by Newton's method.

    Args:
        p0: Start, in (0, 1).
        times: (T,) times in rounds, each 0 or more.
        learning_rate: SGD's step size eta, above 0.
        num_correct: m, number of correct arms.
        num_arms: K, number of arms, above m.
        shared: kappa, strength of the parameter that each class shares, 0 or more.

    Returns:
        float64 (T,): Pass@1, non-decreasing in time.

    Raises:
        InputError: An argument is outside its domain.
    """
    start = np.array(domain.log_odds(domain.open_unit("p0", p0)))
    level_T = _potential(start) + _speed(learning_rate, num_correct, num_arms, shared) * np.asarray(
        times, dtype=np.float64
    )
    # F is convex above 0, concave below, and asinh(level/2) beyond the root: Newton descends monotonically
    log_odds_T = np.arcsinh(level_T / 2.0)
    for _ in range(NEWTON_STEPS):
        step_T = (_potential(log_odds_T) - level_T) / (2.0 * np.cosh(log_odds_T) + 2.0)
        log_odds_T = log_odds_T - step_T
        if np.all(np.abs(step_T) < 1e-14 * (1.0 + np.abs(log_odds_T))):
            break
    return np.asarray(expit(log_odds_T), dtype=np.float64)
