"""Exact methods on counts, by enumeration of every outcome: no Monte Carlo error at all."""

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, TAIL, covered, held
from scipy.stats import binom

from analysis.inference.fractions import Fraction, RiskDifference

RATES = np.linspace(0.01, 0.99, 99)
PAIRS = [(0.1, 0.1), (0.5, 0.5), (0.9, 0.9), (0.1, 0.3), (0.5, 0.8), (0.2, 0.9)]


def fraction_coverage(n):
    """Coverage at every rate of the 95% interval and of its one-sided bounds."""
    bounds = np.array([Fraction(k, n).interval(TAIL) for k in range(n + 1)])
    inside = (bounds[:, :1] <= RATES) & (bounds[:, 1:] >= RATES)
    return (binom.pmf(np.arange(n + 1)[:, None], n, RATES) * inside).sum(axis=0)


def risks(n):
    """Every outcome of two groups of n; each p-value is computed once and mirrored."""
    found = {
        (a, b): RiskDifference(Fraction(a, n), Fraction(b, n)) for a in range(n + 1) for b in range(n + 1)
    }
    for (a, b), risk in found.items():
        vars(found[b, a])["p_below"] = risk.p_above
    return found


@pytest.mark.parametrize("n", SEEDS)
def test_clopper_pearson_covers_at_every_rate(n):
    assert fraction_coverage(n).min() >= LEVEL


@pytest.mark.calibration
@pytest.mark.parametrize("n", SEEDS)
def test_fraction_of_runs(n, calibration_results):
    found = fraction_coverage(n)
    for p, rate in zip(RATES, found, strict=True):
        kept = calibration_results.add(
            "Clopper-Pearson interval of a fraction of runs",
            measures=(Fraction,),
            kind="coverage",
            case=f"fraction {p:.2f}",
            n=n,
            nominal=LEVEL,
            rate=rate,
            sets=None,
            exact=True,
        )
        assert covered(kept)


@pytest.mark.calibration
@pytest.mark.parametrize("n", SEEDS)
def test_difference_of_fractions(n, calibration_results):
    outcomes = risks(n)
    intervals = {key: risk.interval(TAIL) for key, risk in outcomes.items()}
    for p, q in PAIRS:
        pmf = np.outer(binom.pmf(np.arange(n + 1), n, p), binom.pmf(np.arange(n + 1), n, q))
        inside = sum(pmf[key] for key, (low, high) in intervals.items() if low <= p - q <= high)
        kept = calibration_results.add(
            "Interval of a difference of fractions (Boschloo at 0, Clopper-Pearson beyond)",
            measures=(RiskDifference, Fraction),
            kind="coverage",
            case=f"fractions {p}, {q}",
            n=n,
            nominal=LEVEL,
            rate=inside,
            sets=None,
            exact=True,
        )
        assert covered(kept)
    for p in RATES[::7]:
        pmf = np.outer(*[binom.pmf(np.arange(n + 1), n, p)] * 2)
        rejected = sum(pmf[key] for key, risk in outcomes.items() if risk.p_above <= 0.05)
        kept = calibration_results.add(
            "Boschloo's test, equal fractions",
            measures=(RiskDifference, Fraction),
            kind="error",
            case=f"fraction {p:.2f}",
            n=n,
            nominal=0.05,
            rate=rejected,
            sets=None,
            exact=True,
        )
        assert held(kept)
