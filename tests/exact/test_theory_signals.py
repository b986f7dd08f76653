"""Theory §3: moments of the class-level update against enumeration of all 2^G reward vectors, and its tables."""

import itertools

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import honest, is_honest, reward_map
from banditrft.signals import signal
from banditrft.theory.laws import round_law
from banditrft.theory.matching import class_moments, ratio_to_raw

P = (0.02, 0.1, 0.5, 0.9, 0.98)
EVERY = ("raw", "centered", "grpo", "rloo", "batch-centered", "gpg", "reinforce-plus-plus")


def log_odds(p):
    return np.log(p / (1 - p))


def design(name="raw", G=4, **fields):
    return Design(**{"signal": name, "rollouts": G, "learning_rate": 1.0, "rounds": 1} | fields)


def enumerate_groups(d, p):
    """drift, E[u^2], per-class energies and wasted fraction by summing over every vector of successes."""
    low, high = reward_map(d)[:2]
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


@pytest.mark.parametrize("reward", honest())
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
        law = round_law(design(name, G, signal_ddof=0, signal_eps=1e-12))
        np.testing.assert_allclose(law.multiplier(log_odds), u, atol=1e-11)
    bessel = round_law(design("grpo", G, signal_ddof=1, signal_eps=1e-12)).multiplier(log_odds)
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


def enumerate_rounds(d, p, base, others):
    """drift, E[u^2..4] central, energies, silent group, idle round over every (right, rewarded) outcome of B G rollouts and M others."""
    low, high = reward_map(d)[:2]
    B, G = d.batch_size, d.rollouts
    a, b = 1.0, 0.0
    if d.reward == "noisy":
        a, b = 1 - d.false_negative, d.false_positive
    if d.reward == "random":
        a = b = base if d.rate == "base" else d.rate
    q = p * a + (1 - p) * b
    rows = []
    kinds = {(1, 1): p * a, (1, 0): p * (1 - a), (0, 1): (1 - p) * b, (0, 0): (1 - p) * (1 - b)}
    kinds = {k: w for k, w in kinds.items() if w > 0}
    for pulls in itertools.product(kinds, repeat=B * G):
        for extra in itertools.product((0, 1), repeat=B * others):
            weight = float(np.prod([kinds[k] for k in pulls]) * np.prod([q if x else 1 - q for x in extra]))
            right = np.array([k[0] for k in pulls]).reshape(B, G)
            rewards = np.where(np.array([k[1] for k in pulls]), high, low).astype(float).reshape(B, G)
            beside = np.where(np.array(extra), high, low).astype(float).reshape(B, others)
            s = signal(d, rewards, beside if others else None)
            u = float(np.mean(s * (right - p)))
            rows.append((weight, u, (s**2 * right).sum() / (B * G) ** 2, (s**2 * (1 - right)).sum() / (B * G) ** 2,
                         np.abs(s[0]).max() < 1e-12, np.abs(s).max() < 1e-12))  # fmt: skip
    w, u, *rest = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    drift = w @ u
    return [drift, *(w @ (u - drift) ** k for k in (2, 3, 4)), *(w @ column for column in rest)]


ROUNDS = [
    *[(name, {"batch_size": 2, "rollouts": 2}) for name in EVERY],
    *[(name, {"rollouts": 3, "reward": "noisy", "false_positive": 0.2, "false_negative": 0.1}) for name in EVERY],
    *[(name, {"rollouts": 3, "reward": "random", "rate": 0.4}) for name in EVERY],
    *[(name, {"rollouts": 2, "batch_size": 2, "reward": "minus-one-zero"}) for name in EVERY],
    *[(name, {"rollouts": 3, "reward": "minus-one-one"}) for name in EVERY],
    *[(name, {"rollouts": 1, "baseline_rollouts": 3}) for name in ("centered", "grpo", "rloo")],
    *[(name, {"rollouts": 2, "batch_size": 2, "baseline_rollouts": 1}) for name in ("centered", "grpo", "rloo")],
    *[(name, {"rollouts": 2, "replay_window": 5}) for name in ("centered", "grpo", "rloo")],
    ("gpg", {"rollouts": 2, "batch_size": 2, "reward": "noisy", "false_positive": 0.2, "false_negative": 0.1}),
    ("gpg", {"rollouts": 1, "batch_size": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields"), ROUNDS)
def test_every_round_equals_the_enumeration(name, fields):
    d = design(name, **fields)
    window = d.replay_window - d.rollouts if d.replay_window else d.baseline_rollouts
    for p in (0.1, 0.7):
        drift, var, third, fourth, right, wrong, silent, idle = enumerate_rounds(d, p, 0.3, window)
        now = round_law(d, 0.3).moments(log_odds(p))
        np.testing.assert_allclose(
            [now.drift, now.variance, now.correct_energy, now.wrong_energy, now.silent, now.idle],
            [drift, var, right, wrong, silent, idle],
            rtol=1e-9,
            atol=1e-14,
        )
        if is_honest(d) and not (name == "gpg" and d.batch_size > 1):
            np.testing.assert_allclose([now.third, now.fourth], [third, fourth], rtol=1e-8, atol=1e-14)


def test_a_placebo_never_drifts_and_noise_scales_the_drift():
    """A noisy reward's raw drift is the honest one times the margin 1 - fp - fn; a placebo's margin is 0."""
    for name, p in itertools.product(EVERY, (0.02, 0.4, 0.9)):
        placebo = class_moments(design(name, 4, reward="random"), p)
        assert abs(placebo.drift) < 1e-16 + 1e-13 * np.sqrt(placebo.variance)
        assert placebo.variance > 0
    for p in P:
        noisy = design("raw", 4, reward="noisy", false_positive=0.1, false_negative=0.25)
        assert class_moments(noisy, p).drift == pytest.approx(0.65 * p * (1 - p), rel=1e-12)


def test_matching_gives_raws_drift_at_the_base_only():
    for name in EVERY[1:]:
        d = design(name, 4, optimizer="sgd", match_step_size=True)
        assert class_moments(d, 0.1).drift == pytest.approx(0.09, rel=1e-12)
        assert class_moments(d, 0.1, base=0.1).drift == pytest.approx(0.09, rel=1e-12)
    grpo = design("grpo", 4, optimizer="sgd", match_step_size=True)
    assert class_moments(grpo, 0.5, base=0.1).drift != pytest.approx(0.25, rel=1e-2)


def test_many_values_at_once_are_the_values_one_by_one():
    for d in (
        design("grpo", 4),
        design("gpg", 2, batch_size=3),
        design("raw", 4, reward="noisy", false_positive=0.1),
    ):
        law = round_law(d)
        x = np.array([[-3.0, 0.1], [2.0, -0.5]])
        together = law.moments(x)
        for index in np.ndindex(x.shape):
            alone = law.moments(x[index])
            assert together.variance[index] == pytest.approx(float(alone.variance), rel=1e-12)
            assert together.idle[index] == pytest.approx(float(alone.idle), rel=1e-12)


def test_kl_adds_the_derivative_of_its_estimator():
    """omega = s + kl_coef k'(log ref - log pi), by hand at p = .6 from a base of .2; at the base k2 and k3 add nothing."""
    gap = {1: np.log(0.2 / 0.6), 0: np.log(0.8 / 0.4)}
    slopes = {"k1": lambda x: -1.0, "k2": lambda x: x, "k3": lambda x: np.exp(x) - 1}
    for kind, slope in slopes.items():
        d = design("raw", 2, kl_coef=0.5, kl_estimator=kind)
        expected = 0.0
        for rights in itertools.product((0, 1), repeat=2):
            omega = [r + 0.5 * slope(gap[r]) for r in rights]
            weight = np.prod([0.6 if r else 0.4 for r in rights])
            expected += weight * np.mean([o * (r - 0.6) for o, r in zip(omega, rights, strict=True)])
        assert class_moments(d, 0.6, base=0.2).drift == pytest.approx(expected, rel=1e-12)
        if kind != "k1":
            assert class_moments(d, 0.2, base=0.2).drift == pytest.approx(0.16, rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"reward": "graded"}, "reward"),
        ({"signal": "gpg", "replay_window": 8}, "replay_window"),
        ({"signal": "batch-centered", "baseline_rollouts": 2}, "baseline_rollouts"),
        ({"signal": "gpg", "batch_size": 512, "rollouts": 64}, "batch_size"),
        ({"signal": "gpg", "batch_size": 2, "kl_coef": 0.1}, "kl_coef"),
    ],
)
def test_designs_without_a_closed_form_are_refused_by_field(fields, name):
    with pytest.raises(InputError, match=f"^{name}"):
        class_moments(design(**fields), 0.1)


def test_what_only_a_base_decides_must_be_given():
    with pytest.raises(InputError, match=r"^rate"):
        round_law(design(reward="random"))
    with pytest.raises(InputError, match=r"^kl_coef"):
        round_law(design(kl_coef=0.1))
