"""The front of the closed forms: which method answers, what it holds, and what it refuses."""

import json
import math
import warnings
from typing import Any

import numpy as np
import pytest

from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.predict import hitting_ratio, hitting_ratio_contextual, predict, predict_contextual
from banditrft.theory import cases, prediction
from banditrft.theory.estimates import Estimate
from banditrft.theory.generalisation import base_held_out
from banditrft.worlds import ContextualWorld

pytestmark = pytest.mark.slow(6)

WORLD = ContextualWorld(seeds=1)


def design(**fields):
    return Design(**{"learning_rate": 0.1, "rounds": 200} | fields)


def ladder_moments(p0, eta, num_arms, target):
    """Sums over successes with one logit per class, plain floats."""
    correct, wrong = math.log(p0), math.log((1 - p0) / (num_arms - 1))
    mean = variance = 0.0
    while True:
        p = 1 / (1 + (num_arms - 1) * math.exp(wrong - correct))
        if p >= target:
            return mean, math.sqrt(variance)
        mean, variance = mean + 1 / p, variance + (1 - p) / p**2
        correct, wrong = correct + eta * (1 - p), wrong - eta * (1 - p) / (num_arms - 1)


@pytest.mark.parametrize(("p0", "eta", "num_arms"), [(0.02, 1.0, 10**6), (0.1, 0.5, 1000), (0.3, 2.0, 10)])
def test_minimal_bandit_is_exact(p0, eta, num_arms):
    found = predict(design(optimizer="sgd", learning_rate=eta), p0=p0, num_arms=num_arms, target=0.99)
    mean, sd = ladder_moments(p0, eta, num_arms, 0.99)
    assert found.method == "exact"
    assert (found.mean_rounds, found.sd_rounds) == pytest.approx((mean, sd), rel=1e-9)
    assert found.zero_signal_fraction == pytest.approx(1 - p0)
    assert found.snr == pytest.approx(p0 / (1 - p0))
    assert found.rollouts_mean == found.mean_rounds
    assert set(found.quantiles) == {"0.05", "0.5", "0.95"}
    assert found.quantiles["0.05"] < mean < found.quantiles["0.95"]


def test_numbers_that_were_promised():
    found = predict(design(optimizer="sgd", learning_rate=1.0), p0=0.02, num_arms=10**6)
    assert (found.mean_rounds, found.sd_rounds) == pytest.approx((190.13, 53.72), abs=0.01)
    four = design(rollouts=4)
    for num_arms, rounds in ((10**6, 76), (1000, 73)):
        found = predict(four, p0=0.02, num_arms=num_arms)
        assert found.method == "mean-field"
        assert found.mean_rounds == pytest.approx(rounds, abs=1)
        assert found.rollouts_mean == 4 * found.mean_rounds
        # the spread is that of the linear noise; the wait for a first success is told apart
        assert found.sd_rounds == pytest.approx(7, abs=1.5)
        assert found.quantiles["0.05"] < found.mean_rounds < found.quantiles["0.95"]
        assert found.rounds_with_wait == pytest.approx(found.mean_rounds + 4, abs=1.5)


@pytest.mark.parametrize("signal", ["raw", "centered", "grpo", "rloo"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("rollouts", [2, 4])
def test_every_supported_design_answers_in_plain_json(signal, optimizer, rollouts):
    d = design(
        signal=signal,
        optimizer=optimizer,
        rollouts=rollouts,
        learning_rate=0.5 if optimizer == "sgd" else 0.1,
    )
    found = predict(d, p0=0.1, num_arms=1000, target=0.95)
    back = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert back["method"] == "mean-field"
    assert back["mean_rounds"] > 0
    assert len(back["curve"]["round"]) == len(back["curve"]["pass_at_1"]) == 201
    assert back["curve"]["pass_at_1"][0] == pytest.approx(0.1)
    assert np.all(np.diff(back["curve"]["pass_at_1"]) > 0)


def test_curve_falls_on_the_evaluations_rounds():
    found = predict(design(rounds=12), p0=0.1, evaluation=Evaluation(eval_every=5))
    assert found.curve["round"] == [0, 5, 10, 12]
    whole = predict(design(rounds=12), p0=0.1)
    assert found.curve["pass_at_1"] == [whole.curve["pass_at_1"][t] for t in (0, 5, 10, 12)]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"updates_per_round": 2}, "updates_per_round"),
        ({"grad_clip": 1.0}, "grad_clip"),
        ({"reward": "graded"}, "reward"),
        ({"signal": "gpg", "rollouts": 4, "replay_window": 8}, "replay_window"),
    ],
)
def test_designs_beyond_the_closed_forms_name_the_field(fields, name):
    with pytest.raises(InputError, match=f"^{name}"):
        predict(design(**fields), p0=0.1)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"p0": 0.0}, "p0"), ({"p0": 0.1, "target": 1.0}, "target"), ({"p0": 0.1, "num_arms": 1}, "num_arms")],
)
def test_arguments_outside_their_domain_are_named(arguments, name):
    with pytest.raises(InputError, match=f"^{name}"):
        predict(design(), **arguments)


def notes(found):
    return " ".join(found.notes)


def test_notes_speak_up_only_when_there_is_something_to_say():
    assert predict(design(rollouts=4), p0=0.3).notes == ()
    assert "clip" in notes(predict(design(clip_low=0.1), p0=0.3))
    assert "no signal" in notes(predict(design(), p0=0.02))
    assert "adam_eps" in notes(predict(design(), p0=0.3, num_arms=10**12))
    assert "num_correct" in notes(predict(design(), p0=0.3, num_correct=3))
    assert "reward" in notes(predict(design(reward="minus-one-zero"), p0=0.3))
    assert "jump" in notes(predict(design(optimizer="sgd", learning_rate=20.0), p0=0.3))
    slow = predict(design(optimizer="sgd", learning_rate=1e-4, rollouts=4, signal="grpo"), p0=0.01)
    assert slow.mean_rounds == pytest.approx(1.458e6, rel=1e-3)
    held = predict(design(optimizer="sgd", kl_coef=0.5, kl_estimator="k2"), p0=0.1, num_arms=2)
    assert held.mean_rounds is None
    assert "not reached: Pass@1 rests at 0.451" in notes(held)  # log-odds of .1 plus 1/kl_coef: theory §7


def test_raw_groups_under_sgd_carry_their_sampling_noise():
    """Section 4: 170 rounds (simulated) at G = 4 where the noiseless path takes 165; sd 21."""
    found = predict(design(optimizer="sgd", learning_rate=1.0, rollouts=4), p0=0.02, num_arms=10**6)
    assert (found.mean_rounds, found.sd_rounds) == pytest.approx((170.5, 20.5), abs=1.0)
    assert "sampling noise" in notes(found)
    assert found.quantiles["0.05"] < 145 < 200 < found.quantiles["0.95"]
    rare = predict(design(optimizer="sgd", learning_rate=1e-4, rollouts=4), p0=0.01)
    assert rare.mean_rounds > 200_000  # beyond the reach of a recursion round by round


def test_a_noiseless_signal_has_no_finite_snr():
    found = predict(design(reward="minus-one-one", rollouts=2), p0=0.5)
    assert found.snr is None
    json.dumps(found.to_dict(), allow_nan=False)


def test_speed_up_of_four_rollouts_is_between_one_and_two_under_adam():
    """Section 4: speed-ups 1.3 to 2.0 to .99 for lr .1 and .02."""
    for rate in (0.1, 0.02):
        for p0 in (0.02, 0.1, 0.3):
            one, four = design(learning_rate=rate), design(learning_rate=rate, rollouts=4)
            ratio = hitting_ratio(one, four, p0=p0, num_arms=1000, target=0.99)
            expected = [predict(d, p0=p0, num_arms=1000).mean_rounds for d in (one, four)]
            assert ratio == pytest.approx(expected[0] / expected[1], rel=0.005)  # by longer leaps
            assert 1.25 < ratio < 2.0


def test_speed_up_under_sgd_includes_sampling_noise():
    one, four = (design(optimizer="sgd", learning_rate=1.0, rollouts=G) for G in (1, 4))
    assert hitting_ratio(one, four, p0=0.02, num_arms=10**6, target=0.99) == pytest.approx(
        190 / 170, abs=0.02
    )
    assert hitting_ratio(one, one, p0=0.02, num_arms=10**6) == pytest.approx(1.0)
    assert math.isnan(hitting_ratio(one, four, p0=0.95, num_arms=10, target=0.9))


def test_contextual_world_one_success_is_a_geometric_race():
    """eta |u0|^2 >> 1: the first successful round decides, so the ratio is that of two geometric means."""
    one, four = (design(optimizer="sgd", learning_rate=2.0, rollouts=G) for G in (1, 4))
    ratio = hitting_ratio_contextual(one, four, WORLD)
    assert ratio == pytest.approx((1 / 0.1) / (1 / (1 - 0.9**4)), rel=1e-3)
    assert "jump" in notes(predict_contextual(one, WORLD))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_contextual_target_at_the_base_takes_no_round(optimizer):
    found = predict_contextual(design(optimizer=optimizer), WORLD, target=WORLD.one_base() / 2)
    assert (found.mean_rounds, found.sd_rounds) == (0.0, 0.0)


def test_contextual_prediction_carries_the_test_curve():
    found = predict_contextual(design(learning_rate=0.004), WORLD, evaluation=Evaluation(eval_every=50))
    assert found.curve["round"] == [0, 50, 100, 150, 200]
    assert found.curve["test_pass_at_1"][0] == pytest.approx(base_held_out(WORLD), abs=1e-6)
    assert all(0.5 < p < 0.8 for p in found.curve["test_pass_at_1"])
    assert found.p0 == WORLD.base_pass_at_1
    exact = predict_contextual(
        design(optimizer="sgd", learning_rate=0.02), WORLD, evaluation=Evaluation(eval_every=100)
    )
    assert exact.method == "mean-field"  # exact given the query, which is taken at its mean size
    assert exact.mean_rounds > exact.quantiles["0.05"] > 10
    ratio = hitting_ratio_contextual(
        design(learning_rate=0.002), design(learning_rate=0.002, rollouts=4), WORLD
    )
    assert ratio == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(
    ("named", "fields", "where"),
    [
        (r"kl_coef: the closed forms cover up to 1e\+06, got 1e\+300", {"kl_coef": 1e300}, {}),
        ("weight_decay: times learning_rate", {"optimizer": "adamw", "weight_decay": 1e10}, {}),
        ("learning_rate: times inf", {}, {"shared": 1e200}),
    ],
)
def test_what_no_closed_form_can_follow_is_refused_without_a_warning(
    named: str, fields: dict[str, Any], where: dict[str, float]
) -> None:
    with warnings.catch_warnings(action="error"), pytest.raises(InputError, match=named):
        predict(Design(**({"learning_rate": 0.1, "rounds": 10} | fields)), p0=0.1, **where)


def test_sizes_of_query_without_a_time_of_their_own_are_said() -> None:
    case = cases.contextual(ContextualWorld(seeds=1, base_pass_at_1=0.1))(
        Design(learning_rate=0.1, rounds=10)
    )
    found = Estimate("mean-field", 9.0, 1.0, sizes_left_out=2)
    assert prediction._notes(case, found, 0.9) == [
        "mean and spread leave out 2 of 7 sizes of query, of unknown time"
    ]
