"""Ratios of right-censored hitting times: the inverted permutation log-rank, and the bootstrap of medians.

Six thousand data sets are affordable with a coarser grid of candidate ratios (the truth is always tested
exactly).
"""

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, TAIL, covered, held, times

from analysis.inference import times as survival
from analysis.inference.ratio import ratio_test
from analysis.inference.times import HittingTimes

RATIO_SETS = 6000
CASES = {  # queries, true ratio, median of the slow group, horizon, correlation
    "one query": (1, 2.0, 50, 145, 0.5),
    "four queries": (4, 2.0, 50, 145, 0.5),
    "a third censored": (1, 2.0, 120, 145, 0.5),
    "no common streams": (1, 2.0, 50, 145, 0.0),
    "coarse grid": (1, 1.68, 50, 145, 0.5),
}


def rates(n, case, sets):
    """Coverage of the 95% interval, and how often each true one-sided hypothesis is rejected at 5%."""
    queries, ratio, median, horizon, correlation = CASES[case]
    step = 10.0 if case == "coarse grid" else 5.0
    rng, inside, low, high = np.random.default_rng([n, len(case)]), 0, 0, 0
    for _ in range(sets):
        slow, fast, query = times(rng, n, queries, ratio, median, horizon, correlation, step=step)
        test = ratio_test(slow, fast, strata_N=query, margins=(ratio,), grid_step=0.05)
        above, below = test.p_above(ratio), test.p_below(ratio)
        inside += above > TAIL and below > TAIL
        low, high = low + (above <= 0.05), high + (below <= 0.05)
    return inside / sets, max(low, high) / sets


@pytest.mark.calibration
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n", SEEDS)
def test_ratio_of_hitting_times(n, case, calibration_results):
    inside, wrong = rates(n, case, RATIO_SETS)
    about = {
        "measures": (ratio_test, HittingTimes),
        "case": case,
        "n": n,
        "sets": RATIO_SETS,
        "exact": False,
    }
    name = "Permutation log-rank inverted for a ratio of times"
    kept = calibration_results.add(name, kind="coverage", nominal=LEVEL, rate=inside, **about)
    error = calibration_results.add(name, kind="error", nominal=0.05, rate=wrong, **about)
    assert covered(kept)
    assert held(error, slack=0.005)


@pytest.mark.calibration
@pytest.mark.parametrize("queries", [1, 4])
@pytest.mark.parametrize("n", SEEDS)
def test_ratio_of_medians(n, queries, calibration_results, monkeypatch):
    refused = None if n >= survival.FEWEST else f"fewer than {survival.FEWEST} pairs"
    monkeypatch.setattr(survival, "FEWEST", 0)
    rng, inside = np.random.default_rng([n, queries]), 0
    truth = MEDIANS[queries]
    for _ in range(SETS):
        slow, fast, query = times(rng, n, queries, 2.0, 50, 400, 0.5)
        a, b = (t.drawn(rng).upper for t in (slow, fast))
        _, low, high = survival.median_ratio(a, b, query, resamples=400, rng=rng)
        inside += low <= truth <= high
    kept = calibration_results.add(
        "Percentile bootstrap of a ratio of median times",
        measures=(survival.median_ratio,),
        kind="coverage",
        case=f"{queries} queries",
        n=n,
        nominal=LEVEL,
        rate=inside / SETS,
        sets=SETS,
        exact=False,
        refused=refused,
    )
    assert refused or covered(kept)


MEDIANS = {1: 2.0, 4: 2.0}
"""One factor stretches the whole law, so medians have the same ratio."""
