"""Reward maps of graded responses, noise, placebo, the KL in the reward, and groups of equal rewards."""

import numpy as np
import pytest
import torch

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.theory.matching import matching_factor
from llm_runs.rounds.rewarding import differing, factors, penalised, rewards

STRICT = np.array([[[True, False, True, False]], [[False, False, False, True]]])
SCORE = np.array([[[1.0, 0.5, 1.0, 0.0]], [[0.0, 0.5, 0.0, 1.0]]])
BASE = np.array([0.2, 0.7])


def design(**settings):
    return Design.model_validate({"rollouts": 4, "learning_rate": 0.1, "rounds": 1, **settings})


@pytest.mark.parametrize(
    ("reward", "low", "high"), [("zero-one", 0, 1), ("minus-one-zero", -1, 0), ("minus-one-one", -1, 1)]
)
def test_two_valued_maps(reward, low, high):
    values = rewards(design(reward=reward), STRICT, SCORE, None, BASE)
    assert values.tolist() == np.where(STRICT, high, low).tolist()


def test_graded_rewards_are_the_tasks_own_score():
    assert rewards(design(reward="graded"), STRICT, SCORE, None, BASE).tolist() == SCORE.tolist()


def test_the_placebo_ignores_the_answers_and_has_its_rate():
    u = np.random.default_rng(0).random((2, 1, 20_000))
    strict = np.zeros(u.shape, bool)
    drawn = rewards(design(reward="random"), strict, strict * 1.0, u, BASE)
    assert np.array_equal(drawn, rewards(design(reward="random"), ~strict, strict * 1.0, u, BASE))
    assert np.abs(drawn.mean((1, 2)) - BASE).max() < 4 * 0.5 / 20_000**0.5
    fixed = rewards(design(reward="random", rate=0.9), strict, strict * 1.0, u, BASE)
    assert abs(fixed.mean() - 0.9) < 4 * 0.3 / 40_000**0.5


def test_noise_flips_at_its_two_rates():
    u = np.random.default_rng(0).random((1, 1, 20_000))
    plan = design(reward="noisy", false_positive=0.1, false_negative=0.3)
    wrong = rewards(plan, np.zeros(u.shape, bool), 0 * u, u, BASE[:1])
    right = rewards(plan, np.ones(u.shape, bool), 0 * u, u, BASE[:1])
    assert wrong.mean() == pytest.approx(0.1, abs=4 * 0.3 / 20_000**0.5)
    assert right.mean() == pytest.approx(0.7, abs=4 * 0.46 / 20_000**0.5)


def test_the_kl_is_taken_off_the_reward():
    kl = torch.tensor([[[0.5, 0.0]]])
    assert penalised(design(kl_coef=0.1), np.ones((1, 1, 2)), kl).tolist() == [[[0.95, 1.0]]]


def test_a_kl_that_is_no_number_is_a_large_one():
    kl = torch.tensor([[[torch.nan, torch.inf]]])
    assert penalised(design(kl_coef=1.0), np.ones((1, 1, 2)), kl).tolist() == [[[1 - 1e6, 1 - 1e6]]]


def test_groups_of_equal_rewards_are_told_from_others():
    values = np.array([[[1.0, 1, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]]])
    active = differing(values, 2)
    assert active.shape == (1, 4, 2)
    assert active[0, :, 0].tolist() == [False, False, True, True]  # the last by its baseline rollout alone
    assert torch.equal(active[..., 0], active[..., 1])


def test_matched_steps_depend_on_the_query():
    plan = design(signal="grpo", optimizer="sgd", match_step_size=True)
    assert factors(plan, BASE).tolist() == [matching_factor(plan, p) for p in BASE]
    assert factors(design(), BASE).tolist() == [1, 1]
    with pytest.raises(InputError, match="match_step_size: must be false with reward = 'graded'"):
        factors(plan.model_copy(update={"reward": "graded"}), BASE)
