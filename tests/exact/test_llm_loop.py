"""The loop does what the design says: rewards, signals, placebo, and numbers that add up; it learns, too."""

import numpy as np
import pytest
from llm_fixtures import EVALUATION, query, run

import llm_runs
from banditrft.design import Design, Evaluation
from banditrft.records import write_run
from banditrft.streams import Purpose
from llm_runs.evaluation import Address
from llm_runs.loop import rewards

CORRECT = np.array([[True, False, True, False], [False, False, False, True]])
ADDRESS = Address(1, [0, 1], Purpose.REWARD, 3)


def design(**settings):
    return Design.model_validate({"rollouts": 4, "learning_rate": 0.1, "rounds": 1, **settings})


@pytest.mark.parametrize(
    ("reward", "low", "high"), [("zero-one", 0, 1), ("minus-one-zero", -1, 0), ("minus-one-one", -1, 1)]
)
def test_reward_maps(reward, low, high):
    values = rewards(design(reward=reward), CORRECT, ADDRESS, [5, 6], [0.2, 0.3])
    assert values.tolist() == np.where(CORRECT, high, low).tolist()


def test_placebo_ignores_the_answers_and_has_its_rate():
    plan = design(reward="random")
    rounds = [Address(1, [0, 1], Purpose.REWARD, r) for r in range(2000)]
    drawn = np.array([rewards(plan, CORRECT, a, [5, 6], [0.2, 0.7]) for a in rounds])
    assert np.array_equal(drawn[3], rewards(plan, ~CORRECT, ADDRESS, [5, 6], [0.2, 0.7]))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert np.abs(drawn.mean(axis=(0, 2)) - [0.2, 0.7]).max() < 4 * 0.5 / 8000**0.5
    fixed = np.array(
        [rewards(design(reward="random", rate=0.9), CORRECT, a, [5, 6], [0.2, 0.7]) for a in rounds]
    )
    assert abs(fixed.mean() - 0.9) < 4 * 0.3 / 16000**0.5


@pytest.mark.parametrize("reward", ["zero-one", "minus-one-one", "random"])
def test_rounds_and_groups_tell_the_same_story(reward):
    (tables,) = llm_runs.execute([run(2, 1, rollouts=4, rounds=6, reward=reward, signal="rloo")])
    for one, group in zip(tables.rounds.rows(named=True), tables.groups.rows(named=True), strict=True):
        assert one["reward_mean"] * 4 == pytest.approx(group["reward_sum"])
        if reward == "zero-one":
            assert group["reward_sum"] == group["correct_strict"]
            assert one["zero_signal_fraction"] == float(group["correct_strict"] in (0, 4))
            s = group["correct_strict"]
            assert one["signal_var"] == pytest.approx((4 / 3) ** 2 * s * (4 - s) / 16)
        assert group["correct_strict"] <= group["correct_lenient"]
        assert one["signal_mean"] == pytest.approx(0, abs=1e-12)
        assert 4 <= one["tokens"] <= 4 * 24
        assert one["entropy"] > 0
        assert one["kl"] is None


def test_without_signal_sgd_stands_still():
    """A group of equal rewards has no centred signal: weights, and so the next rollouts, do not move."""
    (tables,) = llm_runs.execute(
        [run(0, 0, signal="centered", optimizer="sgd", learning_rate=1e-3, rounds=8)]
    )
    for row in tables.rounds.rows(named=True):
        assert (row["update_norm"] == 0) == (row["zero_signal_fraction"] == 1)
    assert 0 < tables.rounds["zero_signal_fraction"].sum() < 8


def test_learning_raises_pass_at_1_and_the_placebo_does_not():
    """A sanity check of the direction of the step, at a step size no study uses."""
    plan = Evaluation(eval_every=100, eval_samples=128, final_eval_samples=128, final_test_samples=1)
    settings = {"rollouts": 8, "rounds": 25, "learning_rate": 4e-4, "evaluation": plan}
    learned = llm_runs.execute([run(s, 1, **settings) for s in range(2)])
    placebo = llm_runs.execute([run(s, 1, reward="random", **settings) for s in range(2)])
    gain = [t.evals["correct_strict"][-1] - t.evals["correct_strict"][0] for t in learned]
    luck = [t.evals["correct_strict"][-1] - t.evals["correct_strict"][0] for t in placebo]
    assert min(gain) > 30
    assert max(luck) < min(gain)


def test_another_final_evaluation_reads_the_checkpoint(tmp_path):
    one = run(4, 2)
    (tables,) = llm_runs.execute([one])
    folder = write_run(tmp_path, one, tables, {})
    assert llm_runs.evaluate_checkpoint(one, folder).equals(tables.final)
    larger = run(4, 2, evaluation=EVALUATION.model_copy(update={"final_eval_samples": 70}))
    again = llm_runs.evaluate_checkpoint(larger, folder)
    assert again["n"].to_list() == [12, 70, 12]
    assert llm_runs.execute([larger])[0].final.equals(again)


def test_the_test_set_is_evaluated_on_request():
    plan = EVALUATION.model_copy(update={"test_every": 2, "test_samples": 3})
    (tables,) = llm_runs.execute([run(0, 0, evaluation=plan)])
    rows = tables.evals.select("round", "split", "n").rows()
    assert rows == [(0, "train", 8), (0, "test", 18), (2, "train", 8), (2, "test", 18), (3, "train", 8),
                    (3, "test", 18)]  # fmt: skip
    assert query(0).item in tables.evals["item"].to_list()
