"""Theory §2 against references that know nothing of ladders: enumerated dense bandits, dictionaries, integration."""

import itertools
import math

import numpy as np
import pytest

from banditrft.errors import InputError
from banditrft.theory.flow import flow_curve, flow_time
from banditrft.theory.hitting import (
    by_doubling,
    by_saddlepoint,
    hitting_law,
    mean_curve,
    pass_at_1_law,
    tabular_gain,
)


def softmax(logits):
    top = max(logits)
    mass = [math.exp(x - top) for x in logits]
    return [x / sum(mass) for x in mass]


def enumerate_dense_bandit(p0, num_arms, num_correct, eta, target, rounds):
    """P(T = t) and E[p_t] by walking every sequence of pulls of a K-arm softmax bandit with raw {0,1} rewards."""
    base = [p0 / num_correct] * num_correct + [(1 - p0) / (num_arms - num_correct)] * (num_arms - num_correct)
    hit, curve = [0.0] * (rounds + 1), [0.0] * (rounds + 1)
    for pulls in itertools.product(range(num_arms), repeat=rounds):
        logits, weight, reached = [math.log(x) for x in base], 1.0, None
        path = []
        for t, arm in enumerate(pulls):
            policy = softmax(logits)
            path.append(sum(policy[:num_correct]))
            if reached is None and path[-1] >= target:
                reached = t
            weight *= policy[arm]
            reward = 1.0 if arm < num_correct else 0.0
            logits = [x + eta * reward * ((b == arm) - policy[b]) for b, x in enumerate(logits)]
        path.append(sum(softmax(logits)[:num_correct]))
        if reached is None and path[-1] >= target:
            reached = rounds
        if reached is not None:
            hit[reached] += weight
        for t, p in enumerate(path):
            curve[t] += weight * p
    return hit, curve


@pytest.mark.parametrize(("p0", "num_arms", "eta"), [(0.3, 2, 1.0), (0.2, 3, 2.5), (0.55, 4, 0.7)])
def test_law_and_mean_curve_equal_the_enumerated_dense_bandit(p0, num_arms, eta):
    rounds = {2: 11, 3: 8, 4: 6}[num_arms]
    target = 0.75
    hit, curve = enumerate_dense_bandit(p0, num_arms, 1, eta, target, rounds)
    step = eta * tabular_gain(num_arms)
    assert sum(hit) > 0.05  # the comparison is not about zeros
    np.testing.assert_allclose(hitting_law(p0, step, target).pmf(rounds), hit, atol=1e-13)
    np.testing.assert_allclose(mean_curve(p0, step, rounds), curve, atol=1e-13)


def test_several_correct_arms_leave_the_ladder_and_are_refused():
    _, curve = enumerate_dense_bandit(0.4, 4, 2, 2.0, 0.9, 6)
    as_one = mean_curve(0.4, 2.0 * (1 / 2 + 1 / 2), 6)  # what arms moving as one would give
    assert abs(curve[-1] - as_one[-1]) > 0.01
    with pytest.raises(InputError, match="num_correct"):
        tabular_gain(4, 2)


def walk(p0, step, target, rounds):
    """Law of the rung by a dictionary {successes: probability}; returns cdf of T and E[p_t], plain Python floats."""
    log_odds = [math.log(p0 / (1 - p0))]
    for _ in range(rounds + 1):
        log_odds.append(log_odds[-1] + step * (1 - 1 / (1 + math.exp(-log_odds[-1]))))
    p = [1 / (1 + math.exp(-x)) for x in log_odds]
    law, cdf, curve = {0: 1.0}, [], []
    for _ in range(rounds + 1):
        cdf.append(sum(w for k, w in law.items() if p[k] >= target))
        curve.append(sum(w * p[k] for k, w in law.items()))
        later = {}
        for k, w in law.items():
            later[k] = later.get(k, 0.0) + w * (1 - p[k])
            later[k + 1] = later.get(k + 1, 0.0) + w * p[k]
        law = later
    return np.array(cdf), np.array(curve)


@pytest.mark.parametrize(
    ("p0", "step", "mean", "sd"),
    [
        (0.02, 1e6 / (1e6 - 1), 190.13, 53.72),
        (0.1, 0.5 * 1000 / 999, 244.24, 13.32),
        (0.3, 2 * 10 / 9, 49.366, 3.192),
    ],
)
def test_moments_distribution_and_quantiles_of_the_published_cases(p0, step, mean, sd):
    law = hitting_law(p0, step, 0.99)
    assert law.mean == pytest.approx(mean, abs=0.005)
    assert law.sd == pytest.approx(sd, abs=0.005)
    cdf, curve = walk(p0, step, 0.99, 900)
    np.testing.assert_allclose(law.cdf(900), cdf, atol=1e-11)
    np.testing.assert_allclose(mean_curve(p0, step, 900), curve, atol=1e-11)
    # moments of the enumerated distribution, not the sums over rungs
    times, mass = np.arange(901), np.diff(cdf, prepend=0.0)
    assert times @ mass == pytest.approx(law.mean, abs=2e-3)
    assert math.sqrt(times**2 @ mass - (times @ mass) ** 2) == pytest.approx(law.sd, abs=2e-2)
    levels = (0.01, 0.05, 0.5, 0.95, 0.99)
    assert law.quantiles(levels) == tuple(int(np.argmax(cdf >= level)) for level in levels)


def test_one_rung_is_a_geometric_wait():
    law = hitting_law(0.2, 50.0, 0.9)
    times = np.arange(1, 40)
    np.testing.assert_allclose(law.pmf(39)[1:], 0.8 ** (times - 1) * 0.2, rtol=1e-12)
    assert law.mean == pytest.approx(5)
    assert law.variance == pytest.approx(20)
    assert law.quantiles((0.5,)) == (4,)  # 1 - .8^3 = .488, 1 - .8^4 = .59


def test_law_of_pass_at_1_is_a_distribution_with_the_curves_mean():
    for rounds in (0, 1, 7, 300, 3000):
        values, weights = pass_at_1_law(0.02, 1.3, rounds)
        assert weights.sum() == pytest.approx(1.0, abs=1e-12)
        assert values @ weights == pytest.approx(mean_curve(0.02, 1.3, rounds)[-1], rel=1e-12)
    law = hitting_law(0.02, 1.3, 0.9)
    values, weights = pass_at_1_law(0.02, 1.3, 80)
    assert weights[values >= 0.9].sum() == pytest.approx(law.cdf(80)[-1], abs=1e-13)


def test_recursion_is_stable_for_rare_successes_and_long_runs():
    law = hitting_law(1e-6, 1.0, 0.99)
    cdf = law.cdf(20_000)
    assert np.all(np.diff(cdf) >= 0)
    assert cdf[-1] < 0.1
    # the first rung alone bounds it: no success, no arrival
    assert np.all(cdf <= -np.expm1(np.arange(20_001) * math.log1p(-1e-6)) + 1e-15)
    low, mid, high = law.quantiles((0.05, 0.5, 0.95))
    assert low < mid < high
    assert law.mean == pytest.approx(sum(1 / p for p in law.success_N), rel=1e-12)
    curve = mean_curve(1e-6, 1.0, 5000)
    assert np.all(np.diff(curve) > 0)
    assert curve[0] == pytest.approx(1e-6)


def test_quantile_methods_agree_where_their_ranges_meet():
    levels = (0.05, 0.5, 0.95)
    law = hitting_law(0.02, 0.3, 0.99)  # 370 rungs
    exact = by_doubling(law.success_N, law.failure_N, levels)
    cdf = law.cdf(2000)
    assert exact == tuple(int(np.argmax(cdf >= level)) for level in levels)
    near = by_saddlepoint(law.success_N, law.failure_N, levels)
    assert max(abs(a - b) for a, b in zip(exact, near, strict=True)) <= max(1, 0.01 * law.sd)
    long = hitting_law(0.02, 0.1, 0.99)  # 1073 rungs: the recursion
    cdf = long.cdf(2500)
    assert long.quantiles(levels) == tuple(int(np.argmax(cdf >= level)) for level in levels)


def test_a_base_above_the_target_needs_no_round():
    law = hitting_law(0.9, 1.0, 0.8)
    assert (law.mean, law.sd, law.quantiles((0.5,))) == (0.0, 0.0, (0,))
    assert law.cdf(3).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0.0, 1.0, 0.9), "p0"),
        ((0.1, 1.0, 1.0), "target"),
        ((0.1, 0.0, 0.9), "learning_rate"),
        ((0.1, math.inf, 0.9), "learning_rate"),
        ((0.1, 1e-9, 0.9), "learning_rate"),
    ],
)
def test_arguments_outside_their_domain_are_named(arguments, name):
    with pytest.raises(InputError, match=name):
        hitting_law(*arguments)


@pytest.mark.parametrize(("num_correct", "num_arms"), [(1, 2), (1, 1000), (7, 40)])
def test_flow_solves_its_differential_equation(num_correct, num_arms):
    eta, p, dt = 0.7, 0.05, 0.01
    rate = eta * (1 / num_correct + 1 / (num_arms - num_correct))

    def slope(p):
        return rate * (p * (1 - p)) ** 2

    for _ in range(6000):  # Runge-Kutta of order 4
        k1 = slope(p)
        k2 = slope(p + dt / 2 * k1)
        k3 = slope(p + dt / 2 * k2)
        k4 = slope(p + dt * k3)
        p += dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    assert flow_time(0.05, p, eta, num_correct, num_arms) == pytest.approx(60.0, rel=1e-7)
    assert flow_curve(0.05, [0.0, 60.0], eta, num_correct, num_arms) == pytest.approx([0.05, p], rel=1e-9)


def test_flow_is_the_limit_of_exact_policy_gradient_with_small_steps():
    """Dense softmax gradient ascent on Pass@1, m = 3 of K = 8 arms."""
    eta, m, K = 1e-3, 3, 8
    logits = np.log(np.array([0.2 / m] * m + [0.8 / (K - m)] * (K - m)))
    correct = np.arange(K) < m
    for _ in range(20_000):
        policy = np.exp(logits) / np.exp(logits).sum()
        p = policy[correct].sum()
        logits = logits + eta * policy * (correct - p)
    policy = np.exp(logits) / np.exp(logits).sum()
    assert flow_curve(0.2, [20.0], 1.0, m, K)[0] == pytest.approx(policy[correct].sum(), rel=1e-4)


def test_flow_delay_of_a_hard_query_grows_as_m_over_eta_p0():
    delay = flow_time(1e-5, 0.5, 0.5, 20, 10**9)
    assert delay == pytest.approx(20 / (0.5 * 1e-5), rel=1e-3)
    with pytest.raises(InputError, match="num_arms"):
        flow_time(0.1, 0.5, 1.0, 4, 4)
