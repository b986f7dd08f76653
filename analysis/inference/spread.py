"""Spreads: is A more variable than B (Brown-Forsythe, paired), SD ratios by jackknife, shares of variance.

Brown and Forsythe (1974) compare absolute deviations from the median. Conditions that share random streams
are paired, so the deviations of a pair are subtracted: under the ratio x the difference |a - med a| - x |b
- med b| has mean 0, tested by t, or by sign changes for few pairs. The values of x that are not rejected
are the interval of the ratio of mean absolute deviations, which is the ratio of SDs where the two
distributions have one shape. Medians are taken within queries.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from analysis.inference.inversion import Inverted, invert, sign_tails, t_tails
from analysis.inference.means import ROUNDING, Difference, settled
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
WIDEST = 100.0
"""Ratios between 1 / 100 and 100 are distinguished."""
FEWEST = 3
"""Pairs of a query that make a spread: the deviations of two from their median are equal, one value twice,
which brought the error rate to .15 at a nominal .05 (8 pairs of 4 queries)."""


def spread_ratio(
    a_N: npt.ArrayLike,
    b_N: npt.ArrayLike,
    strata_N: npt.ArrayLike | None = None,
    *,
    permutation_below: int = 10,
    margins: tuple[float, ...] = (1.0,),
    candidates: int = 1841,
) -> Inverted:
    """Ratio of A's spread to B's, by inverting the paired Brown-Forsythe test.

    Args:
        a_N: A's values, one per pair.
        b_N: B's values, the same pairs.
        strata_N: Query of each pair; None is one query.
        permutation_below: Pairs below which signs are changed instead of a t test.
        margins: Ratios that a verdict will read; they are tested exactly.
        candidates: Other ratios tested, to which the interval's ends are rounded outwards.

    Raises:
        InputError: Fewer than three pairs of a query, or groups of different size.
    """
    a, b, strata = _pairs(a_N, b_N, strata_N)
    smallest = int(np.unique(strata, return_counts=True)[1].min())
    if smallest < FEWEST:
        raise InputError(f"pairs: a spread needs {FEWEST} of each query, got {smallest}")
    from_a, from_b = deviations(a, strata), deviations(b, strata)
    grid = np.geomspace(1 / WIDEST, WIDEST, candidates)
    ratios = np.unique(np.concatenate([grid, np.asarray(margins)]))
    tails = sign_tails if a.size < permutation_below else t_tails
    apart = from_a - ratios[:, None] * from_b
    apart[np.abs(apart).max(axis=1) <= ROUNDING * max(from_a.max(), 1.0)] = 0.0
    above, below = tails(apart)
    estimate = float(from_a.mean() / from_b.mean()) if from_b.any() else float("nan")
    return invert(ratios, above, below, estimate, a.size)


def deviations(values_N: Floats, strata_N: npt.NDArray[np.int64]) -> Floats:
    """Absolute deviations from the median of the own stratum."""
    found = np.empty_like(values_N)
    for s in np.unique(strata_N):
        rows = strata_N == s
        own = values_N[rows]
        apart = np.abs(own - np.median(own))
        found[rows] = 0.0 if apart.max() <= ROUNDING * max(np.abs(own).max(), 1.0) else apart
    return found


def pooled_variance(values_N: Floats, strata_N: npt.NDArray[np.int64]) -> float:
    """Variance within strata, pooled; nan where no stratum has two values."""
    groups = [values_N[strata_N == s] for s in np.unique(strata_N)]
    freedom = sum(g.size - 1 for g in groups)
    squares = sum(float(np.sum((g - g.mean()) ** 2)) for g in groups)
    return float(settled(squares / freedom, values_N)) if freedom > 0 else float("nan")


def log_sd_ratio(
    a_N: npt.ArrayLike,
    noise_a_N: npt.ArrayLike,
    b_N: npt.ArrayLike,
    noise_b_N: npt.ArrayLike,
    strata_N: npt.ArrayLike | None = None,
) -> Difference:
    """Logarithm of the SD ratio with evaluation noise subtracted from both variances, by jackknife.

    Args:
        a_N: A's values, one per pair.
        noise_a_N: Variance of each value from evaluation alone.
        b_N: B's values.
        noise_b_N: Likewise.
        strata_N: Query of each pair.
    """
    a, b, strata = _pairs(a_N, b_N, strata_N)
    noise_a, noise_b = np.asarray(noise_a_N, dtype=np.float64), np.asarray(noise_b_N, dtype=np.float64)

    def statistic(rows: npt.NDArray[np.int64]) -> float:
        own_a = pooled_variance(a[rows], strata[rows]) - float(noise_a[rows].mean())
        own_b = pooled_variance(b[rows], strata[rows]) - float(noise_b[rows].mean())
        return 0.5 * float(np.log(own_a / own_b)) if min(own_a, own_b) > 0 else float("nan")

    return jackknife(statistic, a.size)


def noise_over_sd(
    values_N: npt.ArrayLike, noise_N: npt.ArrayLike, strata_N: npt.ArrayLike | None = None
) -> Difference:
    """SD of an evaluation over the SD over seeds, within strata, by jackknife.

    The inverse of the ratio of interest: its jackknife is nearly symmetric, while that of the ratio's
    logarithm misses an upper bound twice as often as it should when values are skewed (measured at 16
    runs: .13 against .056 at a nominal .05).

    Args:
        values_N: One value per run.
        noise_N: Variance of each from evaluation alone.
        strata_N: Query of each run.
    """
    values, noise, strata = _pairs(values_N, noise_N, strata_N)

    def statistic(rows: npt.NDArray[np.int64]) -> float:
        total, alone = pooled_variance(values[rows], strata[rows]), float(noise[rows].mean())
        return float(np.sqrt(alone / total)) if total > 0 else float("nan")

    return jackknife(statistic, values.size)


def jackknife(statistic: Callable[[npt.NDArray[np.int64]], float], n: int) -> Difference:
    """A statistic of n units, bias-corrected, with its delete-one error and degrees of freedom.

    Quenouille's correction and Tukey's (1958) standard error. That error is itself an estimate, and varies
    the more the heavier the pseudo-values' tails are: its degrees of freedom are those of a variance of n
    values with their excess kurtosis k where it is positive, 2 / (2 / (n - 1) + k / n) (measured on log SD
    ratios of skewed values at 32 units: coverage .94, and .91 with n - 1).

    Raises:
        InputError: Fewer than three units.
    """
    if n < 3:
        raise InputError(f"units: a jackknife needs at least three, got {n}")
    everything = np.arange(n)
    whole = statistic(everything)
    without = np.array([statistic(np.delete(everything, i)) for i in range(n)])
    pseudo = n * whole - (n - 1) * without
    squares = (pseudo - pseudo.mean()) ** 2
    se = np.sqrt(settled(squares.sum() / (n - 1), n * without) / n)
    kurtosis = float(np.mean(squares**2) / np.mean(squares) ** 2 - 3.0) if se > 0 else 0.0
    df = 2.0 / (2.0 / (n - 1) + (kurtosis / n if kurtosis > 0 else 0.0))
    return Difference(float(pseudo.mean()), float(se), df, n)


def _pairs(
    a_N: npt.ArrayLike, b_N: npt.ArrayLike, strata_N: npt.ArrayLike | None
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    a, b = np.asarray(a_N, dtype=np.float64), np.asarray(b_N, dtype=np.float64)
    strata = np.zeros(a.size, dtype=np.int64) if strata_N is None else np.asarray(strata_N, dtype=np.int64)
    if a.ndim != 1 or a.shape != b.shape or a.shape != strata.shape or a.size < 3:
        raise InputError(
            f"pairs: need N >= 3 values in both groups and a stratum each, got shapes {a.shape}, {b.shape} "
            f"and {strata.shape}"
        )
    return a, b, strata


def log_variance_ratio(y_SWC: npt.ArrayLike) -> Difference:
    """Logarithm of Var(world means) / Var(condition means), by jackknife over seeds.

    World means are over conditions and seeds, condition means over worlds and seeds: the main effects of a
    balanced table. Seeds are shared by all cells, so they are the units that are left out.

    Args:
        y_SWC: (S seeds, W worlds, C conditions) results.

    Raises:
        InputError: Fewer than three seeds, two worlds or two conditions.
    """
    y = np.asarray(y_SWC, dtype=np.float64)
    if y.ndim != 3 or y.shape[0] < 3 or min(y.shape[1:]) < 2:
        raise InputError(f"table: need seeds >= 3, worlds >= 2 and conditions >= 2, got shape {y.shape}")

    def statistic(rows: npt.NDArray[np.int64]) -> float:
        worlds, designs = main_effects(y[rows].mean(axis=0))
        return float(np.log(worlds / designs)) if min(worlds, designs) > 0 else float("nan")

    return jackknife(statistic, y.shape[0])


def main_effects(mean_WC: Floats) -> tuple[float, float]:
    """Variances of world means and of condition means of a table of cell means."""
    worlds, designs = (mean_WC.mean(axis=axis).var(ddof=1) for axis in (1, 0))
    return float(settled(worlds, mean_WC)), float(settled(designs, mean_WC))


def share(log_ratio: float) -> float:
    """World's share of the two variances, from the logarithm of their ratio."""
    return float(1 / (1 + np.exp(-log_ratio)))
