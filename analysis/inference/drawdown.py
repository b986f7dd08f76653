"""How far a run falls after its maximum, free of the noise of evaluation; runs at equal progress.

The largest fall of a sampled curve below its running maximum is positive even where the true curve only
rises: the maximum is picked among noisy values. Here every other evaluation picks where the run stood
highest and where it had fallen most from there, and the evaluations between them, whose noise is
independent, measure the fall; then the two halves change places and the two results are averaged. Given the
true curve p the expectation is that of p at the round after the peak minus p at the round after the trough,
so a run that never falls has one of 0 or less: that is the null, and a t test over runs needs no model of
the noise. A fall shorter than two evaluations is not seen and the edges of a longer one are missed, so that
the mean errs towards none. It stands apart from the claim that reads it (`analysis.claims.less_stable`),
since it is a statistic of any curves.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FEWEST = 4
"""Evaluations that a fall needs, two to pick and two to measure."""


def drawdown(curve_NE: Floats) -> Floats:
    """(N,) fall of each run after its maximum, in the unit of the curve; without a fall at most 0 on average.

    Args:
        curve_NE: E evaluations of N runs, at least `FEWEST`, each with noise of its own.
    """
    evens, odds = curve_NE[:, 0::2], curve_NE[:, 1::2]
    return 0.5 * _fall(evens, odds, 0) + 0.5 * _fall(odds, evens, 1)


def _fall(pick_NK: Floats, measure_NL: Floats, ahead: int) -> Floats:
    """Fall between the places that one half picks, by the other half's next evaluations.

    Args:
        pick_NK: Evaluations that pick.
        measure_NL: Those that measure.
        ahead: How many places further the evaluation after the k-th picking one stands among them.
    """
    rows = np.arange(len(pick_NK))
    top = np.maximum.accumulate(pick_NK, axis=1)
    trough = (top - pick_NK).argmax(axis=1)
    before = np.arange(pick_NK.shape[1])[None, :] <= trough[:, None]
    peak = np.where(before, pick_NK, -np.inf).argmax(axis=1)
    last = measure_NL.shape[1] - 1
    high, low = (measure_NL[rows, np.minimum(at + ahead, last)] for at in (peak, trough))
    return np.asarray(high - low, dtype=np.float64)


def at_progress(
    rounds_E: Floats, curve_NE: Floats, query_N: Ints, level: float
) -> tuple[Floats, Floats] | None:
    """Each run's value at the round where the mean curve of its query first reaches a level.

    Args:
        rounds_E: Rounds of the evaluations.
        curve_NE: Curves of N runs.
        query_N: Query of each.
        level: The level; it must be above the mean at the first evaluation.

    Returns:
        (N,) values interpolated between the two evaluations around it, and (N, E) the weights of the
        evaluations that they are made of; None where a mean curve starts at the level or never reaches it.
    """
    weights = np.zeros_like(curve_NE)
    for query in np.unique(query_N):
        own = query_N == query
        mean = curve_NE[own].mean(axis=0)
        above = np.flatnonzero(mean >= level)
        if not above.size or above[0] == 0:
            return None
        k = int(above[0])
        share = (level - mean[k - 1]) / (mean[k] - mean[k - 1])
        weights[own, k - 1], weights[own, k] = 1 - share, share
    return np.asarray((curve_NE * weights).sum(axis=1)), weights
