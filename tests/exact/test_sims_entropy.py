"""Entropy and KL of a lumped policy, recorded at evaluation rounds, against closed forms."""

import numpy as np
import pytest

from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

RAW = np.array([[0.0, 0.0], [0.0, 1.0]])
CENTERED = np.array([[0.0, 0.0], [-0.5, 0.5], [0.0, 0.0]])
LEARNERS = {
    "sgd": TableLearner(RAW, 0.7),
    "group of two": TableLearner(CENTERED, 2.0),
    "clipped": TableLearner(RAW, 0.7, grad_clip=0.1),
    "adam": TableLearner(RAW, 0.05, "adam"),
    "adamw": TableLearner(RAW, 0.05, "adamw", weight_decay=0.2),
}
ROUNDS = list(range(0, 121, 10))


def run(bandit: Bandit, learner: TableLearner):
    return simulate(bandit, learner, root_seed=3, seeds=range(20), rounds=120, eval_rounds=ROUNDS)


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_two_arms(learner: TableLearner) -> None:
    paths = run(Bandit.of([1, 1], [0.3, 0.7], [1, 0]), learner)
    p, q = paths.p_RE, 1 - paths.p_RE
    np.testing.assert_allclose(paths.entropy_RE, -p * np.log(p) - q * np.log(q), rtol=1e-11, atol=1e-14)
    kl = p * np.log(p / 0.3) + q * np.log(q / 0.7)
    np.testing.assert_allclose(paths.kl_RE, kl, rtol=1e-9, atol=1e-14)
    assert (paths.kl_RE[:, 0] == 0).all()
    assert (paths.kl_RE[:, -1] > 0).all()


@pytest.mark.parametrize("wrong", [7, 1e12])
def test_wrong_arms_that_were_never_reinforced_share_what_is_left(wrong: float) -> None:
    paths = run(Bandit.of([1, wrong], [0.2, 0.8], [1, 0]), LEARNERS["sgd"])
    p, q = paths.p_RE, 1 - paths.p_RE
    np.testing.assert_allclose(
        paths.entropy_RE, -p * np.log(p) - q * np.log(q / wrong), rtol=1e-11, atol=1e-14
    )


def test_uniform_arms_of_one_class_start_at_log_K() -> None:
    paths = run(Bandit.of([1e6], [1.0], [0.5]), LEARNERS["sgd"])
    np.testing.assert_allclose(paths.entropy_RE[:, 0], np.log(1e6), rtol=1e-14)
    # every arm began alike, so what is lost in entropy is gained in KL
    np.testing.assert_allclose(paths.entropy_RE + paths.kl_RE, np.log(1e6), rtol=1e-12)
