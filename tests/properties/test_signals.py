"""Signals reduce to one another, and the table holds exactly what the functions give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from banditrft import signals
from banditrft.design import Design
from banditrft.errors import InputError

REWARDS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(-2, 2, width=16),
)
NAMES = ("raw", "centered", "grpo", "rloo")


def design(signal, rollouts, **more):
    return Design(signal=signal, rollouts=rollouts, learning_rate=0.1, rounds=1, **more)


@given(REWARDS)
def test_centered_sums_to_zero_and_ignores_a_constant(rewards):
    np.testing.assert_allclose(signals.centered(rewards).sum(-1), 0, atol=1e-12)
    np.testing.assert_allclose(signals.centered(rewards + 3), signals.centered(rewards), atol=1e-12)


@given(REWARDS)
def test_rloo_is_reward_minus_the_mean_of_the_others(rewards):
    G = rewards.shape[1]
    others = (rewards.sum(-1, keepdims=True) - rewards) / (G - 1)
    np.testing.assert_allclose(signals.rloo(rewards), rewards - others, atol=1e-12)


@given(REWARDS, st.integers(0, 1))
def test_grpo_times_its_scale_is_centered(rewards, ddof):
    scale = rewards.std(-1, ddof=ddof, keepdims=True) + 1e-6
    np.testing.assert_allclose(
        signals.grpo(rewards, ddof=ddof, eps=1e-6) * scale, signals.centered(rewards), atol=1e-12
    )


@given(REWARDS, st.floats(0.5, 20))
def test_grpo_without_eps_ignores_scale(rewards, factor):
    spread = rewards[rewards.std(-1) > 1e-2]
    np.testing.assert_allclose(
        signals.grpo(spread * factor, ddof=1, eps=0.0),
        signals.grpo(spread, ddof=1, eps=0.0),
        rtol=1e-9,
        atol=1e-12,
    )


@given(st.sampled_from(NAMES), st.integers(2, 8), st.data())
def test_table_is_the_signal_of_any_two_valued_group(name, G, data):
    bits = np.array(data.draw(st.lists(st.booleans(), min_size=G, max_size=G)))
    setup = design(
        name, G, reward=data.draw(st.sampled_from(["zero-one", "minus-one-zero", "minus-one-one"]))
    )
    low, high = {"zero-one": (0, 1), "minus-one-zero": (-1, 0), "minus-one-one": (-1, 1)}[setup.reward]
    expected = signals.signal(setup, np.where(bits, float(high), float(low)))
    looked_up = signals.table(setup)[bits.sum(), bits.astype(int)]
    np.testing.assert_allclose(looked_up, expected, atol=1e-12)


def test_group_of_one():
    np.testing.assert_array_equal(signals.table(design("raw", 1)), [[0, 0], [0, 1]])
    for name in ("centered", "grpo", "rloo"):
        with pytest.raises(ValueError, match="compares a rollout with its group"):
            design(name, 1)
    with pytest.raises(InputError, match="at least 2 rollouts"):
        signals.rloo(np.ones((3, 1)))
    with pytest.raises(InputError, match="signal_ddof = 1"):
        signals.grpo(np.ones((3, 1)), ddof=1, eps=0.0)
