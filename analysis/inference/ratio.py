"""How many times longer A takes than B: a ratio of right-censored times by inverting a log-rank test.

For every candidate ratio x the times of B are multiplied by x, **both** groups are re-censored at the
horizon they then share, and a one-sided permutation log-rank test asks whether A is still slower (or
faster). The ratios that are not rejected form the interval. Dropping or capping censored runs instead would
pull the ratio towards 1.

Which permutation. Conditions share random streams, so the runs of A and B at one (query, seed) are a pair,
and labels are swapped *within the pair*. Under the hypothesis A = x B in law this is exact where the pair's
joint law is symmetric, and valid for many pairs whatever their dependence: the swapped sum then has the
variance of the observed one. Risk sets are those of the pair's query. All swaps are counted
(`analysis.inference.signs`), so a p-value has no error of its own.

Evaluations are seen on a grid. Ratios at which the two scaled grids coincide would break ties in one
direction and those beside them in the other, so the mass of a hit is spread evenly over its step and a run's
score is its mean over that mass; no hit is drawn. (Measured: with hits rounded up, coverage at 64 pairs
falls from .94 to .84.)

The hypothesis stretches the whole distribution by one factor. Where the spreads differ too, the ratio is
an average that leans towards late runs (measured: sd of log times .4 against .25, ratio of medians 1.8,
estimate 1.96).

Given x the pooled risk sets do not depend on the labels, so the log-rank numerator is a sum over runs of
`score = event - pooled Nelson-Aalen(time)`, and a swap changes the sign of a pair's difference of scores.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from analysis.inference.hitting import HittingTimes
from analysis.inference.signs import sign_tails
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GRID_STEP = 0.005
RANGE = 1e3


@dataclass(frozen=True)
class RatioTest:
    """Evidence about rho = T_A / T_B as two p-value curves over candidate ratios.

    Attributes:
        ratio: candidate ratios, rising.
        above: p-value of "rho <= x" against "rho > x", made monotone (the supremum over the hypothesis).
        below: p-value of "rho >= x" against "rho < x", likewise.
        estimate: ratio at which the observed log-rank statistic changes sign; nan where it never does.
        pairs: pairs.
        smallest_p: least p-value that any data of so many pairs can give, 2^-pairs.
    """

    ratio: Floats
    above: Floats
    below: Floats
    estimate: float
    pairs: int
    smallest_p: float

    def p_above(self, x: float) -> float:
        """One-sided p-value of "rho <= x"; x at or below the tested range gives its end's value."""
        return float(self.above[min(int(np.searchsorted(self.ratio, x)), self.ratio.size - 1)])

    def p_below(self, x: float) -> float:
        """One-sided p-value of "rho >= x"."""
        return float(self.below[max(int(np.searchsorted(self.ratio, x, side="right")) - 1, 0)])

    def interval(self, alpha: float) -> tuple[float, float]:
        """Two-sided 1 - alpha interval; its ends are rejected ratios, (0, inf) when nothing is rejected."""
        low = np.flatnonzero(self.above <= alpha / 2)
        high = np.flatnonzero(self.below <= alpha / 2)
        return (
            float(self.ratio[low[-1]]) if low.size else 0.0,
            float(self.ratio[high[0]]) if high.size else float("inf"),
        )

    def p_inside(self, low: float, high: float) -> float:
        """p-value of "rho lies outside (low, high)"; at most alpha iff the 1 - alpha interval lies inside."""
        return min(1.0, 2 * max(self.p_above(low), self.p_below(high)))

    def p_outside(self, low: float, high: float) -> float:
        """p-value of "rho lies inside"; at most alpha iff the 1 - alpha interval is disjoint from it."""
        return min(1.0, 2 * min(self.p_above(high), self.p_below(low)))


def ratio_test(
    slow: HittingTimes,
    fast: HittingTimes,
    *,
    strata_N: npt.ArrayLike | None = None,
    margins: tuple[float, ...] = (),
    grid_step: float = GRID_STEP,
) -> RatioTest:
    """Test every ratio T_slow / T_fast by permutation log-rank on re-censored times.

    Args:
        slow: times of A.
        fast: times of B; paired runs stand at the same index.
        strata_N: query of each pair. None is one stratum.
        margins: ratios that a verdict will compare the interval with; they are tested exactly.
        grid_step: distance of candidate ratios in log ratio, which rounds the interval's ends outwards.

    Raises:
        InputError: No runs, or groups of different size.
    """
    n = slow.time.size
    if n == 0 or n != fast.time.size:
        raise InputError(f"pairs: a ratio needs as many runs of A as of B, got {n} and {fast.time.size}")
    strata = np.zeros(n) if strata_N is None else np.asarray(strata_N)
    if strata.shape != (n,):
        raise InputError(f"strata: need one per pair, got shape {strata.shape}")
    ratios = _grid(slow, fast, margins, grid_step)
    scores_XM = scores(slow, fast, ratios, np.concatenate([strata, strata]))
    below, above = sign_tails(scores_XM[:, :n] - scores_XM[:, n:])  # a slower A has the smaller scores
    return RatioTest(
        ratio=ratios,
        above=np.maximum.accumulate(above),
        below=np.maximum.accumulate(below[::-1])[::-1],
        estimate=_estimate(ratios, scores_XM[:, :n].sum(axis=1)),
        pairs=n,
        smallest_p=2.0**-n,
    )


def pair_scores(slow: HittingTimes, fast: HittingTimes, ratio: float) -> Floats:
    """(1, N) log-rank score of A minus that of its partner at one ratio, in one stratum."""
    n = slow.time.size
    scores_1M = scores(slow, fast, np.array([ratio]), np.zeros(2 * n))
    return scores_1M[:, :n] - scores_1M[:, n:]


def _grid(slow: HittingTimes, fast: HittingTimes, margins: tuple[float, ...], step: float) -> Floats:
    """Ratios worth testing: beyond both ends one group is wholly censored and nothing changes any more."""
    first_A = float(slow.time.min()) / fast.horizon
    last_B = slow.horizon / float(fast.time.min())
    low = max(min(0.9 * first_A, 0.5 * min((1.0, *margins))), 1 / RANGE)
    high = min(max(1.1 * last_B, 2 * max((1.0, *margins))), RANGE)
    count = int(np.ceil(np.log(high / low) / step)) + 1
    return np.unique(np.concatenate([np.geomspace(low, high, count), np.asarray(margins, dtype=np.float64)]))


def scores(slow: HittingTimes, fast: HittingTimes, ratios_X: Floats, strata_M: npt.ArrayLike) -> Floats:
    """Log-rank scores of A's, then B's runs at each ratio, (X, M): events minus cumulative hazards.

    Where hits are known to a step only, each is spread evenly over its step. The mass at risk then falls
    linearly between the ends of steps, the pooled cumulative hazard is minus the logarithm of its share, and
    a run's score is the mean over its step, in closed form. Exact times give the textbook's scores.

    Args:
        slow: Times of A.
        fast: Times of B, not scaled.
        ratios_X: Factors on the times of B.
        strata_M: Query of each run, whose runs are at risk together.
    """
    at = np.unique(np.asarray(strata_M), return_inverse=True)[1]
    sides = []
    for times, factors_X in ((slow, np.ones_like(ratios_X)), (fast, ratios_X)):
        upper_N = np.where(times.hit, times.upper, np.inf)
        sides.append((factors_X[:, None] * times.lower, factors_X[:, None] * upper_N))
    lower_XM, upper_XM = (np.concatenate(ends, axis=1) for ends in zip(*sides, strict=True))
    horizon_X = np.minimum(slow.horizon, ratios_X * fast.horizon)
    scores_XM: Floats = np.empty_like(lower_XM)
    for stratum in range(int(at.max()) + 1):
        rows = np.flatnonzero(at == stratum)
        found = np.empty((ratios_X.size, rows.size))
        _fill_scores(np.ascontiguousarray(lower_XM[:, rows]), upper_XM[:, rows].copy(), horizon_X, found)
        scores_XM[:, rows] = found
    return scores_XM


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
def _fill_scores(lower_XM: Floats, upper_XM: Floats, horizon_X: Floats, out_XM: Floats) -> None:
    """Fill the scores of one stratum; a hit's mass lies evenly between its ends, or at one point."""
    count, m = lower_XM.shape
    for x in range(count):
        lower, upper, last = lower_XM[x], upper_XM[x], horizon_X[x]
        knots = np.unique(np.append(np.minimum(np.append(lower, upper), last), 0.0))
        rate, jump = np.zeros(knots.size), np.zeros(knots.size)  # mass per round from, and at, each knot
        first = np.searchsorted(knots, np.minimum(lower, last))
        final = np.searchsorted(knots, np.minimum(upper, last))
        for i in range(m):
            if upper[i] == lower[i] and upper[i] <= last:
                jump[final[i]] += 1.0
            elif upper[i] < np.inf and lower[i] < last:
                density = 1.0 / (upper[i] - lower[i])
                for k in range(first[i], final[i]):
                    rate[k] += density
        hazard, area = np.zeros(knots.size), np.zeros(knots.size)  # cumulative hazard, and its integral
        mass, so_far = float(m), 0.0
        for k in range(knots.size):
            if jump[k] > 0:
                so_far += jump[k] / mass
                mass -= jump[k]
            hazard[k] = so_far
            if k + 1 < knots.size:
                length = knots[k + 1] - knots[k]
                left = mass - rate[k] * length
                area[k + 1] = area[k] + so_far * length
                if rate[k] > 0:
                    rest = left * np.log(left / mass) if left > 1e-9 else 0.0
                    area[k + 1] += (mass - left + rest) / rate[k]
                    so_far += np.log(mass / left) if left > 1e-9 else 0.0  # nobody is left to have it
                mass = max(left, 0.0)
        for i in range(m):
            if upper[i] == lower[i] and upper[i] <= last:
                out_XM[x, i] = 1.0 - hazard[final[i]]
            elif upper[i] < np.inf and lower[i] < last:
                width = upper[i] - lower[i]
                event = (knots[final[i]] - lower[i]) / width
                within = (area[final[i]] - area[first[i]]) / width
                out_XM[x, i] = event - within - (1.0 - event) * hazard[-1]
            else:
                out_XM[x, i] = -hazard[-1]


def _estimate(ratios: Floats, statistic: Floats) -> float:
    """Where the statistic changes sign: geometric middle of its last negative and first positive ratio."""
    slower, faster = np.flatnonzero(statistic < -1e-9), np.flatnonzero(statistic > 1e-9)
    if not slower.size or not faster.size:
        return float("nan")
    return float(np.sqrt(ratios[faster[0]] * ratios[slower[-1]]))
