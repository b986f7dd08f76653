"""The very same functions on NumPy arrays and on torch tensors."""

import numpy as np
import pytest
import torch

from banditrft import signals
from banditrft.design import Design


@pytest.mark.parametrize(
    "name", ["raw", "centered", "grpo", "rloo", "batch-centered", "gpg", "reinforce-plus-plus"]
)
@pytest.mark.parametrize("ddof", [0, 1])
def test_torch_equals_numpy(name, ddof):
    rewards = np.random.default_rng(3).integers(0, 2, (20, 5, 6)).astype(np.float64)
    design = Design(signal=name, signal_ddof=ddof, batch_size=5, rollouts=6, learning_rate=1.0, rounds=1)
    ours = signals.signal(design, torch.from_numpy(rewards))
    assert isinstance(ours, torch.Tensor)
    np.testing.assert_allclose(ours.numpy(), signals.signal(design, rewards), rtol=1e-12, atol=1e-14)
