"""Mean-field recursions under SGD and Adam(W): gradients replaced by their moments at p (theory §4).

Per round, the mean E[g] of every coordinate's gradient feeds SGD's step or Adam's first moment, and E[g^2]
Adam's second, with torch's bias corrections and eps: step = lr * m_hat / (sqrt(v_hat) + eps). Moments are
those of *one arm*, averaged over the arms of its class, while all arms of a class move as one. For a class of
n arms E[g] = +-E[u]/n and E[g^2] = E[u^2]/n^2 + (1/n)(1 - 1/n) E[N s^2]/G^2, where u is the class multiplier
of theory §3 and N s^2 sums the squared signals of the class's own rollouts: the second part is the noise of
which arm was drawn. It vanishes for one correct arm and, under the raw {0,1} reward, for all wrong arms;
section 4's E[g^2] = (1-p)^2 (p^2 + p(1-p)/G) is that case.

An approximation, not a law: fluctuations of p and the wait for the first success are left out here (measured
error in rounds to .99: up to 13% for lr <= 0.1 and one correct arm); :mod:`banditrft.theory.spread` puts them
back. With several correct arms it is an upper estimate, because real arms part company and the lucky ones
lead.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.theory import domain
from banditrft.theory.coordinates import Coordinates, advance, decay
from banditrft.theory.laws import require
from banditrft.theory.matching import matched_law

MAX_ROUNDS = 200_000
OPTIMIZERS = ("sgd", "adam", "adamw")


@dataclass(frozen=True)
class MeanField:
    """A mean-field trajectory.

    Attributes:
        log_odds_T: Log-odds of Pass@1 after t = 0..T rounds, (T+1,).
    """

    log_odds_T: NDArray[np.float64]

    @property
    def pass_at_1_T(self) -> NDArray[np.float64]:
        """Pass@1 after t = 0..T rounds, (T+1,)."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.log_odds_T)), dtype=np.float64)

    def rounds_to(self, target: float) -> int | None:
        """First whole round after which Pass@1 >= target, not interpolated; None if the path ends before.

        Raises:
            InputError: ``target`` is outside (0, 1).
        """
        reached_T = self.log_odds_T >= domain.log_odds(domain.open_unit("target", target))
        return int(np.argmax(reached_T)) if reached_T.any() else None


def follow(
    coordinates: Coordinates,
    design: Design,
    *,
    p0: float,
    rounds: int = 0,
    target: float | None = None,
    max_rounds: int = MAX_ROUNDS,
) -> MeanField:
    """Run the recursion for ``rounds`` rounds, and on until ``target`` is reached.

    Args:
        coordinates: The parameters that move.
        design: Gives optimizer, learning_rate, betas, adam_eps and weight_decay.
        p0: Base Pass@1, in (0, 1).
        rounds: Rounds to run in any case.
        target: Pass@1 to run on for, in (0, 1); none: stop after ``rounds``.
        max_rounds: Give up on ``target`` after so many.

    Raises:
        InputError: An argument is outside its domain, or the design's optimizer is another one.
    """
    require(design, "optimizer", OPTIMIZERS)
    log_odds = domain.log_odds(domain.open_unit("p0", p0))
    end = -math.inf if target is None else domain.log_odds(domain.open_unit("target", target))
    domain.rounds("rounds", rounds)
    keep = 1.0 - decay(design)
    first_C, second_C = np.zeros((2, len(coordinates.slope_C)))
    path = [log_odds]
    while len(path) <= rounds or (log_odds < end and len(path) <= max_rounds):
        mean_C, square_C = coordinates(log_odds)
        step = advance(design, mean_C, square_C, first_C, second_C, len(path))
        first_C, second_C = step.first_C, step.second_C
        log_odds = coordinates.rest + keep * (log_odds - coordinates.rest)
        log_odds += design.learning_rate * float(coordinates.slope_C @ step.step_C)
        path.append(log_odds)
    return MeanField(np.array(path))


def arm_moments(
    design: Design, *, p0: float, num_arms: int, num_correct: int = 1, shared: float = 0.0
) -> Coordinates:
    """Gradient moments of one correct and one wrong arm as a function of the log-odds (theory §4).

    Its step size is matched where the design asks for it; ``shared`` > 0 adds a parameter of each class.

    Raises:
        InputError: As :func:`mean_field`.
    """
    domain.open_unit("p0", p0)
    law = matched_law(design, p0)
    return Coordinates.arms(law, num_correct, num_arms, domain.non_negative("shared", shared))


def mean_field(
    design: Design,
    *,
    p0: float,
    num_arms: int,
    num_correct: int = 1,
    shared: float = 0.0,
    rounds: int = 0,
    target: float | None = None,
) -> MeanField:
    """Mean-field trajectory of the tabular bandit, classes uniform inside (theory §4).

    Args:
        design: Any signal; a two-valued reward; sgd, adam or adamw; a batch is B copies of the query.
        p0: Base Pass@1, in (0, 1).
        num_arms: K, above ``num_correct``.
        num_correct: m; with more than one the trajectory is a slow (upper) estimate of the time.
        shared: kappa, strength of the parameter that each class shares, 0 or more.
        rounds: Rounds to run in any case.
        target: Run on until this Pass@1, at most 200,000 rounds.

    Raises:
        InputError: An argument is outside its domain, or the design has no closed form.
    """
    coordinates = arm_moments(design, p0=p0, num_arms=num_arms, num_correct=num_correct, shared=shared)
    return follow(coordinates, design, p0=p0, rounds=rounds, target=target)
