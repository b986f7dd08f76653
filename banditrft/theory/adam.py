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
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from banditrft.design import Design
from banditrft.theory import domain
from banditrft.theory.coordinates import Coordinates, advance, decay
from banditrft.theory.laws import others, require, silent_failures
from banditrft.theory.matching import matched_law
from banditrft.theory.tabulated import quick

OPTIMIZERS = ("sgd", "adam", "adamw")
EVERY_ROUND = 500
"""Rounds that are followed one by one; after them a leap spans several."""
MOST_LEAPS = 4_000
"""Leaps after which a path that still creeps is taken to rest."""
MOST_ROUNDS = 10**15
LARGEST_LEAP = 0.02
"""Log-odds that a leap may cover."""
LARGEST_CHANGE = 0.05
"""Relative change of speed from one leap to the next above which leaps get shorter."""


@dataclass(frozen=True)
class MeanField:
    """A mean-field trajectory: round by round, then by leaps.

    Attributes:
        log_odds_T: Log-odds of Pass@1 after t = 0..T rounds, (T+1,).
        later_N: Rounds beyond T at the ends of N leaps, rising, (N,).
        later_log_odds_N: Log-odds then, (N,).
    """

    log_odds_T: NDArray[np.float64]
    later_N: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    later_log_odds_N: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def pass_at_1_T(self) -> NDArray[np.float64]:
        """Pass@1 after t = 0..T rounds, (T+1,)."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.log_odds_T)), dtype=np.float64)

    @property
    def rest(self) -> float:
        """Pass@1 where the path ends, after :attr:`last` rounds."""
        ends = self.later_log_odds_N if len(self.later_N) else self.log_odds_T
        return float(expit(ends[-1]))

    @property
    def last(self) -> float:
        """Rounds followed."""
        return float(self.later_N[-1]) if len(self.later_N) else len(self.log_odds_T) - 1.0

    def rounds_to(self, target: float) -> int | None:
        """First whole round after which Pass@1 >= target; None if the path ends before.

        Linear within a leap, which covers at most .02 of log-odds.

        Raises:
            InputError: ``target`` is outside (0, 1).
        """
        end = domain.log_odds(domain.open_unit("target", target))
        reached_T = self.log_odds_T >= end
        if reached_T.any():
            return int(np.argmax(reached_T))
        reached_N = self.later_log_odds_N >= end
        if not reached_N.any():
            return None
        at = int(np.argmax(reached_N)) + 1
        rounds_N = np.append(len(self.log_odds_T) - 1.0, self.later_N)[at - 1 : at + 1]
        levels_N = np.append(self.log_odds_T[-1], self.later_log_odds_N)[at - 1 : at + 1]
        return math.ceil(float(np.interp(end, levels_N, rounds_N)))


class Pace:
    """How many rounds the next leap spans: a power of two, from the speed of the last one.

    Args:
        leap: Log-odds that a leap may cover.
    """

    def __init__(self, leap: float = LARGEST_LEAP) -> None:
        self.rounds, self._leap, self._speed = 1, leap, math.nan

    def next(self, speed: float, age: float) -> int:
        """Rounds of the next leap.

        Args:
            speed: Largest change of the log-odds per round in the last step.
            age: Rounds so far: a leap spans no more than an eighth of them.
        """
        allowed = min(self._leap / max(abs(speed), 1e-300), 1.0 + age / 8.0, 2.0 * self.rounds, 1e15)
        change = abs(speed - self._speed) / max(abs(self._speed), 1e-300)
        most = LARGEST_CHANGE * self._leap / LARGEST_LEAP
        if change > most and self.rounds > 1:
            allowed = min(allowed, self.rounds / 2.0)
        elif change > most / 4.0:
            allowed = min(allowed, self.rounds)
        self._speed = speed
        self.rounds = 2 ** max(int(math.log2(max(allowed, 1.0))), 0)
        return self.rounds


def follow(
    coordinates: Coordinates,
    design: Design,
    *,
    p0: float,
    rounds: int = 0,
    target: float | None = None,
    leap: float = LARGEST_LEAP,
    max_leaps: int = MOST_LEAPS,
) -> MeanField:
    """Run the recursion for ``rounds`` rounds, and on until ``target`` is reached.

    Args:
        coordinates: The parameters that move.
        design: Gives optimizer, learning_rate, betas, adam_eps and weight_decay.
        p0: Base Pass@1, in (0, 1).
        rounds: Rounds to run one by one in any case.
        target: Pass@1 to run on for, in (0, 1): one by one for 500 rounds, then by leaps. None: stop after
            ``rounds``.
        leap: Log-odds that a leap may cover.
        max_leaps: Give up on ``target`` after so many.

    Raises:
        InputError: An argument is outside its domain, or the design's optimizer is another one.
    """
    require(design, "optimizer", OPTIMIZERS)
    log_odds = domain.log_odds(domain.open_unit("p0", p0))
    end = -math.inf if target is None else domain.log_odds(domain.open_unit("target", target))
    domain.rounds("rounds", rounds)
    keep, memory = 1.0 - decay(design), design.betas[1]
    first_C, second_C = np.zeros((2, len(coordinates.slope_C)))
    path: list[float] = [log_odds]
    later: list[tuple[int, float]] = []
    pace, received, t, speed = Pace(leap), 0.0, 0, 0.0
    while t < rounds or (log_odds < end and t < MOST_ROUNDS and len(later) < max_leaps):
        span = 1 if t < max(rounds, EVERY_ROUND) else pace.next(speed, t)
        # the gradient in the middle of a leap stands for all of it
        mean_C, square_C = coordinates(log_odds + speed * (span - 1) / 2.0)
        step = advance(design, mean_C, square_C, first_C, second_C, t + 1, span)
        first_C, second_C = step.first_C, step.second_C
        if coordinates.quiet:
            signals = coordinates.quiet * float(coordinates.law.moments(log_odds).wrong_signals)
            received = memory**span * received + signals * (1.0 - memory**span) / (1.0 - memory)
        moved = design.learning_rate * float(coordinates.slopes(received) @ step.step_C)
        left = keep**span
        pull = 1.0 if keep == 1.0 else (1.0 - left) / (span * (1.0 - keep))
        after = coordinates.rest + left * (log_odds - coordinates.rest) + moved * pull
        speed, log_odds, t = (after - log_odds) / span, after, t + span
        if t <= max(rounds, EVERY_ROUND):
            path.append(log_odds)
        else:
            later.append((t, log_odds))
    later_N, later_log_odds_N = np.array(later, dtype=np.float64).reshape(-1, 2).T
    return MeanField(np.array(path), later_N, later_log_odds_N)


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
    domain.non_negative("shared", shared)
    return Coordinates.arms(quick(law), num_correct, num_arms, shared, quiet=_uneven(design))


def _uneven(design: Design) -> bool:
    """Whether Adam meets signals of wrong answers that do not sum to 0 with the others."""
    silent = silent_failures(design) and design.kl_coef == 0.0
    sums_to_zero = design.signal != "raw" and design.kl_coef == 0.0 and not others(design)
    return design.optimizer != "sgd" and not (silent or sums_to_zero)


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
        target: Run on until this Pass@1.

    Raises:
        InputError: An argument is outside its domain, or the design has no closed form.
    """
    coordinates = arm_moments(design, p0=p0, num_arms=num_arms, num_correct=num_correct, shared=shared)
    return follow(coordinates, design, p0=p0, rounds=rounds, target=target)
