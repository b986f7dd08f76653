"""Moments of the hitting time under SGD for any group: one state, the log-odds (theory §2, §3).

With SGD and one direction of movement the log-odds alone are a Markov chain, l' = l + step u(S, p) with
S ~ Binomial(G, p). That is so for shared parameters (theory §6, step = eta |u0|^2) under every signal, and
for a tabular policy with one correct arm (step = eta K/(K-1)) under the raw {0,1} signal, whose failures are
silent. Where no multiplier is negative the chain only climbs, and E[T], E[T^2], E[T^3] solve backward
equations from the target down. They are solved on a grid of log-odds with linear interpolation, within half a
round: E[T] jumps by whole rounds near the target, which a grid smooths; where no jump exceeds .1 they are
integrals over the log-odds, to second order in the jumps. The sampling noise is in them,
unlike in a mean field. Quantiles are those of the Pearson III (shifted gamma) law with these three moments.

One of the closed forms between which `banditrft.theory.estimates` chooses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.theory.groups import GroupLaw

GRID = 8192
BLOCK = 256
SYMMETRIC = 1e-6
SMALL_JUMP = 0.1
"""Log-odds of the largest jump below which moments are integrals rather than solved on a grid."""


@dataclass(frozen=True)
class ChainTime:
    """First round with Pass@1 >= target.

    Attributes:
        mean: E[T], rounds.
        sd: Standard deviation of T, rounds.
        skewness: E[(T - E T)^3]/sd^3; 0 without spread.
    """

    mean: float
    sd: float
    skewness: float

    def quantiles(self, levels: Sequence[float]) -> tuple[float, ...]:
        """Rounds by level in (0, 1), of the Pearson III law with these moments.

        Raises:
            InputError: A level is not a probability inside (0, 1).
        """
        wanted = [domain.open_unit("quantile level", level) for level in levels]
        if self.sd == 0.0:
            return tuple(self.mean for _ in wanted)
        skewness = self.skewness if abs(self.skewness) > SYMMETRIC else 0.0
        from scipy.stats import pearson3  # slow to import

        found = pearson3.ppf(wanted, skewness, loc=self.mean, scale=self.sd)
        return tuple(max(float(value), 0.0) for value in found)

    def cdf(self, horizon: int) -> NDArray[np.float64]:
        """P(T <= t) for t = 0..horizon of the Pearson III law with these moments, float64 (horizon + 1,)."""
        rounds_T = np.arange(domain.rounds("horizon", horizon) + 1, dtype=np.float64)
        if self.sd == 0.0:
            return np.asarray(rounds_T >= self.mean, dtype=np.float64)
        skewness = self.skewness if abs(self.skewness) > SYMMETRIC else 0.0
        from scipy.stats import pearson3

        return np.asarray(pearson3.cdf(rounds_T, skewness, loc=self.mean, scale=self.sd), dtype=np.float64)


def chain_time(law: GroupLaw, p0: float, step: float, target: float, grid: int = GRID) -> ChainTime:
    """Moments of the first round with Pass@1 >= target.

    Args:
        law: The design's groups: honest rewards, one group a round, no KL penalty.
        p0: Base Pass@1, in (0, 1).
        step: Learning rate times gain, above 0.
        target: Pass@1 to reach, in (0, 1).
        grid: Number of grid points between base and target.

    Raises:
        InputError: An argument is outside its domain, or the signal can lower the log-odds.
    """
    start = domain.log_odds(domain.open_unit("p0", p0))
    end = domain.log_odds(domain.open_unit("target", target))
    domain.positive("learning_rate", step)
    if start >= end:
        return ChainTime(0.0, 0.0, 0.0)
    levels_N = np.linspace(start, end, grid + 1)
    spacing = levels_N[1] - levels_N[0]
    if step * float(law.multiplier(levels_N[:: grid // 64]).max()) < SMALL_JUMP:
        return _small_steps(law, levels_N, step)
    powers_N3 = np.zeros((grid + 1, 3))
    for last in range(grid - 1, -1, -BLOCK):
        rows = np.arange(last, max(last - BLOCK, -1), -1)
        weight_RS, jump_RS = law.weights(levels_N[rows]), step * law.multiplier(levels_N[rows])
        if jump_RS.min() < 0:
            raise InputError("signal: the chain must climb; this signal and reward can lower the log-odds")
        place_RS = np.minimum(rows[:, None] + jump_RS / spacing, float(grid))
        below_RS = np.minimum(place_RS.astype(np.int64), grid - 1)
        part_RS = place_RS - below_RS
        for i, weight_S, below_S, part_S in zip(rows, weight_RS, below_RS, part_RS, strict=True):
            # what interpolation puts back on this very grid point goes to the left-hand side
            here_S = below_S == i
            stay = float(weight_S[here_S] @ (1.0 - part_S[here_S]))
            near_S = weight_S * (1.0 - part_S)
            first, second, third = (weight_S * part_S) @ powers_N3[below_S + 1] + near_S @ powers_N3[below_S]
            move = 1.0 - stay
            one = (1.0 + first) / move
            ahead = first + stay * one
            two = (1.0 + 2.0 * ahead + second) / move
            three = (1.0 + 3.0 * ahead + 3.0 * (second + stay * two) + third) / move
            powers_N3[i] = one, two, three
    mean, second, third = (float(x) for x in powers_N3[0])
    variance = max(second - mean**2, 0.0)
    sd = math.sqrt(variance)
    central = third - 3.0 * mean * variance - mean**3
    return ChainTime(mean, sd, central / sd**3 if sd > 0.0 else 0.0)


def _small_steps(law: GroupLaw, levels_N: NDArray[np.float64], step: float) -> ChainTime:
    """Cumulants of T where steps are small, by expansion in them (theory §2).

    With mean a, variance v and third central moment k of a round's dl, cumulants grow per unit of log-odds
    by 1/a, v/a^3 and 3 v^2/a^5 - k/a^4; mean and variance are taken to the next order, overshoot of the
    target included. A grid's jumps between neighbouring points would add noise of their own.
    """
    parts = [law.moments(rows) for rows in np.array_split(levels_N, BLOCK)]
    drift_N, variance_N, third_N = (
        step**power * np.concatenate([getattr(part, name) for part in parts])
        for power, name in ((1, "drift"), (2, "variance"), (3, "third"))
    )
    second_N = variance_N + drift_N**2
    skew_N, third_N = third_N, third_N + 3.0 * drift_N * variance_N + drift_N**3
    bend_N = np.gradient(np.log(drift_N), levels_N)
    jump_N, rate_N = second_N / (2.0 * drift_N**2), variance_N / drift_N**3
    square_N = rate_N * (1.0 + 2.0 * jump_N * drift_N * bend_N)
    square_N -= bend_N * (third_N - drift_N * second_N) / drift_N**3
    square_N -= jump_N * drift_N * np.gradient(rate_N, levels_N)
    cube_N = 3.0 * variance_N**2 / drift_N**5 - skew_N / drift_N**4
    mean, square, cube = (
        float(np.trapezoid(values_N, levels_N))
        for values_N in (1.0 / drift_N + jump_N * bend_N, square_N, cube_N)
    )
    mean += float(jump_N[-1])
    square += float((third_N / (3.0 * drift_N**3) - jump_N**2)[-1])
    sd = math.sqrt(square)
    return ChainTime(mean, sd, cube / sd**3 if sd > 0.0 else 0.0)


def chain_moments(
    law: GroupLaw, p0: float, step: float, target: float, grid: int = GRID
) -> tuple[float, float]:
    """Mean and standard deviation of :func:`chain_time`, in rounds.

    Raises:
        InputError: As :func:`chain_time`.
    """
    found = chain_time(law, p0, step, target, grid)
    return found.mean, found.sd
