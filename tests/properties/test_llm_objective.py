"""The objective: what it reduces to, and that it does not depend on how a round is cut up."""

import array_api_compat.torch as torch_namespace
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from banditrft.objective import policy_gradient, token_mean

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6))


def arrays(shape, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, shape[-1] + 1, shape[:-1])
    mask = (np.arange(shape[-1]) < lengths[..., None]).astype(float)
    return rng.normal(size=shape), rng.normal(size=shape[:-1]), mask


@given(SHAPES, st.integers(0, 10**6))
def test_the_loss_is_the_plain_double_sum(shape, seed):
    logprobs, signals, mask = arrays(shape, seed)
    loss = token_mean(policy_gradient(logprobs, signals), mask)
    for s in range(shape[0]):
        total = sum(
            -signals[s, g] * logprobs[s, g, t]
            for g in range(shape[1])
            for t in range(shape[2])
            if mask[s, g, t]
        )
        assert loss[s] == pytest.approx(total / mask[s].sum(), abs=1e-12)


@given(SHAPES, st.integers(0, 10**6))
def test_numpy_and_torch_agree(shape, seed):
    logprobs, signals, mask = arrays(shape, seed)
    theirs = token_mean(
        policy_gradient(torch.from_numpy(logprobs), torch.from_numpy(signals)), torch.from_numpy(mask)
    )
    assert array_namespace_is_torch(theirs)
    np.testing.assert_allclose(
        theirs.numpy(), token_mean(policy_gradient(logprobs, signals), mask), atol=1e-12
    )


def array_namespace_is_torch(x) -> bool:
    return isinstance(x, torch_namespace.Tensor)


def test_long_responses_weigh_more_and_one_token_counts_once():
    losses = np.array([[[1.0, 0, 0], [2.0, 2.0, 2.0]]])
    mask = np.array([[[1.0, 0, 0], [1.0, 1.0, 1.0]]])
    assert token_mean(losses, mask).tolist() == [1.75]  # (1 + 6) / 4, not the mean of sequence means 1.5


def test_the_gradient_is_signal_times_score():
    logprobs = torch.randn(1, 2, 3, dtype=torch.float64, requires_grad=True)
    signals = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    mask = torch.tensor([[[1.0, 1, 1], [1, 0, 0]]], dtype=torch.float64)
    token_mean(policy_gradient(logprobs, signals), mask).sum().backward()
    torch.testing.assert_close(logprobs.grad, -signals[..., None] * mask / 4)
