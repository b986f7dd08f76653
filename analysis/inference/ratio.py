"""How many times longer A takes than B: a ratio of right-censored times by inverting a log-rank test.

For every candidate ratio x the times of B are multiplied by x, **both** groups are re-censored at the
horizon they then share, and a one-sided permutation log-rank test asks whether A is still slower (or
faster). The ratios that are not rejected form the interval. Dropping or capping censored runs instead would
pull the ratio towards 1.

Which permutation. Conditions share random streams, so the runs of A and B at one (query, seed) are a pair,
and labels are swapped *within the pair*. Under the hypothesis A = x B in law this is exact where the pair's
joint law is symmetric, and valid for many pairs whatever their dependence: the swapped sum then has the
variance of the observed one. Risk sets are those of the pair's query.
Without common seeds labels are shuffled within the query, which needs independent runs.

Evaluations are seen on a grid. Ratios at which the two scaled grids coincide would break ties in one
direction and those beside them in the other, so each hit is drawn uniformly inside its step, several
times over, and scores are averaged over the draws (measured: with hits rounded up, coverage at 64 pairs
falls from .94 to .84).

The hypothesis stretches the whole distribution by one factor. Where the spreads differ too, the ratio is
an average that leans towards late runs (measured: sd of log times .4 against .25, ratio of medians 1.8,
estimate 1.96).

Given x the pooled risk sets do not depend on the labels, so the log-rank numerator is a sum over runs of
`score = event - pooled Nelson-Aalen(time)`: a permutation costs one row of a matrix product.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.inference.hitting import HittingTimes
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GRID_STEP = 0.005
RANGE = 1e3
EXACT_PAIRS = 12
FAR = 6.0
CHUNK = 64
IMPUTED = 256
"""Imputed hits in all, spread over the runs: 256 / N draws each, between 1 and 8."""


@dataclass(frozen=True)
class RatioTest:
    """Evidence about rho = T_A / T_B as two p-value curves over candidate ratios.

    Attributes:
        ratio: candidate ratios, rising.
        above: p-value of "rho <= x" against "rho > x", made monotone (the supremum over the hypothesis).
        below: p-value of "rho >= x" against "rho < x", likewise.
        estimate: ratio at which the observed log-rank statistic changes sign; nan where it never does.
        pairs: pairs (or, unpaired, the smaller group).
        smallest_p: least p-value that this number of permutations can give.
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
    paired: bool = True,
    margins: tuple[float, ...] = (),
    permutations: int = 9_999,
    grid_step: float = GRID_STEP,
    rng: np.random.Generator,
) -> RatioTest:
    """Test every ratio T_slow / T_fast by permutation log-rank on re-censored times.

    Args:
        slow: times of A.
        fast: times of B; paired runs stand at the same index.
        strata_N: query of each pair; unpaired, of A's runs followed by B's. None is one stratum.
        paired: swap labels within pairs; else shuffle them within strata.
        margins: ratios that a verdict will compare the interval with; they are tested exactly.
        permutations: random relabellings; up to 12 pairs all of them are enumerated.
        grid_step: distance of candidate ratios in log ratio, which rounds the interval's ends outwards.
        rng: source of the relabellings.

    Raises:
        InputError: No runs, or paired groups of different size.
    """
    n_A, n_B = slow.time.size, fast.time.size
    if min(n_A, n_B) == 0 or (paired and n_A != n_B):
        raise InputError(
            f"runs: a ratio needs runs in both groups, the same when paired, got {n_A} and {n_B}"
        )
    strata = np.zeros(n_A if paired else n_A + n_B) if strata_N is None else np.asarray(strata_N)
    strata = np.concatenate([strata, strata]) if paired else strata
    if strata.shape != (n_A + n_B,):
        raise InputError(f"strata: need one per {'pair' if paired else 'run'}, got shape {strata.shape}")
    groups = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    ratios = _grid(slow, fast, margins, grid_step)
    scores_XM = _imputed_scores(slow, fast, ratios, groups, rng)
    if paired:
        above, below, smallest = swap_tails(scores_XM[:, :n_A] - scores_XM[:, n_A:], permutations, rng)
    else:
        above, below, smallest = _shuffle(scores_XM, n_A, groups, permutations, rng)
    return RatioTest(
        ratio=ratios,
        above=np.maximum.accumulate(above),
        below=np.maximum.accumulate(below[::-1])[::-1],
        estimate=_estimate(ratios, scores_XM[:, :n_A].sum(axis=1)),
        pairs=min(n_A, n_B),
        smallest_p=smallest,
    )


def pair_scores(slow: HittingTimes, fast: HittingTimes, ratio: float, rng: np.random.Generator) -> Floats:
    """(1, N) log-rank score of A minus that of its partner at one ratio, in one stratum."""
    n = slow.time.size
    scores_1M = _imputed_scores(slow, fast, np.array([ratio]), [np.arange(2 * n)], rng)
    return scores_1M[:, :n] - scores_1M[:, n:]


def _grid(slow: HittingTimes, fast: HittingTimes, margins: tuple[float, ...], step: float) -> Floats:
    """Ratios worth testing: beyond both ends one group is wholly censored and nothing changes any more."""
    first_A = float(slow.time.min()) / fast.horizon
    last_B = slow.horizon / float(fast.time.min())
    low = max(min(0.9 * first_A, 0.5 * min((1.0, *margins))), 1 / RANGE)
    high = min(max(1.1 * last_B, 2 * max((1.0, *margins))), RANGE)
    count = int(np.ceil(np.log(high / low) / step)) + 1
    return np.unique(np.concatenate([np.geomspace(low, high, count), np.asarray(margins, dtype=np.float64)]))


def _imputed_scores(
    slow: HittingTimes, fast: HittingTimes, ratios: Floats, groups: list[Ints], rng: np.random.Generator
) -> Floats:
    """Scores (X, M) averaged over draws of the hits inside their steps; one if steps have no width."""
    exact = all(np.array_equal(t.lower[t.hit], t.upper[t.hit]) for t in (slow, fast))
    draws = 1 if exact else int(np.clip(IMPUTED // slow.time.size, 1, 8))
    total = np.zeros((ratios.size, slow.time.size + fast.time.size))
    for _ in range(draws):
        total += _scores(slow.drawn(rng), fast.drawn(rng), ratios, groups)
    return total / draws


def _scores(slow: HittingTimes, fast: HittingTimes, ratios: Floats, groups: list[Ints]) -> Floats:
    """Log-rank scores (event minus pooled cumulative hazard) of A's, then B's runs, (X, M)."""
    horizon_X1 = np.minimum(slow.horizon, ratios * fast.horizon)[:, None]
    scaled_XN = ratios[:, None] * fast.time
    times_XM = np.concatenate([np.broadcast_to(slow.time, (ratios.size, slow.time.size)), scaled_XN], axis=1)
    events_XM = np.concatenate([slow.hit, fast.hit]) & (times_XM <= horizon_X1)
    times_XM = np.where(events_XM, times_XM, horizon_X1)
    scores_XM = np.empty_like(times_XM)
    for rows in groups:
        order_XM = np.argsort(times_XM[:, rows], axis=1, kind="stable")
        t_XM = np.take_along_axis(times_XM[:, rows], order_XM, axis=1)
        e_XM = np.take_along_axis(events_XM[:, rows], order_XM, axis=1)
        place = np.arange(rows.size)
        new_XM = np.ones(t_XM.shape, dtype=np.bool_)
        new_XM[:, 1:] = t_XM[:, 1:] != t_XM[:, :-1]
        first_XM = np.maximum.accumulate(np.where(new_XM, place, 0), axis=1)  # of the run's tied group
        ends_XM = np.roll(new_XM, -1, axis=1)
        ends_XM[:, -1] = True
        last_XM = np.minimum.accumulate(np.where(ends_XM, place, rows.size)[:, ::-1], axis=1)[:, ::-1]
        hazard_XM = np.cumsum(e_XM / (rows.size - first_XM), axis=1)
        sorted_XM = e_XM - np.take_along_axis(hazard_XM, last_XM, axis=1)
        unsorted_XM = np.empty_like(sorted_XM)
        np.put_along_axis(unsorted_XM, order_XM, sorted_XM, axis=1)
        scores_XM[:, rows] = unsorted_XM
    return scores_XM


def swap_tails(
    difference_XN: Floats, permutations: int, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """One-sided p-values of the sum of pair differences under independent random signs, and the least one.

    Hoeffding's inequality bounds the tail beyond `FAR` root-sums-of-squares by exp(-FAR^2 / 2), about 1e-8:
    there a random sample of signs would show none, and none is drawn.
    """
    n = difference_XN.shape[1]
    exact = n <= EXACT_PAIRS
    if exact:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(permutations, n)).astype(np.float64)
    extra, total = (0, signs.shape[0]) if exact else (1, permutations + 1)
    observed = difference_XN.sum(axis=1)
    spread = np.sqrt((difference_XN**2).sum(axis=1))
    above = np.where(observed < 0, 1 / total, 1.0)
    below = np.where(observed > 0, 1 / total, 1.0)
    near = np.flatnonzero((np.abs(observed) <= FAR * spread) | exact)
    for start in range(0, near.size, CHUNK):
        rows = near[start : start + CHUNK]
        drawn = signs @ difference_XN[rows].T
        slack = 1e-9 * (1.0 + np.abs(difference_XN[rows]).sum(axis=1))
        above[rows] = (extra + (drawn <= observed[rows] + slack).sum(axis=0)) / total
        below[rows] = (extra + (drawn >= observed[rows] - slack).sum(axis=0)) / total
    return above, below, 1 / total


def _shuffle(
    scores_XM: Floats, n_A: int, groups: list[Ints], permutations: int, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """One-sided p-values of A's summed score under label shuffles within strata."""
    labels = np.zeros((permutations, scores_XM.shape[1]))
    for rows in groups:
        count = int(np.sum(rows < n_A))
        order = np.argsort(rng.random((permutations, rows.size)), axis=1)
        np.put_along_axis(labels, rows[order[:, :count]], 1.0, axis=1)
    observed = scores_XM[:, :n_A].sum(axis=1)
    above, below = np.empty_like(observed), np.empty_like(observed)
    for start in range(0, observed.size, CHUNK):
        part = slice(start, start + CHUNK)
        drawn = labels @ scores_XM[part].T
        slack = 1e-9 * (1.0 + np.abs(scores_XM[part]).sum(axis=1))
        above[part] = (1 + (drawn <= observed[part] + slack).sum(axis=0)) / (permutations + 1)
        below[part] = (1 + (drawn >= observed[part] - slack).sum(axis=0)) / (permutations + 1)
    return above, below, 1 / (permutations + 1)


def _estimate(ratios: Floats, statistic: Floats) -> float:
    """Where the statistic changes sign: geometric middle of its last negative and first positive ratio."""
    slower, faster = np.flatnonzero(statistic < -1e-9), np.flatnonzero(statistic > 1e-9)
    if not slower.size or not faster.size:
        return float("nan")
    return float(np.sqrt(ratios[faster[0]] * ratios[slower[-1]]))
