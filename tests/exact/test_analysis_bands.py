"""Bands, areas and crossings of mean curves: identities, limits, and what they refuse."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import t

from analysis.curves.bands import in_log_odds, mean_band, sidak
from analysis.curves.conditions import mean_area, mean_crossing, normalised_area
from analysis.inference.resampling import checked_strata, moments, weights
from banditrft.errors import InputError

ROUNDS = np.arange(0.0, 51.0, 5.0)


def curves(n, seed=0, samples=64):
    """Logistic curves that begin at .1 and hit at different rounds, read with binomial noise."""
    rng = np.random.default_rng(seed)
    middle = 20 * np.exp(0.3 * rng.standard_normal((n, 1)))
    return rng.binomial(samples, 0.1 + 0.85 / (1 + np.exp(-0.2 * (ROUNDS - middle)))) / samples


def band_of(values, **named):
    """The band of values read with 64 samples."""
    values = np.asarray(values, dtype=float)
    named = {"rng": np.random.default_rng(3), "samples_NE": np.full(values.shape, 64)} | named
    return mean_band(values, **named)


def test_weights_give_means_their_right_variance():
    """Of m runs m - 1 are drawn: the bootstrap's variance of a mean is s^2 / m, also within strata of two."""
    values = np.random.default_rng(1).random((6, 1))
    for strata in (np.zeros(6), np.array([0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])):
        rows = checked_strata(strata, 6)
        drawn = np.concatenate([w @ values / 6 for w in weights(rows, 60_000, np.random.default_rng(2))])
        mean, se, _ = moments(values, rows)
        assert drawn.mean() == pytest.approx(mean[0], abs=4 * se[0] / np.sqrt(60_000))
        assert drawn.var() == pytest.approx(se[0] ** 2, rel=0.03)


def test_weights_come_in_blocks_that_do_not_change_the_number(monkeypatch):
    monkeypatch.setattr("analysis.inference.resampling.BLOCK", 70)
    blocks = list(weights([np.arange(10)], 25, np.random.default_rng(0)))
    assert [b.shape for b in blocks] == [(7, 10), (7, 10), (7, 10), (4, 10)]
    np.testing.assert_allclose(np.concatenate(blocks).sum(axis=1), 10)


def test_one_evaluation_of_few_runs_gets_its_t_interval_in_log_odds():
    values = np.array([[0.3], [0.5], [0.4], [0.6]])
    band = mean_band(values, rng=np.random.default_rng(0), samples_NE=np.full((4, 1), 10**9))
    p = values.mean()
    half = t.ppf(0.975, 3) * values.std(ddof=1) / np.sqrt(4) / (p * (1 - p))
    assert np.log(band.high_E[0] / (1 - band.high_E[0])) == pytest.approx(
        np.log(p / (1 - p)) + half, rel=1e-4
    )
    assert np.log(band.low_E[0] / (1 - band.low_E[0])) == pytest.approx(np.log(p / (1 - p)) - half, rel=1e-4)


def test_more_evaluations_and_more_confidence_widen_a_band():
    values = curves(8)
    one, many, sure = band_of(values[:, [4]]), band_of(values), band_of(values, level=0.99)
    assert one.high_E[0] < many.high_E[4] < sure.high_E[4]
    assert sidak(np.array([7.0]), 0.95)[0] == pytest.approx(t.ppf(0.975, 7))


@pytest.mark.parametrize("n", [2, 5, 12, 40])
def test_a_band_holds_its_mean_and_stays_between_0_and_1(n):
    values = curves(n)
    band = band_of(values)
    low, mean, high = (np.array(v) for v in (band.low_E, band.mean_E, band.high_E))
    np.testing.assert_allclose(mean, values.mean(axis=0))
    assert (low >= 0).all()
    assert (low < mean).all()
    assert (mean < high).all()
    assert (high <= 1).all()
    json.dumps(asdict(band), allow_nan=False)


def test_where_all_runs_agree_evaluation_noise_keeps_the_band_open():
    values = np.ones((16, 3))
    values[:, 0] = np.linspace(0.2, 0.6, 16)
    few, many = (band_of(values, samples_NE=np.full((16, 3), m)) for m in (16, 1024))
    assert few.low_E[1] < many.low_E[1] < 1
    assert few.holds_E == (True, False, False)  # nobody is away from 1: what rare runs do is not seen


def test_the_floor_is_binomial():
    _, error = in_log_odds(np.array([0.5]), np.array([0.0]), np.array([400]))
    assert error[0] == pytest.approx(np.sqrt(0.25 / 400) / 0.25)


def test_bands_follow_their_generator_and_forget_differences_between_queries():
    values = curves(20)
    assert band_of(values, resamples=200) == band_of(values, resamples=200)
    strata = np.repeat([4, 9], 10)
    apart = 0.5 * values + 0.4 * (strata == 9)[:, None]
    within, across = band_of(apart, strata_N=strata), band_of(apart)
    assert within.mean_E == across.mean_E
    assert sum(within.high_E) < sum(across.high_E) - 0.1


@pytest.mark.parametrize(
    ("values", "named", "what"),
    [
        ([[0.1, 0.2]], {}, "N >= 2"),
        ([0.1, 0.2], {}, "shape"),
        ([[0.1, np.nan], [0.1, 0.2]], {}, r"finite, got nan at \(0, 1\)"),
        ([[0.1, 1.2], [0.1, 0.2]], {}, r"\[0, 1\]"),
        ([[0.1], [0.2]], {"level": 1.0}, "level"),
        ([[0.1], [0.2]], {"strata_N": [0, 1]}, "stratum 0"),
        ([[0.1], [0.2]], {"strata_N": [0]}, "one per run"),
        ([[0.1], [0.2]], {"samples_NE": [[1], [0]]}, "at least 1"),
    ],
)
def test_bad_curves_are_named(values, named, what):
    with pytest.raises(InputError, match=what):
        band_of(values, **named)


def test_the_area_is_the_mean_of_a_straight_curve():
    rounds = [0, 1, 4, 10]
    straight = np.array([[0.0, 0.1, 0.4, 1.0], [0.5, 0.5, 0.5, 0.5], [1.0, 0.9, 0.6, 0.0]])
    np.testing.assert_allclose(normalised_area(rounds, straight), 0.5)
    found = mean_area(rounds, straight * [[1.0], [0.8], [1.2]])
    low, high = t.interval(0.95, 2, 0.5, np.std([0.5, 0.4, 0.6], ddof=1) / np.sqrt(3))
    assert found.interval == pytest.approx((low, high))


@pytest.mark.parametrize("rounds", [[0, 1], [0, 2, 2], [3, 2, 1]])
def test_rounds_that_do_not_rise_or_fit_are_named(rounds):
    with pytest.raises(InputError, match="rounds: need 3 that rise"):
        normalised_area(rounds, [[0.1, 0.2, 0.3]])


def test_the_mean_curve_crosses_between_evaluations():
    steps = np.array([[0.0, 0.4, 0.8, 1.0]] * 12) * np.linspace(0.9, 1.1, 12)[:, None]
    found = mean_crossing([0, 10, 20, 30], np.clip(steps, 0, 1), 0.6, rng=np.random.default_rng(0))
    assert found.estimate == pytest.approx(15, abs=0.1)
    assert found.interval[0] < found.estimate < found.interval[1]
    assert found.step == 10


@pytest.mark.parametrize("n", [5, 12])
def test_a_mean_that_never_arrives_crosses_beyond_the_last_evaluation(n):
    found = mean_crossing(ROUNDS, 0.5 * curves(n), 0.9, rng=np.random.default_rng(0))
    assert found.estimate is None
    assert found.interval == (50.0, None)
    assert "does not reach 0.9 by round 50" in found.sentence


@pytest.mark.parametrize("n", [5, 12])
def test_a_mean_that_begins_there_crosses_at_once(n):
    found = mean_crossing(ROUNDS, curves(n), 0.05, rng=np.random.default_rng(0))
    assert found.estimate == 0
    assert found.interval[0] == 0
