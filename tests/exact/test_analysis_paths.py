"""Paths of test against train Pass@1: matched levels by hand, then simulated runs whose answer theory gives."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from support.claims import ROUNDS, cell, contextual, design, records

import sims
from analysis import load
from analysis.curves.paths import LEVELS, MARGIN, matched_differences, path_independence, train_path
from banditrft.study import parse_study

N = 12


def smallest_of_largest(values, weights):
    """Isotonic regression by its min-max formula (Barlow et al. 1972, theorem 1.4)."""
    n = values.size

    def mean(a, b):
        return np.average(values[a : b + 1], weights=weights[a : b + 1])

    return [max(min(mean(a, b) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]


@pytest.mark.parametrize("seed", range(5))
def test_paths_rise_by_the_min_max_formula(seed):
    rng = np.random.default_rng(seed)
    samples = rng.integers(4, 65, 9)
    train = rng.integers(0, samples + 1) / samples
    p = (train * samples + 0.5) / (samples + 1)
    expected = smallest_of_largest(np.log(p / (1 - p)), p * (1 - p) * samples)
    np.testing.assert_allclose(train_path(train, samples), expected, atol=1e-12)


def test_a_path_has_finite_log_odds_at_both_ends():
    path = train_path(np.array([0.0, 0.5, 0.4, 1.0]), [64, 64, 64, 64])
    assert np.isfinite(path).all()
    assert path[1] == path[2]  # the fall is noise
    assert path[0] == pytest.approx(-path[3])


def test_levels_are_read_between_the_starts_and_the_nearer_end():
    """Test Pass@1 is .1 l for A and .1 l + .03 for B; A spans log-odds -2 to 3, B -1 to 1."""
    a, b = np.array([-2.0, 0.0, 3.0]), np.array([-1.0, 0.5, 0.5, 1.0])
    found = matched_differences(a, 0.1 * a, b, 0.1 * b + 0.03)
    assert found is not None
    differences, low, high = found
    assert (low, high, differences.size) == (-1.0, 1.0, LEVELS)
    np.testing.assert_allclose(differences, 0.03)
    far, _, top = matched_differences(a, 0.1 * a, 2 * a, 0.2 * a)
    assert top == pytest.approx(np.log(0.95 / 0.05))  # above it train Pass@1 says little
    np.testing.assert_allclose(far, 0, atol=1e-12)


def test_paths_without_a_common_stretch_are_not_compared():
    assert matched_differences(np.array([-2.0, -1]), np.zeros(2), np.array([-1.2, 3]), np.zeros(2)) is None


def pair(world, shift=0.0, speed=2.0, stop=1.0, **fields):
    """Two conditions on one path of log-odds, the second faster, its test Pass@1 shifted; every evaluation seen."""
    cells = []
    for name, rate, off, many in (("slow", 0.15, 0.0, 1), ("fast", 0.15 * speed, shift, 4)):
        rng = np.random.default_rng([many, 5])
        spread = np.exp(0.2 * rng.standard_normal((N, 1)))
        train = 0.1 + 0.88 * stop / (1 + np.exp(-rate * spread * (ROUNDS - 18)))
        made = cell(
            world, name, design(rollouts=many, **fields), curve=train, query=np.zeros(N), test=np.zeros(N)
        )
        path = 0.5 + 0.02 * np.log(train / (1 - train)) + off
        noisy = path + 0.003 * rng.standard_normal(path.shape)
        cells.append(replace(made, test_rounds=ROUNDS, test_curve=noisy))
    return cells


def test_one_path_at_two_speeds_is_one_path():
    found = path_independence(records([], *pair(contextual())), "contextual")
    (one,) = found.comparisons
    assert (one.found, one.one_path, one.n, one.left_out) == ("same path", True, N, 0)
    assert one.interval[0] < 0 < one.interval[1]
    assert abs(one.estimate) < 0.002
    assert found.points[0].condition == "slow"
    assert len(found.points[1].train) == N * ROUNDS.size
    json.dumps(asdict(found), allow_nan=False)


def test_a_shifted_path_is_another_one():
    (one,) = path_independence(records([], *pair(contextual(), shift=-0.05)), "contextual").comparisons
    assert one.found == "another path"
    assert one.estimate == pytest.approx(-0.05, abs=0.003)
    assert one.p < 1e-6
    assert "another path (theory: one path)" in one.sentence


def test_a_small_shift_is_the_same_path_within_the_margin_and_said_to_differ():
    (one,) = path_independence(records([], *pair(contextual(), shift=-0.01)), "contextual").comparisons
    assert one.found == "same path"
    assert "within the margin, yet not equal" in one.sentence
    assert one.interval[1] < 0
    assert one.margin == MARGIN


def test_a_condition_that_hardly_moves_cannot_be_compared():
    first, second = pair(contextual())
    stuck = replace(second, train=np.full_like(second.train, 0.1))
    (one,) = path_independence(records([], first, stuck), "contextual").comparisons
    assert (one.found, one.n, one.left_out, one.estimate) == ("cannot be compared", 0, N, None)


def test_a_pool_has_no_predicted_path_and_other_optimisers_another():
    pool = path_independence(records([], *pair(contextual(items=5))), "contextual")
    assert not pool.comparisons[0].one_path
    assert "many queries" in pool.sentence
    first, second = pair(contextual())
    other = replace(second, design=design(optimizer="sgd", rollouts=4))
    assert not path_independence(records([], first, other), "contextual").comparisons[0].one_path


def test_records_without_a_test_curve_say_so():
    made = replace(pair(contextual())[0], test_rounds=np.empty(0), test_curve=np.empty((N, 0)))
    found = path_independence(records([], made), "contextual")
    assert (found.points, found.comparisons) == ((), ())
    assert "no test evaluations" in found.sentence


STUDY = """
name = "paths"
seeds = 128
claims = []
[design]
learning_rate = 0.05
rounds = 160
eval_every = 4
test_every = 4
eval_samples = 256
optimizer = "sgd"
[[conditions]]
name = "G=1"
[[conditions]]
name = "GRPO, G=4"
rollouts = 4
signal = "grpo"
[[conditions]]
name = "Adam"
optimizer = "adam"
learning_rate = 0.005
[[sim]]
world = "contextual"
base_pass_at_1 = 0.1
test_items = 1000
seeds = 128
"""


def test_simulated_sgd_runs_share_a_path_that_adam_leaves(tmp_path):
    """Theory section 6: at equal train Pass@1 Adam's test Pass@1 is lower, by more the further a run has gone."""
    sims.run(parse_study(STUDY), tmp_path, workers=1)
    found = path_independence(load(tmp_path / "paths"), "contextual")
    grpo, adam = found.comparisons
    assert grpo.found == "same path"
    assert abs(grpo.estimate) < 0.005
    assert adam.end_interval[1] < 0
    assert adam.end < adam.estimate < 0
