"""A difference with the test items as a sample too: the second interval of a verdict on a test set."""

import numpy as np
import pytest
from scipy.special import stdtrit
from support.claims import cell, design, llm, records

from analysis.inference.means import Difference, lowered, over_items_too
from analysis.judging import verdicts


def test_variances_over_runs_and_items_add():
    items = np.array([0.1, 0.3, 0.2, 0.0])
    both = over_items_too(Difference(0.15, 0.02, 7.0, 8), items)
    over_items = items.var(ddof=1) / 4
    assert both.se**2 == pytest.approx(0.02**2 + over_items)
    assert both.df == pytest.approx(both.se**4 / (0.02**4 / 7 + over_items**2 / 3))
    assert (both.estimate, both.n) == (0.15, 8)


def test_items_that_agree_add_nothing():
    runs = Difference(0.15, 0.02, 7.0, 8)
    both = over_items_too(runs, np.full(50, 0.15))
    assert both.interval(0.025) == pytest.approx(runs.interval(0.025))


def test_without_any_spread_the_runs_interval_stands():
    runs = Difference(0.0, 0.0, 7.0, 8)
    assert over_items_too(runs, np.zeros(5)) is runs


def test_several_training_queries_are_also_read_as_the_units():
    query = np.repeat([3, 5, 8, 9], 6)
    own = np.repeat(0.05 * np.array([-1.0, 0.0, 0.5, 0.5]), 6)
    lone = cell(llm(), "G=1", design(), query=query, test=0.4 + own, noise=0.001)
    (found,) = verdicts(records(["A2"], lone))
    part = next(p for p in found.parts if p.id == "gain-test")
    (item,) = [s for s in part.secondary if s.reading == "queries"]
    assert item.n == 4
    means = 0.1 + 0.05 * np.array([-1.0, 0.0, 0.5, 0.5])
    half = -stdtrit(3, lowered(0.025, 3)) * means.std(ddof=1) / 2
    assert item.interval == pytest.approx((means.mean() - half, means.mean() + half), abs=0.003)
