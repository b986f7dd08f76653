"""Predictions of long runs and large groups: as right as short ones, in few steps and little memory."""

import math
import tracemalloc

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.predict import predict
from banditrft.theory import laws
from banditrft.theory.adam import arm_moments, follow
from banditrft.theory.chain import chain_time
from banditrft.theory.hitting import hitting_law
from banditrft.theory.laws import round_law
from banditrft.theory.moments import RoundMoments
from banditrft.theory.spread import spread
from banditrft.theory.tabulated import TabulatedLaw

NOISY = {"reward": "noisy", "false_positive": 0.05, "false_negative": 0.1}


def design(**fields):
    return Design(**{"learning_rate": 0.003, "rounds": 1} | fields)


@pytest.mark.parametrize("p0", [0.05, 0.6])
@pytest.mark.parametrize("step", [0.3, 0.1, 0.03, 0.003])
def test_a_chain_of_small_steps_has_the_ladders_moments(p0, step):
    """A grid whose points lie further apart than a jump made the spread up to 40 times too large."""
    exact = hitting_law(p0, step, 0.99)
    third = np.array([(1 - p) * (2 - p) / p**3 for p in exact.success_N]).sum()
    found = chain_time(round_law(design(optimizer="sgd")), p0, step, 0.99)
    assert found.mean == pytest.approx(exact.mean, rel=2e-3)
    assert found.sd == pytest.approx(exact.sd, rel=0.02)
    assert found.skewness == pytest.approx(third / exact.sd**3, rel=0.15)


@pytest.mark.parametrize(
    "fields",
    [
        {"rollouts": 4},
        {"rollouts": 8, "signal": "grpo"},
        {"rollouts": 4, **NOISY},
        {"rollouts": 4, "optimizer": "adamw", "weight_decay": 0.01},
        {"rollouts": 4, "optimizer": "sgd", "signal": "rloo", "learning_rate": 0.02},
    ],
)
def test_leaps_keep_to_the_path_of_single_rounds(fields):
    d = design(**fields)
    coordinates = arm_moments(d, p0=0.1, num_arms=100)
    slow, leaping = follow(coordinates, d, p0=0.1, rounds=2500), follow(coordinates, d, p0=0.1, target=0.95)
    assert len(leaping.later_N) > 0
    assert leaping.rounds_to(0.95) == pytest.approx(slow.rounds_to(0.95), abs=2)
    cloud = spread(coordinates, d, p0=0.1, target=0.95)
    assert np.diff(cloud.rounds_T).max() > 1
    assert cloud.time_to(0.95).mean == pytest.approx(slow.rounds_to(0.95), rel=0.01)


def test_what_users_of_trainers_type_is_answered_in_few_steps():
    d = design(rollouts=8, signal="grpo", optimizer="adamw", learning_rate=1e-6, kl_coef=0.001)
    path = follow(arm_moments(d, p0=0.05, num_arms=1000), d, p0=0.05, target=0.99)
    assert len(path.log_odds_T) + len(path.later_N) < 3000
    found = predict(d, p0=0.05)
    # rounds go as 1/learning_rate once Adam's memory is short beside them
    faster = predict(d.model_copy(update={"learning_rate": 1e-4}), p0=0.05)
    assert found.mean_rounds == pytest.approx(100 * faster.mean_rounds, rel=0.02)
    assert 0 < found.sd_rounds < 0.01 * found.mean_rounds


@pytest.mark.parametrize("p0", [1e-7, 5e-7, 1e-12])
def test_the_first_success_is_never_left_out(p0):
    """The wait for it alone is 1/(4 p0), which the bare mean field knows nothing of."""
    found = predict(design(rollouts=4, learning_rate=0.1), p0=p0, num_arms=10**9)
    assert found.mean_rounds > 1 / (4 * p0)
    assert found.mean_rounds == pytest.approx(1 / (4 * p0), rel=0.15)
    assert found.sd_rounds == pytest.approx(1 / (4 * p0), rel=0.1)
    assert found.quantiles["0.5"] == pytest.approx(math.log(2) / (4 * p0), rel=0.2)


def test_lessons_that_stay_rare_are_no_unreached_target():
    found = predict(design(rollouts=4, learning_rate=0.1), p0=1e-20, num_arms=10**9)
    assert found.mean_rounds is None
    assert any("no mean: lessons stay rare" in note for note in found.notes)


def test_a_small_step_of_the_minimal_bandit_has_a_time():
    found = predict(design(optimizer="sgd", learning_rate=1e-6), p0=0.05)
    coarser = predict(design(optimizer="sgd", learning_rate=1e-3), p0=0.05)
    assert found.mean_rounds == pytest.approx(1000 * coarser.mean_rounds, rel=1e-3)
    assert found.sd_rounds == pytest.approx(math.sqrt(1000) * coarser.sd_rounds, rel=0.01)


def moments_close(one: RoundMoments, other: RoundMoments, rel: float) -> None:
    for name in RoundMoments.__dataclass_fields__:
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=rel, atol=1e-15, err_msg=name
        )


@pytest.mark.parametrize("signal", ["centered", "grpo", "rloo"])
@pytest.mark.parametrize("more", [{}, NOISY, {"kl_coef": 0.1}])
def test_three_nodes_stand_for_all_splits_of_a_population(monkeypatch, signal, more):
    d = design(rollouts=12, baseline_rollouts=30, signal=signal, **more)
    x = np.array([-9.0, -3.0, -0.5, 2.0])
    pairs = round_law(d, 0.2)
    monkeypatch.setattr(laws, "MOST_PAIRS", 1)
    nodes = round_law(d, 0.2)
    assert len(nodes.low_S) < len(pairs.low_S) / 3
    moments_close(nodes.moments(x), pairs.moments(x), 1e-9)


def test_large_groups_need_little_memory():
    d = design(rollouts=512, baseline_rollouts=512, signal="grpo", learning_rate=0.1)
    tracemalloc.start()
    found = predict(d, p0=0.05)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    alone = predict(design(rollouts=512, signal="grpo", learning_rate=0.1), p0=0.05)
    assert found.mean_rounds == pytest.approx(alone.mean_rounds, rel=0.01)
    with pytest.raises(InputError, match="up to 8192 rewards, got 12000"):
        predict(design(rollouts=4000, baseline_rollouts=8000, signal="grpo"), p0=0.05)


@pytest.mark.parametrize(
    "fields", [{"signal": "gpg", "batch_size": 4}, {"signal": "grpo", **NOISY}, {"kl_coef": 0.01}]
)
def test_a_table_of_a_law_is_the_law(fields):
    if fields.get("kl_coef"):
        fields = {"signal": "rloo", **fields}
    law = round_law(design(rollouts=4, **fields), 0.2)
    x = np.linspace(-12.0, 6.0, 23)
    moments_close(TabulatedLaw(law).moments(x), law.moments(x), 1e-4)


@pytest.mark.parametrize(
    ("fields", "arms", "name"),
    [({"learning_rate": 1e300}, 10, "learning_rate"), ({}, 10**301, "num_arms")],
)
def test_what_no_double_holds_is_named(fields, arms, name):
    with pytest.raises(InputError, match=name):
        predict(design(**fields), p0=0.1, num_arms=arms)


def test_more_arms_than_an_integer_of_64_bits():
    far, near = (predict(design(rollouts=4, learning_rate=0.1), p0=0.1, num_arms=10**k) for k in (20, 18))
    assert far.mean_rounds == near.mean_rounds
