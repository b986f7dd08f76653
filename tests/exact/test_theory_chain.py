"""The chain of log-odds (theory §2, §3) against the exact ladder and against an enumerated law."""

import math

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.theory.chain import chain_moments
from banditrft.theory.hitting import hitting_law
from banditrft.theory.laws import round_law


def law(name, G):
    return round_law(Design(signal=name, rollouts=G, learning_rate=1.0, rounds=1, signal_ddof=0))


@pytest.mark.parametrize(("p0", "step", "target"), [(0.02, 1.0, 0.99), (0.1, 0.5, 0.9), (0.3, 2.2, 0.99)])
def test_one_rollout_gives_the_ladders_moments(p0, step, target):
    exact = hitting_law(p0, step, target)
    mean, sd = chain_moments(law("raw", 1), p0, step, target)
    assert mean == pytest.approx(exact.mean, abs=0.5)
    assert sd == pytest.approx(exact.sd, rel=0.015)


def test_few_large_jumps_are_exact():
    exact = hitting_law(0.1, 5.0, 0.9)
    assert chain_moments(law("raw", 1), 0.1, 5.0, 0.9) == pytest.approx((exact.mean, exact.sd), rel=1e-12)


def enumerate_chain(multiplier, G, p0, step, target, rounds):
    """Mean and sd of T by spreading probability over every reachable log-odds, plain Python."""
    states, end = {math.log(p0 / (1 - p0)): 1.0}, math.log(target / (1 - target))
    first = second = left = 0.0
    for t in range(1, rounds + 1):
        later = {}
        for x, w in states.items():
            p = 1 / (1 + math.exp(-x))
            for s in range(G + 1):
                moved = x + step * multiplier(s, p)
                mass = w * math.comb(G, s) * p**s * (1 - p) ** (G - s)
                if moved >= end:
                    first, second = first + t * mass, second + t * t * mass
                else:
                    key = round(moved, 12)
                    later[key] = later.get(key, 0.0) + mass
        states = {x: w for x, w in later.items() if w > 1e-13}
        left = sum(states.values())
    assert left < 1e-6
    return first, math.sqrt(second - first**2)


@pytest.mark.parametrize(
    ("name", "multiplier"),
    [
        ("raw", lambda s, p: s / 3 * (1 - p)),
        ("grpo", lambda s, p: math.sqrt(s * (3 - s)) / 3),
        ("rloo", lambda s, p: s * (3 - s) / 6),
    ],
)
def test_groups_give_the_enumerated_moments(name, multiplier):
    mean, sd = chain_moments(law(name, 3), 0.2, 3.0, 0.9)
    assert (mean, sd) == pytest.approx(enumerate_chain(multiplier, 3, 0.2, 3.0, 0.9, 400), rel=4e-3)


def test_more_rollouts_hardly_change_the_mean_but_the_spread():
    """Section 4's remark: 190 rounds at G = 1 against 170 at G = 4 (simulated), p0 = .02, eta = 1, target .99."""
    one, four = chain_moments(law("raw", 1), 0.02, 1.0, 0.99), chain_moments(law("raw", 4), 0.02, 1.0, 0.99)
    assert one[0] == pytest.approx(190.1, abs=0.5)
    assert four[0] == pytest.approx(170, abs=1.5)
    assert four[1] == pytest.approx(21, abs=1.0)
    two = [chain_moments(law("raw", G), 0.02, 2.0, 0.99)[0] for G in (1, 4)]
    assert two == pytest.approx([112, 88], abs=1.5)


def test_finer_grid_changes_nothing_that_matters():
    coarse = np.array(chain_moments(law("raw", 4), 0.1, 1.0, 0.95, grid=2048))
    fine = np.array(chain_moments(law("raw", 4), 0.1, 1.0, 0.95, grid=16384))
    np.testing.assert_allclose(coarse, fine, rtol=3e-3)


def test_a_base_above_the_target_needs_no_round():
    assert chain_moments(law("raw", 4), 0.9, 1.0, 0.8) == (0.0, 0.0)
