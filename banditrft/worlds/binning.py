"""From a law over up to 1e12 ranked arms to classes of equal arms, and the error of that (theory §1).

The range of log-probabilities is cut into steps of equal length, so that arms of one bin differ by a bounded
*ratio*; every bin keeps its exact mass, shared equally by its arms. Sums over ranks are exact to about 1e-12:
term by term near a bin's ends, by the integral with its first midpoint correction between them.

A module of its own since it needs NumPy and SciPy, which reading a study file must not load.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from banditrft.errors import InputError
from banditrft.worlds.law import ArmLaw

Floats = NDArray[np.float64]
ENDS = 1000
"""Ranks at either end of a sum that are added one by one."""
ROUNDING = 1e-9
"""Share by which a mass may miss those that exist before it counts as out of reach."""


@dataclass(frozen=True)
class Bin:
    """Neighbouring ranks first..last whose arms count as equal; mass is their part of the law's total."""

    first: int
    last: int
    mass: float
    correct: int

    @property
    def arms(self) -> int:
        """How many arms there are."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class BinningError:
    """How far the binned initial distribution is from the law.

    Attributes:
        total_variation: Half the sum over arms of |binned - exact probability|.
        log_ratio: Largest |log(binned / exact probability)| of any arm, nats.
    """

    total_variation: float
    log_ratio: float


def log_weight(law: ArmLaw, ranks: Floats) -> Floats:
    """Log-probability of each rank, up to one constant; falls with the rank."""
    if law.kind == "zipf":
        return -_exponent(law) * np.log(ranks)
    if law.kind == "log-normal":
        return _sigma(law) * _quantile(law, ranks)
    return np.zeros_like(ranks)


def first_below(law: ArmLaw, level: float) -> int:
    """The first rank whose log-weight is below ``level`` (to rounding), in 1..K + 1."""
    if law.kind == "uniform":
        return law.arms + 1 if level <= 0.0 else 1
    if law.kind == "zipf":
        exponent = -level / _exponent(law)
        rank = math.exp(exponent) if exponent < 700 else math.inf
    else:
        rank = law.arms * float(ndtr(-level / _sigma(law))) + 0.5
    return 1 if rank < 1 else min(law.arms, math.floor(min(rank, law.arms))) + 1


def weight_sum(law: ArmLaw, first: int, last: int) -> float:
    """Sum of e^(log-weight) over the ranks first..last; 0 if there are none."""
    if last - first + 1 <= 2 * ENDS:
        return float(np.exp(log_weight(law, np.arange(first, last + 1.0, dtype=np.float64))).sum())
    ends = np.concatenate([np.arange(first, first + ENDS), np.arange(last - ENDS + 1, last + 1)])
    low, high = first + ENDS - 0.5, last - ENDS + 0.5
    slope_low, slope_high = (_slope(law, x) for x in (low, high))
    inner = _integral(law, low, high) - (slope_high - slope_low) / 24.0
    return float(np.exp(log_weight(law, ends.astype(float))).sum()) + inner


def bins(law: ArmLaw) -> list[Bin]:
    """The law's bins, by rank: wholly correct or wrong ones, unless correct arms are spread.

    Raises:
        InputError: No m neighbouring ranks come near the mass asked for.
    """
    K, m = law.arms, law.correct
    total = weight_sum(law, 1, K)
    edges = _edges(law)
    count: Callable[[int], int]
    if law.correct_mass is None and law.place in (None, "spread"):

        def count(rank: int) -> int:
            return (2 * m * rank + K) // (2 * K)
    else:
        start = _start(law, total)
        edges = sorted({*edges, start, start + m})

        def count(rank: int) -> int:
            return min(max(rank - start + 1, 0), m)

    return [
        Bin(a, b - 1, weight_sum(law, a, b - 1) / total, count(b - 1) - count(a - 1))
        for a, b in pairwise(edges)
    ]


def binning_error(law: ArmLaw) -> BinningError:
    """Total variation and largest log-ratio between the binned and the exact initial distribution.

    Within a bin the law falls and its binned value is constant, so the two cross once: the surplus before the
    crossing is the bin's part of the total variation, and the ratio is largest at an end.
    """
    total = weight_sum(law, 1, law.arms)
    variation, ratio = 0.0, 0.0
    for part in bins(law):
        level = math.log(part.mass * total / part.arms)
        crossing = min(max(first_below(law, level), part.first), part.last + 1)
        above = crossing - part.first
        surplus = weight_sum(law, part.first, crossing - 1) / total - above * part.mass / part.arms
        variation += max(surplus, 0.0)
        ends = log_weight(law, np.array([part.first, part.last], float))
        ratio = max(ratio, float(np.abs(ends - level).max()))
    return BinningError(variation, ratio)


def _exponent(law: ArmLaw) -> float:
    return 1.0 if law.exponent is None else law.exponent


def _sigma(law: ArmLaw) -> float:
    return 1.0 if law.sigma is None else law.sigma


def _quantile(law: ArmLaw, ranks: Floats) -> Floats:
    """Normal quantile of a rank: of 1 - (i - 1/2)/K, from the nearer tail."""
    upper = (ranks - 0.5) / law.arms
    lower = (law.arms - ranks + 0.5) / law.arms
    return np.asarray(np.where(upper < 0.5, -ndtri(upper), ndtri(lower)))


def _edges(law: ArmLaw) -> list[int]:
    """First ranks of the bins, and K + 1."""
    top, bottom = log_weight(law, np.array([1.0, law.arms]))
    levels = top - (top - bottom) * np.arange(1, law.bins) / law.bins
    return sorted({1, law.arms + 1, *(first_below(law, float(level)) for level in levels)})


def _integral(law: ArmLaw, low: float, high: float) -> float:
    """Integral of the weight over ranks as a continuous variable."""
    if law.kind == "uniform":
        return high - low
    if law.kind == "zipf":
        s, ratio = 1.0 - _exponent(law), math.log(high / low)
        return float(low**s * (ratio if s == 0.0 else math.expm1(s * ratio) / s))
    sigma = _sigma(law)
    a, b = (_quantile(law, np.array(x)) - sigma for x in (low, high))
    mass = ndtr(-b) - ndtr(-a) if b > 0 else ndtr(a) - ndtr(b)
    return float(law.arms * math.exp(sigma * sigma / 2) * mass)


def _slope(law: ArmLaw, rank: float) -> float:
    """Derivative of the weight by rank."""
    weight = math.exp(float(log_weight(law, np.array(rank))))
    if law.kind == "uniform":
        return 0.0
    if law.kind == "zipf":
        return -_exponent(law) * weight / rank
    z = float(_quantile(law, np.array(rank)))
    return -_sigma(law) * weight * math.sqrt(2 * math.pi) * math.exp(z * z / 2) / law.arms


def _start(law: ArmLaw, total: float) -> int:
    """First of the m neighbouring correct ranks."""
    last = law.arms - law.correct + 1
    if law.correct_mass is None:
        return 1 if law.place == "top" else last

    def mass(start: int) -> float:
        return weight_sum(law, start, start + law.correct - 1) / total

    target, low, high = law.correct_mass, 1, last
    if not mass(last) * (1.0 - ROUNDING) <= target <= mass(1) * (1.0 + ROUNDING):
        raise InputError(
            f"correct_mass: {law.correct} neighbouring arms of this law hold between {mass(last):.6g} and "
            f"{mass(1):.6g} of the mass, got {target:g}"
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if mass(middle) >= target else (low, middle)
    return min((low, high), key=lambda start: abs(mass(start) - target))
