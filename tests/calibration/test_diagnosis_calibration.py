"""Checks for failure signatures at the border of each: at most 5% call what is not there present, or there absent."""

import numpy as np
import pytest
from calibration.laws import SEEDS, held

from analysis.diagnosis.signatures import (
    LEARNED,
    MARGIN,
    NEAR_ZERO,
    STILL_RISING,
    TOP,
    Measures,
    falling,
    flat,
    no_improvement,
    plateau,
)
from analysis.inference.fractions import Fraction

ALPHA, QUICK, FULL = 0.05, 400, 4000


def measures(rng, n, *, rise=0.5, level=0.7, late=0.0, change=0.0, base=0.001):
    """Runs with given means and a normal spread."""
    levels = level + 0.03 * rng.standard_normal(n)
    samples = 64 * n
    return Measures(
        world="world",
        condition="condition",
        unit="runs",
        n=n,
        start=levels - rise - 0.04 * rng.standard_normal(n),
        level=levels,
        late=late + 0.01 * rng.standard_normal(n),
        change=change + 0.01 * rng.standard_normal(n),
        base=Fraction(int(rng.binomial(samples, base)), samples),
    )


BORDERS = {
    "plateau, level": (plateau, {"level": TOP}),
    "plateau, still rising": (plateau, {"late": STILL_RISING}),
    "plateau, rise": (plateau, {"rise": LEARNED}),
    "fall": (falling, {"change": -MARGIN}),
    "fall, rise": (falling, {"change": -0.1, "rise": LEARNED}),
    "flat, above": (flat, {"change": MARGIN}),
    "flat, below": (flat, {"change": -MARGIN}),
    "zero improvement, rise": (no_improvement, {"rise": LEARNED}),
    "zero improvement, base": (no_improvement, {"rise": 0.0, "base": NEAR_ZERO}),
}


def rates(name, n, sets):
    """Shares of data sets called present, and absent, at a border where neither is true."""
    signature, at = BORDERS[name]
    rng = np.random.default_rng([n, sets, len(name)])
    checks = [signature(measures(rng, n, **at)) for _ in range(sets)]
    return [
        np.mean([p <= ALPHA for p in values])
        for values in ([k.p_present for k in checks], [k.p_absent for k in checks])
    ]


@pytest.mark.parametrize("name", BORDERS)
def test_a_check_errs_at_most_at_its_level(name):
    assert max(rates(name, 8, QUICK)) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / QUICK)


@pytest.mark.calibration
@pytest.mark.parametrize("n", SEEDS)
@pytest.mark.parametrize("name", BORDERS)
def test_check(name, n, calibration_results):
    for word, rate in zip(("present", "absent"), rates(name, n, FULL), strict=True):
        kept = calibration_results.add(
            "Checks for failure signatures",
            measures=(plateau, falling, flat, no_improvement, Measures),
            kind="error",
            case=f"{name}: called {word} at the border",
            n=n,
            nominal=ALPHA,
            rate=rate,
            sets=FULL,
            exact=True,
        )
        assert held(kept)
