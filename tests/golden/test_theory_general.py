"""Closed forms of theory §2, §3, §4, §7 and §8 against the simulator's general path: sharing, batches, KL, windows."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from banditrft.design import Design
from banditrft.theory.adam import arm_moments, mean_field
from banditrft.theory.coordinates import Coordinates
from banditrft.theory.flow import flow_curve, flow_time
from banditrft.theory.hitting import pass_at_1_law
from banditrft.theory.laws import round_law
from banditrft.theory.matching import matched_law
from banditrft.theory.replay import replay_lag
from banditrft.theory.spread import spread
from sims.lumped.general import simulate
from sims.lumped.simulator import Bandit

SIGNALS = ("raw", "centered", "grpo", "rloo", "batch-centered", "gpg", "reinforce-plus-plus")


def log_odds(p):
    return np.log(p) - np.log1p(-p)


def run(p0, arms, root, rounds, R=1000, evals=(), shared=0.0, **fields):
    d = Design(**{"optimizer": "sgd", "learning_rate": 0.5, "rounds": rounds} | fields)
    m, wrong = arms
    bandit = Bandit(np.array([m, wrong], float), np.array([p0, 1 - p0]), np.array([1.0, 0.0]), shared=shared)
    return d, simulate(bandit, d, root_seed=root, seeds=range(R), eval_rounds=evals)


def expected_gain(p, m, K, kappa, eta=1e-6):
    """Mean change of the log-odds per eta, raw {0,1}, by pulling every arm once on explicit parameters."""
    policy, total = np.array([p / m] * m + [(1 - p) / (K - m)] * (K - m)), 0.0
    right = np.arange(K) < m
    for arm in range(m):
        theta = eta * ((np.arange(K) == arm) - policy)
        phi = eta * kappa * (np.array([1.0, 0.0]) - [p, 1 - p])
        new = policy * np.exp(theta + kappa * np.where(right, phi[0], phi[1]))
        total += policy[arm] * (np.log(new[right].sum() / new[~right].sum()) - log_odds(p))
    return total / eta


@pytest.mark.parametrize(("m", "K"), [(1, 2), (1, 9), (3, 8)])
@pytest.mark.parametrize("kappa", [0.0, 0.4, 2.0])
def test_sharing_adds_twice_kappa_squared_to_the_gain(m, K, kappa):
    for p in (0.05, 0.5, 0.9):
        gain = 1 / m + 1 / (K - m) + 2 * kappa**2
        assert expected_gain(p, m, K, kappa) == pytest.approx(p * (1 - p) * gain, rel=1e-4)
    law = round_law(Design(learning_rate=1.0, rounds=1))
    assert Coordinates.arms(law, m, K, kappa).gain() == pytest.approx(gain)


@pytest.mark.parametrize("kappa", [0.5, 1.5])
def test_ladder_with_a_shared_parameter(kappa):
    """One correct arm: the same ladder with gain K/(K-1) + 2 kappa^2; simulated Pass@1 lies on its rungs and has its mean."""
    eta, K, t = 0.6, 50, 25
    value_N, weight_N = pass_at_1_law(0.1, eta * (K / (K - 1) + 2 * kappa**2), t)
    _, paths = run(0.1, (1, K - 1), 1, t, R=1500, evals=(t,), shared=kappa, learning_rate=eta)
    p_R = paths.p_RE[:, 0]
    assert np.abs(p_R[:, None] - value_N).min(axis=1).max() < 1e-9
    mean = weight_N @ value_N
    assert abs(p_R.mean() - mean) < 4 * math.sqrt(weight_N @ (value_N - mean) ** 2 / len(p_R))


def test_a_trillion_arms_learn_through_what_they_share():
    """§2's consequence: 1e4 correct of 1e9 arms stand still for 400 rounds; with kappa = .3 they follow the flow."""
    common = {
        "p0": 0.1,
        "arms": (10**4, 10**9 - 10**4),
        "rounds": 400,
        "evals": (200, 400),
        "learning_rate": 1.0,
    }
    _, alone = run(root=2, R=60, **common)
    _, together = run(root=2, R=300, shared=0.3, **common)
    assert alone.p_RE[:, -1].mean() == pytest.approx(0.1, abs=0.005)
    curve = flow_curve(0.1, [200, 400], 1.0, 10**4, 10**9, shared=0.3)
    assert together.p_RE.mean(axis=0) == pytest.approx(curve, abs=0.03)
    ratio = flow_time(0.1, 0.9, 1.0, 10**4, 10**9) / flow_time(0.1, 0.9, 1.0, 10**4, 10**9, shared=0.3)
    assert ratio == pytest.approx((1e-4 + 2 * 0.09) / 1e-4, rel=1e-3)


@pytest.mark.parametrize("G", [1, 4])
def test_adam_moves_two_more_parameters_when_classes_share(G):
    """dl = 2 steps from the arms and 2 kappa from the classes while eps is small; simulated rounds to .9 within 15%."""
    kappa, T = 1.0, 120
    d, paths = run(
        0.1,
        (1, 99),
        3,
        T,
        R=300,
        evals=range(T + 1),
        shared=kappa,
        optimizer="adam",
        learning_rate=0.05,
        rollouts=G,
    )
    hit = (paths.p_RE >= 0.9).argmax(axis=1)
    field = mean_field(d, p0=0.1, num_arms=100, shared=kappa, target=0.9).rounds_to(0.9)
    assert field == pytest.approx(hit.mean(), rel=0.15)
    alone = mean_field(d, p0=0.1, num_arms=100, target=0.9).rounds_to(0.9)
    assert 1.7 < alone / field < 2.3


def first_round_scores():
    """§3: one round of B copies, G rollouts, M others of two arms: mean u (even) or u^2 (odd settings)."""
    grid = [
        *itertools.product(SIGNALS, [{"batch_size": 4, "rollouts": 3}, {"batch_size": 2, "rollouts": 4, "reward": "noisy", "false_positive": 0.2, "false_negative": 0.1}]),
        *itertools.product(SIGNALS, [{"batch_size": 3, "rollouts": 4, "match_step_size": True}, {"batch_size": 4, "rollouts": 2, "reward": "random", "rate": 0.4}]),
        *itertools.product(SIGNALS[1:4], [{"rollouts": 1, "baseline_rollouts": 7}, {"rollouts": 2, "batch_size": 3, "baseline_rollouts": 2}, {"rollouts": 2, "baseline_rollouts": 2, "match_step_size": True}]),
    ]  # fmt: skip
    for i, (p0, (signal, fields)) in enumerate(itertools.product((0.2, 0.6), grid)):
        d, paths = run(
            p0, (1, 1), 100 + i, 1, R=2000, evals=(1,), signal=signal, learning_rate=0.05, **fields
        )
        now = matched_law(d, p0).moments(log_odds(p0))
        u_R = (log_odds(paths.p_RE[:, 0]) - log_odds(p0)) / 0.1
        values, mean, variance = u_R, now.drift, now.variance
        if i % 2 and d.batch_size == 1:
            values, mean, variance = u_R**2, now.second, now.square_noise[1]
        yield (values.mean() - mean) / math.sqrt(variance / len(u_R))


def test_rounds_of_every_signal_have_the_stated_moments():
    z = np.array(list(first_round_scores()))
    assert len(z) >= 60
    assert stats.kstest(z, "norm").pvalue > 0.01
    assert 0.005 < stats.chi2.cdf(z @ z, len(z)) < 0.995


@pytest.mark.parametrize("kind", ["k2", "k3"])
def test_a_kl_penalty_holds_the_policy_where_the_mean_field_says(kind):
    """§7: raw reward, one direction (two arms). The rest point of the drift, and the path to it."""
    d, paths = run(
        0.1, (1, 1), 5, 400, R=200, evals=(50, 400), kl_coef=0.5, kl_estimator=kind, rollouts=16, batch_size=4, learning_rate=1.0
    )  # fmt: skip
    field = mean_field(d, p0=0.1, num_arms=2, rounds=400)
    assert paths.p_RE.mean(axis=0) == pytest.approx(field.pass_at_1_T[[50, 400]], abs=0.01)
    law = round_law(d, 0.1)
    rest = field.log_odds_T[-1]
    assert abs(float(law.moments(rest).drift)) < 1e-6
    if (
        kind == "k2"
    ):  # its mean gradient is that of KL(pi || ref): p* has logit p* = logit p_ref + 1/beta (Dr.GRPO)
        assert expit(rest) == pytest.approx(float(expit(log_odds(0.1) + 1 / 0.5)), rel=1e-6)


def test_k1_as_a_loss_does_not_pull_back():
    """The mean gradient of the k1 loss is 0: rewards drive Pass@1 to 1 whatever the coefficient."""
    plain, held = (
        mean_field(
            Design(optimizer="sgd", learning_rate=0.5, rounds=1, kl_coef=c, kl_estimator="k1"), p0=0.1, num_arms=2, rounds=60
        ).log_odds_T
        for c in (0.0, 3.0)
    )  # fmt: skip
    # the law under a penalty is read between knots
    np.testing.assert_allclose(held, plain, rtol=1e-5)


@pytest.mark.parametrize("signal", ["centered", "grpo"])
def test_a_window_lags_as_predicted_along_the_simulated_path(signal):
    """§8: two arms, W = 16 past rewards with G = 2 fresh: drift and noise of each round given the mean path, and the path itself."""
    T, p0, eta = 24, 0.2, 0.08
    d, paths = run(
        p0,
        (1, 1),
        6,
        T,
        R=6000,
        evals=range(T + 1),
        signal=signal,
        rollouts=2,
        replay_window=16,
        learning_rate=eta,
    )
    x_RE = log_odds(paths.p_RE)
    u_RT = np.diff(x_RE, axis=1) / (2 * eta)
    lag = replay_lag(d, paths.p_RE.mean(axis=0)[:T], pool=1)
    # a visit's update is the next round's move; the population is fresh + window while it fills
    for t in (0, 3, 7, 15, 23):
        error = u_RT[:, t].std() / math.sqrt(len(u_RT))
        assert lag.drift_J[t] == pytest.approx(u_RT[:, t].mean(), abs=4 * error + 0.01 * lag.drift_J[t])
        assert lag.second_J[t] == pytest.approx((u_RT[:, t] ** 2).mean(), rel=0.06)
    steady = mean_field(d, p0=p0, num_arms=2, rounds=T).pass_at_1_T[-1]
    assert steady == pytest.approx(paths.p_RE[:, -1].mean(), rel=0.05)


@pytest.mark.parametrize(("signal", "B", "M"), [("raw", 8, 0), ("grpo", 8, 0), ("gpg", 4, 0), ("grpo", 8, 3)])
def test_mean_field_and_spread_of_batches_of_copies(signal, B, M):
    """§4 with B copies of the query: rounds to .9 within 15%, standard deviation within 40%.

    With baseline rollouts a group's signals no longer sum to 0. Under Adam every wrong arm that was never drawn then takes
    full steps of random sign: the quiet arms of docs/theory.md.
    """
    T = 90
    d, paths = run(
        0.1, (1, 99), 7, T, R=200, evals=range(T + 1), signal=signal, rollouts=4 if not M else 2, batch_size=B, baseline_rollouts=M,
        optimizer="adam", learning_rate=0.1,
    )  # fmt: skip
    reached = paths.p_RE >= 0.9
    assert reached[:, -1].all()
    hit = reached.argmax(axis=1)
    path = spread(arm_moments(d, p0=0.1, num_arms=100), d, p0=0.1, target=0.9)
    time = path.time_to(0.9)
    assert time.mean == pytest.approx(hit.mean(), rel=0.15)
    assert time.sd == pytest.approx(hit.std(), rel=0.4)
