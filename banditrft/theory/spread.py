"""Spread over seeds around the mean field: the wait for a first lesson, then linear noise (theory §4).

Two sources of luck are told apart. *When the first round with any signal comes* is a geometric wait, kept
exactly: the recursion is started afresh for each of a few rounds j that it may be (blocks of the geometric
law), with the moments of a round that is known to teach, and with Adam's bias corrections at round j. *After
it* fluctuations are small: the covariance of the state (log-odds, Adam's moments) follows the recursion's
linearisation, driven by the variances and covariances of u and u^2 (`Walk`). Where the
mean path crosses a level after X rounds, at speed v and with spread sd of the log-odds, the time to the level
is taken as a gamma variable of mean X and standard deviation sd/v; T is the first whole round after it. The
law of Pass@1 at round t follows from P(p_t >= x) = P(T_x <= t), which takes a path to climb.

An approximation whose error docs/theory.md states.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammainc, ndtr

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.theory.adam import LARGEST_LEAP, Pace
from banditrft.theory.coordinates import Coordinates, advance, decay
from banditrft.theory.moments import Floats, RoundMoments

DIFFERENCE = 1e-4
"""Step in log-odds of numerical derivatives."""


def taught(now: RoundMoments) -> RoundMoments:
    """Moments of a round that is known to carry a signal (an idle one has u = 0)."""
    teaches = now.active
    raw2 = now.variance + now.drift**2
    raw3 = now.third + 3.0 * now.drift * now.variance + now.drift**3
    raw4 = now.fourth + 4.0 * now.drift * now.third + 6.0 * now.drift**2 * now.variance + now.drift**4
    drift, second, third, fourth = now.drift / teaches, raw2 / teaches, raw3 / teaches, raw4 / teaches
    return RoundMoments(
        drift=drift,
        variance=np.maximum(second - drift**2, 0.0),
        third=third - 3.0 * drift * second + 2.0 * drift**3,
        fourth=fourth - 4.0 * drift * third + 6.0 * drift**2 * second - 3.0 * drift**4,
        correct_energy=now.correct_energy / teaches,
        wrong_energy=now.wrong_energy / teaches,
        silent=now.silent,
        active=np.ones_like(now.active),
        push=now.push / teaches,
        push_second=now.push_second / teaches,
        wrong_signals=now.wrong_signals / teaches,
    )


class Walk:
    """Mean state and covariance of Q blocks: log-odds, then Adam's moments of C parameters."""

    def __init__(self, coordinates: Coordinates, design: Design, base: float, blocks: int) -> None:
        self.coordinates, self.design = coordinates, design
        C = len(coordinates.slope_C)
        self.states = 1 if design.optimizer == "sgd" else 1 + 2 * C
        self.log_odds_Q = np.full(blocks, base)
        self.first_QC, self.second_QC = np.zeros((blocks, C)), np.zeros((blocks, C))
        self.covariance_QDD = np.zeros((blocks, self.states, self.states))
        self.speed_Q, self.heard_Q = np.zeros((2, blocks))

    def sd_Q(self) -> Floats:
        """Standard deviation of the log-odds, (Q,)."""
        return np.asarray(np.sqrt(np.maximum(self.covariance_QDD[:, 0, 0], 0.0)))

    def round(self, t_Q: Floats, known: RoundMoments | None, rounds: int = 1) -> None:
        """One round, the t-th since the start, or a leap of ``rounds`` rounds, a power of two.

        ``known`` replaces the moments of a round that teaches. A leap takes the moments in its middle for all
        of its rounds.
        """
        coordinates, design = self.coordinates, self.design
        x_Q = self.log_odds_Q + self.speed_Q * (rounds - 1) / 2.0
        at_3Q = coordinates.law.moments(x_Q + np.array([[0.0], [DIFFERENCE], [-DIFFERENCE]]))
        now = known if known is not None else RoundMoments(*(_row(part) for part in _parts(at_3Q)))
        means_3QC, squares_3QC = coordinates.of(at_3Q)
        drift_slope_QC = (means_3QC[1] - means_3QC[2]) / (2.0 * DIFFERENCE)
        square_slope_QC = (squares_3QC[1] - squares_3QC[2]) / (2.0 * DIFFERENCE)
        mean_QC, square_QC = coordinates.of(now)
        step = advance(
            design,
            np.broadcast_to(mean_QC, self.first_QC.shape),
            np.broadcast_to(square_QC, self.first_QC.shape),
            self.first_QC,
            self.second_QC,
            t_Q[:, None],
            rounds,
        )
        if coordinates.quiet:
            memory, signals_Q = design.betas[1], coordinates.quiet * now.wrong_signals
            kept = memory**rounds
            self.heard_Q = kept * self.heard_Q + signals_Q * (1.0 - kept) / (1.0 - memory)
        slopes_QC = np.broadcast_to(coordinates.slopes(self.heard_Q), self.first_QC.shape)
        self._covariance(
            step.by_first_C, step.by_second_C, drift_slope_QC, square_slope_QC, now, slopes_QC, rounds
        )
        keep, rest = 1.0 - decay(design), coordinates.rest
        moved_Q = design.learning_rate * (step.step_C * slopes_QC).sum(axis=1)
        left = keep**rounds
        pull = 1.0 if keep == 1.0 else (1.0 - left) / (rounds * (1.0 - keep))
        after_Q = rest + left * (self.log_odds_Q - rest) + moved_Q * pull
        self.speed_Q, self.log_odds_Q = (after_Q - self.log_odds_Q) / rounds, after_Q
        self.first_QC, self.second_QC = step.first_C, step.second_C

    def _covariance(
        self,
        by_first_QC: Floats,
        by_second_QC: Floats,
        drift_slope_QC: Floats,
        square_slope_QC: Floats,
        now: RoundMoments,
        slopes_QC: Floats,
        rounds: int,
    ) -> None:
        """P <- A P A' + N S N', with A the recursion's derivative and S the covariance of (u, u^2)."""
        design, size_QC = self.design, np.broadcast_to(self.coordinates.noise(now), slopes_QC.shape)
        pull_QC, keep = design.learning_rate * slopes_QC, 1.0 - decay(design)
        Q, D, C = len(self.log_odds_Q), self.states, slopes_QC.shape[1]
        linear, noise = np.zeros((Q, D, D)), np.zeros((Q, D, 2))
        if design.optimizer == "sgd":
            linear[:, 0, 0] = keep + (drift_slope_QC * pull_QC).sum(axis=1)
            noise[:, 0, 0] = (pull_QC * size_QC).sum(axis=1)
        else:
            decay1, decay2 = design.betas
            moments = slice(1, 1 + C), slice(1 + C, 1 + 2 * C)
            index = np.arange(C)
            linear[:, 1 + index, 1 + index], linear[:, 1 + C + index, 1 + C + index] = decay1, decay2
            linear[:, moments[0], 0] = (1.0 - decay1) * drift_slope_QC
            linear[:, moments[1], 0] = (1.0 - decay2) * square_slope_QC
            noise[:, moments[0], 0], noise[:, moments[1], 1] = (
                (1.0 - decay1) * size_QC,
                (1.0 - decay2) * size_QC**2,
            )
            row = np.concatenate([by_first_QC * pull_QC, by_second_QC * pull_QC], axis=1)[:, None, :]
            linear[:, :1], noise[:, :1] = row @ linear[:, 1:], row @ noise[:, 1:]
            linear[:, 0, 0] += keep
        between, own = now.square_noise
        driver = np.empty((Q, 2, 2))
        driver[:, 0, 0], driver[:, 1, 1] = now.variance, own
        driver[:, 0, 1] = driver[:, 1, 0] = between
        fresh = noise @ driver @ noise.swapaxes(1, 2)
        for _ in range(rounds.bit_length() - 1):
            fresh = fresh + linear @ fresh @ linear.swapaxes(1, 2)
            linear = linear @ linear
        self.covariance_QDD = fresh + linear @ self.covariance_QDD @ linear.swapaxes(1, 2)


def _parts(moments: RoundMoments) -> list[Floats]:
    return [getattr(moments, name) for name in RoundMoments.__dataclass_fields__]


def _row(part: Floats) -> Floats:
    return np.asarray(part[0])


BLOCKS = 32
"""Blocks of the first teaching round's law."""
EVERY_ROUND = 500
"""Rounds after the first lesson that are followed one by one; after them a leap spans several."""
MOST_LEAPS = 2_000
MOST_POINTS = 20_000
"""Rounds up to which a law of hitting times is given round by round; beyond, at as many points."""
AGED = 40.0
"""Multiples of its memory after which Adam's bias corrections are 1 to double precision."""
SURE = 1e-9
RAREST = 1e-100
"""Least probability that a round teaches: squares of its inverse must be numbers."""
TAIL = 10.0
"""Standard deviations after which a hitting time's tail is cut."""
NORMAL = 1e3
"""Mean over standard deviation above which a gamma law is a normal one."""
LEVELS = 129
ROUNDING = 1e-9


@dataclass(frozen=True)
class SpreadPath:
    """Mean and spread of the log-odds after the first lesson, for each block of rounds that it may come in.

    Attributes:
        base: Log-odds before the first lesson.
        start_Q: Mean first teaching round of each block, (Q,).
        within_Q: Variance of the first teaching round inside each block, (Q,).
        weight_Q: Probability of each block, (Q,); sums to 1.
        log_odds_QT: Mean log-odds after ``rounds_T`` rounds counted from before the first lesson, (Q, T+1).
        sd_QT: Standard deviation of the log-odds, (Q, T+1).
        rounds_T: Rounds since, rising from 0: one by one at first, then by leaps, (T+1,).
    """

    base: float
    start_Q: Floats
    within_Q: Floats
    weight_Q: Floats
    log_odds_QT: Floats
    sd_QT: Floats
    rounds_T: Floats

    def crossing(self, log_odds: float) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the rounds to a level above the base, both (Q,); inf if never."""
        mean_Q, sd_Q = np.full((2, len(self.start_Q)), np.inf)
        for q, (path_T, spread_T) in enumerate(zip(self.log_odds_QT, self.sd_QT, strict=True)):
            k = int(np.argmax(path_T >= log_odds))
            if path_T[k] < log_odds:
                continue
            if k == 0:
                mean_Q[q], sd_Q[q] = 0.0, 0.0
                continue
            length = self.rounds_T[k] - self.rounds_T[k - 1]
            rise = path_T[k] - path_T[k - 1]
            part, speed = (log_odds - path_T[k - 1]) / rise, rise / length
            here = (1.0 - part) * spread_T[k - 1] + part * spread_T[k]
            mean_Q[q] = self.start_Q[q] - 1.0 + self.rounds_T[k - 1] + part * length
            sd_Q[q] = math.sqrt((here / speed) ** 2 + self.within_Q[q])
        return mean_Q, sd_Q

    def scatter(self, log_odds: float) -> float:
        """Largest standard deviation of the log-odds on the way to a level, mean over blocks, nats."""
        below_QT = self.log_odds_QT <= log_odds
        return float(self.weight_Q @ np.where(below_QT, self.sd_QT, 0.0).max(axis=1))

    def hitting_cdf(self, log_odds: float, rounds: Floats) -> Floats:
        """P(Pass@1's log-odds have reached a level by each of ``rounds``, (T,)), float64 (T,)."""
        total_T = np.zeros(len(rounds))
        for mean, sd, weight in zip(*self.crossing(log_odds), self.weight_Q, strict=True):
            total_T += weight * _gamma_cdf(rounds, mean, sd)
        return np.minimum(total_T, 1.0)

    def time_to(self, target: float) -> "SpreadTime":
        """Law of the first round with Pass@1 >= target, on a path followed that far.

        Raises:
            InputError: ``target`` is outside (0, 1).
        """
        end = domain.log_odds(domain.open_unit("target", target))
        mean_Q, sd_Q = self.crossing(end)
        horizon = math.ceil(float((mean_Q + TAIL * sd_Q).max())) + 1
        stride = max(1, -(-horizon // MOST_POINTS))
        rounds_T = np.arange(-(-horizon // stride) + 1, dtype=np.float64) * stride
        return SpreadTime(self.hitting_cdf(end, rounds_T), stride)

    def pass_at_1_quantiles(self, levels: Sequence[float], rounds: int) -> Floats:
        """Quantiles of Pass@1 over seeds after t = 0..rounds rounds, float64 (levels, rounds + 1)."""
        rounds_T = np.arange(domain.rounds("rounds", rounds) + 1, dtype=np.float64)
        heights_L = np.linspace(self.base, float(self.log_odds_QT[:, -1].max()), LEVELS)
        reached_LT = np.array([self.hitting_cdf(height, rounds_T) for height in heights_L])
        reached_LT = np.minimum.accumulate(reached_LT, axis=0)
        out = np.empty((len(levels), rounds + 1))
        for row, level in enumerate(levels):
            for t in range(rounds + 1):
                # P(log-odds >= height) falls with the height: where does it pass 1 - level?
                out[row, t] = np.interp(level - 1.0, -reached_LT[:, t], heights_L)
        return np.asarray(expit(out))


@dataclass(frozen=True)
class SpreadTime:
    """Law of the first round with Pass@1 >= target under the approximation above.

    Attributes:
        cdf_T: P(T <= t) for t = 0, stride, 2 stride, ...
        stride: Rounds between two of them.
    """

    cdf_T: Floats
    stride: int = 1

    @property
    def mean(self) -> float:
        """E[T], rounds."""
        # between two points the tail is taken as linear
        return float((1.0 - self.cdf_T).sum() * self.stride - (self.stride - 1) / 2.0)

    @property
    def sd(self) -> float:
        """Standard deviation, rounds."""
        tail_T = 1.0 - self.cdf_T
        square = float(((2.0 * np.arange(len(tail_T)) + 1.0) * tail_T).sum()) * self.stride**2
        square -= self.stride * (self.stride - 1) * float(tail_T.sum())
        return math.sqrt(max(square - self.mean**2, 0.0))

    def quantiles(self, levels: Sequence[float]) -> tuple[int, ...]:
        """Smallest t with P(T <= t) >= level, for each level in (0, 1)."""
        wanted = [domain.open_unit("quantile level", level) for level in levels]
        return tuple(int(np.searchsorted(self.cdf_T, level)) * self.stride for level in wanted)


def mixed_quantiles(
    mean_Q: Floats, sd_Q: Floats, weight_Q: Floats, levels: Sequence[float]
) -> tuple[float, ...]:
    """Rounds by level of a mixture of gamma variables, to a thousandth.

    Args:
        mean_Q: Means, rounds.
        sd_Q: Standard deviations.
        weight_Q: Their shares.
        levels: Probabilities in (0, 1).
    """

    def share(rounds: float) -> float:
        at = np.array([rounds])
        parts = zip(mean_Q, sd_Q, weight_Q, strict=True)
        return sum(float(weight * _gamma_cdf(at, mean, sd)[0]) for mean, sd, weight in parts)

    found = []
    for level in levels:
        low, high = 0.0, float((mean_Q + TAIL * sd_Q).max())
        while high - low > 1e-3 * high:
            middle = (low + high) / 2.0
            low, high = (middle, high) if share(middle) < level else (low, middle)
        found.append(high)
    return tuple(found)


def first_lessons(teaches: float) -> tuple[Floats, Floats, Floats]:
    """Blocks of a geometric law, the tail cut finer: mean round, variance inside, probability, each (Q,).

    Args:
        teaches: P(a round carries a signal), in (0, 1].
    """
    if teaches >= 1.0 - SURE:
        return np.ones(1), np.zeros(1), np.ones(1)
    log_stay = math.log1p(-teaches)
    survival_Q = (1.0 - np.arange(BLOCKS) / BLOCKS) ** 2
    starts_Q = np.unique(np.floor(np.log(survival_Q) / log_stay))
    lengths_Q = np.append(np.diff(starts_Q), np.inf)
    inside_Q = -np.expm1(lengths_Q * log_stay)
    weight_Q = np.exp(starts_Q * log_stay) * inside_Q
    finite_Q = np.where(np.isinf(lengths_Q), 0.0, lengths_Q)
    cut_Q = finite_Q * np.where(finite_Q > 0, np.exp(finite_Q * log_stay), 0.0) / inside_Q
    mean_Q = starts_Q + 1.0 / teaches - cut_Q
    within_Q = np.where(np.isinf(lengths_Q), (1.0 - teaches) / teaches**2, (finite_Q**2 - 1.0) / 12.0)
    return mean_Q, within_Q, weight_Q / weight_Q.sum()


def _gamma_cdf(rounds_T: Floats, mean: float, sd: float) -> Floats:
    """P(X <= t) of a gamma variable; of a normal one where they are the same; of a constant."""
    if math.isinf(mean):
        return np.zeros(len(rounds_T))
    if sd <= 0.0 or mean <= 0.0:
        return np.asarray(rounds_T >= mean - ROUNDING, dtype=np.float64)
    if mean > NORMAL * sd:
        return np.asarray(ndtr((rounds_T - mean) / sd))
    return np.asarray(gammainc((mean / sd) ** 2, rounds_T * mean / sd**2))


def spread(
    coordinates: Coordinates,
    design: Design,
    *,
    p0: float,
    target: float | None = None,
    rounds: int = 0,
    leap: float = LARGEST_LEAP,
    max_leaps: int = MOST_LEAPS,
) -> SpreadPath | None:
    """Follow mean and covariance until every block is beyond ``target``, and for ``rounds`` rounds at least.

    Args:
        coordinates: The parameters that move.
        design: Gives optimizer, learning_rate, betas, adam_eps and weight_decay.
        p0: Base Pass@1, in (0, 1).
        target: Pass@1 in (0, 1) to run on for: 500 rounds one by one, then by leaps.
        rounds: Rounds to cover in any case.
        leap: Log-odds that a leap may cover.
        max_leaps: Most leaps.

    Returns:
        None where the target is not reached in ``max_leaps``, or no round teaches.

    Raises:
        InputError: An argument is outside its domain.
    """
    base = domain.log_odds(domain.open_unit("p0", p0))
    end = -math.inf if target is None else domain.log_odds(domain.open_unit("target", target))
    now = coordinates.law.moments(np.array([base]))
    teaches = float(now.active[0]) if decay(design) == 0.0 else 1.0
    if teaches <= 0.0:
        return None
    if teaches < RAREST:
        raise InputError(
            f"p0: a round must teach with a probability of at least {RAREST:g} at the base, got {teaches:g}"
        )
    start_Q, within_Q, weight_Q = first_lessons(teaches)
    ages_A, which_Q = np.unique(_ages(design, start_Q), return_inverse=True)
    walk, pace = Walk(coordinates, design, base, len(ages_A)), Pace(leap)
    means, sds, rounds_T = [walk.log_odds_Q], [walk.sd_Q()], [0]
    while rounds_T[-1] < rounds or not np.all(walk.log_odds_Q >= end):
        k = rounds_T[-1]
        if len(means) > EVERY_ROUND + max_leaps:
            return None
        span = 1 if k < EVERY_ROUND else pace.next(float(np.abs(walk.speed_Q).max()), k)
        walk.round(ages_A + k, taught(now) if k == 0 else None, span)
        means.append(walk.log_odds_Q)
        sds.append(walk.sd_Q())
        rounds_T.append(k + span)
    path_QT, sd_QT = (np.array(part).T[which_Q] for part in (means, sds))
    return SpreadPath(base, start_Q, within_Q, weight_Q, path_QT, sd_QT, np.array(rounds_T, dtype=np.float64))


def _ages(design: Design, start_Q: Floats) -> Floats:
    """Round of the first lesson as far as the optimiser knows it: SGD has no memory, Adam's ends."""
    if design.optimizer == "sgd":
        return np.ones_like(start_Q)
    memory = 1.0 / (1.0 - max(design.betas))
    return np.minimum(start_Q, AGED * memory)
