"""Coverage of the hierarchical logistic's Wald intervals on lines drawn from the model; n is items.

Six entries of eight answers. Below 64 items no interval is given; the rates there are of what it would be.
"""

import math

import numpy as np
import pytest
from calibration.laws import LEVEL, SETS, WORST, covered
from scipy.special import expit
from support import fits as fixtures

from analysis.fits.item_models import FEWEST_ITEMS, TOO_FEW, fit_mixed_logistic
from analysis.fits.likelihood import wald

TRUTH = {"level": -0.5, "slope": 0.8, "level_sd": 1.5, "slope_sd": 0.8, "correlation": 0.3}
ENTRIES, ANSWERS = 6, 8
METHOD = "Wald interval of a hierarchical logistic"


def panel(rng, items):
    covariance = TRUTH["correlation"] * TRUTH["level_sd"] * TRUTH["slope_sd"]
    spread = [[TRUTH["level_sd"] ** 2, covariance], [covariance, TRUTH["slope_sd"] ** 2]]
    level_I, slope_I = rng.multivariate_normal([TRUTH["level"], TRUTH["slope"]], spread, items).T
    p_IE = expit(level_I[:, None] + slope_I[:, None] * np.linspace(0, 1, ENTRIES))
    return fixtures.panel(p_IE, ANSWERS, rng)


def coverage(items, sets):
    """By parameter, share of intervals that hold the truth, and share of data sets that give none."""
    rng, held, none = np.random.default_rng(items), dict.fromkeys(TRUTH, 0), dict.fromkeys(TRUTH, 0)
    for _ in range(sets):
        fit = fit_mixed_logistic(panel(rng, items)).fit
        for name, value in TRUTH.items():
            low, high = wald(fit, name)
            none[name] += low is None
            held[name] += low is not None and low <= value <= high
    return {name: (held[name] / (sets - none[name]), none[name] / sets) for name in TRUTH}


def test_intervals_cover_the_truth_from_64_items_on():
    sets = 40
    for held, none in coverage(FEWEST_ITEMS, sets).values():
        assert held >= LEVEL - WORST - 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / sets)
        assert none < 0.2


@pytest.mark.calibration
@pytest.mark.parametrize("n", [32, FEWEST_ITEMS])
def test_coverage_of_lines(n, calibration_results):
    about = {
        "measures": (fit_mixed_logistic, wald),
        "kind": "coverage",
        "n": n,
        "nominal": LEVEL,
        "sets": SETS,
        "exact": False,
    }
    refused = TOO_FEW.split(":")[1].strip() if n < FEWEST_ITEMS else None
    for name, (held, none) in coverage(n, SETS).items():
        case = f"{name}, no interval in {none:.1%}" if none else name
        rate = calibration_results.add(METHOD, case=case, rate=held, refused=refused, **about)
        assert refused or covered(rate)
