"""Theory §5: {-1,0} rewards by summing over all arms, the ladder by forward recursion, traps by simulation."""

import itertools
import math

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import honest, reward_map
from banditrft.theory.flow import flow_time
from banditrft.theory.hitting import hitting_law
from banditrft.theory.negative import expected_move, negative_law, trap_boundary, trap_ratio
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate


def design(reward="minus-one-zero", eta=1.0, **fields):
    base = {"reward": reward, "optimizer": "sgd", "learning_rate": eta, "rounds": 1}
    return Design(**base | fields)


def move_by_enumeration(d, p, K, m):
    """Pull every arm once, take its SGD step on K logits, and average the new log-odds."""
    low, high = reward_map(d)[:2]
    theta = np.log([p / m] * m + [(1 - p) / (K - m)] * (K - m))
    policy, out = np.exp(theta), 0.0
    for arm in range(K):
        gradient = (high if arm < m else low) * ((np.arange(K) == arm) - policy)
        new = np.exp(theta + d.learning_rate * gradient)
        out += policy[arm] * (math.log(new[:m].sum() / new[m:].sum()) - math.log(p / (1 - p)))
    return out


@pytest.mark.parametrize("reward", honest())
@pytest.mark.parametrize(("K", "m"), [(2, 1), (11, 1), (30, 4), (5, 4)])
def test_expected_move_equals_the_sum_over_arms(reward, K, m):
    for eta, p in itertools.product((0.1, 1.0, 3.0), (0.01, 0.2, 0.9)):
        d = design(reward, eta)
        assert expected_move(d, p, K, m) == pytest.approx(
            move_by_enumeration(d, p, K, m), rel=1e-9, abs=1e-14
        )


@pytest.mark.parametrize(("K", "m"), [(11, 1), (500, 25), (12, 10)])
@pytest.mark.parametrize("eta", [0.01, 0.5, 1.0, 2.0, 30.0])
def test_the_boundary_is_where_the_move_changes_sign(K, m, eta):
    edge = trap_boundary(eta, K, m)
    assert 0 < edge < m / K
    assert move_by_enumeration(design(eta=eta), edge * 1.01, K, m) > 0
    assert move_by_enumeration(design(eta=eta), edge * 0.99, K, m) < 0
    # in the trap ratio the boundary for many wrong arms and small steps is R = 2
    if (K, eta) == (500, 0.01):
        assert trap_ratio(edge, eta, K, m) == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize(("p", "move"), [(0.31, 0.01444), (0.27, -0.00156)])
def test_the_condition_divides_by_the_wrong_mass(p, move):
    """n = m = 10, eta = 2: the sign of one punishment is that of a/w - (1 - n c/(eta (1-p))), not of a/w - (1 - n c/eta)."""
    n, m, eta = 10, 10, 2.0
    policy = np.array([p / m] * m + [(1 - p) / n] * n)
    theta = np.log(policy) - eta * ((np.arange(20) == 19) - policy)  # arm 19, a wrong one, is punished once
    after = math.log(np.exp(theta[:m]).sum() / np.exp(theta[m:]).sum())
    assert after - math.log(p / (1 - p)) == pytest.approx(move, abs=1e-5)
    c = -math.log1p(math.expm1(-eta) / n)
    ratio = (p / m) / ((1 - p) / n)
    assert (move > 0) == (ratio > 1 - n * c / (eta * (1 - p))) == (p > trap_boundary(eta, 20, 10))
    assert ratio < 1 - n * c / eta  # what stood here before says "lowered" both times


def test_a_success_rewarded_never_lowers_the_expected_log_odds():
    for K, m, eta, p in itertools.product((11, 60), (1, 10), (0.1, 1.0, 5.0), (0.001, 0.3, 0.99)):
        assert expected_move(design("zero-one", eta), p, K, m) > 0
    assert trap_boundary(1.0, 2) == 0
    assert trap_boundary(1000.0, 11) == pytest.approx(1 / 11, rel=0.01)
    for eta in (1e-3, 1e-4):  # small steps: both rewards move by the mean gradient, eta p (1-p) (1/m + 1/n)
        mean = eta * 0.1 * 0.9 * (1 / 3 + 1 / 20)
        assert expected_move(design(eta=eta), 0.1, 23, 3) == pytest.approx(mean, rel=5 * eta)
        assert expected_move(design("zero-one", eta), 0.1, 23, 3) == pytest.approx(mean, rel=5 * eta)


def test_quoted_cases_are_separated():
    """Section 5's runs that work have a trap ratio below 1, those that fail above 4 and start by going down."""
    works = [(0.1, 1.0, 11, 1), (0.1, 1.0, 10_001, 1), (0.1, 2.0, 500, 25), (0.3, 2.0, 500, 25)]
    fails = [(0.02, 1.0, 11, 1), (0.02, 2.0, 11, 1), (0.02, 2.0, 500, 25)]
    for p0, eta, K, m in works:
        assert trap_ratio(p0, eta, K, m) < 1
        assert expected_move(design(eta=eta), p0, K, m) > 0
        assert p0 > trap_boundary(eta, K, m)
    for p0, eta, K, m in fails:
        assert trap_ratio(p0, eta, K, m) > 4
        assert expected_move(design(eta=eta), p0, K, m) < 0
        assert p0 < trap_boundary(eta, K, m)


@pytest.mark.parametrize(("K", "m"), [(11, 1), (101, 1), (110, 10), (500, 25)])
@pytest.mark.parametrize("eta", [1.0, 2.0])
def test_trap_ratio_orders_simulated_runs(K, m, eta):
    """R = .5: nobody is below 1/2 after four times the flow's time to .9; R = 4: a quarter at least still is."""
    stuck = {}
    for ratio in (0.5, 4.0):
        apart = eta / ratio  # a/w
        p0 = apart * m / (apart * m + K - m)
        assert trap_ratio(p0, eta, K, m) == pytest.approx(ratio)
        rounds = 4 * int(flow_time(p0, 0.9, eta, m, K))
        d = design(eta=eta, rounds=rounds)
        paths = simulate(
            Bandit.of((m, K - m), [p0, 1 - p0], [1, 0]),
            TableLearner.from_design(d, p0),
            root_seed=3,
            seeds=range(60),
            rounds=rounds,
            eval_rounds=(rounds,),
            target=0.99,
        )
        stuck[ratio] = float((paths.p_RE[:, -1] < 0.5).mean())
    assert stuck[0.5] == 0
    assert stuck[4.0] > 0.25


@pytest.mark.parametrize("m", [1, 3])
def test_ladder_of_failures_against_dense_logits(m):
    """One wrong arm: the law of the number of failures so far, by forward recursion on m + 1 explicit logits."""
    eta, p0, target = 0.7, 0.1, 0.8
    law = negative_law(p0, eta * (1 + 1 / m), target)
    chances, policy = [], np.array([p0 / m] * m + [1 - p0])
    while policy[:m].sum() < target:
        chances.append(policy[-1])
        policy = policy * np.exp(-eta * ((np.arange(m + 1) == m) - policy))
        policy /= policy.sum()
    assert len(law.log_odds_N) == len(chances)
    at, arrived = np.zeros(len(chances) + 1), [0.0]
    at[0] = 1.0
    for _ in range(60):
        for k in range(len(chances) - 1, -1, -1):
            at[k + 1] += at[k] * chances[k]
            at[k] *= 1 - chances[k]
        arrived.append(at[-1])
    np.testing.assert_allclose(law.cdf(60), arrived, atol=1e-12)
    assert law.mean == pytest.approx(sum(1 / q for q in chances))
    assert law.variance == pytest.approx(sum((1 - q) / q**2 for q in chances))


def test_with_one_direction_negative_rewards_arrive_with_less_spread_when_hard():
    negative, positive = negative_law(0.01, 1.0, 0.5), hitting_law(0.01, 1.0, 0.5)
    assert negative.sd < 0.1 * positive.sd
    assert negative_law(0.5, 1.0, 0.3).mean == 0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: expected_move(design(rollouts=2), 0.1, 10), "rollouts"),
        (lambda: expected_move(design(optimizer="adam"), 0.1, 10), "optimizer"),
        (lambda: expected_move(design("graded"), 0.1, 10), "reward"),
        (lambda: expected_move(design(), 0.0, 10), "p"),
        (lambda: trap_boundary(0.0, 10), "learning_rate"),
        (lambda: trap_boundary(1.0, 10, 10), "num_arms"),
        (lambda: trap_ratio(1.0, 1.0, 10), "p"),
        (lambda: trap_ratio(0.1, -1.0, 10), "learning_rate"),
        (lambda: negative_law(0.1, 1.0, 1.0), "target"),
        (lambda: negative_law(1e-9, 1e-3, 0.9), "learning_rate"),
    ],
)
def test_bad_values_are_named(call, name):
    with pytest.raises(InputError, match=f"^{name}:"):
        call()
