"""Exact hitting-time law of the minimalist bandit: one rollout, raw {0,1} reward, SGD (theory §2).

A failed rollout changes nothing and the k-th success moves the policy by a known amount, so Pass@1 climbs a
*deterministic* ladder l_{k+1} = l_k + step (1 - p_k), l = log-odds, and waits a Geometric(p_k) number of
rounds on rung k, independently. Everything below follows from that. ``step`` is eta g: g = K/(K-1) for a
tabular policy with one correct arm (:func:`tabular_gain`), |u|^2 for a log-linear policy with feature
difference u (theory §6). It is not a law for several correct tabular arms, whose logits part company with the
first success, nor for groups, advantages or Adam: see :mod:`banditrft.theory.adam` for the mean field of
those.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr

from banditrft.errors import InputError
from banditrft.theory import domain

MAX_DOUBLINGS = 62


def by_doubling(
    success_N: NDArray[np.float64], failure_N: NDArray[np.float64], levels: Sequence[float]
) -> tuple[int, ...]:
    """Exact quantiles in O(N^3 log T): powers P, P^2, P^4, ... of the transition matrix, then binary descent.

    Args:
        success_N: Success probability on each of N rungs.
        failure_N: One minus it.
        levels: Probabilities in (0, 1).

    Returns:
        For each level the smallest t with P(T <= t) >= level, in rounds.
    """
    N = len(success_N)
    power = np.zeros((N + 1, N + 1))
    index = np.arange(N)
    power[index, index], power[index, index + 1], power[N, N] = failure_N, success_N, 1.0
    powers = [power]
    while powers[-1][0, N] < max(levels) and len(powers) < MAX_DOUBLINGS:
        powers.append(powers[-1] @ powers[-1])
    out = []
    for level in levels:
        row, t = np.eye(1, N + 1)[0], 0
        for exponent in range(len(powers) - 1, -1, -1):
            later = row @ powers[exponent]
            if later[N] < level:
                row, t = later, t + 2**exponent
        out.append(t + 1)
    return tuple(out)


def by_saddlepoint(
    success_N: NDArray[np.float64], failure_N: NDArray[np.float64], levels: Sequence[float]
) -> tuple[int, ...]:
    """Approximate quantiles by the Lugannani-Rice formula with the continuity correction of a lattice law.

    The cumulant function is K(s) = sum of log p + s - log(1 - (1-p) e^s), finite for e^s < 1/max(1-p). For
    each level the equation P(T <= t) = level is solved over the saddlepoint s, in which t = K'(s) rises.

    Args:
        success_N: Success probability on each of N rungs.
        failure_N: One minus it.
        levels: Probabilities in (0, 1).

    Returns:
        For each level the quantile, in whole rounds.
    """
    # 1 - p near 1 has lost what its logarithm is
    log_failure_N = np.where(success_N < 1e-3, np.log1p(-success_N), np.log(failure_N))
    limit = float(-log_failure_N.max())
    mean = float(np.sum(1.0 / success_N))
    sd = float(np.sqrt(np.sum(failure_N / success_N**2)))

    def tilt(s: float) -> tuple[float, float, float]:
        """K(s), K'(s) and K''(s)."""
        remain_N = -np.expm1(log_failure_N + s)
        ratio_N = (1.0 - remain_N) / remain_N
        value = float(np.sum(np.log(success_N) + s - np.log(remain_N)))
        return value, float(np.sum(1.0 + ratio_N)), float(np.sum(ratio_N * (1.0 + ratio_N)))

    def upper_tail(s: float) -> float:
        """P(T >= K'(s)), the first continuity correction."""
        value, t, curvature = tilt(s)
        w = np.sign(s) * np.sqrt(max(2.0 * (s * t - value), 0.0))
        v = -np.expm1(-s) * np.sqrt(curvature)
        return float(1.0 - ndtr(w) + np.exp(-w * w / 2.0) / np.sqrt(2.0 * np.pi) * (1.0 / v - 1.0 / w))

    # the formula is 0/0 at s = 0: step over a neighbourhood worth 1e-3 standard deviations
    gap, xtol = 1e-3 / sd, 1e-9 / sd
    bottom, top = -12.0 / sd, min(12.0 / sd, limit * (1.0 - 1e-9))

    def later(level: float) -> float:
        """The t at which P(T >= t) = 1 - level."""
        if upper_tail(gap) > 1.0 - level:
            return tilt(brentq(lambda s: upper_tail(s) - (1.0 - level), gap, top, xtol=xtol))[1]
        if upper_tail(-gap) < 1.0 - level:
            low = bottom
            while upper_tail(low) < 1.0 - level:  # one wait that is nearly all has a long way down
                low *= 2.0
            return tilt(brentq(lambda s: upper_tail(s) - (1.0 - level), low, -gap, xtol=xtol))[1]
        return mean + 1.0

    return tuple(max(len(success_N), math.ceil(later(level)) - 1) for level in levels)


MAX_RUNGS = 2_000_000
DOUBLING_RUNGS = 400
RECURSION_ROUNDS = 50_000
NEGLIGIBLE = 1e-40
"""Occupation probability below which an end rung leaves the recursion's window."""


def tabular_gain(num_arms: int, num_correct: int = 1) -> float:
    """Gain g = K/(K-1) in log-odds of one correct arm against K-1 equal wrong arms (theory §2).

    Args:
        num_arms: K, at least 2.
        num_correct: Number of correct arms; the law is exact for 1 alone.

    Raises:
        InputError: More than one correct arm: they do not move as one, so no single ladder exists.
    """
    _, wrong = domain.arms(num_arms, num_correct)
    if num_correct != 1:
        raise InputError(
            f"num_correct: the exact law needs 1 (several correct arms do not move as one), got {num_correct}"
        )
    return num_arms / wrong


def rungs_to(p0: float, step: float, target: float) -> float:
    """Number of successes from ``p0`` to ``target``, about: the integral of dl/(step (1-p))."""
    start, end = domain.log_odds(p0), domain.log_odds(target)
    return max(end - start + math.exp(min(end, 700.0)) - math.exp(min(start, 700.0)), 0.0) / step


def _rungs(p0: float, step: float, target: float | None, count: int) -> NDArray[np.float64]:
    """Log-odds of the rungs below ``target``, at most ``count``; without a target of the first ``count``."""
    log_odds = domain.log_odds(p0)
    rungs: list[float] = []
    end = math.inf if target is None else domain.log_odds(target)
    while log_odds < end and len(rungs) < count:
        rungs.append(log_odds)
        log_odds += step / (1.0 + math.exp(min(log_odds, 700.0)))
    if target is not None and log_odds < end:
        raise InputError(
            f"learning_rate: a step of {step:g} log-odds takes over {count} successes to reach {target!r}"
        )
    return np.array(rungs, dtype=np.float64)


def _trim(occupied_N: NDArray[np.float64], low: int, high: int) -> tuple[int, int]:
    """The window [low, high) without end rungs that are as good as empty."""
    while low < high - 1 and occupied_N[low] < NEGLIGIBLE:
        low += 1
    while high > low + 1 and occupied_N[high - 1] < NEGLIGIBLE:
        high -= 1
    return low, high


@dataclass(frozen=True)
class HittingLaw:
    """Law of T, the first round after which Pass@1 is at least the target; T = 0 when the base already is.

    Attributes:
        log_odds_N: Log-odds of the N rungs below the target; T is a sum of N independent geometric waits.
    """

    log_odds_N: NDArray[np.float64]

    @property
    def success_N(self) -> NDArray[np.float64]:
        """Success probability p_k on each rung, (N,)."""
        return np.asarray(expit(self.log_odds_N), dtype=np.float64)

    @property
    def failure_N(self) -> NDArray[np.float64]:
        """1 - p_k on each rung without cancellation, (N,)."""
        return np.asarray(expit(-self.log_odds_N), dtype=np.float64)

    @property
    def mean(self) -> float:
        """E[T] = sum of 1/p_k, in rounds."""
        return math.fsum(1.0 / self.success_N)

    @property
    def variance(self) -> float:
        """Var[T] = sum of (1-p_k)/p_k^2, in rounds squared."""
        return math.fsum(self.failure_N / self.success_N**2)

    @property
    def sd(self) -> float:
        """Standard deviation of T, in rounds."""
        return math.sqrt(self.variance)

    def _arrivals(self) -> Iterator[float]:
        """P(T = 1), P(T = 2), ...: forward recursion over rungs; sums of positive terms only, so stable."""
        N = len(self.log_odds_N)
        success_N, failure_N = self.success_N, self.failure_N
        occupied_N = np.zeros(N)
        occupied_N[0] = 1.0
        low, high = 0, 1
        while True:
            window = slice(low, high)
            moved = occupied_N[window] * success_N[window]
            occupied_N[window] *= failure_N[window]
            if high < N:
                occupied_N[low + 1 : high + 1] += moved
                high += 1
                yield 0.0
            else:
                occupied_N[low + 1 : N] += moved[:-1]
                yield float(moved[-1])
            low, high = _trim(occupied_N, low, high)

    def pmf(self, horizon: int) -> NDArray[np.float64]:
        """P(T = t) for t = 0..horizon.

        Args:
            horizon: Last round, 0 or more.

        Returns:
            float64 (horizon + 1,).
        """
        out_T = np.zeros(domain.rounds("horizon", horizon) + 1)
        if len(self.log_odds_N) == 0:
            out_T[0] = 1.0
            return out_T
        for t, arrival in zip(range(1, horizon + 1), self._arrivals(), strict=False):
            out_T[t] = arrival
        return out_T

    def cdf(self, horizon: int) -> NDArray[np.float64]:
        """P(T <= t) for t = 0..horizon, float64 (horizon + 1,)."""
        return np.minimum(np.cumsum(self.pmf(horizon)), 1.0)

    def quantiles(self, levels: Sequence[float]) -> tuple[int, ...]:
        """Smallest t with P(T <= t) >= level, for each level.

        Exact (repeated squaring of the ladder's transition matrix, or the recursion) up to 400 rungs or
        50,000 rounds; a saddlepoint approximation, within 1% of a standard deviation, for a ladder long in
        both.

        Args:
            levels: Probabilities in (0, 1).

        Raises:
            InputError: A level is not a probability inside (0, 1).
        """
        wanted = [domain.open_unit("quantile level", level) for level in levels]
        if len(self.log_odds_N) == 0:
            return tuple(0 for _ in wanted)
        if len(self.log_odds_N) <= DOUBLING_RUNGS:
            return by_doubling(self.success_N, self.failure_N, wanted)
        if self.mean + 10.0 * self.sd > RECURSION_ROUNDS:
            return by_saddlepoint(self.success_N, self.failure_N, wanted)
        found: dict[float, int] = {}
        reached = 0.0
        for t, arrival in enumerate(self._arrivals(), start=1):
            reached += arrival
            found.update((level, t) for level in wanted if reached >= level and level not in found)
            if len(found) == len(set(wanted)) or t >= RECURSION_ROUNDS:
                break
        return tuple(found.get(level, RECURSION_ROUNDS) for level in wanted)


def hitting_law(p0: float, step: float, target: float) -> HittingLaw:
    """Law of the first round with Pass@1 >= target under one raw {0,1} rollout per round and SGD (theory §2).

    Args:
        p0: Base Pass@1, in (0, 1).
        step: Learning rate times gain, eta g, above 0.
        target: Pass@1 to reach, in (0, 1).

    Raises:
        InputError: An argument is outside its domain, or the ladder has more than two million rungs.
    """
    domain.open_unit("p0", p0)
    domain.open_unit("target", target)
    domain.positive("learning_rate", step)
    return HittingLaw(_rungs(p0, step, target, MAX_RUNGS))


def _occupation(log_odds_N: NDArray[np.float64], rounds: int) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """For t = 0..rounds the window of rungs and the law over it of the number of successes so far."""
    success_N, failure_N = expit(log_odds_N), expit(-log_odds_N)
    occupied_N = np.zeros(rounds + 2)
    occupied_N[0] = 1.0
    low, high = 0, 1
    for _ in range(rounds + 1):
        window = slice(low, high)
        yield window, occupied_N[window].copy()
        moved = occupied_N[window] * success_N[window]
        occupied_N[window] *= failure_N[window]
        occupied_N[low + 1 : high + 1] += moved
        high += 1
        low, high = _trim(occupied_N, low, high)


def pass_at_1_law(p0: float, step: float, rounds: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Law of Pass@1 after a number of rounds (theory §2).

    Returns:
        Support and probabilities, both float64 (N,): values p_k of the rungs and P(Pass@1 = p_k). Rungs of
        probability below 1e-40 are left out.

    Raises:
        InputError: An argument is outside its domain.
    """
    domain.open_unit("p0", p0)
    domain.positive("learning_rate", step)
    domain.rounds("rounds", rounds)
    log_odds_N = _rungs(p0, step, None, rounds + 1)
    *_, (window, occupied_N) = _occupation(log_odds_N, rounds)
    return np.asarray(expit(log_odds_N[window]), dtype=np.float64), occupied_N


def mean_curve(p0: float, step: float, rounds: int) -> NDArray[np.float64]:
    """E[Pass@1] after t = 0..rounds rounds, float64 (rounds + 1,), by the forward recursion (theory §2).

    Raises:
        InputError: An argument is outside its domain.
    """
    domain.open_unit("p0", p0)
    domain.positive("learning_rate", step)
    domain.rounds("rounds", rounds)
    return ladder_curve(_rungs(p0, step, None, rounds + 1), rounds)


def ladder_curve(log_odds_N: NDArray[np.float64], rounds: int) -> NDArray[np.float64]:
    """E[Pass@1] after t = 0..rounds rounds on a ladder with these rungs, at least rounds + 1 of them."""
    success_N = expit(log_odds_N)
    laws = _occupation(log_odds_N, rounds)
    return np.array([float(np.dot(occupied_N, success_N[window])) for window, occupied_N in laws])


def ladder_quantiles(
    log_odds_N: NDArray[np.float64], rounds: int, levels: Sequence[float]
) -> NDArray[np.float64]:
    """Quantiles of Pass@1 over seeds on a ladder, float64 (levels, rounds + 1); as `pass_at_1_quantiles`."""
    success_N = expit(log_odds_N)
    wanted = [domain.open_unit("quantile level", level) for level in levels]
    out = np.empty((len(wanted), rounds + 1))
    for t, (window, occupied_N) in enumerate(_occupation(log_odds_N, rounds)):
        reached_N = np.cumsum(occupied_N)
        at = np.minimum(np.searchsorted(reached_N, wanted), len(reached_N) - 1)
        out[:, t] = success_N[window][at]
    return out


def pass_at_1_quantiles(p0: float, step: float, rounds: int, levels: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles of Pass@1 over seeds after t = 0..rounds rounds, float64 (levels, rounds + 1) (theory §2).

    Args:
        p0: Base Pass@1, in (0, 1).
        step: Learning rate times gain, above 0.
        rounds: Last round.
        levels: Probabilities in (0, 1); the first rung whose cumulated probability reaches one is it.

    Raises:
        InputError: An argument is outside its domain.
    """
    domain.open_unit("p0", p0)
    domain.positive("learning_rate", step)
    domain.rounds("rounds", rounds)
    return ladder_quantiles(_rungs(p0, step, None, rounds + 1), rounds, levels)
