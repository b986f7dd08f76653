"""Robust aggregates of runs: interquartile mean and probability of improvement (Agarwal et al. 2021).

The interquartile mean leaves out the lowest and highest quarter of the runs. Its bootstrap is the one
compiled loop here: values are sorted once per evaluation, and a resample adds up weights along the sorted
order. The probability of improvement is that of a random run of A beating a random run of B, ties counting
half (Mann-Whitney's U over the number of pairs), averaged over queries. Runs of two conditions at one
(query, seed) share random streams; the error of the probability takes that into account. `conditions` asks
this of the cells of a study; here are numbers only.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from analysis.curves.bands import AWAY, Band, checked_curves, sidak
from analysis.inference.means import settled
from analysis.inference.resampling import (
    FEWEST_RESAMPLED,
    Floats,
    checked_level,
    checked_strata,
    checked_values,
    weights,
)
from banditrft.errors import InputError

Places = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Aggregate:
    """One number about runs with its two-sided interval.

    Attributes:
        name: What it is.
        estimate: Its value.
        interval: Two-sided.
        level: Its confidence.
        n: Runs, or pairs of runs.
        method: How the interval came about.
        sentence: What was found.
    """

    name: str
    estimate: float
    interval: tuple[float, float]
    level: float
    n: int
    method: str
    sentence: str


def iqm(values_N: npt.ArrayLike) -> float:
    """Interquartile mean: int(N / 4) values left out at either end.

    Raises:
        InputError: No values, or values that are not finite.
    """
    values = np.sort(checked_values(values_N, 1, fewest=1))
    cut = values.size // 4
    return float(values[cut : values.size - cut].mean())


def iqm_interval(
    values_N: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    rng: np.random.Generator,
    strata_N: npt.ArrayLike | None = None,
) -> Aggregate:
    """Interquartile mean of N runs with its interval, runs resampled within queries.

    From ten runs on the percentiles of the bootstrap; below, the bootstrap's standard deviation times a t
    quantile with as many degrees of freedom as runs are kept, less one.

    Args:
        values_N: One value per run.
        level: Two-sided confidence.
        resamples: Bootstrap samples.
        rng: Their source.
        strata_N: Query of each run. None is one query.

    Raises:
        InputError: Fewer than two runs (in a query), or values that are not finite.
    """
    values = checked_values(values_N, 1)[:, None]
    middle_E, drawn_RE, df = _resampled(values, resamples, rng, strata_N)
    tail = (1 - checked_level(level)) / 2
    if values.size < FEWEST_RESAMPLED:
        half = float(stdtrit(df, 1 - tail) * drawn_RE.std(ddof=1))
        low, high = float(middle_E[0]) - half, float(middle_E[0]) + half
        method = f"t interval, standard deviation of {resamples} resamples of runs"
    else:
        low, high = np.quantile(drawn_RE[:, 0], [tail, 1 - tail], method="inverted_cdf").tolist()
        method = f"percentile bootstrap, {resamples} resamples of runs"
    estimate = float(middle_E[0])
    return Aggregate(
        name="interquartile mean",
        estimate=estimate,
        interval=(low, high),
        level=level,
        n=values.size,
        method=method,
        sentence=(
            f"The middle half of {values.size} runs has mean {estimate:.3f} ({level:.0%} interval {low:.3f} "
            f"to {high:.3f})."
        ),
    )


def iqm_band(
    values_NE: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    rng: np.random.Generator,
    strata_N: npt.ArrayLike | None = None,
) -> Band:
    """Interquartile means of N runs' Pass@1 at E evaluations with a simultaneous band.

    The largest deviation over evaluations, in the bootstrap's standard deviations, is carried to t at the
    same tail; every evaluation gets at least the t interval of Sidak's level, below ten runs just that.

    Args:
        values_NE: One curve per run, in [0, 1].
        level: Confidence for all evaluations together.
        resamples: Bootstrap samples.
        rng: Their source.
        strata_N: Query of each run. None is one query.

    Raises:
        InputError: As :func:`iqm_interval`, or values outside [0, 1].
    """
    values = checked_curves(values_NE)
    n = values.shape[0]
    middle_E, drawn_RE, df = _resampled(values, resamples, rng, strata_N)
    sd_E = drawn_RE.std(axis=0, ddof=1)
    moving = sd_E > 1e-9
    factor = float(sidak(np.full(middle_E.size, df), checked_level(level))[0])
    method = f"t intervals at Sidak's level, standard deviations of {resamples} resamples of runs"
    if n >= FEWEST_RESAMPLED and moving.any():
        peaks = (np.abs(drawn_RE - middle_E)[:, moving] / sd_E[moving]).max(axis=1)
        known = float(np.quantile(peaks, level, method="inverted_cdf"))
        factor = max(factor, float(-stdtrit(df, ndtr(-known))))
        method = f"largest deviation over evaluations, {resamples} resamples of runs, carried to t"
    return Band(
        mean_E=tuple(middle_E.tolist()),
        low_E=tuple(np.clip(middle_E - factor * sd_E, 0, 1).tolist()),
        high_E=tuple(np.clip(middle_E + factor * sd_E, 0, 1).tolist()),
        n=n,
        method=method,
        level=level,
        holds_E=tuple((n * np.minimum(middle_E, 1 - middle_E) >= AWAY).tolist()),
    )


def _resampled(
    values_NE: Floats, resamples: int, rng: np.random.Generator, strata_N: npt.ArrayLike | None
) -> tuple[Floats, Floats, float]:
    """Interquartile means (E,), those of the resamples (R, E), and degrees of freedom."""
    n, cut = values_NE.shape[0], values_NE.shape[0] // 4
    rows = checked_strata(strata_N, n)
    ordered = sort_runs(values_NE)
    middle_E = trimmed_means(ordered, np.ones((1, n)), cut)[0]
    drawn_RE = np.concatenate([trimmed_means(ordered, b, cut) for b in weights(rows, resamples, rng)])
    return middle_E, drawn_RE, float(max(n - 2 * cut - len(rows), 1))


def probability_of_improvement(
    a_N: npt.ArrayLike,
    b_M: npt.ArrayLike,
    *,
    strata_N: npt.ArrayLike | None = None,
    strata_M: npt.ArrayLike | None = None,
    paired: bool = True,
    level: float = 0.95,
) -> Aggregate:
    """P(a run of A is better than a run of B), ties half, averaged over queries, with its interval.

    The standard error is that of the runs' placements in the other condition (DeLong et al. 1988), of pairs
    if they are paired (Konietschko and Pauly 2012), with Satterthwaite's t on the log-odds. Where all runs
    of A beat all of B, or none, that error is 0, and the interval ends at a one-sided Clopper-Pearson bound
    as if every pair counted once.

    Args:
        a_N: Values of A's runs.
        b_M: Values of B's, the same (query, seed) at the same index if paired.
        strata_N: Query of each run of A. None is one query.
        strata_M: Query of each run of B; those of A if paired.
        paired: Whether the runs share random streams.
        level: Two-sided confidence.

    Raises:
        InputError: Fewer than two runs in a query, queries that differ, paired groups of different size.
    """
    a, b = checked_values(a_N, 1), checked_values(b_M, 1)
    rows_a = checked_strata(strata_N, a.size)
    rows_b = rows_a if paired else checked_strata(strata_M, b.size)
    if (paired and a.size != b.size) or len(rows_a) != len(rows_b):
        raise InputError(
            f"runs: need the same pairs or the same queries, got {a.size} runs in {len(rows_a)} queries and "
            f"{b.size} in {len(rows_b)}"
        )
    found = [_placed(a[i], b[j], paired) for i, j in zip(rows_a, rows_b, strict=True)]
    estimate = float(np.mean([f[0] for f in found]))
    parts = [(v / len(found) ** 2, df) for _, terms in found for v, df in terms]
    n = min(a.size, b.size)
    interval = _logit_interval(estimate, parts, n, checked_level(level))
    return Aggregate(
        name="probability of improvement",
        estimate=estimate,
        interval=interval,
        level=level,
        n=n,
        method=f"placements of {'pairs' if paired else 'independent runs'}, t on the log-odds",
        sentence=(
            f"A run of the first beats one of the second with probability {estimate:.2f} ({level:.0%} "
            f"interval {interval[0]:.2f} to {interval[1]:.2f}, {n} {'pairs' if paired else 'runs each'})."
        ),
    )


def _placed(a_N: Floats, b_M: Floats, paired: bool) -> tuple[float, list[tuple[float, float]]]:
    """P(A > B) + P(A = B) / 2 in one query, and its variance's terms with their degrees of freedom."""
    wins_NM = (a_N[:, None] > b_M) + 0.5 * (a_N[:, None] == b_M)
    of_a, of_b = wins_NM.mean(axis=1), wins_NM.mean(axis=0)
    terms = [of_a + of_b] if paired else [of_a, of_b]
    return float(wins_NM.mean()), [(float(settled(t.var(ddof=1), t)) / t.size, t.size - 1.0) for t in terms]


def _logit_interval(
    estimate: float, parts: list[tuple[float, float]], n: int, level: float
) -> tuple[float, float]:
    total = sum(v for v, _ in parts)
    if total == 0 or not 0 < estimate < 1:
        bound = ((1 - level) / 2) ** (1 / n)
        return (bound if estimate == 1 else 0.0, 1 - bound if estimate == 0 else 1.0)
    df = total**2 / sum(v**2 / f for v, f in parts)
    half = float(stdtrit(df, (1 + level) / 2)) * np.sqrt(total) / (estimate * (1 - estimate))
    centre = np.log(estimate / (1 - estimate))
    low, high = 1 / (1 + np.exp(-(centre + np.array([-half, half]))))
    return float(low), float(high)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
def fill_trimmed(sorted_EN: Floats, order_EN: Places, weights_RN: Floats, cut: float, out_RE: Floats) -> None:
    """Fill the means of the weight between `cut` and N - `cut` along each sorted row; weights sum to N."""
    n = weights_RN.shape[1]
    last = n - cut
    for r in range(weights_RN.shape[0]):
        for e in range(sorted_EN.shape[0]):
            i, passed = 0, weights_RN[r, order_EN[e, 0]]
            while passed <= cut and i + 1 < n:
                i += 1
                passed += weights_RN[r, order_EN[e, i]]
            total = (passed - cut) * sorted_EN[e, i]
            while passed < last and i + 1 < n:
                i += 1
                weight = weights_RN[r, order_EN[e, i]]
                total += weight * sorted_EN[e, i]
                passed += weight
            out_RE[r, e] = (total - (passed - last) * sorted_EN[e, i]) / (last - cut)


def sort_runs(values_NE: Floats) -> tuple[Floats, Places]:
    """Values of each evaluation in rising order and the runs they belong to, both (E, N)."""
    order_EN = np.ascontiguousarray(np.argsort(values_NE, axis=0, kind="stable").T)
    return np.take_along_axis(values_NE.T, order_EN, axis=1), order_EN.astype(np.uint32)


def trimmed_means(ordered: tuple[Floats, Places], weights_RN: Floats, cut: int) -> Floats:
    """Means over runs without the lowest and highest `cut` of the weight, (R, E).

    Args:
        ordered: Values in order (:func:`sort_runs`).
        weights_RN: Weights of the runs, rows that sum to N.
        cut: Weight left out at either end, less than N / 2.
    """
    sorted_EN, order_EN = ordered
    out_RE = np.empty((weights_RN.shape[0], sorted_EN.shape[0]))
    fill_trimmed(np.ascontiguousarray(sorted_EN), order_EN, weights_RN, float(cut), out_RE)
    return out_RE
