"""The yoked placebo: its pair's rewards, round by round and group by group, for answers of its own."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.llm import EVALUATION, run, same, world
from support.study import LLM, LUMPED

import llm_runs
import sims
from banditrft.claims import placebo_conditions
from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.launch import JobsError, in_shard, launch
from banditrft.lint import lint
from banditrft.predict import predict
from banditrft.provenance import provenance
from banditrft.records import RunTables, write_run
from banditrft.rewards import reward_map
from banditrft.runs import Run, expand
from banditrft.study import parse_study
from banditrft.theory.matching import matching_factor
from banditrft.worlds import ArmClass, ContextualWorld, LumpedWorld, WorldSettings
from sims.study import execute_all

ARMS = (
    ArmClass(name="right", arms=2, mass=0.2, reward=1.0),
    ArmClass(name="half", arms=9, mass=0.3, reward=0.5, grade=0.3),
    ArmClass(name="wrong", arms=10**6, mass=0.5, reward=0.0),
)
WORLDS: Mapping[str, WorldSettings] = {
    "lumped": LumpedWorld(seeds=9, classes=ARMS),
    "contextual": ContextualWorld(
        seeds=9, dimension=9, train_items=7, base_pass_at_1=0.3, test_items=20, partial=0.25
    ),
}
DESIGNS: dict[str, dict[str, object]] = {
    "raw": {"rollouts": 1},
    "table": {"signal": "grpo", "optimizer": "adam", "learning_rate": 0.05},
    "negative": {"reward": "minus-one-zero", "batch_size": 3},
    "noisy": {"reward": "noisy", "false_positive": 0.2, "false_negative": 0.1},
    "graded": {"reward": "graded", "signal": "centered"},
    "window": {"signal": "grpo", "replay_window": 9, "baseline_rollouts": 2, "batch_size": 2},
    "batch": {"signal": "reinforce-plus-plus", "batch_size": 3},
    "matched": {"signal": "rloo", "match_step_size": True},
    "penalty": {"kl_coef": 0.05, "updates_per_round": 2, "signal": "rloo"},
}
PLAIN: dict[str, object] = {"rollouts": 4, "optimizer": "sgd", "learning_rate": 0.3, "rounds": 25}


def yoked(design: Mapping[str, object]) -> dict[str, object]:
    fields = dict(design)
    return {**fields, "yoked_to": fields.get("reward", "zero-one"), "reward": "yoked"}


def simulated(
    world: str, seeds: range = range(9), evaluation: Evaluation = EVALUATION, **design: object
) -> RunTables:
    made = Design.model_validate({**PLAIN, **design})
    return sims.execute(Run("id", WORLDS[world], "c", made, evaluation, 5, seeds))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", DESIGNS)
def test_a_yoked_run_is_given_what_its_pair_earned(world: str, name: str) -> None:
    pair, placebo = simulated(world, **DESIGNS[name]), simulated(world, **yoked(DESIGNS[name]))
    exposure = ["seed", "round", "item", "n"]
    assert placebo.groups.select(exposure).equals(pair.groups.select(exposure))
    sums = [tables.groups["reward_sum"].to_numpy() for tables in (placebo, pair)]
    np.testing.assert_allclose(*sums, rtol=1e-15)  # of graded rewards, in another order
    for column in ("reward_mean", "signal_mean", "signal_var", "zero_signal_fraction"):
        np.testing.assert_allclose(placebo.rounds[column], pair.rounds[column], rtol=1e-12, atol=1e-14)
    other = (placebo.groups["correct_strict"] != pair.groups["correct_strict"]).mean()
    assert other > 0.2  # answers of its own
    first = pl.col("round") == 0
    assert placebo.evals.filter(first).equals(pair.evals.filter(first))  # the same luck in evaluations


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", ["table", "penalty"])
def test_a_yoked_seed_does_not_depend_on_its_neighbours(world: str, name: str) -> None:
    whole = simulated(world, **yoked(DESIGNS[name]))
    part = simulated(world, range(4, 6), **yoked(DESIGNS[name]))
    for table in ("rounds", "groups", "evals", "final"):
        own = getattr(whole, table).filter(pl.col("seed").is_between(4, 5))
        assert own.equals(getattr(part, table))


@pytest.mark.parametrize("learning_rate", [0.3, 2.0])
@pytest.mark.parametrize("rollouts", [1, 4])
def test_the_rewards_do_not_know_the_answers(rollouts: int, learning_rate: float) -> None:
    """Given the past, E[reward x (right - Pass@1)] = 0 for a yoked run, and not for its pair.

    The sum over seeds and rounds is that of a martingale; its variance is a sum of reward^2 p(1-p)/G.
    """

    def z(reward: str) -> float:
        every = Evaluation(eval_every=1)
        fields = {"rollouts": rollouts, "learning_rate": learning_rate, "reward": reward}
        tables = simulated("lumped", range(400), every, **fields)
        p = tables.evals.filter(pl.col("round") < PLAIN["rounds"])["p_exact"].to_numpy()
        share = tables.groups["reward_sum"].to_numpy() / rollouts
        right = tables.groups["correct_strict"].to_numpy() / rollouts
        return float((share * (right - p)).sum() / np.sqrt((share**2 * p * (1 - p) / rollouts).sum()))

    assert abs(z("yoked")) < 4
    assert z("zero-one") > 10


def test_with_its_pairs_numbers_it_would_be_its_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sims.lumped.general.own_purpose", lambda purpose, _: purpose)
    pair, placebo = (
        simulated("lumped", **DESIGNS["penalty"]),
        simulated("lumped", **yoked(DESIGNS["penalty"])),
    )
    assert placebo.groups.filter(pl.col("round") == 1).equals(pair.groups.filter(pl.col("round") == 1))


def test_a_yoked_design_takes_values_and_matching_of_its_pair() -> None:
    fields = {
        **PLAIN,
        "signal": "grpo",
        "optimizer": "sgd",
        "match_step_size": True,
        "reward": "minus-one-zero",
    }
    pair, placebo = Design.model_validate(fields), Design.model_validate(yoked(fields))
    assert placebo.treatment == pair
    assert pair.treatment is pair
    assert reward_map(placebo)[:2] == (-1.0, 0.0)
    assert matching_factor(placebo, 0.2) == matching_factor(pair, 0.2)


def test_both_kinds_of_placebo_are_found() -> None:
    rewards = {"raw": "zero-one", "random": "random", "yoked": "yoked"}
    designs = {name: Design.model_validate({**PLAIN, "reward": reward}) for name, reward in rewards.items()}
    assert placebo_conditions(designs) == ["random", "yoked"]


YOKED = '[[conditions]]\nname = "yoked"\nreward = "yoked"\n'
STUDY = LUMPED.replace('reward = "random"', 'reward = "yoked"')


def test_the_id_of_a_yoked_run_knows_its_pair_by_content() -> None:
    ids = {r.condition: r.run_id for r in expand(parse_study(STUDY), "sim")}
    renamed = {r.condition: r.run_id for r in expand(parse_study(STUDY.replace('"G=1"', '"one"')), "sim")}
    assert len(set(ids.values())) == 3
    assert renamed["placebo"] == ids["placebo"]
    assert not any("placebo" in line for line in lint(parse_study(STUDY)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            STUDY.replace('name = "G=1"', 'name = "G=1"\nsignal = "gpg"\nrollouts = 2'),
            "differs from it in reward = 'zero-one'",
        ),
        (STUDY + 'yoked_to = "graded"\n'.join(["", ""]), "yoked_to"),
        (LUMPED.replace('reward = "random"', 'yoked_to = "noisy"'), "yoked_to: belongs to reward = 'yoked'"),
        (
            STUDY.replace('reward = "yoked"', 'reward = "yoked"\nfalse_positive = 0.1'),
            "belong to reward = 'noisy'",
        ),
        (STUDY.replace('reward = "yoked"', 'reward = "yoked"\nyoked_to = "random"'), "yoked_to"),
        (
            STUDY.replace('reward = "yoked"', 'reward = "yoked"\nyoked_to = "minus-one-one"'),
            "reward = 'minus-one-one' alone",
        ),
    ],
)
def test_a_yoked_condition_without_its_pair_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_study(text)


def test_no_closed_form_is_claimed() -> None:
    with pytest.raises(InputError, match="reward: a yoked placebo has no closed form"):
        predict(Design.model_validate({**PLAIN, "reward": "yoked"}), p0=0.1, num_arms=10)


def test_what_records_do_not_hold_is_refused_by_field() -> None:
    for field, value in {
        "yoked_to": {"yoked_to": "graded"},
        "kl_placement": {"yoked_to": "noisy", "kl_coef": 0.1, "kl_placement": "reward"},
        "baseline_rollouts": {"signal": "rloo", "baseline_rollouts": 2},
    }.items():
        design = Design.model_validate({**PLAIN, "reward": "yoked", **value})
        (problem,) = world().problems(design)
        assert problem.startswith(f"{field}:")


def test_runs_wait_for_their_pairs(tmp_path: Path) -> None:
    study = parse_study(STUDY)
    runs = sorted(expand(study, "sim"), key=lambda one: one.condition != "placebo")
    of = {one.condition: one for one in runs}
    runs[0] = replace(runs[0], pair=of["G=1"].run_id)
    order: list[str] = []

    def noted(some, report):  # type: ignore[no-untyped-def]
        order.append(some[0].condition)
        return execute_all(some, report)

    assert launch(study, runs, tmp_path / "whole", noted, workers=1).failed == []
    assert order == ["G=1", "G=4", "placebo"]

    def failing(some, report):  # type: ignore[no-untyped-def]
        if some[0].condition == "G=1":
            raise InputError("stopped")
        return execute_all(some, report)

    with pytest.raises(JobsError) as raised:
        launch(study, runs, tmp_path / "failed", failing, workers=1)
    assert [error for _, error in raised.value.outcome.failed] == [
        "stopped",
        "the run whose rewards it is given was not executed",
    ]


def test_a_shard_holds_pairs_whole() -> None:
    runs = [
        one
        for _ in range(2)
        for one in expand(parse_study(STUDY.replace("seeds = 20", "seeds = 999")), "sim")
    ]
    of = {(one.condition, one.seeds): one for one in runs}
    runs = [replace(r, pair=of["G=1", r.seeds].run_id) if r.condition == "placebo" else r for r in runs]
    shards = [in_shard(runs, (i, 5)) for i in range(1, 6)]
    assert sorted(one.run_id for shard in shards for one in shard) == sorted({one.run_id for one in runs})
    for shard in shards:
        assert {one.pair for one in shard if one.pair} <= {one.run_id for one in shard}


LLM_DESIGNS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "query": ({}, {"rollouts": 4}),
    "noisy": ({}, {"rollouts": 4, "reward": "noisy", "false_positive": 0.3}),
    "pool": ({"train_items": 5}, {"rollouts": 3, "batch_size": 3, "signal": "rloo", "replay_window": 5}),
}


@pytest.mark.parametrize("name", LLM_DESIGNS)
def test_a_yoked_language_model_is_given_its_pairs_counts(tmp_path: Path, name: str) -> None:
    settings, design = LLM_DESIGNS[name]
    settings = {**settings, "checkpoint_every": 1}
    pairs = [run(seed, 1, settings=settings, **{**design, "rounds": 4}) for seed in (0, 1)]
    earned = llm_runs.execute(pairs)
    placebos = [
        replace(
            one, run_id=f"yoked-{s}", pair=one.run_id, design=Design.model_validate(yoked(dict(one.design)))
        )
        for s, one in enumerate(pairs)
    ]
    with pytest.raises(InputError, match="is not recorded; first run the condition with reward"):
        llm_runs.execute(placebos, None, tmp_path)
    for one, tables in zip(pairs, earned, strict=True):
        write_run(tmp_path, one, tables, provenance((), "now"))
    whole = llm_runs.execute(placebos, None, tmp_path)
    for pair, placebo in zip(earned, whole, strict=True):
        exposure = ["round", "item", "n", "reward_sum"]
        assert placebo.groups.select(exposure).equals(pair.groups.select(exposure))
        assert not placebo.texts.equals(pair.texts)
        assert placebo.checkpoint != pair.checkpoint

    class StoppedError(Exception):
        pass

    def tick(fraction: float) -> None:
        if fraction >= 0.5:
            raise StoppedError

    for one in placebos:
        shutil.rmtree(tmp_path / "training" / one.run_id, ignore_errors=True)
    with pytest.raises(StoppedError):
        llm_runs.execute(placebos, tick, tmp_path)
    again = llm_runs.execute(placebos, None, tmp_path)
    assert all(same(a, b) for a, b in zip(whole, again, strict=True))


def test_a_study_of_a_language_model_runs_yoked_conditions_after_their_pairs(tmp_path: Path) -> None:
    head = LUMPED[: LUMPED.index("[[conditions]]")]
    text = head + YOKED + '[[conditions]]\nname = "raw"\n' + LLM
    outcome = llm_runs.run(parse_study(text), tmp_path, workers=1)
    assert (outcome.done, outcome.failed) == (8, [])
