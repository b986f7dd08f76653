"""Signals reduce to one another, and the table holds exactly what the functions give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from banditrft import signals
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import honest, reward_map

REWARDS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(-2, 2, width=16),
)
NAMES = ("raw", "centered", "grpo", "rloo")
BATCH_NAMES = ("batch-centered", "gpg", "reinforce-plus-plus")
BATCH = {"batch-centered": signals.batch_centered, "reinforce-plus-plus": signals.reinforce_plus_plus}


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


@given(st.sampled_from(NAMES + BATCH_NAMES), st.integers(2, 8), st.data())
def test_table_is_the_signal_of_any_two_valued_group(name, G, data):
    bits = np.array(data.draw(st.lists(st.booleans(), min_size=G, max_size=G)))
    setup = design(name, G, reward=data.draw(st.sampled_from(list(honest()))))
    low, high = reward_map(setup)[:2]
    expected = signals.signal(setup, np.where(bits, float(high), float(low))[None])[0]
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


@given(REWARDS)
def test_batch_signals_of_one_group_are_group_signals(rewards):
    one = rewards[:, None, :]  # every row a batch of its own
    np.testing.assert_allclose(signals.batch_centered(one)[:, 0], signals.centered(rewards), atol=1e-12)
    count = np.maximum((rewards != 0).sum(-1, keepdims=True), 1)
    np.testing.assert_allclose(
        signals.gpg(one)[:, 0] * count, rewards.shape[1] * signals.centered(rewards), atol=1e-12
    )
    spread = rewards[rewards.std(-1) > 1e-1]
    np.testing.assert_allclose(
        signals.reinforce_plus_plus(spread[:, None])[:, 0], signals.grpo(spread, ddof=1, eps=0.0), rtol=1e-5
    )


@given(REWARDS, st.sampled_from(sorted(BATCH)))
def test_batch_signals_know_no_groups_and_no_constant(rewards, name):
    """Any other partition of the same rewards into queries gives the same signals; they sum to zero."""
    function, flat = BATCH[name], rewards.ravel()
    expected = function(rewards).ravel()
    scale = max(1.0, np.abs(expected).max())
    for regrouped in (flat[None, :], flat[:, None]):
        np.testing.assert_allclose(function(regrouped).ravel(), expected, atol=1e-10 * scale)
    np.testing.assert_allclose(function(rewards + 3).ravel(), expected, atol=1e-10 * scale)
    assert abs(expected.sum()) < 1e-9 * scale * flat.size


@given(REWARDS)
def test_gpg_rescales_groups_by_one_number(rewards):
    share = max((rewards != 0).mean(), 1 / rewards.size)
    np.testing.assert_allclose(signals.gpg(rewards) * share, signals.centered(rewards), atol=1e-12)


@pytest.mark.parametrize("name", NAMES + BATCH_NAMES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "rewards", [[1, 1, 1, 1], [0, 0, 0, 0], [1e-4, 2e-4, 1e-4, 1e-4], [60000, 60000, 0, 0]]
)
def test_half_precision_gives_what_double_does(name, dtype, rewards):
    """The eps of grpo and the variance of rewards 1e-4 apart are no half-precision numbers; 4 x 60000 neither."""
    setup = design(name, 4, batch_size=1, signal_eps=1e-8)
    given_ = np.array([[rewards]], dtype)
    made = signals.signal(setup, given_)
    assert made.dtype == dtype
    np.testing.assert_allclose(made, signals.signal(setup, given_.astype(np.float64)), rtol=2e-3, atol=1e-6)


def test_equal_rewards_give_no_signal_whatever_eps():
    """A float32 zero is what is left of an eps of 1e-60."""
    equal = np.full((1, 4), 0.3, np.float32)
    assert signals.grpo(equal, ddof=1, eps=1e-60).tolist() == [[0.0] * 4]


@pytest.mark.parametrize("name", BATCH_NAMES)
def test_batches_have_their_shape_or_an_error(name):
    setup = design(name, 4, batch_size=3)
    assert signals.signal(setup, np.ones((5, 3, 4))).shape == (5, 3, 4)
    for shape in ((4,), (5, 4), (3, 5, 4)):
        with pytest.raises(InputError, match="batch_size = 3"):
            signals.signal(setup, np.ones(shape))
    with pytest.raises(InputError, match="batch_size = 1 only"):
        signals.table(setup)
    function = getattr(signals, name.replace("-", "_"))
    with pytest.raises(InputError, match=r"needs rewards \(\.\.\., B, G\)"):
        function(np.ones(4))
    with pytest.raises(InputError, match="at least 2 rewards"):
        signals.reinforce_plus_plus(np.ones((1, 1)))
