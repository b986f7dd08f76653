"""Coverage of the interval of a difference of two forecasts' losses, items as clusters; n is items."""

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, WORST, covered, standard
from support import fits as fixtures

from analysis.fits.contest import FEWEST_RESAMPLED, compare, log_loss

MEASURES = (compare,)
STUDENT, BOOTSTRAP = (
    "t interval of a difference of forecasts",
    "Percentile bootstrap of a difference of forecasts",
)
ENTRIES = 6
RESAMPLES = 500


def gaps(law, *, ragged=False):
    """Differences of a law over items with noise over cells; some items measured at few entries only."""

    def draw(rng, items):
        gap_IT = 0.3 * standard(rng, (items, 1), law) + 0.5 * rng.standard_normal((items, ENTRIES))
        seen_I = rng.integers(1, ENTRIES + 1, items) if ragged else np.full(items, ENTRIES)
        return np.where(np.arange(ENTRIES) < seen_I[:, None], gap_IT, np.nan)

    return draw


def losses(weight):
    """An item's mean over its last five entries against that over all, items drifting: heavy on either side."""

    def draw(rng, items):
        panel = fixtures.panel(fixtures.walked(items, 16, rng, shift=0.08, diffusion=0.15), 8, rng)
        past, later = panel.window(0, 10), panel.window(10, 16)

        def forecast(start):
            n_I, k_I = past.n_IE[:, start:].sum(axis=1), past.correct_IE[:, start:].sum(axis=1)
            p_I = (k_I + 0.4 * weight) / (n_I + weight)
            return log_loss(np.repeat(p_I[:, None], ENTRIES, axis=1), later)

        return forecast(5) - forecast(0)

    return draw


CASES = {
    "normal": (gaps("normal"), 0.0),
    "skewed": (gaps("skewed"), 0.0),
    "heavy-tailed": (gaps("heavy"), 0.0),
    "skewed, items missing entries": (gaps("skewed", ragged=True), 0.0),
    "log-losses of two means": (losses(1.0), None),
    "log-losses of two means that may be sure": (losses(0.1), None),
}
"""Draws of differences, and their mean; None where many items must say."""
LARGE = ("skewed, items missing entries", "log-losses of two means that may be sure")


def truth(case):
    draw, mean = CASES[case]
    return float(np.mean(draw(np.random.default_rng(0), 400_000))) if mean is None else mean


def coverage(case, items, sets, resamples):
    """Share of data sets whose t interval, and whose bootstrap interval, holds the mean difference."""
    (draw, _), mean = CASES[case], truth(case)
    rng, student, bootstrap = np.random.default_rng(items), 0, 0
    for _ in range(sets):
        gap_IT = draw(rng, items)
        found = compare(gap_IT, np.zeros_like(gap_IT), rng, LEVEL, resamples)
        student += found.low <= mean <= found.high
        bootstrap += found.bootstrap_low is not None and found.bootstrap_low <= mean <= found.bootstrap_high
    return student / sets, bootstrap / sets


@pytest.mark.parametrize("case", ["normal", "skewed, items missing entries"])
def test_the_interval_covers_the_mean_difference(case):
    sets = 400
    student, _ = coverage(case, 8, sets, 1)
    assert student >= LEVEL - WORST - 3.5 * np.sqrt(LEVEL * (1 - LEVEL) / sets)


def test_cells_of_one_item_are_no_units():
    """Treated as independent, six cells an item would cover half as often as promised."""
    rng, hits = np.random.default_rng(3), 0
    for _ in range(200):
        gap_IT = CASES["normal"][0](rng, 8)
        cells_N1 = gap_IT.reshape(-1, 1)
        found = compare(cells_N1, np.zeros_like(cells_N1), rng, LEVEL, 1)
        hits += found.low <= 0 <= found.high
    assert hits / 200 < LEVEL - WORST


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("case", "n"),
    [*((case, n) for case in CASES for n in (*SEEDS, FEWEST_RESAMPLED)), *((c, 300) for c in LARGE)],
)
def test_coverage_of_comparisons(case, n, calibration_results):
    student, bootstrap = coverage(case, n, SETS, RESAMPLES)
    about = {"measures": MEASURES, "kind": "coverage", "case": case, "n": n, "nominal": LEVEL, "sets": SETS}
    exact = case == "normal"
    assert covered(calibration_results.add(STUDENT, rate=student, exact=exact, **about))
    if n >= FEWEST_RESAMPLED:
        assert covered(calibration_results.add(BOOTSTRAP, rate=bootstrap, exact=False, **about))
