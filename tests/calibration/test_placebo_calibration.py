"""Error rates of claims of a gain, a fall and a speed-up on placebos under the treatment's label."""

import numpy as np
import pytest
from scipy.stats import binom
from support.placebo import CHANGES, SEEDS, word

from analysis.claims.placebos import gains_gate, gate, reaching_more, sooner

METHOD = "A placebo's runs under the treatment's label: a claim of learning is supported"
SETS = {"A1": 2000, "A2": 2000, "A6": 2000, "A8": 500, "B1": 2000, "A5": 200, "A7": 1000}


@pytest.mark.calibration
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("claim", SETS)
def test_a_placebo_supports_no_claim_beyond_its_level(claim, sign, calibration_results):
    sets = SETS[claim]
    drawn = (CHANGES[claim](np.random.default_rng([s, 11]), sign) for s in range(sets))
    shown = sum(word(claim, cells).verdict == "supported" for cells in drawn)
    rate = calibration_results.add(
        METHOD,
        measures=(gate, gains_gate, sooner, reaching_more),
        kind="error",
        case=f"{claim}, drift {'up' if sign > 0 else 'down'}",
        n=SEEDS,
        nominal=0.05,
        rate=shown / sets,
        sets=sets,
        exact=False,
    )
    assert shown <= binom.ppf(0.9995, sets, 0.05), rate
