"""Curves over runs: bands, crossings, interquartile means, improvement, paths, components of variance."""

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, covered, pairs, standard
from scipy.special import expit, logit, ndtri

from analysis.curves.aggregates import iqm, iqm_band, iqm_interval, probability_of_improvement
from analysis.curves.bands import mean_band
from analysis.curves.components import nested, query_share
from analysis.curves.conditions import first_crossing, mean_area, mean_crossing, normalised_area
from analysis.curves.paths import matched_differences, train_path
from analysis.inference.means import paired_difference

ROUNDS = np.arange(0.0, 151.0, 5.0)
RESAMPLES = 500
NOISE = 0.25


def logistic(rng, n, sd):
    """Rising from 0 to 1, half way at log-normal rounds."""
    middle = 60 * np.exp(sd * rng.standard_normal((n, 1)))
    return expit(0.12 * (ROUNDS - middle))


def to_the_top(rng, n):
    return 0.1 + 0.9 * logistic(rng, n, 0.4)


def together(rng, n):
    return 0.1 + 0.9 * logistic(rng, n, 0.08)


def plateaus(rng, n):
    """Plateaus near .7 that differ from run to run, reached late by some: late runs hide in the plateaus' spread."""
    return 0.1 + np.clip(0.6 + 0.05 * rng.standard_normal((n, 1)), 0, 0.9) * logistic(rng, n, 0.4)


def low(rng, n):
    return 0.1 + np.clip(0.3 + 0.05 * rng.standard_normal((n, 1)), 0, 0.9) * logistic(rng, n, 0.4)


def stuck(rng, n):
    return 0.1 + 0.85 * logistic(rng, n, 0.4) * (rng.random((n, 1)) > 0.15)


CURVES = {
    "to 1 at different rounds": to_the_top,
    "to 1 together": together,
    "to plateaus near .7": plateaus,
    "to plateaus near .4": low,
    "one run in seven stays at the base": stuck,
}
KNOWN = {}


def truth(draw, of):
    """A quantity of a large population, once per law."""
    if (draw, of) not in KNOWN:
        KNOWN[draw, of] = of(draw(np.random.default_rng(0), 100_000))
    return KNOWN[draw, of]


def population_mean(values):
    return values.mean(axis=0)


def population_area(values):
    return float(normalised_area(ROUNDS, values).mean())


def band_rate(draw, n, samples, sets):
    inside, expected = 0, truth(draw, population_mean)
    for s in range(sets):
        rng = np.random.default_rng([s, n, samples])
        values = rng.binomial(samples, draw(rng, n)) / samples
        band = mean_band(values, resamples=RESAMPLES, rng=rng, samples_NE=np.full(values.shape, samples))
        within = (np.array(band.low_E) <= expected) & (expected <= np.array(band.high_E))
        inside += bool(within[np.array(band.holds_E)].all())
    return inside / sets


def kept(results, method, measures, case, n, rate, sets=SETS, exact=False):
    """Record a coverage and hold it to the rule."""
    found = results.add(
        method,
        measures=measures,
        kind="coverage",
        case=case,
        n=n,
        nominal=LEVEL,
        rate=rate,
        sets=sets,
        exact=exact,
    )
    assert covered(found), found


def enough(rate, sets):
    """The small version of the rule, for a few hundred data sets."""
    return rate >= LEVEL - 0.03 - 3 * np.sqrt(LEVEL * (1 - LEVEL) / sets)


@pytest.mark.parametrize("n", [5, 16])
def test_bands_hold_the_mean_curve(n):
    assert enough(band_rate(plateaus, n, 64, 150), 150)


@pytest.mark.calibration
@pytest.mark.parametrize("samples", [64, 512])
@pytest.mark.parametrize("law", CURVES)
@pytest.mark.parametrize("n", SEEDS)
def test_band(n, law, samples, calibration_results):
    rate = band_rate(CURVES[law], n, samples, SETS)
    case = f"{law}, {samples} samples"
    kept(calibration_results, "Simultaneous band of a mean curve", (mean_band,), case, n, rate)


@pytest.mark.calibration
@pytest.mark.parametrize("law", ["to 1 at different rounds", "to plateaus near .4"])
@pytest.mark.parametrize("n", SEEDS)
def test_band_of_interquartile_means(n, law, calibration_results):
    draw, inside = CURVES[law], 0
    expected = truth(draw, population_iqm)
    for s in range(SETS):
        rng = np.random.default_rng([s, n])
        band = iqm_band(draw(rng, n), resamples=RESAMPLES, rng=rng)
        within = (np.array(band.low_E) <= expected) & (expected <= np.array(band.high_E))
        inside += bool(within[np.array(band.holds_E)].all())
    kept(calibration_results, "Simultaneous band of interquartile means", (iqm_band,), law, n, inside / SETS)


def population_iqm(values):
    return np.array([iqm(v) for v in values.T])


def crossing_rate(draw, threshold, n, sets):
    expected = first_crossing(ROUNDS, truth(draw, population_mean)[None, :], threshold)[0]
    inside = 0
    for s in range(sets):
        rng = np.random.default_rng([s, n, 3])
        values = rng.binomial(64, draw(rng, n)) / 64
        low_end, high_end = mean_crossing(ROUNDS, values, threshold, resamples=RESAMPLES, rng=rng).interval
        inside += low_end <= expected <= (np.inf if high_end is None else high_end)
    return inside / sets


def test_crossings_hold_the_mean_curves():
    assert enough(crossing_rate(plateaus, 0.5, 16, 200), 200)


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("law", "threshold"), [("to 1 at different rounds", 0.6), ("to plateaus near .7", 0.4)]
)
@pytest.mark.parametrize("n", SEEDS)
def test_crossing(n, law, threshold, calibration_results):
    rate = crossing_rate(CURVES[law], threshold, n, SETS)
    kept(calibration_results, "Crossing of a mean curve", (mean_crossing,), f"{law}, at {threshold}", n, rate)


@pytest.mark.calibration
@pytest.mark.parametrize("law", ["to 1 at different rounds", "to plateaus near .7"])
@pytest.mark.parametrize("n", SEEDS)
def test_area(n, law, calibration_results):
    draw, expected, inside = CURVES[law], truth(CURVES[law], population_area), 0
    for s in range(SETS):
        low_end, high_end = mean_area(ROUNDS, draw(np.random.default_rng([s, n]), n)).interval
        inside += low_end <= expected <= high_end
    kept(calibration_results, "Mean area under a curve", (mean_area,), law, n, inside / SETS)


def graded(rng, n):
    """Pass@1 of 256 samples near the top."""
    return rng.binomial(256, expit(3 + 1.5 * rng.standard_normal(n))) / 256


VALUES = {
    "normal": lambda rng, n: standard(rng, n, "normal"),
    "skewed": lambda rng, n: standard(rng, n, "skewed"),
    "heavy": lambda rng, n: standard(rng, n, "heavy"),
    "Pass@1 near 1": graded,
}


def iqm_rate(law, n, sets):
    expected, inside = truth(VALUES[law], iqm), 0
    for s in range(sets):
        rng = np.random.default_rng([s, n, 5])
        low_end, high_end = iqm_interval(VALUES[law](rng, n), resamples=RESAMPLES, rng=rng).interval
        inside += low_end <= expected <= high_end
    return inside / sets


def test_interquartile_means_are_held():
    assert enough(iqm_rate("skewed", 8, 300), 300)


@pytest.mark.calibration
@pytest.mark.parametrize("law", VALUES)
@pytest.mark.parametrize("n", SEEDS)
def test_interquartile_mean(n, law, calibration_results):
    rate = iqm_rate(law, n, SETS)
    kept(calibration_results, "Interquartile mean", (iqm_interval,), f"{law} values", n, rate)


def improvement_rate(p, correlation, n, sets):
    inside, shift = 0, np.sqrt(2) * ndtri(p)
    for s in range(sets):
        a, b = pairs(np.random.default_rng([s, n]), n, correlation)
        low_end, high_end = probability_of_improvement(a + shift, b, paired=correlation > 0).interval
        inside += low_end <= p <= high_end
    return inside / sets


def test_probabilities_of_improvement_are_held():
    assert enough(improvement_rate(0.8, 0.5, 8, 300), 300)


@pytest.mark.calibration
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("p", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("n", SEEDS)
def test_improvement(n, p, correlation, calibration_results):
    case = f"true value {p}, correlation {correlation}"
    rate = improvement_rate(p, correlation, n, SETS)
    kept(calibration_results, "Probability of improvement", (probability_of_improvement,), case, n, rate)


def path_rate(shift, n, sets):
    """Pairs on one path of log-odds at two speeds, the second's test Pass@1 shifted; noisy evaluations."""
    inside = 0
    for s in range(sets):
        rng = np.random.default_rng([s, n, 9])
        found = []
        while len(found) < n:
            runs = []
            for rate, off in ((0.08, 0.0), (0.16, shift)):
                path = logit(0.1) + rate * np.exp(0.2 * rng.standard_normal()) * ROUNDS
                train = rng.binomial(64, expit(path)) / 64
                test = rng.binomial(1000, expit(0.2 + 0.1 * path) + off) / 1000
                runs += [train_path(train, np.full(ROUNDS.size, 64)), test]
            one = matched_differences(*runs)
            found += [] if one is None else [float(one[0].mean())]
        low_end, high_end = paired_difference(found, np.zeros(n)).interval(0.025)
        inside += low_end <= shift <= high_end
    return inside / sets


def test_equal_paths_at_two_speeds_are_seen_as_equal():
    assert enough(path_rate(0.0, 8, 150), 150)


@pytest.mark.calibration
@pytest.mark.parametrize("shift", [0.0, -0.02])
@pytest.mark.parametrize("n", SEEDS)
def test_path(n, shift, calibration_results):
    rate = path_rate(shift, n, SETS)
    kept(
        calibration_results,
        "Difference of paths at equal train Pass@1",
        (train_path, matched_differences, paired_difference),
        f"shift {shift}",
        n,
        rate,
    )


def component_rates(law, queries, n, sets):
    """Of the seeds' variance 1 next to noise of .25, and of the share of fixed queries."""
    level = 2 * np.array([-1.2, -0.3, 0.4, 1.1])
    share = level.var(ddof=1) / (level.var(ddof=1) + 1 + NOISE)
    query, seeds, of_queries = np.arange(n) % queries, 0, 0
    for s in range(sets):
        rng = np.random.default_rng([s, n, 11])
        values = standard(rng, n, law) + np.sqrt(NOISE) * rng.standard_normal(n) + level[query]
        low_end, high_end = nested(values, np.full(n, NOISE), query)[-2].interval
        seeds += low_end <= 1 <= high_end
        if queries > 1:
            low_end, high_end = query_share(values, query)[1]
            of_queries += low_end is None or low_end <= share <= high_end
    return seeds / sets, of_queries / sets


def test_variances_of_seeds_are_held():
    assert enough(component_rates("skewed", 1, 16, 300)[0], 300)


@pytest.mark.calibration
@pytest.mark.parametrize("law", ["normal", "skewed", "heavy"])
@pytest.mark.parametrize("n", SEEDS)
def test_components(n, law, calibration_results):
    seeds, _ = component_rates(law, 1, n, SETS)
    kept(calibration_results, "Variance of seeds", (nested,), f"{law} values", n, seeds)
    if n >= 16:  # four seeds of each of four queries are the fewest that are taken apart
        _, share = component_rates(law, 4, n, SETS)
        kept(calibration_results, "Share of queries", (query_share,), f"{law} values, 4 queries", n, share)
