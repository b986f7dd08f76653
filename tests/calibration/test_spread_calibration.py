"""Spreads: the paired Brown-Forsythe test inverted for a ratio, and SD ratios by jackknife."""

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, TAIL, covered, held, pairs, standard

from analysis.inference import spread

LAWS = ("normal", "skewed", "heavy")
SPREAD = "Brown-Forsythe for pairs, inverted for a ratio of spreads"
LOG_SD = "Jackknife of the log SD ratio, evaluation noise subtracted"
NOISE = "Jackknife of evaluation noise over SD"


def spread_rates(n, queries, ratio, correlation, law, sets):
    rng, inside, low, high = np.random.default_rng([n, queries, len(law)]), 0, 0, 0
    query = np.arange(n) % queries
    for _ in range(sets):
        a, b = pairs(rng, n, correlation, law)
        test = spread.spread_ratio(
            10.0 * query + ratio * a, 10.0 * query + b, query, margins=(ratio,), candidates=101
        )
        above, below = test.p_above(ratio), test.p_below(ratio)
        inside += above > TAIL and below > TAIL
        low, high = low + (above <= 0.05), high + (below <= 0.05)
    return inside / sets, max(low, high) / sets


def jackknife_coverage(draw, n, sets, seed):
    rng, inside = np.random.default_rng([n, seed]), 0
    for _ in range(sets):
        found, truth = draw(rng)
        low, high = found.interval(TAIL)
        inside += not np.isfinite(found.se) or low <= truth <= high  # no interval is given without an error
    return inside / sets


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("queries", "ratio", "correlation", "law"),
    [
        (1, 1.0, 0.0, "normal"),
        (1, 2.0, 0.5, "normal"),
        (4, 2.0, 0.5, "normal"),
        (1, 2.0, 0.5, "skewed"),
        (1, 2.0, 0.5, "heavy"),
    ],
)
@pytest.mark.parametrize("n", SEEDS)
def test_spread_ratio(n, queries, ratio, correlation, law, calibration_results, monkeypatch):
    refused = "two pairs of a query" if n // queries < spread.FEWEST else None
    monkeypatch.setattr(spread, "FEWEST", 0)
    inside, wrong = spread_rates(n, queries, ratio, correlation, law, SETS)
    about = {
        "measures": (spread.spread_ratio,),
        "case": f"{law} values, {queries} queries, ratio {ratio:g}, correlation {correlation:g}",
        "n": n,
        "sets": SETS,
        "exact": False,
        "refused": refused,
    }
    kept = calibration_results.add(SPREAD, kind="coverage", nominal=LEVEL, rate=inside, **about)
    error = calibration_results.add(SPREAD, kind="error", nominal=0.05, rate=wrong, **about)
    assert refused or covered(kept)
    assert refused or held(error, slack=0.03)


@pytest.mark.calibration
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", SEEDS)
def test_log_sd_ratio(n, law, calibration_results):
    def draw(rng):
        a, b = pairs(rng, n, 0.5, law)
        noise = 0.3 * rng.standard_normal((2, n))
        return spread.log_sd_ratio(
            2 * a + noise[0], np.full(n, 0.09), b + noise[1], np.full(n, 0.09)
        ), np.log(2)

    kept = calibration_results.add(
        LOG_SD,
        measures=(spread.log_sd_ratio,),
        kind="coverage",
        case=f"{law} values, ratio 2",
        n=n,
        nominal=LEVEL,
        rate=jackknife_coverage(draw, n, SETS, 1),
        sets=SETS,
        exact=False,
    )
    assert covered(kept)


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("ratio", "law"), [(np.sqrt(2), "normal"), (3.0, "normal"), (3.0, "skewed"), (3.0, "heavy")]
)
@pytest.mark.parametrize("n", SEEDS)
def test_noise_over_sd(n, ratio, law, calibration_results):
    def draw(rng):
        values = np.sqrt(ratio**2 - 1) * standard(rng, n, law) + rng.standard_normal(n)
        return spread.noise_over_sd(values, np.ones(n)), 1 / ratio

    kept = calibration_results.add(
        NOISE,
        measures=(spread.noise_over_sd,),
        kind="coverage",
        case=f"{law} values, SD {ratio:.3g} times the noise",
        n=n,
        nominal=LEVEL,
        rate=jackknife_coverage(draw, n, SETS, 2),
        sets=SETS,
        exact=False,
    )
    assert covered(kept)
