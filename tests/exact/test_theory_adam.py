"""Theory §4: per-arm gradient moments by enumerating all K^G pulls, and the recursion by a dense plain-Python Adam."""

import itertools
import math

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.signals import signal
from banditrft.theory.adam import MeanField, follow, mean_field
from banditrft.theory.coordinates import Coordinates
from banditrft.theory.laws import round_law


def design(name="raw", G=4, **fields):
    return Design(**{"signal": name, "rollouts": G, "learning_rate": 0.1, "rounds": 1} | fields)


def enumerate_pulls(d, p, num_correct, num_arms):
    """Mean and second moment of every arm's gradient by summing over all K^G vectors of pulls."""
    policy = np.array(
        [p / num_correct] * num_correct + [(1 - p) / (num_arms - num_correct)] * (num_arms - num_correct)
    )
    mean, second = np.zeros(num_arms), np.zeros(num_arms)
    for pulls in itertools.product(range(num_arms), repeat=d.rollouts):
        weight = float(np.prod(policy[list(pulls)]))
        s = signal(d, np.array([[1.0 if a < num_correct else 0.0 for a in pulls]]))[0]
        gradient = np.zeros(num_arms)
        for arm, value in zip(pulls, s, strict=True):
            gradient += value * ((np.arange(num_arms) == arm) - policy) / d.rollouts
        mean += weight * gradient
        second += weight * gradient**2
    return mean, second


@pytest.mark.parametrize("name", ["raw", "centered", "grpo", "rloo"])
@pytest.mark.parametrize(("num_correct", "num_arms", "G"), [(1, 2, 4), (1, 5, 3), (2, 5, 2), (3, 4, 3)])
def test_moments_of_one_arm_equal_the_enumeration(name, num_correct, num_arms, G):
    d = design(name, G)
    for p in (0.1, 0.6):
        mean, second = enumerate_pulls(d, p, num_correct, num_arms)
        got_mean, got_second = Coordinates.arms(round_law(d), num_correct, num_arms)(math.log(p / (1 - p)))
        np.testing.assert_allclose(mean[[0, -1]], got_mean, atol=1e-14)
        np.testing.assert_allclose(second[[0, -1]], got_second, atol=1e-14)


def test_section_4_second_moment_is_the_single_correct_arms():
    """E[g^2] = (1-p)^2 (p^2 + p(1-p)/G): right for raw {0,1}, one correct arm, and its wrong arms by 1/(K-1)^2."""
    for G, p, K in itertools.product((1, 4), (0.02, 0.3, 0.9), (2, 1000, 10**12)):
        _, second = Coordinates.arms(round_law(design("raw", G)), 1, K)(math.log(p / (1 - p)))
        claimed = (1 - p) ** 2 * (p**2 + p * (1 - p) / G)
        assert second == pytest.approx([claimed, claimed / (K - 1) ** 2], rel=1e-12)
    # it is not what an advantage gives a wrong arm: who was drawn adds noise of its own
    _, second = Coordinates.arms(round_law(design("centered", 4)), 1, 1000)(math.log(0.1 / 0.9))
    assert second[1] > 100 * second[0] / 999**2


def dense_adam(d, p0, num_correct, num_arms, rounds, moments):
    """Adam as torch writes it, on K scalar logits; class probability by a full softmax."""
    wrong = num_arms - num_correct
    logits = [math.log(p0 / num_correct)] * num_correct + [math.log((1 - p0) / wrong)] * wrong
    first, second = [0.0] * num_arms, [0.0] * num_arms
    (b1, b2), out = d.betas, []
    for t in range(1, rounds + 1):
        mass = [math.exp(x) for x in logits]
        p = sum(mass[:num_correct]) / sum(mass)
        mean, square = moments(d, p, num_correct, num_arms)
        for i in range(num_arms):
            first[i] = b1 * first[i] + (1 - b1) * mean[i]
            second[i] = b2 * second[i] + (1 - b2) * square[i]
            bias1, bias2 = 1 - b1**t, 1 - b2**t
            logits[i] += (
                d.learning_rate / bias1 * first[i] / (math.sqrt(second[i]) / math.sqrt(bias2) + d.adam_eps)
            )
        mass = [math.exp(x) for x in logits]
        out.append(sum(mass[:num_correct]) / sum(mass))
    return out


@pytest.mark.parametrize("fields", [{}, {"adam_eps": 0.05}, {"betas": (0.5, 0.9)}, {"betas": (0.0, 0.0)}])
@pytest.mark.parametrize(("name", "num_correct", "num_arms"), [("raw", 1, 4), ("grpo", 2, 5)])
def test_recursion_equals_a_dense_adam_fed_with_enumerated_moments(name, num_correct, num_arms, fields):
    d = design(name, 2, **fields)
    path = mean_field(d, p0=0.1, num_arms=num_arms, num_correct=num_correct, rounds=25)
    reference = dense_adam(d, 0.1, num_correct, num_arms, 25, enumerate_pulls)
    np.testing.assert_allclose(path.pass_at_1_T[1:], reference, rtol=1e-9)


def rounds_to_99(p0, G, learning_rate, K, **fields):
    d = design("raw", G, learning_rate=learning_rate, **fields)
    return mean_field(d, p0=p0, num_arms=K, target=0.99).rounds_to(0.99)


@pytest.mark.parametrize(
    ("learning_rate", "p0", "one", "four"),
    [
        (0.1, 0.02, 137, 73),
        (0.1, 0.1, 113, 62),
        (0.1, 0.3, 77, 50),
        (0.02, 0.02, 777, 490),
        (0.02, 0.1, 660, 461),
        (0.02, 0.3, 514, 402),
    ],
)
def test_table_of_section_4(learning_rate, p0, one, four):
    assert rounds_to_99(p0, 1, learning_rate, 1000) == pytest.approx(one, abs=1)
    assert rounds_to_99(p0, 4, learning_rate, 1000) == pytest.approx(four, abs=1)


def test_eps_freezes_the_wrong_lump_of_a_large_action_space():
    assert rounds_to_99(0.1, 1, 0.1, 10**12) == pytest.approx(261, abs=1)
    assert rounds_to_99(0.02, 4, 0.1, 10**6) == pytest.approx(76, abs=1)
    assert rounds_to_99(0.02, 4, 0.1, 1000) == pytest.approx(73, abs=1)
    # without eps the number of arms does not matter, and two logits move instead of one
    assert rounds_to_99(0.1, 1, 0.1, 10**12, adam_eps=1e-300) == rounds_to_99(
        0.1, 1, 0.1, 1000, adam_eps=1e-300
    )
    frozen = mean_field(design(adam_eps=1e-8), p0=0.1, num_arms=10**12, rounds=1).log_odds_T
    free = mean_field(design(adam_eps=1e-300), p0=0.1, num_arms=10**12, rounds=1).log_odds_T
    assert np.diff(free) == pytest.approx(2 * np.diff(frozen), rel=1e-3)


def test_sgd_mean_field_steps_by_gain_times_drift_whatever_the_rollouts():
    for name, G in (("raw", 1), ("raw", 4), ("grpo", 4)):
        d = design(name, G, optimizer="sgd", learning_rate=0.7)
        path = mean_field(d, p0=0.2, num_arms=12, num_correct=3, rounds=40).log_odds_T
        x = math.log(0.2 / 0.8)
        for t in range(41):
            assert path[t] == pytest.approx(x, rel=1e-12)
            x += 0.7 * (1 / 3 + 1 / 9) * round_law(d).moments(x).drift


def test_shared_weights_under_adam_move_by_the_sum_of_sizes():
    """With eps = 0 coordinates of any size step alike: dl = lr * sum|u_i| * m_hat/sqrt(v_hat) (theory §6)."""
    features = np.array([3.0, -0.2, 0.01])
    d = design(adam_eps=1e-300)
    path = follow(Coordinates.features(round_law(d), features), d, p0=0.1, rounds=30).log_odds_T
    one = np.array([1.0])
    scalar = follow(
        Coordinates.features(round_law(d), one, np.array([3.21])), d, p0=0.1, rounds=30
    ).log_odds_T
    np.testing.assert_allclose(path, scalar, rtol=1e-12)


def test_rounds_to_is_the_first_whole_round_or_none():
    path = MeanField(np.array([-2.0, 0.0, 3.0]))
    assert path.rounds_to(0.5) == 1
    assert path.rounds_to(0.1) == 0
    assert path.rounds_to(0.99) is None


def test_decay_of_adamw_pulls_every_logit_towards_zero():
    """Against dense logits with torch's order: decay first, then Adam's step."""
    d = design("raw", 2, optimizer="adamw", weight_decay=0.3)
    path = mean_field(d, p0=0.1, num_arms=5, num_correct=2, rounds=25)
    logits = np.log([0.05, 0.05, 0.3, 0.3, 0.3])
    first, second, (b1, b2) = np.zeros(5), np.zeros(5), d.betas
    for t in range(1, 26):
        p = np.exp(logits)[:2].sum() / np.exp(logits).sum()
        mean, square = enumerate_pulls(d, p, 2, 5)
        logits *= 1 - d.learning_rate * 0.3
        first, second = b1 * first + (1 - b1) * mean, b2 * second + (1 - b2) * square
        logits += d.learning_rate * first / (1 - b1**t) / (np.sqrt(second / (1 - b2**t)) + d.adam_eps)
    assert path.pass_at_1_T[-1] == pytest.approx(np.exp(logits)[:2].sum() / np.exp(logits).sum(), rel=1e-9)


def test_bad_strength_of_sharing_is_named():
    with pytest.raises(InputError, match="shared"):
        mean_field(design(), p0=0.1, num_arms=10, shared=-1.0, rounds=5)
