"""Coverage of fit-here-predict-there: a lumped world's G=1 is fitted, four rollouts are predicted.

The world obeys the theory, so intervals and bands should hold what other seeds of the new condition show. In a
study both conditions have the same seeds, whose shared luck the intervals leave unused; here the predicted runs are
those of the next data set, which is the harder case.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, WORST
from support import bandit

from analysis.fits.bandit_data import counts_of_runs
from analysis.fits.bandit_prediction import observed, parameters_of, predict_cell
from analysis.fits.bandit_query import fit_query
from analysis.fits.unseen import _curve, _row
from analysis.loading.records import Cell

pytestmark = pytest.mark.slow(6)

BASE, DRAWN = 0.2, 100
MEASURES = (fit_query, parameters_of, predict_cell, observed, _row, _curve)
INTERVAL, BAND = "Prediction interval of an unseen condition", "Band of an unseen condition's mean curve"
TARGETS = """
[[conditions]]
name = "G=1"
[[conditions]]
name = "G=4"
rollouts = 4
"""


@dataclass(frozen=True)
class Truth:
    """Many runs of the fitted condition, and as many of the one that is predicted."""

    counts: object
    start: Cell
    target: Cell


def simulate(runs, folder):
    text = bandit.text(seeds=runs, rounds=40, base=BASE, conditions=TARGETS, worlds=[bandit.LUMPED])
    records = bandit.run(text, folder)
    cells = records.of("lumped")
    return Truth(counts_of_runs(records, cells["G=1"], 0, runs), cells["G=1"], cells["G=4"])


def some(cell, chosen):
    """A cell with some of its runs."""
    rows = {f.name: getattr(cell, f.name) for f in fields(cell)}
    return replace(
        cell,
        **{name: v[chosen] for name, v in rows.items() if isinstance(v, np.ndarray) and len(v) == cell.n},
    )


def coverage(truth, n, sets):
    """Share of data sets whose interval, by quantity, and whose band hold what was seen."""
    held = {}
    for s in range(sets):
        there = slice((s + 1) % sets * n, ((s + 1) % sets + 1) * n)
        counts = bandit.subset(truth.counts, slice(s * n, (s + 1) * n))
        target, rng = some(truth.target, there), np.random.default_rng(s)
        fit = fit_query(truth.start.world, counts, "G=1", BASE)
        found = predict_cell(target, [parameters_of(fit, DRAWN, rng)], rng)
        for name, seen in observed(target).items():
            row = _row(target, "G=1", name, found.values[name], seen, None)
            held[name] = held.get(name, 0) + row.inside
        held["band"] = held.get("band", 0) + _curve(target, found.curve_DE).inside
    return {name: count / sets for name, count in held.items()}


def test_what_is_predicted_comes(tmp_path):
    n, sets = 5, 40
    rates = coverage(simulate(n * sets, tmp_path), n, sets)
    assert set(rates) == {"area", "final", "rounds", "seed_sd", "band"}
    least = LEVEL - 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / sets) - 0.02
    assert min(rates.values()) >= least


@pytest.mark.calibration
@pytest.mark.parametrize("n", SEEDS)
def test_coverage_of_predictions(n, tmp_path, calibration_results):
    rates = coverage(simulate(n * SETS, tmp_path), n, SETS)
    about = {"measures": MEASURES, "kind": "coverage", "n": n, "nominal": LEVEL, "sets": SETS, "exact": False}
    for name, rate in rates.items():
        method = BAND if name == "band" else INTERVAL
        case = f"lumped world, Adam, base .2, G=4 from G=1: {name}"
        kept = calibration_results.add(method, case=case, rate=rate, **about)
        assert kept.rate >= LEVEL - WORST - 3 * kept.error
