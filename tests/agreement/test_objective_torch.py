"""Weights of log-probabilities are what torch differentiates the losses to, and small cases by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from banditrft import objective
from banditrft.design import Design

ESTIMATORS = ("k1", "k2", "k3")


def design(**fields: object) -> Design:
    return Design(**{"learning_rate": 0.1, "rounds": 1, **fields})


@given(
    st.integers(0, 10**6),
    st.sampled_from(ESTIMATORS),
    st.sampled_from([0.0, 0.001, 0.7]),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.sampled_from([0.05, 0.3, 4.0]),
    st.sampled_from([0.0, 0.02, 0.5]),
    st.sampled_from([None, 1.2, 3.0]),
)
def test_weights_are_minus_the_derivative_of_the_loss(
    seed: int, estimator: str, kl: float, low: float, high: float, spread: float, dual: float | None
) -> None:
    rng = np.random.default_rng(seed)
    old, now, reference = (-3.0 + s * rng.normal(size=(4, 5)) for s in (1.0, 0.0, 2.0))
    now = old + spread * rng.normal(size=(4, 5))
    signals = rng.choice([-1.3, 0.0, 0.4, 2.0], size=(4, 5))
    setup = design(kl_coef=kl, kl_estimator=estimator, clip_low=low, clip_high=high, dual_clip=dual)
    log_pi = torch.tensor(now, requires_grad=True)
    s, o, r = (torch.tensor(x) for x in (signals, old, reference))
    loss = objective.clipped_surrogate(setup, log_pi, o, s)
    (loss + kl * objective.kl_penalty(log_pi, r, setup.kl_estimator)).sum().backward()
    ours = objective.weights(setup, signals, now - old, reference - now)
    np.testing.assert_allclose(ours, -log_pi.grad.numpy(), rtol=1e-12, atol=1e-13)
    in_torch = objective.weights(setup, s, log_pi.detach() - o, r - log_pi.detach())
    np.testing.assert_allclose(in_torch.numpy(), ours, rtol=1e-12, atol=1e-13)
    if spread == 0.0:
        np.testing.assert_allclose(objective.weights(setup, signals, None, reference - now), ours)


def test_clip_by_hand() -> None:
    """Ratio 1.3 against 1 + .2, ratio .7 against 1 - .2: inert where the signal pulls the ratio back."""
    setup = design(clip_low=0.2, clip_high=0.2)
    lead = np.log([1.3, 1.3, 0.7, 0.7, 1.1])
    signals = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    np.testing.assert_allclose(objective.weights(setup, signals, lead), [0.0, -1.3, 0.7, 0.0, 1.1])
    losses = objective.clipped_surrogate(setup, lead, np.zeros(5), signals)
    np.testing.assert_allclose(losses, [-1.2, 1.3, -0.7, 0.8, -1.1])


def test_dual_clip_by_hand() -> None:
    """A negative signal's loss ends at c = 3 (verl's clip_ratio_c, TRL's delta); a positive one's does not."""
    setup = design(clip_high=5.0, dual_clip=3.0)
    lead, signals = np.log([4.0, 2.0, 4.0, 0.5]), np.array([-1.0, -1.0, 1.0, -1.0])
    losses = objective.clipped_surrogate(setup, lead, np.zeros(4), signals)
    np.testing.assert_allclose(losses, [3.0, 2.0, -4.0, 0.8])
    np.testing.assert_allclose(objective.weights(setup, signals, lead), [0.0, -2.0, 4.0, 0.0])
    assert objective.clipped(setup, signals, np.exp(lead)).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("signal", "dual", "loss", "slope"),
    [(0.0, None, 0.0, 0.0), (1.0, None, -1.2, 0.0), (-1.0, 3.0, 3.0, 0.0)],
)
@pytest.mark.parametrize("far", [90.0, 800.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_far_ratio_whose_clip_acts_is_a_number(
    signal: float, dual: float | None, loss: float, slope: float, far: float, dtype: torch.dtype
) -> None:
    """e^90 is no float32 and e^800 no float64, but no part of the loss either."""
    setup = design(dual_clip=dual)
    lead = torch.tensor([far], dtype=dtype, requires_grad=True)
    made = objective.clipped_surrogate(setup, lead, torch.zeros(1, dtype=dtype), torch.tensor([signal]))
    made.sum().backward()
    torch.testing.assert_close(made.detach(), torch.tensor([loss], dtype=dtype))
    assert lead.grad is not None
    assert lead.grad.tolist() == [slope]
    weight = objective.weights(setup, torch.tensor([signal], dtype=dtype), lead.detach())
    assert weight.tolist() == [slope]


def test_nothing_is_clamped_where_verl_clamps() -> None:
    """verl holds log-ratios within +-20 and k3 within +-10; both differ only far from the old policy."""
    setup = design(clip_high=1e12)
    far = objective.clipped_surrogate(setup, np.array([21.0]), np.zeros(1), np.ones(1))
    np.testing.assert_allclose(far, -np.exp(21.0))
    np.testing.assert_allclose(objective.kl_penalty(np.zeros(1), np.array([3.0]), "k3"), np.exp(3.0) - 4.0)


@pytest.mark.parametrize(("estimator", "value"), [("k1", -0.5), ("k2", 0.125), ("k3", 0.14872127070012819)])
def test_estimators_by_hand(estimator: str, value: float) -> None:
    """d = .5: -.5; .25/2; e^.5 - 1.5."""
    made = objective.kl_penalty(np.array([-1.0]), np.array([-0.5]), estimator)
    np.testing.assert_allclose(made, [value])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_penalty_at_the_reference(estimator: str) -> None:
    """Value 0 where the policies agree; the derivative too, except k1's, whose expectation it is."""
    log_pi = np.log([0.2, 0.5, 0.3])
    np.testing.assert_array_equal(objective.kl_penalty(log_pi, log_pi, estimator), 0.0)
    made = objective.weights(design(kl_coef=0.5, kl_estimator=estimator), np.zeros(3), None, np.zeros(3))
    np.testing.assert_array_equal(made, -0.5 if estimator == "k1" else 0.0)


def test_expected_gradients() -> None:
    """Over the policy's own samples: k1's is 0, k2's that of KL(pi || ref), k3's that of KL(ref || pi)."""
    rng = np.random.default_rng(0)
    log_ref = np.log(rng.dirichlet(np.ones(6)))
    theta, ref = torch.tensor(rng.normal(size=6), requires_grad=True), torch.tensor(log_ref)
    for estimator in ESTIMATORS:
        log_pi = torch.log_softmax(theta, 0)
        divergence = {
            "k1": 0.0 * log_pi.sum(),
            "k2": (log_pi.exp() * (log_pi - ref)).sum(),
            "k3": (ref.exp() * (ref - log_pi)).sum(),
        }[estimator]
        (expected,) = torch.autograd.grad(divergence, theta)
        here = log_pi.detach().numpy()
        setup = design(kl_coef=1.0, kl_estimator=estimator)
        weighed = np.exp(here) * objective.weights(setup, np.zeros(6), None, log_ref - here)
        gradients = np.eye(6) - np.exp(here)  # row a: gradient of log pi(a)
        np.testing.assert_allclose(-weighed @ gradients, expected.numpy(), atol=1e-12)
