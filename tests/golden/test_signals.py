"""Values that the frameworks print for one group with rewards 1, 0, 0, 1 (TRL 1.10, verl 0.8)."""

import numpy as np
import pytest

from banditrft import signals

REWARDS = np.array([1.0, 0.0, 0.0, 1.0])
# mean 1/2; squared deviations sum to 1, so std (ddof 1) = sqrt(1/3) = .5773503.
# verl: .5/(.5773503 + 1e-6) = .8660239; TRL: .5/(.5773503 + 1e-4) = .8658754; RLOO: 4/3 x .5.
GOLDEN = {
    "verl grpo": (lambda r: signals.grpo(r, ddof=1, eps=1e-6), 0.866024),
    "TRL group": (lambda r: signals.grpo(r, ddof=1, eps=1e-4), 0.865875),
    "Dr.GRPO": (signals.centered, 0.5),
    "RLOO": (signals.rloo, 0.666667),
    # verl gpg: alpha = 4 responses / 2 rewards that are not 0 = 2; 2 x .5
    "verl gpg": (lambda r: signals.gpg(r[None])[0], 1.0),
    # whitened with variance 1/3: half the root of 3
    "verl reinforce_plus_plus": (lambda r: signals.reinforce_plus_plus(r[None])[0], 0.866025),
    "batch of one group": (lambda r: signals.batch_centered(r[None])[0], 0.5),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_value(name):
    function, value = GOLDEN[name]
    np.testing.assert_allclose(function(REWARDS), value * np.array([1, -1, -1, 1]), atol=5e-7)


def test_gpg_of_groups_of_one():
    """verl leaves a group of one uncentred: two queries, one right, alpha = 2/1."""
    np.testing.assert_array_equal(signals.gpg(np.array([[1.0], [0.0]])), [[2.0], [0.0]])


def test_gpg_without_a_reward_is_zero():
    np.testing.assert_array_equal(signals.gpg(np.zeros((3, 4))), np.zeros((3, 4)))


def test_two_unequal_groups():
    """Rewards (1, 1) and (1, 0): batch mean 3/4, squared deviations 3/16 + 9/16 = 3/4, variance (ddof 1) 1/4."""
    rewards = np.array([[1.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(signals.batch_centered(rewards), [[0.25, 0.25], [0.25, -0.75]])
    np.testing.assert_allclose(signals.reinforce_plus_plus(rewards), [[0.5, 0.5], [0.5, -1.5]], rtol=1e-7)
    # alpha = 4/3; group means 1 and 1/2
    np.testing.assert_allclose(signals.gpg(rewards), [[0.0, 0.0], [2 / 3, -2 / 3]])


def test_raw_is_the_reward():
    np.testing.assert_array_equal(signals.raw(REWARDS), REWARDS)
