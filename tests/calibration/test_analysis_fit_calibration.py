"""Coverage of the fitted bandit's profile intervals on simulated runs: effective step and base log-odds.

Runs come from the simulators through records. A lumped world's step is one number; in a contextual world every
seed has a query and so a step of its own, and the interval is that of the median.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, WORST
from support import bandit

from analysis.fits.bandit_data import Counts, counts_of_runs, known_gain
from analysis.fits.bandit_query import fit_query
from banditrft.theory.generalisation import Geometry
from banditrft.worlds import WorldSettings

pytestmark = pytest.mark.slow(8)

BASE = 0.2
CASES = {
    "lumped world, Adam": (bandit.LUMPED, "lumped", "G=1"),
    "lumped world, SGD": (bandit.LUMPED, "lumped", "G=1, SGD"),
    "contextual world, SGD": (bandit.CONTEXTUAL, "contextual", "G=1, SGD"),
}
MEASURES = (fit_query, Counts)
STEP, START = "Profile interval of a bandit's effective step", "Profile interval of a bandit's base log-odds"


@dataclass(frozen=True)
class Truth:
    """Many runs of one condition, and what they obey."""

    world: WorldSettings
    counts: Counts
    log_step: float


def simulate(case, seeds, folder):
    settings, world, condition = CASES[case]
    conditions = f'\n[[conditions]]\nname = "{condition}"\n'
    if "SGD" in condition:
        conditions += 'optimizer = "sgd"\nlearning_rate = ' + ("1.0" if world == "lumped" else "0.015")
    more = "test_items = 1" if world == "contextual" else ""
    settings = settings.replace("test_items = 400\n", "")
    text = bandit.text(seeds=seeds, rounds=60, base=BASE, conditions=conditions, worlds=[settings], more=more)
    records = bandit.run(text, folder)
    cell = records.of(world)[condition]
    return Truth(cell.world, counts_of_runs(records, cell, 0, seeds), true_log_step(cell))


def true_log_step(cell):
    """Mean log-step over seeds: settings give it in the lumped world, |u0|^2 of a random query else (theory 6)."""
    if cell.world.world == "lumped":
        return math.log(known_gain(cell.world, cell.design) * cell.design.learning_rate)
    plane, rng, n = Geometry(cell.world, math.log(BASE / (1 - BASE))), np.random.default_rng(0), 10**6
    along = plane.along_mean + cell.world.noise * rng.standard_normal(n)
    rest = cell.world.noise**2 * rng.chisquare(cell.world.dimension - 2, n)
    norms = plane.base_log_odds**2 / plane.weight_norm_sq + along**2 + rest
    return math.log(cell.design.learning_rate) + float(np.log(norms).mean())


def coverage(truth, n, sets):
    """Share of data sets whose intervals hold the true step and the true base."""
    step = start = 0
    for s in range(sets):
        counts = bandit.subset(truth.counts, slice(s * n, (s + 1) * n))
        found = fit_query(truth.world, counts, "G=1", BASE, LEVEL).intervals
        step += holds(found["log_step"], truth.log_step)
        start += holds(found["base_log_odds"], math.log(BASE / (1 - BASE)))
    return step / sets, start / sets


def holds(interval, value):
    low = -math.inf if interval.low is None else interval.low
    return low <= value <= (math.inf if interval.high is None else interval.high)


@pytest.mark.parametrize("case", ["lumped world, Adam", "contextual world, SGD"])
def test_intervals_cover_the_truth(case, tmp_path):
    sets = 40
    step, start = coverage(simulate(case, 5 * sets, tmp_path), 5, sets)
    least = LEVEL - 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / sets)
    assert step >= least
    assert start >= least


def keep(methods, case, n, folder, results):
    """Leave the rates of a case, each of which must be good enough."""
    about = {"measures": MEASURES, "kind": "coverage", "n": n, "nominal": LEVEL, "sets": SETS, "exact": False}
    for method, rate in zip(methods, coverage(simulate(case, n * SETS, folder), n, SETS), strict=True):
        kept = results.add(method, case=f"{case}, base .2, 60 rounds", rate=rate, **about)
        assert kept.rate >= LEVEL - WORST - 3 * kept.error


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("case", "n"),
    [*(("contextual world, SGD", n) for n in SEEDS), ("lumped world, Adam", 8), ("lumped world, SGD", 8)],
)
def test_coverage_of_profile_intervals(case, n, tmp_path, calibration_results):
    keep((STEP, START), case, n, tmp_path, calibration_results)


@pytest.mark.calibration
@pytest.mark.parametrize(("case", "n"), [("lumped world, Adam", n) for n in (5, 16, 32)])
def test_coverage_where_seeds_share_a_step(case, n, tmp_path, calibration_results):
    keep((f"{STEP}, one step", f"{START}, one step"), case, n, tmp_path, calibration_results)
