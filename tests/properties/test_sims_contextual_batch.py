"""Batches, populations and records of the contextual world: what must be equal, and what must not."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.contextual_replay import ROOT, Floats, Setting, setting, train

import sims
from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.records import EVALS, TABLES, check_table
from banditrft.rewards import honest
from banditrft.runs import Run, world_key
from banditrft.theory.matching import matching_factor
from banditrft.worlds import ContextualWorld
from sims.contextual import run as contextual_run
from sims.contextual import simulator as contextual
from sims.contextual.contexts import stage

POOL = ContextualWorld(
    seeds=24,
    dimension=9,
    train_items=7,
    base_pass_at_1=(0.05, 0.6),
    offset_spread=0.4,
    partial=0.25,
    test_items=30,
)
ONE = ContextualWorld(seeds=24, dimension=9, base_pass_at_1=0.3)
STEP: dict[str, object] = {"optimizer": "sgd", "learning_rate": 0.1, "rounds": 30}
DESIGNS: dict[str, dict[str, object]] = {
    "raw": {},
    "grpo": {"signal": "grpo", "rollouts": 4, "batch_size": 3},
    "whitened": {"signal": "reinforce-plus-plus", "rollouts": 3, "batch_size": 5, "optimizer": "adam"},
    "window": {"signal": "grpo", "rollouts": 2, "batch_size": 9, "replay_window": 9, "baseline_rollouts": 1},
    "all": {
        "signal": "rloo",
        "rollouts": 3,
        "batch_size": 4,
        "kl_coef": 0.05,
        "updates_per_round": 2,
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "grad_clip": 0.2,
        "reward": "random",
    },
}


def ends(made: Setting, **fields: object) -> Floats:
    return train(made, (1, 7, 30), **{**STEP, **fields}).w_RFD


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_company_does_not_matter(design: str, tau: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit-identical for any seeds side by side, and any number of them at once."""
    fields = {**DESIGNS[design], **({"updates_per_round": 1} if tau else {})}
    world = POOL.model_copy(update={"arm_noise": tau})
    whole = ends(setting(world, range(24)), **fields)
    for at_once in (1, 20_000):
        monkeypatch.setattr(contextual, "BYTES_AT_ONCE", at_once)
        np.testing.assert_array_equal(ends(setting(world, range(24)), **fields), whole)
    some = [17, 3, 22]
    np.testing.assert_array_equal(ends(setting(world, some), **fields), whole[some])


def test_copies_are_a_group_cut_up() -> None:
    """With one query and raw rewards, B copies of G rollouts are one group of B G; with groups' means not."""
    made = setting(ONE, range(24))
    whole = ends(made, rollouts=8)
    np.testing.assert_allclose(ends(made, batch_size=2, rollouts=4), whole, rtol=1e-11)
    for signal in ("batch-centered", "reinforce-plus-plus"):
        np.testing.assert_allclose(
            ends(made, batch_size=2, rollouts=4, signal=signal),
            ends(made, rollouts=8, signal=signal),
            rtol=1e-11,
        )
    cut = ends(made, batch_size=2, rollouts=4, signal="centered")
    assert np.abs(cut - ends(made, rollouts=8, signal="centered")).max() > 1e-3


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("reward", [*honest(), "yoked"])
@pytest.mark.parametrize(
    ("signal", "B", "G"),
    [("raw", 1, 1), ("raw", 3, 5), ("centered", 2, 4), ("grpo", 9, 6), ("rloo", 3, 2), ("gpg", 1, 4),
     ("batch-centered", 1, 3), ("reinforce-plus-plus", 1, 8)],
)  # fmt: skip
def test_both_paths_are_one(
    signal: str, B: int, G: int, reward: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds by a table of signals and rounds by arrays of rollouts: the same numbers, up to rounding."""
    made = setting(POOL, range(8))
    fields = {
        **STEP, "signal": signal, "batch_size": B, "rollouts": G, "reward": reward, "optimizer": optimizer,
        "learning_rate": 0.02, "grad_clip": 0.3, "weight_decay": 0.5 if optimizer == "adamw" else 0.0,
        "adam_eps": 1e-3,
    }  # fmt: skip
    fast = train(made, (0, 7, 30), factor=1.3, **fields)
    monkeypatch.setattr(contextual, "has_table", lambda *_: False)
    slow = train(made, (0, 7, 30), factor=1.3, **fields)
    np.testing.assert_allclose(fast.w_RFD, slow.w_RFD, atol=1e-10)
    for name, array in vars(slow.trace).items():
        np.testing.assert_allclose(getattr(fast.trace, name), array, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("signal", ["centered", "grpo", "rloo"])
def test_a_window_of_the_group_is_the_group(signal: str) -> None:
    made = setting(POOL, range(24))
    fields = {"signal": signal, "rollouts": 4, "batch_size": 5}
    plain = ends(made, **fields)
    for window in (1, 4):
        np.testing.assert_array_equal(ends(made, **fields, replay_window=window), plain)
    longer = ends(made, **fields, replay_window=12)
    np.testing.assert_allclose(longer[:, 0], plain[:, 0], atol=1e-14)
    assert np.abs(longer - plain).max() > 1e-3


def test_raw_rewards_have_no_use_for_a_population() -> None:
    made = setting(POOL, range(24))
    plain = ends(made, rollouts=2, batch_size=3)
    for fields in ({"baseline_rollouts": 6}, {"replay_window": 20}):
        np.testing.assert_array_equal(ends(made, rollouts=2, batch_size=3, **fields), plain)
    centered = {"rollouts": 2, "batch_size": 3, "signal": "centered"}
    assert np.abs(ends(made, **centered, baseline_rollouts=6) - ends(made, **centered)).max() > 1e-3


@pytest.mark.parametrize("signal", ["centered", "grpo", "rloo", "batch-centered", "reinforce-plus-plus"])
def test_a_constant_added_to_all_rewards_is_nothing(signal: str) -> None:
    made = setting(POOL, range(24))
    fields = {"rollouts": 4, "batch_size": 3, "signal": signal}
    shifted = ends(made, **fields, reward="minus-one-zero")
    np.testing.assert_allclose(shifted, ends(made, **fields), atol=1e-10)
    assert np.abs(ends(made, reward="minus-one-zero") - ends(made)).max() > 1e-3


def test_baseline_rollouts_make_the_mean_the_base() -> None:
    """With very many of them a centred reward is r minus the query's own Pass@1: unbiased, per query."""
    made = setting(POOL, range(24))
    fields = {"rollouts": 2, "batch_size": 3, "signal": "centered", "rounds": 1, "optimizer": "sgd"}
    paths = train(made, (1,), **fields, learning_rate=0.1, baseline_rollouts=4000)
    rows = np.arange(24)[:, None]
    items = paths.trace.items_RTB[:, 0]
    odds = (np.einsum("rnd,rd->rn", made.pool.u_PND, made.w0_PD) + made.pool.offset_PN)[rows, items]
    p = 1 / (1 + np.exp(-odds))
    right = paths.trace.correct_RTB[:, 0]
    slopes = (right * (1 - p) * (1 - p) + (2 - right) * p * p) / 6
    step = 0.1 * (slopes[..., None] * made.pool.u_PND[rows, items]).sum(axis=1)
    np.testing.assert_allclose(paths.w_RFD[:, 0] - made.w0_PD, step, atol=0.02)


def test_every_condition_meets_the_same_queries() -> None:
    made = setting(POOL, range(24))
    first = train(made, (), **{**STEP, "batch_size": 3}).trace.items_RTB
    for fields in DESIGNS["grpo"], {**DESIGNS["all"], "batch_size": 3}:
        np.testing.assert_array_equal(train(made, (), **{**STEP, **fields}).trace.items_RTB, first)
    singles = train(made, (), **{**STEP, "rounds": 90}).trace.items_RTB
    np.testing.assert_array_equal(singles.reshape(24, 30, 3), first)


def run(world: ContextualWorld, seeds: range, **fields: object) -> Run:
    design = Design(**{**STEP, "batch_size": 3, "rollouts": 4, **fields})  # type: ignore[arg-type]
    return Run("id", world, "c", design, Evaluation(eval_every=10, test_every=15), ROOT, seeds)


def test_records_of_a_pool() -> None:
    tables = sims.execute(run(POOL, range(5, 9), signal="grpo"))
    for name, schema in TABLES.items():
        check_table(getattr(tables, name), schema, name)
    check_table(tables.final, EVALS, "final")
    assert tables.groups.height == 4 * 30 * 3
    assert set(tables.groups["item"]) == set(range(7))
    train_rows = tables.evals.filter(pl.col("split") == "train")
    assert train_rows["round"].to_list() == [0, 10, 20, 30] * 4
    assert set(train_rows["n"]) == {7 * 64}
    assert train_rows["item"].null_count() == train_rows.height
    z = (train_rows["correct_strict"] / train_rows["n"] - train_rows["p_exact"]) / (0.25 / (7 * 64)) ** 0.5
    assert z.abs().max() < 4  # type: ignore[operator]
    test_rows = tables.evals.filter(pl.col("split") == "test")
    assert test_rows["round"].to_list() == [0, 15, 30] * 4
    looked = tables.rounds.filter(pl.col("round") % 10 == 0)
    rest = tables.rounds.filter(pl.col("round") % 10 != 0)
    for name in ("entropy", "kl"):
        assert (looked[name] > 0).all()
        assert rest[name].null_count() == rest.height
    assert (tables.rounds["update_norm"] >= 0).all()
    by_round = tables.groups.group_by("seed", "round", maintain_order=True).agg(
        pl.col("reward_sum").sum() / 12, silent=(pl.col("correct_strict") % 4 == 0).mean()
    )
    np.testing.assert_allclose(tables.rounds["reward_mean"], by_round["reward_sum"])
    np.testing.assert_allclose(tables.rounds["zero_signal_fraction"], by_round["silent"])


def test_records_do_not_depend_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(POOL, range(10), signal="grpo")
    whole = sims.execute(made)
    monkeypatch.setattr(contextual_run, "BYTES_AT_ONCE", 1)
    parts = sims.execute(made)
    for name in (*TABLES, "final"):
        keys = ["seed", "round"] + (["split"] if "split" in getattr(whole, name).columns else [])
        assert (
            getattr(parts, name)
            .sort(keys, maintain_order=True)
            .equals(getattr(whole, name).sort(keys, maintain_order=True))
        )


def test_groups_are_kept_on_request_only() -> None:
    quiet = sims.execute(run(POOL.model_copy(update={"keep_groups": False}), range(3)))
    loud = sims.execute(run(POOL, range(3)))
    assert quiet.groups.height == 0
    assert quiet.rounds.equals(loud.rounds)
    assert quiet.evals.equals(loud.evals)


def test_graded_answers_earn_half() -> None:
    groups = sims.execute(run(POOL, range(24), reward="graded", rollouts=1, batch_size=7)).groups
    wrong = groups.filter(pl.col("correct_strict") == 0)["reward_sum"].to_numpy()
    assert set(wrong) == {0.0, 0.5}
    n = len(wrong)
    assert abs((wrong == 0.5).sum() - 0.25 * n) < 4 * np.sqrt(0.25 * 0.75 * n)
    assert set(groups.filter(pl.col("correct_strict") == 1)["reward_sum"]) == {1.0}


def test_placebo_pays_at_each_querys_own_base() -> None:
    made = setting(POOL, range(24))
    trace = train(made, (), **{**STEP, "rounds": 300}, reward="random", batch_size=7, rollouts=1).trace
    base = 1 / (1 + np.exp(-(np.einsum("rnd,rd->rn", made.pool.u_PND, made.w0_PD) + made.pool.offset_PN)))
    for row in range(24):
        for n in range(7):
            paid = trace.reward_sum_RTB[row][trace.items_RTB[row] == n]
            p = base[row, n]
            assert len(paid) == 300
            assert abs(paid.sum() - 300 * p) < 5 * np.sqrt(300 * p * (1 - p)) + 1


def test_matched_step_of_a_pool() -> None:
    """One base: that base's factor. Several: the mean drift over queries equals raw's."""
    design = Design(**{**STEP, "signal": "grpo", "rollouts": 4, "match_step_size": True})  # type: ignore[arg-type]
    assert contextual_run.factor(design, ONE) == matching_factor(design, 0.3)
    factor = contextual_run.factor(design, POOL)
    p = contextual_run.base_levels(POOL)
    assert (np.diff(p) > 0).all()
    assert p[0] > 0.05
    assert p[-1] < 0.6
    own = p * (1 - p) / [matching_factor(design, float(q)) for q in p]
    assert factor * own.sum() == pytest.approx((p * (1 - p)).sum())
    large = setting(POOL.model_copy(update={"train_items": 4000}), [1])
    odds = large.pool.u_PND[0] @ large.w0_PD[0] + large.pool.offset_PN[0]
    levels = (np.arange(64) + 0.5) / 64
    np.testing.assert_allclose(p, np.quantile(1 / (1 + np.exp(-odds)), levels), atol=0.03)


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "batch signal with a baseline": (
        {"signal": "gpg", "baseline_rollouts": 2},
        "baseline_rollouts, replay_window",
    ),
    "matched batch signal": (
        {"signal": "batch-centered", "match_step_size": True, "batch_size": 2},
        "match_step_size",
    ),
    "matched graded": (
        {"signal": "grpo", "rollouts": 4, "reward": "graded", "match_step_size": True},
        "match_step_size",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_runs(case: str) -> None:
    fields, message = REFUSED[case]
    design = Design(**{**STEP, "rollouts": 2, **fields})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        contextual_run.check(design, POOL)


def test_weights_that_overflow_are_an_error() -> None:
    with pytest.raises(InputError, match="learning_rate: weights left double precision"):
        ends(setting(ONE.model_copy(update={"noise": 50.0}), range(4)), learning_rate=1.7e308)


def test_a_file_of_features_counts_by_its_content(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arrays = {"train": rng.normal(size=(3, 4)), "test": rng.normal(size=(5, 4)), "w0": np.full(4, 0.2)}
    keys = []
    for name, w0 in (("a", 0.2), ("b", 0.2), ("c", 0.3)):
        np.savez(tmp_path / f"{name}.npz", **{**arrays, "w0": np.full(4, w0)})
        keys.append(world_key(ContextualWorld(seeds=2, features=str(tmp_path / f"{name}.npz"))))
    assert keys[0] == keys[1] != keys[2]
    world = ContextualWorld(seeds=2, features=str(tmp_path / "a.npz"))
    tables = sims.execute(run(world, range(2)))
    base = 1 / (1 + np.exp(-(arrays["train"] @ np.full(4, 0.2))))
    first = tables.evals.filter((pl.col("split") == "train") & (pl.col("round") == 0))
    np.testing.assert_allclose(first["p_exact"], base.mean())
    assert stage(world, 0).train_items == 3
    with pytest.raises(InputError, match="cannot be read"):
        world_key(ContextualWorld(seeds=2, features=str(tmp_path / "none.npz")))
