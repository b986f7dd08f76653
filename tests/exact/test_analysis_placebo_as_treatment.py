"""Every claim with a placebo's data under the treatment's label: nothing is learned, so nothing may be claimed.

All conditions of a study are given runs of one law that drifts: the mean of the drift is far beyond any margin
against base, and whatever a condition is called, it is a placebo. No claim of a gain, a fall or a speed-up may
then be supported above its nominal error, and no claim of no difference may be decided.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom
from support.placebo import CHANGES, word

NO_DIFFERENCE = ("B2", "B3", "B4", "B5", "B6", "B7")
"""Claims that say nothing, either way, where nothing is learned."""
SETS = {"A1": 60, "A2": 60, "A6": 60, "B1": 60, "A4": 8, "A5": 8}
"""Data sets, more where a drift could pass for learning and fewer where one takes long; 20 elsewhere."""


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("claim", CHANGES)
def test_no_claim_is_supported_by_a_placebo_under_the_treatments_label(claim, sign):
    sets = SETS.get(claim, 20)
    words = [word(claim, CHANGES[claim](np.random.default_rng([s, 7]), sign)).verdict for s in range(sets)]
    assert words.count("supported") <= binom.ppf(0.999, sets, 0.05)
    if claim in NO_DIFFERENCE:
        assert words.count("undecided") >= sets - binom.ppf(0.999, sets, 0.05)


@pytest.mark.parametrize("claim", CHANGES)
def test_identical_data_support_nothing(claim):
    """The edge of it: the placebo's very runs, so that every difference from it is 0."""
    cells = CHANGES[claim](np.random.default_rng(0), 1)
    first = {}
    for c in cells:
        first.setdefault((c.world.name, c.design.optimizer), c)
    fields = (
        "train",
        "final_correct",
        "test",
        "test_base",
        "test_curve",
        "test_lenient",
        "test_base_lenient",
    )
    same = [
        replace(c, **{f: getattr(first[c.world.name, c.design.optimizer], f) for f in fields}) for c in cells
    ]
    assert word(claim, same).verdict != "supported"
