"""Flows of the literature that theory §4 and §7 quote, read off the closed forms."""

import math

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.theory.coordinates import Coordinates
from banditrft.theory.flow import flow_curve, flow_time
from banditrft.theory.groups import GroupLaw
from banditrft.theory.laws import round_law
from banditrft.theory.matching import class_moments

P = (0.02, 0.1, 0.5, 0.9)


def log_odds(p):
    return math.log(p / (1 - p))


def objective_slope(drift, p):
    """dJ/dp of the objective whose gradient in log-odds, J'(p) p (1-p), is the drift."""
    return drift / (p * (1 - p))


def test_grpo_ascends_the_arcsine_of_the_root():
    """G -> infinity: J' = 1/sqrt(p(1-p)) = d/dp 2 arcsin(sqrt p) (arXiv 2510.13651), relative to a numerical derivative."""
    d = Design(signal="grpo", rollouts=4000, signal_ddof=0, signal_eps=1e-12, learning_rate=1.0, rounds=1)
    for p in P:
        derivative = (2 * math.asin(math.sqrt(p + 1e-6)) - 2 * math.asin(math.sqrt(p - 1e-6))) / 2e-6
        assert objective_slope(class_moments(d, p).drift, p) == pytest.approx(derivative, rel=8e-3)


def test_rejection_sampling_ascends_the_logarithm():
    """Each success weighs 1/(their share of the group): J' = P(S > 0)/p, d/dp log p as G grows."""
    for G, p in ((64, 0.5), (64, 0.9), (512, 0.1), (2000, 0.02)):
        highs = np.arange(G + 1)
        table = np.stack([np.zeros(G + 1), G / np.maximum(highs, 1)], axis=1)
        drift = float(GroupLaw.of_table(table).moments(log_odds(p)).drift)
        assert objective_slope(drift, p) == pytest.approx((1 - (1 - p) ** G) / p, rel=1e-9)
        assert objective_slope(drift, p) == pytest.approx(1 / p, rel=2e-3)


def test_gradients_vanish_with_the_rewards_spread():
    """Raw: the drift is the reward's variance p(1-p); no signal of bounded size exceeds its standard deviation."""
    for p in (1e-6, 1e-3, 0.5, 1 - 1e-4):
        assert class_moments(Design(learning_rate=1.0, rounds=1), p).drift == pytest.approx(
            p * (1 - p), rel=1e-9
        )
        for name in ("centered", "grpo", "rloo"):
            d = Design(signal=name, rollouts=8, signal_ddof=0, learning_rate=1.0, rounds=1)
            assert class_moments(d, p).drift <= math.sqrt(p * (1 - p)) * (1 + 1e-9)


@pytest.mark.parametrize(("m", "K"), [(1, 2), (1, 1000), (5, 50)])
def test_the_flow_approaches_one_like_one_over_t(m, K):
    """t (1-p) -> 1/(eta (1/m + 1/(K-m))): the O(1/t) rate of softmax policy gradient (arXiv 2005.06392)."""
    eta = 0.7
    for t in (1e5, 1e7):
        left = 1 - float(flow_curve(0.3, [t], eta, m, K)[0])
        assert t * left == pytest.approx(1 / (eta * (1 / m + 1 / (K - m))), rel=3e-3 if t > 1e6 else 0.02 * m)


def test_delay_of_a_hard_query_grows_as_m_over_eta_p0():
    for m, eta in ((1, 0.5), (20, 2.0)):
        slow, fast = (flow_time(p0, 0.5, eta, m, 10**9) for p0 in (1e-5, 1e-4))
        assert slow * 1e-5 * eta / m == pytest.approx(1.0, rel=1e-3)
        assert slow / fast == pytest.approx(10, rel=2e-3)


def test_four_rollouts_double_adams_speed_while_p_is_small():
    """§4: E[g]/sqrt(E[g^2]) grows as sqrt(G) as p -> 0, and not at all as p -> 1."""

    def speed(p, G):
        law = round_law(Design(rollouts=G, learning_rate=1.0, rounds=1))
        mean, square = Coordinates.arms(law, 1, 1000)(log_odds(p))
        return mean[0] / math.sqrt(square[0])

    assert speed(1e-5, 4) / speed(1e-5, 1) == pytest.approx(2.0, rel=1e-3)
    assert speed(1e-5, 16) / speed(1e-5, 1) == pytest.approx(4.0, rel=1e-3)
    assert speed(0.98, 4) / speed(0.98, 1) == pytest.approx(1.0, abs=0.01)
    assert speed(0.1, 4) / speed(0.1, 1) == pytest.approx(math.sqrt(0.1 / (0.01 + 0.09 / 4)), rel=1e-9)
