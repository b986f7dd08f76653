"""Coverage of the curve models' profile intervals on counts drawn from the models themselves.

Several runs, n of them, each with nine evaluations of 32 answers: a run's cells are beta-binomial around the
model's curve and as far up or down in their distribution as the run is, at every round: runs differ
lastingly. One run, n being its evaluations: the cells are independent.
"""

import math

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, covered
from scipy.stats import beta, norm

from analysis.fits.curve_fit import Curve, cutoffs, fit_curve, searched
from analysis.fits.curves import CURVES
from analysis.fits.likelihood import Profile

TRUTHS = {
    "constant": [0.4],
    "logistic": [0.1, 4.0],
    "logistic with ceiling": [0.1, 8.0, 0.7],
    "logit in log time": [0.1, 1.5, 0.1],
    "exponential saturation": [0.1, 0.7, 0.25],
    "power law of the error": [0.1, 0.8, 0.1, 1.5],
    "ScaleRL sigmoid": [0.1, 0.7, 0.35, 3.0],
    "normalised bandit flow with ceiling": [0.1, 14.0, 0.7],
}
"""Parameters, time being 1 at the last round. Left out: the constant, whose interval is Student's (tested as
such, and drawn below), and the flows that are others of these without their ceiling or with another exponent."""
EVERY_N = ("logistic", "exponential saturation")
ONCE = [name for name in TRUTHS if name not in (*EVERY_N, "constant")]
MEASURES = (searched, cutoffs, Profile, Curve, "analysis.fits.curves.CURVES")
RUNS = "Profile interval of a curve model, runs as units"
CELLS = "Profile interval of a curve model, one run"
ROUNDS, EVALUATIONS, ANSWERS, RHO = 80.0, 9, 32, 0.05
GRID = 4001


class Drawn:
    """Curves of several runs under one model."""

    def __init__(self, name, evaluations=EVALUATIONS):
        self.model, self.x = CURVES[name], np.array(TRUTHS[name])
        self.times_E = np.linspace(0.0, 1.0, evaluations)
        p_E, size = self.model.curve(self.x, self.times_E), (1 - RHO) / RHO
        place_G1 = ((np.arange(GRID) + 0.5) / GRID)[:, None]
        self.rate_GE = beta.ppf(place_G1, p_E * size, (1 - p_E) * size)

    def curve(self, rng, runs, *, lasting):
        """One data set: a run's place in the distribution lasts over its rounds, or is drawn anew at each."""
        z_RE = np.repeat(rng.standard_normal((runs, 1)), self.times_E.size, axis=1)
        z_RE = z_RE if lasting else rng.standard_normal(z_RE.shape)
        row_RE = np.minimum((norm.cdf(z_RE) * GRID).astype(int), GRID - 1)
        rate_RE = self.rate_GE[row_RE, np.arange(self.times_E.size)]
        n_N, run_N = np.full(z_RE.size, ANSWERS), np.repeat(np.arange(runs), self.times_E.size)
        rounds_N = np.tile(ROUNDS * self.times_E, runs)
        return Curve("drawn", rounds_N, n_N, rng.binomial(ANSWERS, rate_RE).ravel(), run_N)


def coverage(drawn, runs, sets, *, lasting):
    """By parameter, share of intervals that hold the truth, and share of data sets that give none."""
    rng, held_I, none_I = np.random.default_rng(runs), *np.zeros((2, drawn.x.size))
    wanted = drawn.model.parameters
    for _ in range(sets):
        curve = drawn.curve(rng, runs, lasting=lasting)
        loss, found = searched(drawn.model, curve)
        ends = cutoffs(loss, found, LEVEL)
        for i, (parameter, value) in enumerate(zip(wanted, drawn.x.tolist(), strict=True)):
            none_I[i] += not math.isfinite(ends[i])
            if math.isfinite(ends[i]):
                profile = Profile(loss, found, parameter.name)
                held_I[i] += profile.holds(parameter.searched(value), float(ends[i]))
    return held_I / (sets - none_I), none_I / sets


def test_intervals_cover_the_truth_where_runs_differ_lastingly():
    sets = 60
    held_I, none_I = coverage(Drawn("logistic"), 5, sets, lasting=True)
    assert max(none_I) < 0.1
    assert min(held_I) >= LEVEL - 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / sets)


def test_the_limits_hold_what_the_deviance_says():
    """The rate is of the intervals that are printed, not of a shortcut's."""
    drawn, rng = Drawn("exponential saturation"), np.random.default_rng(1)
    for _ in range(4):
        curve = drawn.curve(rng, 5, lasting=True)
        loss, found = searched(drawn.model, curve)
        ends, printed = cutoffs(loss, found, LEVEL), fit_curve(drawn.model, curve).intervals
        for i, (parameter, value) in enumerate(zip(drawn.model.parameters, drawn.x.tolist(), strict=True)):
            natural = value * ROUNDS**parameter.power
            own = printed[i]
            inside = (own.low is None or own.low <= natural) and (own.high is None or natural <= own.high)
            profile = Profile(loss, found, parameter.name)
            assert profile.holds(parameter.searched(value), float(ends[i])) == inside


def test_cells_as_units_would_miss_a_truth_that_the_runs_cover():
    """The same counts without their runs' names: the interval of a constant is far too narrow."""
    drawn, rng, held = Drawn("constant"), np.random.default_rng(2), 0
    for _ in range(60):
        of = drawn.curve(rng, 5, lasting=True)
        low, high = (
            getattr(fit_curve(drawn.model, Curve("c", of.rounds_N, of.n_N, of.correct_N)).intervals[0], end)
            for end in ("low", "high")
        )
        held += low <= drawn.x[0] <= high
    assert held / 60 < 0.75


def kept(results, method, name, n, rates):
    """Leave the rates, with what share of the data sets gives no interval."""
    about = {"measures": MEASURES, "kind": "coverage", "n": n, "nominal": LEVEL, "sets": SETS, "exact": False}
    found = []
    for parameter, held, none in zip(CURVES[name].parameters, *(r.tolist() for r in rates), strict=True):
        without = f", no interval in {none:.1%}" if none else ""
        found.append(results.add(method, case=f"{name}: {parameter.name}{without}", rate=held, **about))
    return found


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("name", "n"),
    [*((name, n) for name in EVERY_N for n in SEEDS), *((name, 5) for name in ONCE)],
)
def test_coverage_over_runs(name, n, calibration_results):
    rates = coverage(Drawn(name), n, SETS, lasting=True)
    assert all(covered(rate) for rate in kept(calibration_results, RUNS, name, n, rates))


@pytest.mark.calibration
@pytest.mark.parametrize("n", SEEDS)
def test_coverage_of_one_run(n, calibration_results):
    rates = coverage(Drawn("logistic", n), 1, SETS, lasting=False)
    assert all(covered(rate) for rate in kept(calibration_results, CELLS, "logistic", n, rates))
