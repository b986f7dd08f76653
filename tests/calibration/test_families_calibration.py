"""Error rates of whole families of verdicts: Holm, Benjamini-Hochberg, and conjunctions inside a claim."""

import numpy as np
import pytest
from calibration.laws import held
from scipy.special import ndtr

from analysis.claims.reading import Band
from analysis.inference.means import paired_difference
from analysis.inference.multiplicity import benjamini_hochberg, bonferroni, holm

ALPHA = 0.05
SHIFTS = {
    "all at the border": [0.0, 0.0, 0.0, 0.0],
    "one at the border": [0.0, 2.2, 2.2, 2.2],
    "true and false": [0.3, -0.3, 2.5, -2.5],
    "two at the border": [0.0, -2.2, 2.2, 0.0],
}


def two_way(procedure, shifts, correlation, sets, rng):
    """Words of claims that z > 0 supports: sets in which any is wrong, and the mean share of wrong ones."""
    shared, own = rng.standard_normal((sets, 1)), rng.standard_normal((sets, len(shifts)))
    z = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own + np.array(shifts)
    support, refute = ndtr(-z), ndtr(z)
    truth = np.where(np.array(shifts) > 0, 1, -1)  # at the border the claim is false
    any_wrong, share = 0, 0.0
    for s in range(sets):
        after = procedure(np.minimum(support[s], refute[s]).tolist(), ALPHA)
        words = np.where(support[s] < refute[s], 1, -1) * [a.rejected for a in after]
        wrong = int(np.sum((words != 0) & (words != truth)))
        any_wrong, share = any_wrong + (wrong > 0), share + wrong / max(int(np.sum(words != 0)), 1)
    return any_wrong / sets, share / sets


def conjunction(edge, n, sets, rng):
    """Two differences at the margin's edge and well inside: how often the conjunction is supported."""
    shown = refuted = 0
    band = Band(-0.02, 0.02)
    for _ in range(sets):
        tests = [paired_difference(rng.normal(m, 0.008, n), np.zeros(n)) for m in (edge, 0.0)]
        shown += max(band.p_support(t) for t in tests) <= ALPHA
        refuted += bonferroni(min(band.p_refute(t) for t in tests), 2) <= ALPHA
    return shown / sets, refuted / sets


@pytest.mark.parametrize("procedure", [holm, benjamini_hochberg])
def test_a_family_keeps_its_rate(procedure):
    any_wrong, share = two_way(procedure, [0.0] * 4, 0.0, 2000, np.random.default_rng(1))
    rate = any_wrong if procedure is holm else share
    assert rate <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 2000)


@pytest.mark.calibration
@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize("case", SHIFTS)
def test_families(case, correlation, calibration_results):
    sets = 5_000
    for name, procedure in (
        ("Holm: any wrong verdict", holm),
        ("Benjamini-Hochberg: share of wrong verdicts", benjamini_hochberg),
    ):
        found = two_way(procedure, SHIFTS[case], correlation, sets, np.random.default_rng(8))
        kept = calibration_results.add(
            name,
            measures=(procedure,),
            kind="error",
            case=f"{case}, correlation {correlation:g}",
            n=len(SHIFTS[case]),
            nominal=ALPHA,
            rate=found[0] if procedure is holm else found[1],
            sets=sets,
            exact=procedure is holm or correlation == 0,
        )
        assert held(kept)


@pytest.mark.calibration
@pytest.mark.parametrize("n", [5, 8, 16, 32])
def test_conjunctions(n, calibration_results):
    sets = 5_000
    shown, refuted = conjunction(0.02, n, sets, np.random.default_rng(n))
    for name, rate in (("supported", shown), ("refuted", refuted)):
        kept = calibration_results.add(
            f"Conjunction wrongly {name}",
            measures=(Band, paired_difference, bonferroni),
            kind="error",
            case="one of two differences at the margin's edge",
            n=n,
            nominal=ALPHA,
            rate=rate,
            sets=sets,
            exact=True,
        )
        assert held(kept)
