"""The sequence bandit: a response is T softmax choices, and the reward asks for all of them (theory §10).

Position t is right with probability q_t = sigmoid(l_t), l_t its *gap*, and w_t = 1 - q_t. Pass@1 is p, the
product of all q_t, and u = -log p. A position's gradient is x_t = y_t - q_t per unit of signal, where y_t = 1
if it is right. Three questions of geometry decide everything else:

- *Parameters.* "direction": one trainable gap a position, on which all wrong options agree. "table": a logit
  for every option; a wrong option has an optimiser state of its own.
- *Prefixes.* All prefixes share a position's parameters; or ("tree") a token after a wrong one belongs to
  another node, so that a response touches positions up to its first error only.
- *Length.* T = 1 and "table" is the bandit of theory §1.

Given the right answer x_t is w_t. Given a wrong one its mean is -p w/(1-p) in both cases, its second moment

    [(q-p) w^2 + w q^2]/(1-p),  of a tree  [(Q_t - p) w^2 + Q_(t-1) w q^2]/(1-p),  Q_t = q_1 ... q_t.

A success moves all positions together, a failure under a baseline moves them apart: that noise, of order w
where the drift is of order w^2, is what a baseline costs under Adam.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.special import expit, lambertw, log_expit, logit

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.theory.adam import EVERY_ROUND, LARGEST_LEAP, MOST_LEAPS, MeanField, Pace
from banditrft.theory.batches import BatchLaw
from banditrft.theory.coordinates import advance, decay
from banditrft.theory.groups import GroupLaw
from banditrft.theory.hitting import MAX_RUNGS, HittingLaw
from banditrft.theory.matching import matched_law
from banditrft.theory.moments import Floats
from banditrft.theory.spread import first_lessons
from banditrft.worlds import SequenceWorld
from banditrft.worlds.sequence import LEAST_BASE, LONGEST, MOST_OPTIONS

OPTIMIZERS = ("sgd", "adam", "adamw")
LARGEST_RATE = 1e100
"""Largest learning rate, far from the end of double precision."""
NEAREST = -1e-300
"""Log Pass@1 beyond which a policy counts as one that never fails."""
SMALL_STEP = 0.01
"""Step of a gap up to which a ladder follows the flow closely."""
FEW = 8
"""Kinds of positions up to which paths are followed from more than one first lesson."""
NODES = 8
"""Rounds of a first lesson from which a path is followed; between them arrivals are interpolated."""


@dataclass(frozen=True)
class Positions:
    """The positions of a response, in order.

    Attributes:
        gap_T: Log-odds of the right option at each position, right prefix given, (T,).
        options: V, options of a position, at least 2.
        table: Whether every option has a logit of its own; else one gap is trained a position.
        tree: Whether a position after a wrong one belongs to other parameters.
    """

    gap_T: Floats
    options: int = 2
    table: bool = False
    tree: bool = False

    @classmethod
    def equal(
        cls, p0: float, length: int, *, options: int = 2, table: bool = False, tree: bool = False
    ) -> "Positions":
        """T positions of one probability q = p0^(1/T).

        Args:
            p0: Base Pass@1, in (0, 1).
            length: T, 1 to 4,096.
            options: V, 2 to 200,000.
            table: Whether every option has a logit of its own.
            tree: Whether a position after a wrong one belongs to other parameters.

        Raises:
            InputError: An argument is outside its domain.
        """
        domain.open_unit("p0", p0)
        if not 1 <= length <= LONGEST:
            raise InputError(f"tokens: must be 1 to {LONGEST:,}, got {length}")
        each = math.log(p0) / length
        return cls.of(np.full(length, math.exp(each)), options=options, table=table, tree=tree)

    @classmethod
    def of(
        cls, profile: ArrayLike, *, options: int = 2, table: bool = False, tree: bool = False
    ) -> "Positions":
        """Positions with given probabilities of the right option.

        Args:
            profile: (T,), each in (0, 1).
            options: V, 2 to 200,000.
            table: Whether every option has a logit of its own.
            tree: Whether a position after a wrong one belongs to other parameters.

        Raises:
            InputError: The profile is empty or too long, or a number is outside its domain.
        """
        profile_T = np.asarray(profile, dtype=np.float64).ravel()
        if not 1 <= profile_T.size <= LONGEST:
            raise InputError(f"profile: must hold 1 to {LONGEST:,} positions, got {profile_T.size}")
        if not np.all((profile_T > 0.0) & (profile_T < 1.0)):
            outside = profile_T[~((profile_T > 0.0) & (profile_T < 1.0))][0]
            raise InputError(f"profile: must lie in (0, 1), got {outside:g}")
        if np.log(profile_T).sum() < math.log(LEAST_BASE):
            raise InputError(f"profile: its product, the base Pass@1, must be at least {LEAST_BASE:g}")
        if not 2 <= options <= MOST_OPTIONS:
            raise InputError(f"vocabulary: must be 2 to {MOST_OPTIONS:,}, got {options}")
        return cls(np.asarray(logit(profile_T), dtype=np.float64), options, table, tree)

    def __len__(self) -> int:
        return int(self.gap_T.size)

    @property
    def log_p(self) -> float:
        """Log Pass@1, exact however near to 0 or 1."""
        return log_pass(self.gap_T)

    @property
    def pass_at_1(self) -> float:
        """Pass@1."""
        return math.exp(self.log_p)

    @property
    def effective_length(self) -> float:
        """(sum w)^3/(sum w^1.5)^2: the equal positions at which few rollouts pay as much for a baseline."""
        w_T = expit(-self.gap_T)
        return float(w_T.sum()) ** 3 / float((w_T**1.5).sum()) ** 2


def positions_of(world: SequenceWorld) -> Positions:
    """The positions of a world's settings."""
    return Positions.of(
        world.probabilities(),
        options=world.vocabulary,
        table=world.geometry == "table",
        tree=world.prefixes == "tree",
    )


def log_pass(gap_T: Floats) -> float:
    """Log of the probability that all positions are right."""
    return math.fsum(log_expit(gap_T))


def log_odds_of(log_p: float) -> float:
    """Log-odds of a probability given by its logarithm, exact at both ends; inf for log 1."""
    return math.inf if log_p >= 0.0 else log_p - math.log(-math.expm1(log_p))


# --- one rollout, raw {0,1} reward, SGD: a ladder


def sequence_law(positions: Positions, learning_rate: float, target: float) -> HittingLaw:
    """Law of the first round with Pass@1 >= target: one raw {0,1} rollout a round, SGD, any profile.

    A failure changes nothing and a success raises every gap by learning_rate w_t, so Pass@1 climbs a fixed
    ladder and waits a geometric number of rounds on each rung, as in theory §2. Exact for "direction" and
    "table", with or without a tree: a success touches all positions, and all wrong options of a position fall
    together.

    Args:
        positions: The response.
        learning_rate: Step of a gap per unit of gradient, above 0.
        target: Pass@1 to reach, in (0, 1).

    Raises:
        InputError: An argument is outside its domain, or the ladder has more than two million rungs.
    """
    end = domain.log_odds(domain.open_unit("target", target))
    step = domain.positive("learning_rate", learning_rate) * _gain(positions)
    # small steps follow the flow, which says at once that a ladder would be far too long
    hopeless = step <= SMALL_STEP and _push(positions, math.log(target)) > 2.0 * MAX_RUNGS * step
    rungs = sequence_rungs(positions, learning_rate, end, 0 if hopeless else MAX_RUNGS)
    if hopeless or len(rungs) == MAX_RUNGS:
        raise InputError(
            f"learning_rate: a step of {learning_rate:g} takes over {MAX_RUNGS:,} successes to {target!r}"
        )
    return HittingLaw(rungs)


def sequence_rungs(positions: Positions, learning_rate: float, end: float, most: int) -> Floats:
    """Log-odds of Pass@1 on the rungs of that ladder, below ``end`` (inf is no end), at most so many."""
    domain.positive("learning_rate", learning_rate)
    step = learning_rate * _gain(positions)
    gap_U, count_U = _distinct(positions.gap_T)
    rungs: list[float] = []
    now = log_odds_of(float(count_U @ log_expit(gap_U)))
    while len(rungs) < most and (now < end or math.isinf(end)):
        rungs.append(now)
        gap_U = gap_U + step * expit(-gap_U)
        now = log_odds_of(float(count_U @ log_expit(gap_U)))
    return np.array(rungs, dtype=np.float64)


def _gain(positions: Positions) -> float:
    """How far a success moves a gap, over eta w: a table's wrong logits, all equal, fall by equal parts."""
    return positions.options / (positions.options - 1) if positions.table else 1.0


def _distinct(gap_T: Floats) -> tuple[Floats, Floats]:
    """Distinct gaps and how often each occurs: equal positions stay equal."""
    gap_U, count_U = np.unique(gap_T, return_counts=True)
    return gap_U, count_U.astype(np.float64)


# --- the flow of small steps


def flow_time(positions: Positions, learning_rate: float, target: float) -> float:
    """Rounds that the flow of small steps takes to a Pass@1, raw {0,1} reward under SGD, "direction".

    dl_t/dt = eta p w_t for every position. In the time s = integral of eta p dt all gaps move on their own,
    l + e^l = const + s, so that one integral is left: t = integral of ds/(eta p(s)). Equal positions:
    du/dt = -eta T p (1 - e^(-u/T))^2.

    Args:
        positions: The response.
        learning_rate: eta, above 0.
        target: Pass@1 to reach, in (0, 1); at or below the base the time is 0.

    Raises:
        InputError: An argument is outside its domain.
    """
    domain.positive("learning_rate", learning_rate)
    end = _push(positions, math.log(domain.open_unit("target", target)))
    # substitute s = e^y - 1: the integrand falls over many scales
    value, _ = quad(
        lambda y: math.exp(y - _pushed(positions, math.expm1(y))),
        0.0,
        math.log1p(end),
        limit=400,
        epsrel=1e-11,
    )
    return float(value) / learning_rate


def _push(positions: Positions, end: float) -> float:
    """The s after which the flow's log Pass@1 is ``end``; 0 where it starts there."""
    if _pushed(positions, 0.0) >= end:
        return 0.0
    low, high = 0.0, 1.0
    while _pushed(positions, high) < end:
        high *= 2.0
    while high - low > 1e-14 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _pushed(positions, middle) < end else (low, middle)
    return high


def _pushed(positions: Positions, s: float) -> float:
    """Log Pass@1 of the flow after s."""
    gap_U, count_U = _distinct(positions.gap_T)
    start_U = gap_U + np.exp(np.minimum(gap_U, 700.0))
    return float(count_U @ log_expit(_gap_after(start_U + s)))


def _gap_after(total_U: Floats) -> Floats:
    """The gap l with l + e^l = total."""
    small = np.minimum(total_U, 600.0)
    by_w = total_U - lambertw(np.exp(small)).real
    by_newton = np.log(np.maximum(total_U, 1.0))
    for _ in range(6):
        by_newton = by_newton - (by_newton + np.exp(by_newton) - total_U) / (1.0 + np.exp(by_newton))
    return np.asarray(np.where(total_U > 600.0, by_newton, by_w), dtype=np.float64)


# --- moments of a round


@dataclass(frozen=True)
class Gradients:
    """Moments of one round's gradients at some state of the policy.

    Attributes:
        mean_T: E g of each position's gap, or of its right option's logit, (T,).
        second_T: E g^2, (T,).
        wrong_mean_T: E g of a wrong option's logit, (T,); None for "direction".
        wrong_second_T: Its second moment, (T,).
    """

    mean_T: Floats
    second_T: Floats
    wrong_mean_T: Floats | None = None
    wrong_second_T: Floats | None = None


def gradients(law: GroupLaw, positions: Positions, gap_T: Floats | None = None) -> Gradients:
    """Moments of a round's gradients, any signal of a two-valued reward.

    Given the rewards of a group its rollouts are independent; a high reward belongs to a right answer with
    the probability that the reward map leaves. Hence for every noise E g is proportional to
    J = P(high | right) - P(high | wrong).

    Args:
        law: The design's rounds (`banditrft.theory.matching.matched_law`).
        positions: Geometry, and the gaps where ``gap_T`` is not given.
        gap_T: Gaps, (T,), all wrong options of a position equal.
    """
    gap_T = positions.gap_T if gap_T is None else gap_T
    before_T = np.exp(np.concatenate([[0.0], np.cumsum(log_expit(gap_T))[:-1]])) if positions.tree else None
    return _gradients(law, positions, gap_T, log_pass(gap_T), before_T)


def _gradients(
    law: GroupLaw, positions: Positions, gap_T: Floats, log_p: float, before_T: Floats | None
) -> Gradients:
    """:func:`gradients` of some positions of a response; ``before_T`` of a tree is Q_(t-1), else None."""
    log_p = min(log_p, NEAREST)
    p, fails = math.exp(log_p), -math.expm1(log_p)
    q_T, w_T = expit(gap_T), expit(-gap_T)
    reached_T = np.ones_like(gap_T) if before_T is None else before_T
    weight_S = law.weights(log_odds_of(log_p))
    # given a wrong answer: the position is touched and right, or touched and wrong
    spared_T = np.maximum(reached_T * q_T - p, 0.0) / fails
    missed_T = reached_T * w_T / fails
    given_wrong = -p * w_T / fails, spared_T * w_T**2 + missed_T * q_T**2
    mean_T, second_T = _of_round(law, weight_S, p, fails, (w_T, w_T**2), given_wrong)
    if not positions.table:
        return Gradients(mean_T, second_T)
    wrong_T = w_T / (positions.options - 1)
    taken_T = reached_T * wrong_T / fails
    other_T = np.maximum(reached_T * (1.0 - wrong_T) - p, 0.0) / fails
    given_wrong = p * wrong_T / fails, taken_T * (1.0 - wrong_T) ** 2 + other_T * wrong_T**2
    wrong_mean_T, wrong_second_T = _of_round(law, weight_S, p, fails, (-wrong_T, wrong_T**2), given_wrong)
    return Gradients(mean_T, second_T, wrong_mean_T, wrong_second_T)


def _of_round(
    law: GroupLaw,
    weight_S: Floats,
    p: float,
    fails: float,
    right: tuple[Floats, Floats],
    wrong: tuple[Floats, Floats],
) -> tuple[Floats, Floats]:
    """E g and E g^2 of a parameter from x's mean and second moment given a right and a wrong answer."""
    (b, a), G, H_S = law.chances, law.rollouts, law.fresh_S
    mean_TS = np.zeros((right[0].size, weight_S.size))
    noise_TS = np.zeros_like(mean_TS)
    for count_S, signal_S, says_right, says_wrong in (
        (H_S, law.high_S, a, b),
        (G - H_S, law.low_S, 1.0 - a, 1.0 - b),
    ):
        said = p * says_right + fails * says_wrong
        share = p * says_right / said if said > 0.0 else 0.0
        mean_T = share * right[0] + (1.0 - share) * wrong[0]
        spread_T = share * right[1] + (1.0 - share) * wrong[1] - mean_T**2
        mean_TS += np.outer(mean_T, count_S * signal_S)
        noise_TS += np.outer(np.maximum(spread_T, 0.0), count_S * signal_S**2)
    mean_TS, noise_TS = mean_TS / G, noise_TS / G**2
    mean_T = mean_TS @ weight_S
    second_T = (mean_TS**2 + noise_TS) @ weight_S
    return mean_T, second_T / law.copies + (1.0 - 1.0 / law.copies) * mean_T**2


def speed(law: GroupLaw, positions: Positions) -> float:
    """Speed of log p under Adam at a frozen policy per unit of learning rate: sum of w E g/sqrt(E g^2)."""
    found = gradients(law, positions)
    moved_T = _ratio(found.mean_T, found.second_T)
    if found.wrong_mean_T is not None and found.wrong_second_T is not None:
        moved_T = moved_T - _ratio(found.wrong_mean_T, found.wrong_second_T)
    return float(expit(-positions.gap_T) @ moved_T)


def _ratio(mean_T: Floats, second_T: Floats) -> Floats:
    root_T = np.sqrt(second_T)
    return np.asarray(np.divide(mean_T, root_T, out=np.zeros_like(mean_T), where=root_T > 0))


def baseline_cost(q: float, p: float, rollouts: int) -> float:
    """1/s^2 of RLOO minus 1/s^2 of raw, s the stationary speed of a gap under Adam ("direction", no tree).

    Args:
        q: Probability of the right option at the position, in (0, 1).
        p: Pass@1, in (0, q].
        rollouts: G, at least 2.

    Raises:
        InputError: An argument is outside its domain.
    """
    domain.open_unit("q", q)
    domain.open_unit("p", p)
    if rollouts < 2:
        raise InputError(f"rollouts: RLOO needs at least 2, got {rollouts}")
    w, G, fails = 1.0 - q, rollouts, 1.0 - p
    apart = (1.0 - 2.0 * p) / p * (1.0 / w - 1.0 / fails)
    return (G * (1.0 / w - 3.0) + 5.0 - 1.0 / fails + apart) / (G * (G - 1.0))


def crossing(q: float, p: float) -> float:
    """Rollouts above which RLOO is faster than raw under Adam at a frozen policy; inf where it never is.

    Args:
        q: Probability of the right option at the position, in (0, 1).
        p: Pass@1, in (0, q].
    """
    w, fails = 1.0 - q, 1.0 - p
    if w <= 1.0 / 3.0:
        return math.inf
    apart = (1.0 - 2.0 * p) / p * (1.0 / w - 1.0 / fails)
    return (5.0 - 1.0 / fails + apart) / (3.0 - 1.0 / w)


# --- whole runs


@dataclass(frozen=True)
class SequencePath(MeanField):
    """A mean-field trajectory; ``log_odds_T`` are those of Pass@1.

    Attributes:
        gap_T: Gaps where the path ends, (T,).
    """

    gap_T: Floats = field(default_factory=lambda: np.empty(0))


def sequence_mean_field(
    design: Design,
    positions: Positions,
    *,
    rounds: int = 0,
    target: float | None = None,
    lesson: int | None = None,
    leap: float = LARGEST_LEAP,
    max_leaps: int = MOST_LEAPS,
) -> SequencePath:
    """Mean-field trajectory of the sequence bandit: the recursion of theory §4, position by position.

    Args:
        design: Any signal; a two-valued reward; sgd, adam or adamw. A batch is B copies of the query.
        positions: The response.
        rounds: Rounds to run one by one in any case.
        target: Pass@1 to run on for, in (0, 1): one by one for 500 rounds, then by leaps.
        lesson: Start at the first round that carries a signal, and this is its number: its moments are those
            of a round that is known to teach, and Adam's bias corrections are of its age.
        leap: Log-odds that a leap may cover.
        max_leaps: Give up on ``target`` after so many.

    Raises:
        InputError: An argument is outside its domain, or the design has no closed form here.
    """
    law = sequence_round_law(design, positions)
    end = -math.inf if target is None else domain.log_odds(domain.open_unit("target", target))
    domain.rounds("rounds", rounds)
    first_U, count_U = _alike(positions)
    start_U = positions.gap_T[first_U]
    rest = -math.log(positions.options - 1.0)
    keep = 1.0 - decay(design)
    gap_U = start_U.copy()
    coordinates = gap_U.size * (2 if positions.table else 1)
    first_C, second_C = np.zeros((2, coordinates))
    log_odds = log_odds_of(float(count_U @ log_expit(gap_U)))
    teaches = float(law.moments(log_odds).active)
    path: list[float] = [log_odds]
    later: list[tuple[int, float]] = []
    pace, t, speed_U, pace_speed = Pace(leap), 0, np.zeros_like(gap_U), 0.0
    while t < rounds or (log_odds < end and t < 10**15 and len(later) < max_leaps):
        span = 1 if t < max(rounds, EVERY_ROUND) else pace.next(pace_speed, t)
        here_U = gap_U + speed_U * (span - 1) / 2.0  # the middle of a leap stands for all of it
        log_q_U = log_expit(here_U)
        before_U = np.exp(np.cumsum(log_q_U) - log_q_U) if positions.tree else None
        found = _gradients(law, positions, here_U, float(count_U @ log_q_U), before_U)
        mean_C, square_C = found.mean_T, found.second_T
        if found.wrong_mean_T is not None and found.wrong_second_T is not None:
            mean_C = np.concatenate([mean_C, found.wrong_mean_T])
            square_C = np.concatenate([square_C, found.wrong_second_T])
        if lesson is not None and t == 0:
            mean_C, square_C = mean_C / teaches, square_C / teaches
        step = advance(design, mean_C, square_C, first_C, second_C, t + (lesson or 1), span)
        first_C, second_C = step.first_C, step.second_C
        moved_U = step.step_C[: gap_U.size].copy()
        if positions.table:
            moved_U -= step.step_C[gap_U.size :]
        left = keep**span
        pull = 1.0 if keep == 1.0 else (1.0 - left) / (span * (1.0 - keep))
        after_U = rest + left * (gap_U - rest) + design.learning_rate * moved_U * pull
        after = log_odds_of(float(count_U @ log_expit(after_U)))
        speed_U, pace_speed = (after_U - gap_U) / span, (after - log_odds) / span
        gap_U, log_odds, t = after_U, after, t + span
        if t <= max(rounds, EVERY_ROUND):
            path.append(log_odds)
        else:
            later.append((t, log_odds))
    later_N, later_log_odds_N = np.array(later, dtype=np.float64).reshape(-1, 2).T
    ends_T = gap_U if positions.tree else gap_U[np.searchsorted(start_U, positions.gap_T)]
    return SequencePath(np.array(path), later_N, later_log_odds_N, ends_T)


def rounds_with_wait(design: Design, positions: Positions, target: float) -> float | None:
    """Mean rounds to a Pass@1 with the wait for the first lesson; None where it is not reached.

    Until the first round with a signal nothing moves. That wait is geometric (theory §4): the recursion
    starts at that round, for blocks of its law, and is averaged.

    Args:
        design: As for :func:`sequence_mean_field`.
        positions: The response.
        target: Pass@1 to reach, in (0, 1).

    Raises:
        InputError: As :func:`sequence_mean_field`, or a round almost never teaches.
    """
    law = sequence_round_law(design, positions)
    if positions.log_p >= math.log(domain.open_unit("target", target)):
        return 0.0
    teaches = float(law.moments(log_odds_of(positions.log_p)).active)
    if teaches <= 0.0:
        return None
    start_Q, _, weight_Q = first_lessons(teaches)
    if design.optimizer == "sgd" or positions.tree or _alike(positions)[0].size > FEW:
        # one path from the mean wait: SGD does not know the round, and many positions take their time
        start_Q, weight_Q = np.array([float(start_Q @ weight_Q)]), np.ones(1)
    grown = math.ceil(40.0 / (1.0 - max(design.betas)))  # its bias corrections are 1 to rounding
    age_Q = np.ones(start_Q.size) if design.optimizer == "sgd" else np.clip(np.rint(start_Q), 1, grown)
    nodes_N = np.unique(age_Q)
    if nodes_N.size > NODES:  # a path changes smoothly with the age at which it starts
        nodes_N = nodes_N[np.unique(np.rint(np.linspace(0, nodes_N.size - 1, NODES)).astype(np.int64))]
    arrival_N = np.empty(nodes_N.size)
    for i, age in enumerate(nodes_N):
        arrival = sequence_mean_field(design, positions, target=target, lesson=int(age)).rounds_to(target)
        if arrival is None:
            return None
        arrival_N[i] = arrival
    return float(weight_Q @ (start_Q - 1.0 + np.interp(age_Q, nodes_N, arrival_N)))


def sequence_round_law(design: Design, positions: Positions) -> GroupLaw:
    """The law of a design's rounds on a response.

    Raises:
        InputError: The design has none: gpg over several queries, a KL penalty, several updates, clipping.
    """
    if design.optimizer not in OPTIMIZERS:
        raise InputError(f"optimizer: the closed forms cover {OPTIMIZERS}, got {design.optimizer!r}")
    for name, value in {"kl_coef": 0.0, "updates_per_round": 1, "grad_clip": None}.items():
        if getattr(design, name) != value:
            got = getattr(design, name)
            raise InputError(f"{name}: the sequence bandit's closed forms cover {value!r}, got {got!r}")
    if design.learning_rate > LARGEST_RATE:
        raise InputError(
            f"learning_rate: closed forms cover at most {LARGEST_RATE:g}, got {design.learning_rate:g}"
        )
    if decay(design) >= 1.0:
        raise InputError(
            "weight_decay: times learning_rate must be below 1, or a step takes every gap away, got "
            f"{design.weight_decay!r} x {design.learning_rate!r}"
        )
    law = matched_law(design, positions.pass_at_1)
    if isinstance(law, BatchLaw):
        raise InputError(
            "signal: gpg over a batch of several copies has no closed form in the sequence bandit"
        )
    return law


def _alike(positions: Positions) -> tuple[NDArray[np.int64], Floats]:
    """Which positions stand for all that move alike, and for how many; in a tree each for itself alone."""
    if positions.tree:
        return np.arange(len(positions)), np.ones(len(positions))
    _, first_U, count_U = np.unique(positions.gap_T, return_index=True, return_counts=True)
    return first_U.astype(np.int64), count_U.astype(np.float64)
