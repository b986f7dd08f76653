"""Where group-normalised updates against a KL penalty end: fixed points and two-cycles (theory §7).

Maximising E[advantage] - beta KL(pi, pi_ref) exactly, with advantages normalised at the previous policy's p,
gives logit h(p) = logit p_ref + Omega(p)/beta with Omega(p) = (p(1-p) + eps)^(-1/2) (arXiv 2503.06639).
Without the division (Dr.GRPO) Omega is 1 and one step arrives. In the log-odds l the map is
f(l) = l_ref + Omega/beta: it falls for l < 0, has its least value at 0, and rises for l > 0, steepest where
p(1-p) = 2 eps/(1 + 12 eps) and less so on either side. Hence f(l) - l has at most two turning points, both at
l > 0, and at most three zeros, each of which is bracketed. A two-cycle a < b has a < 0 (f rises for l > 0);
it lies around a fixed point below p = 1/2, and there is no cycle without one.

Not a model of a run: the inner maximisation is exact and there is no sampling noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import is_honest, reward_map
from banditrft.theory import domain

CYCLE_GRID = 4000
"""Starts of the search for two-cycles, spaced geometrically in their distance from the fixed point."""
NEAREST = 1e-6
"""Cycles closer to the fixed point than this (in log-odds) are not told from it."""

MOST_HALVINGS = 2000
SMALLEST_EPS = 1e-100
"""Least kl_coef x signal_eps for which `rest` answers."""
SMALLEST_SCALE = 1e-200
"""Least beta sqrt(eps): the log-odds of fixed points go up to its inverse."""


@dataclass(frozen=True)
class FixedPoint:
    """A policy that the map returns unchanged (theory §7).

    Attributes:
        log_odds: Log-odds of Pass@1.
        multiplier: h'(p*), the factor by which a small deviation grows per iteration.
    """

    log_odds: float
    multiplier: float

    @property
    def p(self) -> float:
        """Pass@1, in (0, 1); rounds to 1 far above it."""
        return float(expit(self.log_odds))

    @property
    def stable(self) -> bool:
        """Whether small deviations die out, |h'(p*)| < 1."""
        return abs(self.multiplier) < 1.0


@dataclass(frozen=True)
class TwoCycle:
    """Two policies that the map exchanges (theory §7).

    Attributes:
        low: Log-odds of the worse one, below 0.
        high: Log-odds of the better one.
        multiplier: h'(low) h'(high), the factor by which a small deviation grows per two iterations.
    """

    low: float
    high: float
    multiplier: float

    @property
    def p(self) -> tuple[float, float]:
        """Pass@1 of both, the worse first."""
        return float(expit(self.low)), float(expit(self.high))

    @property
    def attracting(self) -> bool:
        """Whether small deviations die out."""
        return abs(self.multiplier) < 1.0


@dataclass(frozen=True)
class GrpoMap:
    """One exact iteration of GRPO with a KL penalty to the reference policy (arXiv 2503.06639; theory §7).

    Attributes:
        beta: Weight of the KL penalty, above 0.
        p_ref: Pass@1 of the reference policy, in (0, 1).
        eps: Added to the reward's *variance* inside the root, above 0 (a design's ``signal_eps`` is added to
            the standard deviation instead).

    Raises:
        InputError: A value is outside its domain.
    """

    beta: float
    p_ref: float
    eps: float = 1e-5

    def __post_init__(self) -> None:
        domain.positive("beta", self.beta)
        domain.open_unit("p_ref", self.p_ref)
        domain.positive("eps", self.eps)
        if self.beta * math.sqrt(self.eps) < SMALLEST_SCALE:
            raise InputError(
                f"beta: times the root of eps = {self.eps!r} must be at least {SMALLEST_SCALE:g}, "
                f"got {self.beta!r}"
            )

    def next_log_odds(self, log_odds: float) -> float:
        """f(l): log-odds after one iteration."""
        return domain.log_odds(self.p_ref) + 1.0 / (math.sqrt(_variance(log_odds) + self.eps) * self.beta)

    def slope(self, log_odds: float) -> float:
        """f'(l), which at a fixed point equals h'(p*) (the change of coordinates cancels)."""
        variance = _variance(log_odds)
        scale = variance + self.eps
        return variance / scale * math.tanh(log_odds / 2.0) / (math.sqrt(scale) * 2.0 * self.beta)

    def next_pass_at_1(self, p: float) -> float:
        """h(p): Pass@1 after one iteration from ``p`` in (0, 1).

        Raises:
            InputError: ``p`` is outside (0, 1).
        """
        return float(expit(self.next_log_odds(domain.log_odds(domain.open_unit("p", p)))))

    def iterate(self, p: float, iterations: int) -> NDArray[np.float64]:
        """Pass@1 after 0..n iterations from ``p`` in (0, 1), float64 (n+1,).

        Raises:
            InputError: ``p`` is outside (0, 1) or ``iterations`` is negative.
        """
        path = [domain.log_odds(domain.open_unit("p", p))]
        for _ in range(domain.rounds("iterations", iterations)):
            path.append(self.next_log_odds(path[-1]))
        return np.asarray(expit(np.array(path)), dtype=np.float64)

    def fixed_points(self) -> list[FixedPoint]:
        """All fixed points, one to three, the worst first (theory §7).

        A double zero, where two fixed points are born, may be missed; it is stable on neither side.
        """
        least, greatest = self._least(), self._greatest()
        edges = [least - abs(least) - 1.0, *self._turning_points(), greatest + abs(greatest) + 1.0]
        found = []
        for start, end in pairwise(sorted(edges)):
            if self._excess(start) * self._excess(end) < 0.0:
                at = _root(self._excess, start, end)
                found.append(FixedPoint(at, self.slope(at)))
        return found

    def two_cycles(self) -> list[TwoCycle]:
        """Two-cycles found, the tightest around the fixed point first (theory §7).

        At most one has a better policy with p >= 1/2, because f(f(l)) falls there. Two cycles closer together
        than the search grid are missed; longer cycles are not looked for.
        """
        below = [point.log_odds for point in self.fixed_points() if point.log_odds < 0.0]
        if not below:
            return []
        centre, least = below[0], self._least()
        reach = centre - least
        if reach <= NEAREST:
            return []
        starts = centre - np.geomspace(NEAREST, reach, CYCLE_GRID)
        starts[-1] = least - NEAREST
        values = [self._return(start) for start in starts]
        found = []
        for (near, far), (here, there) in zip(pairwise(starts), pairwise(values), strict=True):
            if here * there < 0.0:
                low = _root(self._return, far, near)
                high = self.next_log_odds(low)
                found.append(TwoCycle(low, high, self.slope(low) * self.slope(high)))
        return found

    def _excess(self, log_odds: float) -> float:
        return self.next_log_odds(log_odds) - log_odds

    def _return(self, log_odds: float) -> float:
        return self.next_log_odds(self.next_log_odds(log_odds)) - log_odds

    def _least(self) -> float:
        return self.next_log_odds(0.0)

    def _greatest(self) -> float:
        return domain.log_odds(self.p_ref) + 1.0 / (math.sqrt(self.eps) * self.beta)

    def _turning_points(self) -> list[float]:
        """Where f' = 1: none, or two on either side of the steepest place."""
        steepest = 2.0 * math.acosh(0.5 * math.sqrt((1.0 + 12.0 * self.eps) / (2.0 * self.eps)))
        if self.slope(steepest) <= 1.0:
            return []

        def away(log_odds: float) -> float:
            return self.slope(log_odds) - 1.0

        beyond = steepest + 1.0
        while away(beyond) > 0.0:
            beyond *= 2.0
        return [_root(away, 0.0, steepest), _root(away, steepest, beyond)]


def dr_grpo_fixed_point(beta: float, p_ref: float) -> float:
    """Pass@1 that Dr.GRPO with a KL penalty reaches in one step: sigmoid(logit p_ref + 1/beta) (theory §7).

    Args:
        beta: Weight of the KL penalty, above 0.
        p_ref: Pass@1 of the reference policy, in (0, 1).

    Raises:
        InputError: A value is outside its domain.
    """
    shift = 1.0 / domain.positive("beta", beta)
    return float(expit(domain.log_odds(domain.open_unit("p_ref", p_ref)) + shift))


def rest(design: Design, p0: float) -> str | None:
    """Where a design's penalty would hold Pass@1 in the end, as a sentence of a prediction.

    Args:
        design: ``grpo``, or ``centered`` with rewards one apart; honest rewards and a penalty.
        p0: Base Pass@1, in (0, 1), of the reference policy.

    Returns:
        None for any other design.
    """
    rewards = reward_map(design)
    if design.kl_coef == 0.0 or not is_honest(design):
        return None
    if design.signal == "centered" and rewards.high - rewards.low == 1.0:
        where = f"rest at {dr_grpo_fixed_point(design.kl_coef, p0):.3g}"
    elif design.signal == "grpo" and design.kl_coef * design.signal_eps >= SMALLEST_EPS:
        exact = GrpoMap(design.kl_coef, p0, design.signal_eps**2)
        first = exact.fixed_points()[0]
        swings = [] if first.stable else [cycle.p for cycle in exact.two_cycles() if cycle.attracting]
        where = (
            f"swing between {swings[0][0]:.3g} and {swings[0][1]:.3g}" if swings else f"rest at {first.p:.3g}"
        )
    else:
        return None
    return f"kl_coef: Pass@1 would {where} if every round reached the best of its objective (theory §7)"


def _root(function: Callable[[float], float], start: float, end: float) -> float:
    return float(brentq(function, start, end, xtol=1e-13, rtol=1e-14, maxiter=MOST_HALVINGS))


def _variance(log_odds: float) -> float:
    tail = math.exp(-abs(log_odds))
    return tail / (1.0 + tail) ** 2
