"""Theory §3: moments of the class-level update against enumeration of all 2^G reward vectors, and its tables."""

import itertools

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import reward_values
from banditrft.signals import signal
from banditrft.theory.signals import GroupLaw, class_moments, ratio_to_raw

P = (0.02, 0.1, 0.5, 0.9, 0.98)


def design(name="raw", G=4, **fields):
    return Design(**{"signal": name, "rollouts": G, "learning_rate": 1.0, "rounds": 1} | fields)


def enumerate_groups(d, p):
    """drift, E[u^2], per-class energies and wasted fraction by summing over every vector of successes."""
    low, high = reward_values(d)
    drift = second = correct = wrong = wasted = 0.0
    G = d.rollouts
    for successes in itertools.product((0, 1), repeat=G):
        ok = np.array(successes)
        weight = float(np.prod(np.where(ok, p, 1 - p)))
        s = signal(d, np.where(ok, high, low).astype(float)[None, :])[0]
        # d/d(theta of the correct class) of log pi(a) is 1[a correct] - p
        u = float(np.mean(s * (ok - p)))
        drift += weight * u
        second += weight * u * u
        correct += weight * float((s**2)[ok == 1].sum()) / G**2
        wrong += weight * float((s**2)[ok == 0].sum()) / G**2
        wasted += weight * bool(np.all(s == 0))
    return drift, second, correct, wrong, wasted


@pytest.mark.parametrize("reward", ["zero-one", "minus-one-zero", "minus-one-one"])
@pytest.mark.parametrize(
    ("name", "ddof"), [("raw", 1), ("centered", 1), ("grpo", 0), ("grpo", 1), ("rloo", 1)]
)
@pytest.mark.parametrize("G", [2, 3, 4, 8])
def test_moments_equal_enumeration(name, ddof, G, reward):
    d = design(name, G, signal_ddof=ddof, reward=reward)
    for p in P:
        drift, second, correct, wrong, wasted = enumerate_groups(d, p)
        now = class_moments(d, p)
        np.testing.assert_allclose(
            [now.drift, now.second, now.correct_energy, now.wrong_energy, now.zero_signal_fraction],
            [drift, second, correct, wrong, wasted],
            rtol=1e-11,
            atol=1e-15,
        )
        assert now.variance == pytest.approx(second - drift**2, rel=1e-9)
        noiseless = now.variance == 0  # {-1, 1} at p = .5: a success and a failure move alike
        assert noiseless == (reward == "minus-one-one" and name == "raw" and p == 0.5)
        assert now.snr == (np.inf if noiseless else pytest.approx(drift**2 / (second - drift**2), rel=1e-9))


def test_closed_forms_of_each_multiplier():
    """u(S): raw (S/G)(1-p); centred S(G-S)/G^2; RLOO S(G-S)/(G(G-1)); GRPO ddof 0 sqrt(S(G-S))/G."""
    G, log_odds = 5, -0.7
    p, s = 1 / (1 + np.exp(0.7)), np.arange(6)
    expected = {
        "raw": s / G * (1 - p),
        "centered": s * (G - s) / G**2,
        "rloo": s * (G - s) / (G * (G - 1)),
        "grpo": np.sqrt(s * (G - s)) / G,
    }
    for name, u in expected.items():
        law = GroupLaw.of(design(name, G, signal_ddof=0, signal_eps=1e-12))
        np.testing.assert_allclose(law.multiplier(log_odds), u, atol=1e-11)
    bessel = GroupLaw.of(design("grpo", G, signal_ddof=1, signal_eps=1e-12)).multiplier(log_odds)
    np.testing.assert_allclose(bessel, expected["grpo"] * np.sqrt((G - 1) / G), atol=1e-11)


@pytest.mark.parametrize(
    ("G", "ratios"),
    [(2, (1, 1, 1, 1)), (4, (1.723, 1.690, 1.616, 1.690)), (8, (2.573, 2.328, 1.856, 2.328))],
)
def test_table_of_grpo_drift_over_raw_drift(G, ratios):
    d = design("grpo", G, signal_ddof=0, signal_eps=1e-12)
    assert [ratio_to_raw(d, p) for p in (0.02, 0.1, 0.5, 0.9)] == pytest.approx(ratios, abs=6e-4)


def test_grpo_drift_tends_to_raw_over_the_standard_deviation():
    for p in (0.1, 0.5, 0.9):
        d = design("grpo", 1000, signal_ddof=0, signal_eps=1e-12)
        assert ratio_to_raw(d, p) == pytest.approx(1 / np.sqrt(p * (1 - p)), rel=2e-3)


def test_table_of_signal_to_noise():
    raw = [class_moments(design("raw"), p).snr for p in P]
    grpo = [class_moments(design("grpo", signal_ddof=0), p).snr for p in P]
    assert raw == pytest.approx((0.082, 0.444, 4, 36, 196), rel=6e-3)
    assert grpo == pytest.approx((0.084, 0.522, 6.72, 0.522, 0.084), rel=6e-3)


def test_noise_energy_per_arm():
    assert class_moments(design("raw"), 0.02).noise_energy_ratio == pytest.approx(13.0, abs=0.05)
    assert class_moments(design("grpo", signal_ddof=0), 0.02).noise_energy_ratio == pytest.approx(
        17.0, abs=0.05
    )
    for p in P:
        assert class_moments(design("raw"), p).noise_energy_ratio == pytest.approx(1 / (4 * p * (1 - p) ** 2))
    big = class_moments(design("grpo", 1000, signal_ddof=0), 0.1).noise_energy_ratio
    assert big == pytest.approx(1 / (1000 * 0.1 * 0.9), rel=5e-3)


def test_wasted_groups_follow_from_the_signal():
    p, G = 0.3, 4
    assert class_moments(design("raw"), p).zero_signal_fraction == pytest.approx(0.7**G)
    negative = design("raw", reward="minus-one-zero")
    assert class_moments(negative, p).zero_signal_fraction == pytest.approx(p**G)
    assert class_moments(design("raw", reward="minus-one-one"), p).zero_signal_fraction == 0
    for name in ("centered", "grpo", "rloo"):
        assert class_moments(design(name), p).zero_signal_fraction == pytest.approx(p**G + 0.7**G)


def test_shifting_raw_rewards_leaves_the_mean_update_alone():
    for p in P:
        ups, downs = class_moments(design("raw"), p), class_moments(design("raw", reward="minus-one-zero"), p)
        assert ups.drift == pytest.approx(downs.drift)
        assert ups.variance == pytest.approx(downs.variance * ((1 - p) / p) ** 2)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"signal": "batch-centered"}, "signal"),
        ({"reward": "graded"}, "reward"),
        ({"reward": "random"}, "reward"),
        ({"baseline_rollouts": 7}, "baseline_rollouts"),
        ({"replay_window": 8}, "replay_window"),
        ({"optimizer": "sgd", "match_step_size": True}, "match_step_size"),
    ],
)
def test_designs_without_a_closed_form_are_refused_by_field(fields, name):
    with pytest.raises(InputError, match=f"^{name}"):
        class_moments(design(**fields), 0.1)
