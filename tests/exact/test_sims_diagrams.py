"""Each phase diagram on a small grid: its schema, a fact that theory knows, and that it can be drawn and told."""

import math
from types import ModuleType

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from banditrft.errors import InputError
from banditrft.theory.flow import flow_time
from sims.diagrams import (
    advantage,
    batch,
    cells,
    exploration,
    forgetting,
    length,
    negative,
    noise,
    replay,
    style,
)

pytestmark = pytest.mark.slow(15)


def told(module: ModuleType, table: pl.DataFrame, named: str) -> None:
    """A figure that does not change from call to call, and sentences with the table's numbers in them."""
    first, second = (style.svg(module.draw(table)) for _ in range(2))
    assert first == second
    assert first.startswith(b"<?xml")
    assert named in module.finding(table)
    assert len(module.caption(table)) > 400
    assert "{" not in module.finding(table).replace("{-1, 0}", "").replace("{0, 1}", "")
    assert module.QUESTION.endswith("?")
    errors = [name for name in table.columns if name.endswith("_se")]
    assert errors
    assert all((table[name].drop_nulls() >= 0).all() for name in errors)


def test_advantage() -> None:
    grid = advantage.AdvantageCells(p0=(0.1, 0.4), rollouts=(2, 8), batch=(1, 8), rounds=200)
    table = advantage.compute(12, grid)
    assert len(table) == 16
    gap = table["speed_up"] / table["speed_up_theory"] - 1
    assert gap.abs().max() < 0.25
    one = table.filter(pl.col("batch_size") == 1)
    assert one["test_gain"].abs().max() < 1e-4  # one query, one path: theory section 6
    assert table.filter(pl.col("batch_size") == 8)["test_gain"].abs().max() > 1e-4
    pair = table.filter((pl.col("rollouts") == 2) & ~pl.col("step_matched"))
    np.testing.assert_allclose(pair["speed_up_theory"], math.sqrt(0.5), rtol=1e-5)  # ddof 1 at G = 2
    told(advantage, table, f"{table.filter('step_matched')['speed_up'].max():.2f}")


def test_the_noiseless_flow_is_section_2s() -> None:
    design = advantage.Design(rollouts=8, optimizer="sgd", learning_rate=1.0, rounds=1)
    many = 10**12  # 1/m + 1/(K - m) = 1 with one correct arm
    for p0 in (0.02, 0.3):
        exact = flow_time(p0, advantage.LEARNT, 1.0, 1, many)
        assert advantage.flow_rounds(design, p0) == pytest.approx(exact, rel=2e-3)


def test_negative() -> None:
    few = negative.compute(
        64, negative.NegativeCells(p0=(0.02,), sgd=(1.0, 2.0), adam=(), wrong=(10,), correct=(1,))
    )
    for row, trapped in zip(few.iter_rows(named=True), (0.49, 0.09), strict=True):  # section 5, p400
        assert row["horizon"] == 400
        assert row["negative_pass_at_1"] == pytest.approx(trapped, abs=0.17)
        assert row["positive_fails"] == 0
    spread = negative.NegativeCells(p0=(0.02, 0.3), sgd=(2.0,), adam=(0.05,), wrong=(475,), correct=(25,))
    table = negative.compute(12, spread)
    sgd = table.filter(pl.col("optimizer") == "sgd").sort("p0")
    assert sgd["negative_fails_4x"].to_list() == [1.0, 0.0]
    assert sgd["positive_fails_4x"].to_list() == [0.0, 0.0]
    assert sgd["trap_ratio"][0] > 2 > 0.5 > sgd["trap_ratio"][1]
    assert table.filter(pl.col("optimizer") == "adam")["trap_ratio"].null_count() == 2
    told(negative, table, "of 2 cells under SGD")


def test_forgetting() -> None:
    grid = forgetting.ForgettingCells(p0=(0.005, 0.1, 0.6), misalignment=(0.3, 0.9))
    table = forgetting.compute(24, grid)
    assert (table["learnt"] == 1).all()
    off = (table["test_change"] - table["theory"]).abs() - 4 * table["test_change_se"]
    assert off.max() < 0.005
    known = table.filter((pl.col("optimizer") == "sgd") & (pl.col("misalignment") == 0.9)).sort("p0")
    np.testing.assert_allclose(known["theory"] + 0.7264, [0.675, 0.728, 0.747], atol=0.003)  # section 6
    assert known["threshold_p0"][0] == pytest.approx(1 / (1 + math.exp(0.81 / 0.3)))
    told(forgetting, table, "of 12 cells")


def test_replay() -> None:
    grid = replay.ReplayCells(pool=(32,), steps=(1 / 64, 0.5), distance=4.0)
    table = replay.compute(8, grid)
    fresh = table.filter(pl.col("condition") == "fresh statistics").sort("step")
    slow, fast = fresh["replay_slower"].to_list()
    assert slow == pytest.approx(1.0, abs=0.06)
    assert fast > 1.2
    np.testing.assert_allclose(fresh["replay_slower_theory"], [slow, fast], rtol=0.12)
    assert fresh["lag_theory"][1] > 5 * fresh["lag_theory"][0]
    window = table.filter(pl.col("condition") == "window")
    assert (window["replay_slower"] == 1).all()
    assert (window["replay_ahead_test"] == 0).all()
    told(replay, table, f"{fast:.2f}")


def test_batch() -> None:
    grid = batch.BatchCells(pool=(1, 16), batch=(1, 16), horizons=(50, 300))
    table = batch.compute(16, grid)
    assert len(table) == 8
    late_one = table.filter((pl.col("pool") == 1) & (pl.col("rounds") == 300))
    assert late_one["gain_of_advantages"].abs().max() < 0.005  # one path under Adam's signs, nearly
    assert late_one["train_raw_1"].min() > 0.98
    many = table.filter((pl.col("pool") == 16) & (pl.col("batch_size") == 1) & (pl.col("rounds") == 50))
    assert many["gain_of_rollouts"][0] > 3 * many["gain_of_rollouts_se"][0]
    assert (table["test_gain_raw_g"] > table["test_gain_placebo"]).all()
    told(batch, table, "16 queries, after 50 rounds")


def test_noise(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(noise.VARIABLE, str(public_table(tmp_path)))
    grid = noise.NoiseCells(rates=(0.0, 0.4), partial=(1.0,), rollouts=(4, 16), horizons=(60,), pool=64)
    table = noise.compute(3, grid)
    exact = table.filter(
        (pl.col("kind") == "noisy") & (pl.col("margin") == 1.0) & (pl.col("arm_noise") == 0.0)
    )
    paid_half = table.filter((pl.col("kind") == "graded") & (pl.col("arm_noise") == 0.0))
    np.testing.assert_allclose(  # rewards 1/2 and 1 are 0 and 1 to GRPO
        paid_half.sort("rollouts")["test_pass_at_1"], exact.sort("rollouts")["test_pass_at_1"], atol=2e-5
    )
    noisy = table.filter(pl.col("kind") == "noisy").sort("margin")
    assert noisy.filter(pl.col("margin") < 0.3)["test_pass_at_1"].max() < exact["test_pass_at_1"].min()
    fits = table.filter((pl.col("kind") == "fit") & (pl.col("least_margin") == 0.0))
    assert (fits["estimate"] > 0).all()
    assert (fits["low"] < fits["estimate"]).all()
    told(noise, table, "public runs")


def public_table(folder):  # type: ignore[no-untyped-def]
    """Runs as in the public table, from a known line."""
    rng = np.random.default_rng(1)
    rows = []
    for i in range(120):
        fp, fn = rng.choice([0, 0.1, 0.2, 0.3], 2)
        G = int(rng.choice([4, 8, 16, 32, 64]))
        model = "grpo0.5B" if i % 3 == 0 else "grpo1.5B"
        logit = -1.0 + 1.5 * (1 - fp - fn) + 0.1 * math.log2(G) - (i % 3 == 0) * 0.8
        accuracy = rng.binomial(256, 1 / (1 + math.exp(-logit))) / 256
        rows.append((f"{model}-{i}", fp, fn, G, accuracy))
    names = [
        "run_name",
        "false_positive_rate",
        "false_negative_rate",
        "num_rollouts",
        "final_validation_accuracy",
    ]
    path = folder / noise.FILE
    path.parent.mkdir()
    pl.DataFrame(rows, schema=names, orient="row").write_csv(path)
    return folder


def test_slopes_are_those_of_least_squares_with_hc3(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(noise.VARIABLE, str(public_table(tmp_path)))
    runs = noise.read_public_runs(noise.find_public_runs())
    X = np.column_stack(
        [runs["margin"], np.log2(runs["rollouts"]), runs["model"] == "0.5B", runs["model"] == "1.5B"]
    )
    fit = sm.OLS(runs["logit"].to_numpy(), X.astype(float)).fit(cov_type="HC3")
    for i, row in enumerate(noise.slopes(runs, "made up")):
        assert row["estimate"] == pytest.approx(fit.params[i], rel=1e-9)
        assert [row["low"], row["high"]] == pytest.approx(list(fit.conf_int()[i]), rel=1e-6)
        assert row["low"] < (1.5, 0.1)[i] < row["high"]
        assert row["runs"] == 120


def test_a_folder_without_the_public_table_is_named(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(noise.VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match="BANDITRFT_DATA: must name a folder that holds"):
        noise.find_public_runs()
    monkeypatch.delenv(noise.VARIABLE)
    monkeypatch.chdir(tmp_path)
    assert noise.find_public_runs() is None


def test_exploration() -> None:
    grid = exploration.ExplorationCells(
        arms=(10, 10**4, 10**9), rewards=((0.0, 1.0),), looks=(30, 150, 300), most_searched=10
    )
    table = exploration.compute(40, grid)
    regret = table.sort("round").group_by("told_the_policy", "algorithm", "arms", maintain_order=True)
    assert all((np.diff(rows["regret"]) >= 0).all() for _, rows in regret)
    last = table.filter(pl.col("round") == 300)
    sgd = last.filter(pl.col("told_the_policy") & (pl.col("algorithm") == "policy gradient, SGD")).sort(
        "arms"
    )
    assert sgd["pass_at_1"].min() > 0.95
    assert sgd["regret"].to_list()[1:] == pytest.approx([sgd["regret"][1]] * 2, rel=0.01)  # whatever K
    lost = last.filter((pl.col("algorithm") == "UCB1") & (pl.col("arms") > 300))
    assert (lost["pass_at_1"] == 0).all()
    assert (lost.filter("told_the_policy")["regret"] == 299).all()  # it finds the arm, and leaves it
    waits = last.drop_nulls(["first_correct", "first_correct_theory"])
    off = (waits["first_correct"] - waits["first_correct_theory"]).abs() / waits["first_correct_se"]
    assert len(waits) > 8
    assert off.max() < 4.5
    told(exploration, table, "UCB1 pulls 299 wrong arms in 300 rounds")


def test_curves_are_read_between_evaluations() -> None:
    train = np.array([[0.1, 0.5, 0.9], [0.1, 0.2, 0.3], [0.8, 0.9, 0.95]])
    paths = cells.Curves(np.array([0, 10, 20]), train, np.array([[0.2, 0.4, 0.8]] * 3))
    rounds, test = paths.at(0.75)  # log 3 is half of log 9
    np.testing.assert_allclose(rounds, [15, np.nan, 0])
    np.testing.assert_allclose(test, [0.6, np.nan, 0.2])


def test_errors_of_shares_and_ratios() -> None:
    assert cells.share_error(0, 16) > 0
    top, bottom = np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0])
    assert cells.ratio_error(top, bottom) == 0
    rng = np.random.default_rng(0)
    draws = [(rng.normal(3, 0.3, 50), rng.normal(2, 0.2, 50)) for _ in range(400)]
    ratios = [a.mean() / b.mean() for a, b in draws]
    assert np.mean([cells.ratio_error(a, b) for a, b in draws]) == pytest.approx(np.std(ratios), rel=0.1)


def test_length() -> None:
    grid = length.LengthCells(
        tokens=(1, 6), rollouts=(2, 8), geometries=("direction", "table"), rate=0.05, rounds=400
    )
    table = length.compute(12, grid)
    assert len(table) == 8
    gap = (table["ratio"] / table["ratio_theory"] - 1).abs()
    assert gap.filter(table["geometry"] == "direction").max() < 0.1
    assert gap.max() < 0.2
    one = table.filter(pl.col("geometry") == "direction").sort("tokens", "rollouts")
    assert one["ratio"].to_list()[1] == pytest.approx(1, abs=0.05)  # one choice of two: a baseline is free
    assert one["ratio"].to_list()[3] > 1.3
    told(length, table, "RLOO")
