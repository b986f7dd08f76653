"""The loop does what the design says: every field moves something, numbers add up, and it learns."""

import time
from dataclasses import replace

import polars as pl
import pytest
from support.llm import EVALUATION, query, run, same

import llm_runs
from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.passk import pass_at_k
from banditrft.records import read_items, write_final, write_run
from llm_runs.tasks import load_task

pytestmark = pytest.mark.slow(20)

GROUP = {"signal": "grpo"}
REUSE = {
    "updates_per_round": 3,
    "learning_rate": 0.02,
    "reward": "minus-one-one",
    "clip_low": 0.1,
    "rollouts": 4,
}
FIELDS = {
    "batch_size": ({}, {"batch_size": 2}),
    "rollouts": ({}, {"rollouts": 3}),
    "baseline_rollouts": (GROUP, {"baseline_rollouts": 3}),
    "replay_window": (GROUP, {"replay_window": 8}),
    "reward": ({}, {"reward": "minus-one-zero"}),
    "false_positive": ({"reward": "noisy"}, {"false_positive": 0.9}),
    "false_negative": ({"reward": "noisy"}, {"false_negative": 0.9}),
    "rate": ({"reward": "random"}, {"rate": 0.9}),
    "signal": ({}, {"signal": "rloo"}),
    "signal_ddof": (GROUP, {"signal_ddof": 0}),
    "signal_eps": (GROUP, {"signal_eps": 0.1}),
    "match_step_size": ({**GROUP, "optimizer": "sgd"}, {"match_step_size": True}),
    "optimizer": ({}, {"optimizer": "sgd"}),
    "learning_rate": ({}, {"learning_rate": 2e-3}),
    "betas": ({}, {"betas": (0.8, 0.9)}),
    "adam_eps": ({}, {"adam_eps": 1e-3}),
    "weight_decay": ({"optimizer": "adamw"}, {"weight_decay": 0.1}),
    "grad_clip": ({"optimizer": "sgd"}, {"grad_clip": 1e-3}),
    "kl_coef": ({}, {"kl_coef": 1.0}),
    "kl_estimator": ({"kl_coef": 1.0}, {"kl_estimator": "k1"}),
    "kl_placement": ({"kl_coef": 1.0}, {"kl_placement": "reward"}),
    "clip_low": (REUSE, {"clip_low": 0.9}),
    "clip_high": ({**REUSE, "reward": "random", "rate": 1.0}, {"clip_high": 0.01}),
    "dual_clip": ({**REUSE, "reward": "minus-one-zero"}, {"dual_clip": 1.0001}),
    "updates_per_round": ({}, {"updates_per_round": 2}),
    "aggregation": ({}, {"aggregation": "sequence-sum"}),
    "skip_equal_groups": ({"batch_size": 4}, {"skip_equal_groups": True}),
    "rounds": ({}, {"rounds": 4}),
}
"""A design's fields: where one is felt, and another value of it."""


def test_every_field_is_listed():
    elsewhere = {"yoked_to"}  # it needs another run's records: test_yoked.py
    assert FIELDS.keys() | elsewhere == Design.model_fields.keys()


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_design_moves_the_weights(field):
    base, change = FIELDS[field]
    (one,), (other,) = (llm_runs.execute([run(0, 1, **{**base, **more})]) for more in ({}, change))
    assert one.checkpoint != other.checkpoint


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


@pytest.mark.parametrize("reward", ["zero-one", "minus-one-zero"])
def test_groups_left_out_are_silent_and_their_tokens_count(reward):
    """Raw signals of equal rewards are not 0 where the reward is not, and teach nothing all the same."""
    settings = {"keep_texts": 1}
    changes = {"batch_size": 3, "rollouts": 2, "rounds": 6, "reward": reward, "skip_equal_groups": True}
    (tables,) = llm_runs.execute([run(2, 1, settings=settings, **changes)])
    training = tables.texts.filter(pl.col("source") == "training")
    rounds = tables.rounds.rows(named=True)
    parts = zip(rounds, tables.groups.partition_by("round"), training.partition_by("round"), strict=True)
    for one, groups, texts in parts:
        equal = groups["correct_strict"].is_in([0, 2])
        assert one["zero_signal_fraction"] == pytest.approx(equal.mean())
        characters = texts["response"].str.len_chars()  # a token each, and the end of those that have one
        assert characters.sum() <= one["tokens"] <= characters.sum() + 6
    assert 0 < tables.rounds["zero_signal_fraction"].sum() < 6


def test_rounds_say_how_the_step_went():
    (tables,) = llm_runs.execute([run(0, 1, kl_coef=0.01, reward="minus-one-one", rollouts=4)])
    rounds = tables.rounds
    assert rounds["kl"][0] == pytest.approx(0, abs=1e-6)
    assert rounds["kl"][-1] > 0
    assert (rounds["grad_norm"] > 0).all()
    assert rounds["clip_fraction"].to_list() == [0, 0, 0]  # one step a round: the ratio is 1
    assert rounds["mismatch"].max() < 1e-4
    assert rounds["work_share"].is_between(0, 1).all()
    assert (rounds["seconds_push"] > 0).all()


def test_copies_of_a_query_are_groups_of_their_own():
    (tables,) = llm_runs.execute([run(2, 1, batch_size=3, rollouts=4, rounds=8, signal="grpo")])
    groups = tables.groups
    assert groups.group_by("round").len()["len"].to_list() == [3] * 8
    assert set(groups["item"]) == {query(1).item}
    counts = groups.group_by("round").agg(pl.col("correct_strict").n_unique())["correct_strict"]
    assert counts.max() > 1  # copies are answered differently
    for one, own in zip(tables.rounds.rows(named=True), groups.partition_by("round"), strict=True):
        assert one["reward_mean"] * 12 == pytest.approx(own["reward_sum"].sum())
        assert one["zero_signal_fraction"] == pytest.approx(own["correct_strict"].is_in([0, 4]).mean())


def test_a_pool_is_trained_and_evaluated_as_one():
    (tables,) = llm_runs.execute([run(3, 0, settings={"train_items": 5}, batch_size=3, rounds=5)])
    items = load_task("arithmetic").indices("pool", 5)
    groups = tables.groups
    first_epochs = groups["item"].to_list()
    assert sorted(first_epochs[:5]) == sorted(first_epochs[5:10]) == sorted(items)
    train = tables.evals.filter(pl.col("split") == "train")
    assert train["item"].null_count() == train.height
    assert set(train["n"]) == {5 * 8}
    by_item = tables.items.filter((pl.col("split") == "train") & (pl.col("round") == 5))
    assert by_item["item"].to_list() == items
    whole = tables.final.filter((pl.col("split") == "train") & (pl.col("round") == 5))
    assert by_item["correct_strict"].sum() == whole["correct_strict"].item()
    assert tables.texts.height == 5 * 3


def test_windows_carry_rewards_from_round_to_round():
    """With one rollout a group has nothing to compare with but the past of its query."""
    (tables,) = llm_runs.execute([run(2, 1, rollouts=1, replay_window=4, signal="centered", rounds=12)])
    rewards, signals = tables.rounds["reward_mean"].to_list(), tables.rounds["signal_mean"].to_list()
    assert signals[0] == rewards[0]  # alone in its population
    for t in range(1, 12):
        seen = rewards[max(0, t - 3) : t + 1]
        assert signals[t] == pytest.approx(rewards[t] - sum(seen) / len(seen))


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


@pytest.mark.parametrize("settings", [{}, {"train_items": 4}])
def test_another_final_evaluation_reads_the_checkpoint(tmp_path, settings):
    one = run(4, 2, settings=settings)
    (tables,) = llm_runs.execute([one])
    folder = write_run(tmp_path, one, tables, {})
    again = llm_runs.evaluate_checkpoint(one, folder)
    assert again.table.equals(tables.final)
    assert again.items.equals(tables.items)
    larger = run(4, 2, settings=settings, evaluation=EVALUATION.model_copy(update={"final_eval_samples": 70}))
    write_final(folder, larger, llm_runs.evaluate_checkpoint(larger, folder))
    (whole,) = llm_runs.execute([larger])
    assert read_items(folder, larger).equals(whole.items)


def test_pass_at_k_comes_from_the_counts_by_item():
    (tables,) = llm_runs.execute([run(4, 2)])
    test = tables.items.filter((pl.col("split") == "test") & (pl.col("round") == 0))
    assert test["n"].to_list() == [2] * 6
    whole = tables.final.filter((pl.col("split") == "test") & (pl.col("round") == 0))
    assert test["correct_strict"].sum() == whole["correct_strict"].item()
    assert pass_at_k(test["n"], test["correct_strict"], 2).mean() >= whole["correct_strict"].item() / 12


def test_the_test_set_is_evaluated_on_request():
    plan = EVALUATION.model_copy(update={"test_every": 2, "test_samples": 3})
    (tables,) = llm_runs.execute([run(0, 0, evaluation=plan)])
    rows = tables.evals.select("round", "split", "n").rows()
    assert rows == [(0, "train", 8), (0, "test", 18), (2, "train", 8), (2, "test", 18), (3, "train", 8),
                    (3, "test", 18)]  # fmt: skip
    assert query(0).item in tables.evals["item"].to_list()


def test_training_responses_are_kept_on_request():
    (plain,), (kept,) = (llm_runs.execute([run(0, 0, settings=s)]) for s in ({}, {"keep_texts": 2}))
    training = kept.texts.filter(pl.col("source") == "training")
    assert training["round"].to_list() == [2, 2]
    group = kept.groups.filter(pl.col("round") == 2)
    assert training["strict"].sum() == group["correct_strict"].item()
    assert kept.texts.filter(pl.col("source") == "final").equals(plain.texts)
    assert kept.checkpoint == plain.checkpoint


def test_settings_of_how_a_run_is_carried_out_change_nothing():
    ways = ({}, {"canary_every": 1, "checkpoint_every": 1}, {"micro_batch": 1})
    made = [llm_runs.execute([run(0, 0, settings=way)])[0] for way in ways]
    assert same(made[0], made[1])
    assert made[0].evals.equals(made[2].evals)


@pytest.mark.parametrize("change", [{"prompt": "1+1="}, {"answer": "0"}])
def test_a_task_that_has_changed_is_not_trained_on(change):
    one = run(0, 0)
    with pytest.raises(InputError, match=rf"the {next(iter(change))} of item .* must be .*queries\.json"):
        llm_runs.execute([replace(one, query=replace(one.query, **change))])


def test_the_last_round_is_charged_with_the_final_evaluation():
    """Whose work is larger than that of all the rest here."""
    plan = EVALUATION.model_copy(update={"final_test_samples": 64, "final_eval_samples": 256})
    started = time.perf_counter()
    stacked = llm_runs.execute([run(seed, 0, evaluation=plan) for seed in (0, 1)])
    elapsed = time.perf_counter() - started
    rounds = pl.concat([tables.rounds for tables in stacked])
    last = rounds.filter(pl.col("round") == 3)
    assert (last["seconds_evaluate"] > 10 * rounds.filter(pl.col("round") == 2)["seconds_evaluate"]).all()
    charged = rounds.select(pl.sum_horizontal(pl.selectors.starts_with("seconds"))).sum().item()
    assert 0.5 * elapsed < charged < elapsed
