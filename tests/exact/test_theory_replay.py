"""Theory §8: a window of past rewards against enumeration, simulated drifting windows and plain groups."""

import itertools
import statistics
from collections import deque

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.theory.adam import mean_field
from banditrft.theory.matching import class_moments
from banditrft.theory.replay import mean_age, replay_lag


def design(G=2, window=6, signal="grpo", **fields):
    base = {"rollouts": G, "replay_window": window, "signal": signal, "learning_rate": 1.0, "rounds": 1}
    return Design(**base | fields)


def path(rounds=12):
    return 1 / (1 + np.exp(-np.linspace(-2.5, 1.5, rounds + 1)))


@pytest.mark.parametrize("signal", ["centered", "grpo"])
@pytest.mark.parametrize("reward", ["zero-one", "minus-one-one"])
@pytest.mark.parametrize("G", [2, 5])
def test_a_window_of_one_group_is_the_plain_group(signal, reward, G):
    lag = replay_lag(design(G, G, signal, reward=reward), path(), pool=1)
    for visit, p in enumerate(path()):
        plain = class_moments(design(G, 0, signal, reward=reward), p)
        assert lag.drift_J[visit] == pytest.approx(plain.drift, rel=1e-11)
        assert lag.second_J[visit] == pytest.approx(plain.second, rel=1e-11)
        assert lag.silent_J[visit] == pytest.approx(plain.zero_signal_fraction, rel=1e-11)
    np.testing.assert_allclose(lag.baseline_bias_J, 0, atol=1e-15)
    np.testing.assert_allclose(lag.drift_ratio_J, 1)
    np.testing.assert_allclose(lag.scale_bias_J, 1)
    assert not lag.mean_age_J.any()


def exact_by_enumeration(d, probabilities, p):
    """Mean, std, E[u], E[u^2], P(silent) over every outcome; probabilities oldest first, the last G fresh at p."""
    low, high = {"zero-one": (0, 1), "minus-one-zero": (-1, 0), "minus-one-one": (-1, 1)}[d.reward]
    out = np.zeros(5)
    for outcome in itertools.product((0, 1), repeat=len(probabilities)):
        weight = np.prod([q if ok else 1 - q for ok, q in zip(outcome, probabilities, strict=True)])
        rewards = [high if ok else low for ok in outcome]
        mean = statistics.mean(rewards)
        std = statistics.stdev(rewards) if d.signal_ddof else statistics.pstdev(rewards)
        scale = std + d.signal_eps if d.signal == "grpo" else 1.0
        fresh = outcome[-d.rollouts :]
        u = statistics.mean(
            (rewards[-d.rollouts + i] - mean) / scale * (ok - p) for i, ok in enumerate(fresh)
        )
        out += weight * np.array([mean, std, u, u * u, std == 0])
    return out


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("signal", ["centered", "grpo"])
@pytest.mark.parametrize(
    ("reward", "G", "window", "pool", "batch"),
    [
        ("zero-one", 2, 6, 3, 1),
        ("minus-one-zero", 2, 5, 6, 4),
        ("minus-one-one", 1, 4, 2, 2),
        ("zero-one", 3, 7, 5, 2),
    ],
)
def test_every_visit_equals_the_enumeration(reward, G, window, pool, batch, signal, ddof):
    d = design(G, window, signal, reward=reward, batch_size=batch, signal_ddof=ddof, signal_eps=1e-3)
    rounds = 9
    now = path(rounds)
    lag = replay_lag(d, now, pool)
    assert len(lag.rounds_J) == int(rounds / (pool / batch)) + 1
    past = []
    for visit in range(len(lag.rounds_J)):
        at = visit * pool / batch
        below = min(int(at), rounds - 1)
        p = now[below] + (at - below) * (now[below + 1] - now[below])
        past = ([*past, *[(p, at)] * G])[-window:]
        assert lag.entries_J[visit] == len(past)
        assert lag.mean_age_J[visit] == pytest.approx(np.mean([at - then for _, then in past]))
        if len(past) < 2:
            continue  # statistics.stdev refuses one value
        mean, std, u, second, silent = exact_by_enumeration(d, [q for q, _ in past], p)
        fresh_mean, fresh_std, fresh_u, *_ = exact_by_enumeration(d, [p] * len(past), p)
        got = [
            lag.baseline_bias_J[visit],
            lag.std_J[visit],
            lag.drift_J[visit],
            lag.second_J[visit],
            lag.silent_J[visit],
            lag.fresh_std_J[visit],
            lag.fresh_drift_J[visit],
        ]
        expected = [mean - fresh_mean, std, u, second, silent, fresh_std, fresh_u]
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)


def test_simulated_windows_along_a_mean_field_path():
    """A deque per query, fed at its visits: means over 4,000 queries agree within 4.5 standard errors."""
    drifting = mean_field(
        design(2, 0, "centered", optimizer="sgd"), p0=0.1, num_arms=100, rounds=48
    ).pass_at_1_T
    d = design(2, 8, "centered", signal_ddof=0, batch_size=2)
    lag = replay_lag(d, drifting, pool=8)
    rng, queries = np.random.default_rng(5), 4000
    windows = [deque(maxlen=8) for _ in range(queries)]
    for visit, at in enumerate(range(0, 49, 4)):
        p = drifting[at]
        drawn = rng.random((queries, 2)) < p
        for window, pair in zip(windows, drawn.tolist(), strict=True):
            window.extend(pair)
        rewards = np.array([list(window) for window in windows], dtype=float)
        mean, std = rewards.mean(1), rewards.std(1)
        u = ((drawn - mean[:, None]) * (drawn - p)).mean(1)
        for sample, predicted in (
            (mean, p + lag.baseline_bias_J[visit]),
            (std, lag.std_J[visit]),
            (u, lag.drift_J[visit]),
            (u * u, lag.second_J[visit]),
        ):
            assert abs(sample.mean() - predicted) < 4.5 * sample.std() / np.sqrt(queries)
    assert lag.baseline_bias_J[-1] < -0.01  # the lag is far outside the tolerance above


def test_lag_of_a_slow_path_is_mean_age_times_speed():
    slope = 1e-4
    for G, window, pool, batch in ((1, 8, 16, 4), (4, 32, 64, 8), (3, 8, 10, 4)):
        d = design(G, window, batch_size=batch)
        lag = replay_lag(d, 0.3 + slope * np.arange(200), pool)
        assert lag.baseline_bias_J[-1] == pytest.approx(-slope * mean_age(d, pool), rel=1e-9)
        assert lag.mean_age_J[-1] == pytest.approx(mean_age(d, pool))
    assert mean_age(design(4, 32, batch_size=8), 64) == pytest.approx((32 / 4 - 1) / 2 * 64 / 8)


def test_a_biased_centered_baseline_does_not_bias_the_direction():
    """E[u] of centered feels the window only through the fresh rewards' own share of the mean: (1 - 1/W) pq, whatever p was."""
    for slope in (0.0, 0.02):
        lag = replay_lag(design(2, 8, "centered"), 0.2 + slope * np.arange(21), pool=1)
        p = lag.pass_at_1_J[-1]
        # sum over fresh i of E[(r_i - mean)(1[i] - p)]/G: only r_i's own 1/W share of the mean correlates with it
        assert lag.drift_J[-1] == pytest.approx((1 - 1 / 8) * p * (1 - p), rel=1e-12)


def test_example_of_the_documentation():
    """GRPO's stale scale damps: drift and standard deviation over those of a fresh window, p = .93 on a steep path."""
    learner = design(8, 0, optimizer="adam", learning_rate=0.1)
    rising = mean_field(learner, p0=0.1, num_arms=1001, rounds=100).pass_at_1_T
    for G, window, drift, scale in (
        (1, 8, 0.79, 3.1),
        (2, 8, 0.83, 2.3),
        (4, 8, 0.96, 1.3),
        (2, 32, 0.65, 2.4),
    ):
        lag = replay_lag(design(G, window, signal_ddof=0), rising, pool=8)
        assert lag.pass_at_1_J[6] == pytest.approx(0.926, abs=1e-3)
        assert lag.drift_ratio_J[6] == pytest.approx(drift, abs=0.006)
        assert lag.scale_bias_J[6] == pytest.approx(scale, abs=0.06)


@pytest.mark.parametrize(
    ("fields", "rounds_path", "pool", "name"),
    [
        ({"signal": "rloo"}, path(), 1, "signal"),
        ({"signal": "raw"}, path(), 1, "signal"),
        ({"window": 1}, path(), 1, "replay_window"),
        ({"baseline_rollouts": 2}, path(), 1, "baseline_rollouts"),
        ({"reward": "graded"}, path(), 1, "reward"),
        ({"batch_size": 4}, path(), 3, "pool"),
        ({}, [0.1, 1.0], 1, "pass_at_1_T"),
        ({}, [[0.1, 0.2]], 1, "pass_at_1_T"),
        ({}, [], 1, "pass_at_1_T"),
    ],
)
def test_bad_values_are_named(fields, rounds_path, pool, name):
    with pytest.raises(InputError, match=f"^{name}"):
        replay_lag(design(**fields), rounds_path, pool)
