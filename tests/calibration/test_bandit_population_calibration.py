"""Coverage of what a condition's queries and runs have in common: the gain of a typical query, the transfer.

One run of queries is simulated and fitted; the data sets are its fit with other steps, and its counts with
other test answers, drawn from the models' own laws. n is queries for the gain, runs for the transfer.
"""

import dataclasses
import math

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, WORST, covered
from scipy.stats import t
from support import bandit

from analysis.fits.bandit_data import counts_of_runs
from analysis.fits.bandit_query import fit_query, gain_of_queries, transfer_to_test
from analysis.fits.likelihood import Interval

GAIN, TRANSFER = "Interval of the gain of a typical query", "Interval of test per train log-odds"
MEDIAN, ERROR, SLOPE = 20.0, 0.15, 0.4
BETWEEN = {"queries alike": 0.0, "queries far apart": 0.5}
TEST_ANSWERS = 1600


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A real fit of five runs, and their counts."""
    text = bandit.text(seeds=5, rounds=20, worlds=[bandit.LUMPED.replace("test_items = 400\n", "")])
    records = bandit.run(text, tmp_path_factory.mktemp("population"))
    cell = records.of("lumped")["G=1"]
    counts = counts_of_runs(records, cell, 0, 5)
    return fit_query(cell.world, counts, "G=1", cell.base[0]), counts


def query(fit, log_gain, error):
    """The fit with another step, known to within an error."""
    log_step = log_gain + math.log(fit.learning_rate)
    reach = error * float(t.ppf(0.5 + LEVEL / 2, len(fit.seeds) - 1))
    found = Interval(log_step - reach, log_step + reach, (True, True), LEVEL)
    estimate = fit.fit.estimate.copy()
    estimate[fit.fit.names.index("log_step")] = log_step
    return dataclasses.replace(
        fit,
        fit=dataclasses.replace(fit.fit, estimate=estimate),
        intervals=fit.intervals | {"log_step": found},
    )


def gains(fit, between, queries, sets):
    """Share of data sets whose interval holds the gain of a typical query."""
    rng, held = np.random.default_rng(queries), 0
    for _ in range(sets):
        log_Q = math.log(MEDIAN) + np.hypot(between, ERROR) * rng.standard_normal(queries)
        found = gain_of_queries([query(fit, x, ERROR) for x in log_Q], LEVEL)
        held += found.low <= MEDIAN <= found.high
    return held / sets


def transfers(fit, counts, runs, sets):
    """Share of data sets whose interval holds the slope of test against train log-odds."""
    rng, held = np.random.default_rng(runs), 0
    for _ in range(sets):
        train_R = rng.normal(3.0, 1.0, runs)
        base_R = rng.normal(-1.0, 0.2, runs)
        end_R = base_R + SLOPE * train_R + 0.2 * rng.standard_normal(runs)
        right_R2 = rng.binomial(TEST_ANSWERS, 1 / (1 + np.exp(-np.stack([base_R, end_R], axis=1))))
        tested_R22 = np.stack([right_R2, np.full_like(right_R2, TEST_ANSWERS)], axis=2).astype(float)
        found = transfer_to_test(
            [dataclasses.replace(fit, displacement=train_R)],
            [dataclasses.replace(counts, test_R22=tested_R22)],
            LEVEL,
        )
        held += found.low <= SLOPE <= found.high
    return held / sets


def least(sets):
    return LEVEL - WORST - 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / sets)


def test_the_gain_of_a_typical_query_is_covered(fitted):
    assert gains(fitted[0], 0.5, 5, 100) >= least(100)


def test_the_transfer_to_test_is_covered(fitted):
    assert transfers(*fitted, 5, 100) >= least(100)


@pytest.mark.calibration
@pytest.mark.parametrize("n", SEEDS)
@pytest.mark.parametrize("case", BETWEEN)
def test_coverage_of_gains(case, n, fitted, calibration_results):
    about = {
        "measures": (gain_of_queries,),
        "kind": "coverage",
        "n": n,
        "nominal": LEVEL,
        "sets": SETS,
        "exact": False,
    }
    rate = gains(fitted[0], BETWEEN[case], n, SETS)
    assert covered(calibration_results.add(GAIN, case=case, rate=rate, **about))


@pytest.mark.calibration
@pytest.mark.parametrize("n", SEEDS)
def test_coverage_of_transfers(n, fitted, calibration_results):
    about = {
        "measures": (transfer_to_test,),
        "kind": "coverage",
        "n": n,
        "nominal": LEVEL,
        "sets": SETS,
        "exact": False,
    }
    rate = transfers(*fitted, n, SETS)
    assert covered(calibration_results.add(TRANSFER, case="binomial test answers", rate=rate, **about))
