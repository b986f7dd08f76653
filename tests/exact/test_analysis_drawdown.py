"""Falls after the maximum, free of evaluation noise, and runs at equal progress: by hand and on simulated truth."""

import numpy as np
import pytest
from scipy.stats import binom

from analysis.inference.drawdown import at_progress, drawdown
from analysis.inference.means import mean_of

ROUNDS = np.arange(0.0, 61.0)


def test_without_noise_it_is_the_fall_between_the_picked_places():
    """Evens 0 .4 .8 .2 pick peak .8 and trough .2, the odds after them are .9 and .3; odds pick .9 and .3, evens .2, -."""
    curve = np.array([[0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.2, 0.3]])
    assert drawdown(curve)[0] == pytest.approx(((0.9 - 0.3) + (0.2 - 0.2)) / 2)
    assert drawdown(np.linspace(0, 1, 8)[None, :])[0] == 0.0


def test_a_long_fall_is_found_whole():
    curve = np.concatenate([np.linspace(0.1, 0.9, 20), np.full(10, 0.9), np.full(15, 0.6), np.full(5, 0.9)])
    assert drawdown(curve[None, :])[0] == pytest.approx(0.3)


def sampled(rng, truth_NE, n=64):
    return rng.binomial(n, truth_NE) / n


def rising(rng, runs, speed):
    middle = speed * np.exp(0.2 * rng.standard_normal((runs, 1)))
    return 0.1 + 0.88 / (1 + np.exp(-0.25 * (ROUNDS - middle)))


@pytest.mark.parametrize("speed", [10.0, 30.0, 55.0])
def test_runs_that_only_rise_are_not_shown_to_fall(speed):
    """At most .05 of data sets, though every sampled curve falls: the largest sampled fall is some 10 points."""
    sets, shown, naive = 400, 0, []
    for s in range(sets):
        rng = np.random.default_rng([s, 1])
        seen = sampled(rng, rising(rng, 16, speed))
        shown += mean_of(drawdown(seen)).p_above(0.0) <= 0.05
        naive.append((np.maximum.accumulate(seen, axis=1) - seen).max(axis=1).mean())
    assert shown <= binom.ppf(0.999, sets, 0.05)
    assert np.mean(naive) > 0.05


@pytest.mark.parametrize("fall", [0.1, 0.3])
def test_a_true_fall_is_measured_but_for_its_edges(fall):
    """Where a picked place is the last before the fall or before its end, its neighbour misses it: towards none."""
    rng = np.random.default_rng(2)
    lasting, passing = rising(rng, 400, 15.0), rising(rng, 400, 15.0)
    lasting[:, 40:] -= fall
    passing[:, 40:46] -= fall
    found = [drawdown(sampled(rng, np.clip(truth, 0, 1))).mean() for truth in (lasting, passing)]
    assert 0.7 * fall < found[0] < 1.05 * fall
    assert 0 < found[1] < found[0]


@pytest.mark.parametrize(("first", "second"), [(15.0, 15.0), (15.0, 35.0)])
def test_equal_falls_at_unequal_speed_are_not_told_apart(first, second):
    """Both fall by 20 points for as long; the slower condition is not shown to fall further."""
    sets, shown = 300, 0
    for s in range(sets):
        rng = np.random.default_rng([s, 3])
        falls = []
        for speed in (first, second):
            truth = rising(rng, 16, speed)
            truth[:, 50:58] -= 0.2
            falls.append(drawdown(sampled(rng, np.clip(truth, 0, 1))))
        shown += mean_of(falls[1] - falls[0]).p_above(0.0) <= 0.05
    assert shown <= binom.ppf(0.999, sets, 0.05)


def test_equal_progress_is_where_the_mean_of_a_query_crosses():
    rounds = np.array([0.0, 10.0, 20.0])
    curves = np.array([[0.1, 0.3, 0.9], [0.1, 0.5, 0.7], [0.2, 0.6, 0.9]])
    query = np.array([0, 0, 1])
    values, weights = at_progress(rounds, curves, query, 0.5)
    # query 0: means .1, .4, .8, a quarter of the way from round 10; query 1: three quarters of the way to it
    np.testing.assert_allclose(values, [0.45, 0.55, 0.5])
    np.testing.assert_allclose(weights, [[0, 0.75, 0.25], [0, 0.75, 0.25], [0.25, 0.75, 0]])


@pytest.mark.parametrize("curve", [[0.6, 0.7, 0.8], [0.1, 0.2, 0.3]])
def test_a_query_that_does_not_cross_has_no_equal_progress(curve):
    assert at_progress(np.arange(3.0), np.array([curve, curve]), np.zeros(2, dtype=int), 0.5) is None
