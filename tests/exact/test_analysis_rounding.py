"""Values that differ by rounding alone are read as equal ones: p-values are a sign test's, variances are 0."""

import numpy as np
import pytest

from analysis.curves.aggregates import probability_of_improvement
from analysis.curves.components import crossed, nested, query_share
from analysis.inference.inversion import t_tails
from analysis.inference.ladder import best_rungs, line, quadratic_argmax, slopes
from analysis.inference.means import (
    contrast,
    mean_of,
    over_items_too,
    paired_difference,
    skewness,
    welch_difference,
)
from analysis.inference.resampling import moments
from analysis.inference.spread import log_sd_ratio, log_variance_ratio, noise_over_sd, spread_ratio
from analysis.planning.power import equivalence_power, t_power

N = 10
LEVELS = np.linspace(0.2, 0.7, N) / 3
"""Numbers that have no short binary form."""
EXACT = 2.0**-N


def same(value, n=N):
    """Equal values, each a sum that rounds in its own way."""
    found = np.array([(value + x) - x for x in LEVELS[:n]])
    assert 0 < found.std() < 1e-15
    return found


DIFFERENCES = {
    "pairs": lambda: paired_difference(LEVELS + 0.1, LEVELS),
    "one group": lambda: mean_of(same(0.1)),
    "two groups": lambda: welch_difference(same(0.4), same(0.3)),
    "three groups": lambda: contrast([same(0.3), same(0.4), same(0.5)], [-1.0, 0.5, 0.5]),
    "slopes": lambda: mean_of(slopes([0, 1, 2], LEVELS[:, None] + 0.1 * np.arange(3))),
    "runs and items": lambda: over_items_too(mean_of(same(0.1)), same(0.1)),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_equal_differences_carry_the_evidence_of_a_sign_test(name):
    found = DIFFERENCES[name]()
    estimate = 0.15 if name == "three groups" else 0.1
    assert found.se == 0
    assert found.estimate == pytest.approx(estimate)
    assert (found.p_above(0.0), found.p_below(0.0)) == (EXACT, 1.0)
    assert (found.p_above(0.2), found.p_below(0.2)) == (1.0, EXACT)
    assert (found.p_above(estimate), found.p_below(estimate)) == (1.0, 1.0)
    assert found.interval(EXACT) == (found.estimate, found.estimate)
    assert found.interval(0.9 * EXACT) == (-np.inf, np.inf)


def test_differences_of_nothing_but_rounding_are_no_evidence():
    noise = same(0.3) - 0.3
    found = paired_difference(0.3 + noise, np.full(N, 0.3 - 1e-16))
    assert (found.estimate, found.se) == (0.0, 0.0)
    assert (found.p_above(0.0), found.p_below(0.0)) == (1.0, 1.0)
    assert found.p_inside(0.02) == EXACT
    assert skewness(same(0.1)) == 0.0


def test_what_is_larger_than_rounding_is_tested_by_t():
    found = paired_difference(LEVELS + 0.1 + 1e-9 * np.arange(N), LEVELS)
    assert found.se == pytest.approx(1e-9 * np.arange(N).std(ddof=1) / np.sqrt(N), rel=1e-5)
    assert found.p_above(0.0) < 1e-30


def test_large_numbers_round_by_more():
    found = paired_difference(1e9 * (LEVELS + 0.1), 1e9 * LEVELS)
    assert found.se == 0
    assert found.p_above(0.0) == EXACT


def test_points_of_a_line_have_no_error():
    found = line(LEVELS, 0.3 * LEVELS + 0.1)
    assert found.se == 0
    assert found.p_above(0.2) == EXACT


def test_rows_of_equal_values():
    above, below = t_tails(np.array([same(0.1), -same(0.1), same(0.3) - 0.3]))
    assert above.tolist() == [EXACT, 1.0, 1.0]
    assert below.tolist() == [1.0, EXACT, 1.0]


def test_a_ladder_of_units_that_differ_in_level_only():
    y = LEVELS[:, None] + np.array([0.1, 0.3, 0.2])
    assert best_rungs([0, 1, 2], y).p_C == pytest.approx([2 * EXACT, 1.0, 2 * EXACT])
    place = quadratic_argmax([0, 1, 2], y, (0.5, 1.5))
    assert (place.p_above(0.5), place.p_below(1.5)) == (EXACT, EXACT)


def test_spreads_of_equal_values():
    a, b = 0.3 + 2 * LEVELS, LEVELS
    test = spread_ratio(a, b, margins=(2.0,))
    assert (test.p_above(2.0), test.p_below(2.0)) == (1.0, 1.0)
    assert np.isnan(spread_ratio(a, same(0.1)).estimate)
    assert np.isnan(noise_over_sd(same(0.1), np.full(N, 0.01)).estimate)
    zero = np.zeros(N)
    assert np.isnan(log_sd_ratio(same(0.1), zero, b, zero).estimate)
    found = log_sd_ratio(a, zero, b, zero)
    assert (found.estimate, found.se) == (pytest.approx(np.log(2)), 0.0)


def test_tables_of_equal_values():
    flat = np.stack([same(0.1)] * 4).reshape(N, 2, 2)
    assert np.isnan(log_variance_ratio(flat).estimate)
    assert [c.variance for c in crossed(flat)] == [0.0] * 4


def test_components_of_equal_values():
    query = np.arange(N) % 2
    queries, seeds, _ = nested(same(0.1), np.zeros(N), query)
    assert (queries.variance, seeds.variance, seeds.interval) == (0.0, 0.0, (0.0, 0.0))
    assert query_share(same(0.1), query) == (None, (None, None))
    mean, se, df = moments(same(0.1)[:, None], [np.arange(N)])
    assert (mean[0], se[0], df[0]) == (pytest.approx(0.1), 0.0, N - 1)


def test_placements_that_are_all_equal():
    """A beats every third run of B: each placement is a mean of thirds."""
    found = probability_of_improvement(np.full(9, 0.5), [0.1, 0.9, 0.8] * 3, paired=False)
    assert found.estimate == pytest.approx(1 / 3)
    found = probability_of_improvement(np.arange(2.0, 21.0, 3.0), np.arange(1.0, 20.0, 3.0))
    assert found.interval == (0.0, 1.0)


def test_a_pilot_without_spread_is_planned_as_one():
    assert t_power(0.1, 1e-17, N, 0.05) == t_power(0.1, 0.0, N, 0.05) == 1.0
    assert equivalence_power(0.02, 0.0, 1e-17, N, 0.05) == 1.0
