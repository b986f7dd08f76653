"""Variance taken apart: exact cases by hand, expectations by simulation, records end to end."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import chi2
from support.claims import ROUNDS, cell, contextual, design, llm, records

from analysis.curves.components import NAMES, components, crossed, effects, nested, query_share, world_share
from analysis.inference.spread import log_variance_ratio, share
from banditrft.errors import InputError

VALUES = np.array([0.1, 0.3, 0.2, 0.5, 0.9, 0.7, 0.4, 0.4, 0.7])
QUERY = np.repeat([2, 5, 8], 3)


def test_balanced_components_are_those_of_the_analysis_of_variance():
    means = VALUES.reshape(3, 3).mean(axis=1)
    within = VALUES.reshape(3, 3).var(axis=1, ddof=1).mean()
    queries, seeds, noise = nested(VALUES, np.full(9, 0.004), QUERY)
    assert queries.variance == pytest.approx(means.var(ddof=1) - within / 3)
    assert seeds.variance == pytest.approx(within - 0.004)
    assert noise.variance == pytest.approx(0.004)
    assert queries.share + seeds.share + noise.share == pytest.approx(1)
    assert seeds.interval[0] <= 6 * within / chi2.ppf(0.975, 6) - 0.004 + 1e-12
    assert seeds.interval[1] >= 6 * within / chi2.ppf(0.025, 6) - 0.004 - 1e-12


def test_flat_tails_leave_the_chi_squared_interval_and_heavy_ones_widen_it():
    flat = np.tile([0.0, 1.0], 12)
    heavy = np.concatenate([np.tile([-0.1, 0.1], 11), [-4.0, 4.0]])
    for values, wider in ((flat, False), (heavy, True)):
        exact = 23 * values.var(ddof=1) / chi2.ppf([0.975, 0.025], 23)
        low, high = nested(values, np.zeros(24), np.zeros(24))[0].interval
        assert (low < exact[0] - 1e-9) == wider
        assert (high > exact[1] + 1e-9) == wider


def test_the_queries_share_is_between_over_both():
    table = VALUES.reshape(3, 3)
    within = table.var(axis=1, ddof=1).mean()
    between = table.mean(axis=1).var(ddof=1) - within / 3
    estimate, (low, high) = query_share(VALUES, QUERY)
    assert estimate == pytest.approx(between / (between + within))
    assert 0 < low < estimate < high < 1


def test_one_query_has_seeds_and_evaluation_only():
    parts = nested(VALUES, np.full(9, 0.004), np.zeros(9))
    assert [p.name for p in parts] == ["seeds", "evaluation"]
    assert parts[0].variance == pytest.approx(VALUES.var(ddof=1) - 0.004)


def test_noise_above_the_spread_leaves_nothing_for_the_seeds():
    parts = nested(VALUES, np.full(9, 1.0), np.zeros(9))
    assert parts[0].variance == 0
    assert parts[0].interval == (0.0, 0.0)


def test_equal_values_have_no_shares():
    parts = nested(np.full(6, 0.5), np.zeros(6), np.repeat([0, 1], 3))
    assert [p.share for p in parts] == [None, None, None]
    assert query_share(np.full(6, 0.5), np.repeat([0, 1], 3)) == (None, (None, None))
    with pytest.raises(InputError, match="needs two"):
        query_share(VALUES, np.zeros(9))


@pytest.mark.parametrize("sizes", [(4, 4, 4, 4), (2, 3, 5, 6)])
def test_components_are_right_on_average(sizes):
    query, rng = np.repeat(np.arange(4), sizes), np.random.default_rng(0)
    level = np.array([-3.0, -1.0, 1.0, 3.0])
    found = np.array(
        [
            [p.variance for p in nested(level[query] + rng.standard_normal(query.size), noise, query)]
            for noise in [np.full(query.size, 0.25)] * 300
        ]
    )
    assert found.mean(axis=0) == pytest.approx([level.var(ddof=1), 0.75, 0.25], rel=0.08)


def test_crossed_effects_are_unbiased():
    """Fixed means with known variances of 4 worlds and 3 designs; seeds shared by a row, noise on top."""
    rng = np.random.default_rng(1)
    worlds, designs = np.array([0.0, 1, 2, 3]), np.array([0.0, 0.5, 1.0])
    inner = rng.standard_normal((4, 3))
    inner -= inner.mean(axis=0) + inner.mean(axis=1, keepdims=True) - inner.mean()
    mean = worlds[:, None] + designs + inner
    truth = [worlds.var(ddof=1), designs.var(ddof=1), (inner**2).sum() / 6, 0.25 + 1.0]
    found = np.mean(
        [
            effects(mean + 0.5 * rng.standard_normal((5, 1, 1)) + rng.standard_normal((5, 4, 3)))
            for _ in range(4000)
        ],
        axis=0,
    )
    assert found == pytest.approx(truth, abs=0.03)


def test_crossed_intervals_hold_their_estimates_and_the_share_is_b7s():
    rng = np.random.default_rng(2)
    table = np.array([0.0, 0.3])[:, None] + np.array([0.0, 0.02, 0.1]) + 0.01 * rng.standard_normal((8, 2, 3))
    parts = crossed(table)
    assert tuple(p.name for p in parts) == NAMES
    assert parts[0].interval[0] < parts[0].variance < parts[0].interval[1]
    assert parts[0].share > 0.8
    estimate, _ = world_share(table)
    assert estimate == pytest.approx(share(log_variance_ratio(table).estimate))


@pytest.mark.parametrize("shape", [(3, 2, 2), (4, 1, 2), (4, 2, 1)])
def test_tables_that_are_too_small_are_named(shape):
    with pytest.raises(InputError, match="need seeds >= 4, worlds >= 2 and conditions >= 2"):
        crossed(np.zeros(shape))


def test_components_of_records():
    rng = np.random.default_rng(3)
    query = np.repeat([3, 7, 9], 8)
    level = {3: 0.2, 7: 0.5, 9: 0.8}
    curve = np.array([level[q] for q in query])[:, None] + 0.02 * rng.standard_normal((24, 1)) + 0 * ROUNDS
    worlds = [contextual(items=5), contextual("easier", items=5)]
    cells = [cell(llm(), "G=1", design(), query=query, curve=curve)]
    for world, gain in zip(worlds, (0.1, 0.3), strict=True):
        for name, many in (("G=1", 1), ("G=4", 4)):
            cells.append(cell(world, name, design(rollouts=many), test=0.3 + gain + 0.01 * many))
    found = components(records([], *cells))
    area = found[0]
    assert (area.world, area.condition, area.what) == ("tiny-qwen2", "G=1", "area under the training curve")
    assert area.components[0].name == "queries"
    assert area.estimate > 0.9
    assert area.components[0].variance == pytest.approx(0.09, rel=0.1)
    table = found[-1]
    assert (table.condition, table.n, table.unit) == (None, 24, "seeds")
    assert table.estimate > 0.9
    assert "worlds 9" in table.sentence
    json.dumps([asdict(d) for d in found], allow_nan=False)
