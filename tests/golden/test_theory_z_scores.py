"""Exact laws against simulation, all z-scores judged together: they must look standard normal, not merely small.

One z per setting, each from a simulation of its own (its own root seed), so that the scores are independent.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from banditrft.design import Design
from banditrft.theory.chain import chain_time
from banditrft.theory.hitting import hitting_law, pass_at_1_law
from banditrft.theory.laws import round_law
from banditrft.theory.matching import matched_law
from banditrft.theory.negative import negative_law
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

pytestmark = pytest.mark.slow(13)

R = 2000
SIGNALS = ("raw", "centered", "grpo", "rloo", "batch-centered", "gpg", "reinforce-plus-plus")
REWARDS = (
    {"reward": "zero-one"},
    {"reward": "minus-one-zero"},
    {"reward": "noisy", "false_positive": 0.15, "false_negative": 0.3},
    {"reward": "random"},
)


def log_odds(p):
    return np.log(p) - np.log1p(-p)


def run(p0, K, rounds, root, evals=(), target=None, **fields):
    d = Design(**{"optimizer": "sgd", "learning_rate": 1.0, "rounds": max(rounds, 1)} | fields)
    bandit, learner = Bandit.of((1, K - 1), [p0, 1 - p0], [1, 0]), TableLearner.from_design(d, p0)
    paths = simulate(
        bandit, learner, root_seed=root, seeds=range(R), rounds=rounds, eval_rounds=evals, target=target
    )
    return d, paths


def of_mean(values, mean, variance):
    return (values.mean() - mean) / math.sqrt(variance / len(values))


def hitting_scores():
    """§2: mean of T (even settings) and P(T <= median) (odd ones), targets .5, .9, .99."""
    grid = itertools.product((0.02, 0.1, 0.3, 0.7), (0.3, 1.0, 2.5), (10, 10**6), (0.5, 0.9, 0.99))
    for i, (p0, eta, K, target) in enumerate(grid):
        if target <= p0:
            continue
        law = hitting_law(p0, eta * K / (K - 1), target)
        horizon = int(law.mean + 40 * law.sd) + 1
        _, paths = run(p0, K, horizon, 10_000 + i, target=target, learning_rate=eta)
        assert (paths.hit_R >= 0).all()
        if i % 2:
            (middle,) = law.quantiles((0.5,))
            share = float(law.cdf(middle)[-1])
            yield of_mean(paths.hit_R <= middle, share, share * (1 - share))
        else:
            yield of_mean(paths.hit_R, law.mean, law.variance)


def curve_scores():
    """§2: mean of Pass@1 after some rounds, from its whole law."""
    grid = itertools.product((0.05, 0.2, 0.6), (0.5, 1.5), (3, 100), (4, 15, 40))
    for i, (p0, eta, K, t) in enumerate(grid):
        value_N, weight_N = pass_at_1_law(p0, eta * K / (K - 1), t)
        mean = weight_N @ value_N
        _, paths = run(p0, K, t, 20_000 + i, evals=(t,), learning_rate=eta)
        yield of_mean(paths.p_RE[:, 0], mean, weight_N @ (value_N - mean) ** 2)


def signal_scores():
    """§3: two arms, one SGD round: the log-odds move by 2 eta u. Mean of u, and of u^2 in every third setting."""
    grid = itertools.product(SIGNALS, REWARDS, (0.1, 0.35, 0.85), (False, True))
    for i, (signal, reward, p0, match) in enumerate(grid):
        G = (3, 4, 8)[i % 3]
        d, paths = run(
            p0, 2, 1, 30_000 + i, evals=(1,), signal=signal, rollouts=G, match_step_size=match, learning_rate=0.05, **reward
        )  # fmt: skip
        now = matched_law(d, p0).moments(log_odds(p0))
        u_R = (log_odds(paths.p_RE[:, 0]) - log_odds(p0)) / (2 * 0.05)
        if i % 3 == 2:
            yield of_mean(u_R**2, float(now.second), float(now.square_noise[1]))
        else:
            assert reward["reward"] != "random" or abs(now.drift) < 1e-12
            yield of_mean(u_R, float(now.drift), float(now.variance))


def waste_scores():
    """§3: share of rounds without any signal, before anything is learned."""
    for i, (signal, p0, G) in enumerate(itertools.product(("raw", "grpo"), (0.1, 0.4, 0.8), (1, 2, 4))):
        if signal == "grpo" and G == 1:
            continue
        d, paths = run(p0, 5, 1, 40_000 + i, signal=signal, rollouts=G, learning_rate=0.1)
        silent = paths.high_RT[:, 0] == 0
        if signal == "grpo":
            silent |= paths.high_RT[:, 0] == G
        share = float(round_law(d).moments(log_odds(p0)).idle)
        yield of_mean(silent, share, share * (1 - share))


def chain_scores():
    """§2: groups of raw rewards under SGD. The grid's error, a few hundredths of a round, is far below the sampling error."""
    for i, (p0, G, eta) in enumerate(itertools.product((0.05, 0.1, 0.3), (2, 4, 8), (0.7, 2.0))):
        law = round_law(Design(rollouts=G, learning_rate=1.0, rounds=1))
        time = chain_time(law, p0, eta * 50 / 49, 0.95, grid=16384)
        _, paths = run(
            p0, 50, int(time.mean + 30 * time.sd), 50_000 + i, target=0.95, rollouts=G, learning_rate=eta
        )
        yield of_mean(paths.hit_R, time.mean, time.sd**2)


def negative_scores():
    """§5: {-1,0} rewards with a single wrong arm climb a ladder of failures."""
    for i, (p0, eta) in enumerate(itertools.product((0.01, 0.1, 0.4), (0.1, 0.5, 1.0, 2.0))):
        law = negative_law(p0, 2 * eta, 0.9)
        _, paths = run(
            p0, 2, int(law.mean + 40 * law.sd) + 40, 60_000 + i, target=0.9, learning_rate=eta, reward="minus-one-zero"
        )  # fmt: skip
        yield of_mean(paths.hit_R, law.mean, law.variance)


@pytest.fixture(scope="module")
def scores():
    kinds = (hitting_scores, curve_scores, signal_scores, waste_scores, chain_scores, negative_scores)
    return {kind.__name__: np.array(list(kind())) for kind in kinds}


def test_there_are_enough(scores):
    assert sum(map(len, scores.values())) >= 200
    assert min(map(len, scores.values())) >= 12


def test_all_scores_together_are_standard_normal(scores):
    z = np.concatenate(list(scores.values()))
    assert stats.kstest(z, "norm").pvalue > 0.01
    assert 0.005 < stats.chi2.cdf(z @ z, len(z)) < 0.995
    # Anderson-Darling with known mean and variance: 3.857 is the 1% point
    u = stats.norm.cdf(np.sort(z))
    n, i = len(u), np.arange(1, len(u) + 1)
    assert -n - ((2 * i - 1) / n) @ (np.log(u) + np.log1p(-u[::-1])) < 3.857
    # the largest of so many independent ones, at the 1% level
    assert np.abs(z).max() < stats.norm.isf(0.5 * (1 - 0.99 ** (1 / n)))


@pytest.mark.parametrize(
    "kind", ["hitting_scores", "curve_scores", "signal_scores", "waste_scores", "chain_scores", "negative_scores"]
)  # fmt: skip
def test_every_section_by_itself(scores, kind):
    """Six sections, .1% each."""
    z = scores[kind]
    assert stats.kstest(z, "norm").pvalue > 0.001
    assert 0.0005 < stats.chi2.cdf(z @ z, len(z)) < 0.9995


def test_a_wrong_law_is_caught(scores):
    """The same test refuses means that are off by a third of a standard error, and variances off by a fifth."""
    z = np.concatenate(list(scores.values()))
    assert stats.kstest(z + 1 / 3, "norm").pvalue < 0.01
    assert stats.chi2.cdf((z * 1.2) @ (z * 1.2), len(z)) > 0.995
