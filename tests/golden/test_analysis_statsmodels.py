"""Agreement with statsmodels and scipy to 1e-8, where the same test exists there; levels of t before skewness."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_1samp
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from analysis.inference.means import lowered, paired_difference, raised, welch_difference
from analysis.inference.multiplicity import benjamini_hochberg, holm


def groups(n=9):
    rng = np.random.default_rng(4)
    shared = rng.standard_normal(n)
    return 0.3 + 0.02 * (shared + rng.standard_normal(n)), 0.29 + 0.03 * shared


@pytest.mark.parametrize("margin", [0.01, 0.03])
def test_paired_equivalence_is_ttost_paired(margin):
    a, b = groups()
    expected, lower, upper = ttost_paired(a, b, -margin, margin)
    found = paired_difference(a, b)
    ours = lowered([found.p_inside(margin), found.p_above(-margin), found.p_below(margin)], 8)
    assert ours == pytest.approx([float(expected), float(lower[1]), float(upper[1])], abs=1e-8)


@pytest.mark.parametrize("margin", [0.01, 0.03])
def test_unpaired_equivalence_is_ttost_ind_with_unequal_variances(margin):
    a, b = groups()
    expected, _, _ = ttost_ind(a, b[:6], -margin, margin, usevar="unequal")
    found = welch_difference(a, b[:6])
    assert lowered(found.p_inside(margin), found.df) == pytest.approx(float(expected), abs=1e-8)


def test_paired_interval_is_scipys():
    a, b = groups()
    expected = ttest_1samp(a - b, 0).confidence_interval(0.9)
    assert paired_difference(a, b).interval(float(raised(0.05, 8))) == pytest.approx(
        tuple(expected), abs=1e-8
    )


@pytest.mark.parametrize(("procedure", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
@pytest.mark.parametrize("seed", range(4))
def test_adjusted_p_values_are_multipletests(procedure, name, seed):
    p = np.random.default_rng(seed).beta(0.4, 3, 9)
    p[3] = p[5]
    rejected, expected, _, _ = multipletests(p, 0.05, method=name)
    found = procedure(p.tolist(), 0.05)
    assert [f.p for f in found] == pytest.approx(expected, abs=1e-8)
    assert [f.rejected for f in found] == rejected.tolist()


def test_benjamini_hochberg_is_scipys_and_its_levels_are_what_it_rejects_at():
    p = np.random.default_rng(7).beta(0.3, 3, 12)
    found = benjamini_hochberg(p.tolist(), 0.05)
    assert [f.p for f in found] == pytest.approx(false_discovery_control(p), abs=1e-8)
    assert [f.rejected for f in found] == [q <= f.level for q, f in zip(p, found, strict=True)]
