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
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_value(name):
    function, value = GOLDEN[name]
    np.testing.assert_allclose(function(REWARDS), value * np.array([1, -1, -1, 1]), atol=5e-7)


def test_raw_is_the_reward():
    np.testing.assert_array_equal(signals.raw(REWARDS), REWARDS)
