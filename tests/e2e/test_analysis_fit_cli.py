"""`banditrft fit` on files and studies, through the command line; and on real learning curves where they are."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from support import analysis as studies
from support import fits as fixtures

from analysis.fits.curves import CURVES
from analysis.fits.tables import plain
from banditrft.cli import banditrft
from banditrft.errors import InputError

pytestmark = pytest.mark.slow(12)

VARIABLE = "BANDITRFT_DATA"
CHEAP = "constant per item,mean of the last five,hierarchical logistic"


def run(*arguments) -> str:
    result = CliRunner().invoke(banditrft, ["fit", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    rng = np.random.default_rng(1)
    panel = fixtures.panel(fixtures.walked(40, 9, rng, shift=0.08), 8, rng)
    return fixtures.write_fractions(tmp_path_factory.mktemp("many") / "many.json", panel)


def test_many_items_are_fitted_together_and_forecast(many):
    found = json.loads(run(many, "--n", 8, "--forecast", 6, "--until", 8, "--models", CHEAP, "--json"))
    (fit,) = found["fits"]
    assert (found["what"], fit["entries"], fit["until"], fit["cells"]) == ("items", 6, 8, 80)
    assert fit["main"] in {"hierarchical logistic in linear time", "hierarchical logistic in log time"}
    assert all(0 < row["log_loss"] < 1 for row in fit["models"])
    assert sum(row["chosen"] for row in fit["models"]) == 3


def test_without_a_forecast_models_are_fitted_to_everything(many, tmp_path):
    run(many, "--n", 8, "--models", "hierarchical logistic", "--out", tmp_path)
    text = (tmp_path / "fit.md").read_text()
    assert "Scored" not in text
    assert "| level_sd |" in text


def test_the_walk_and_its_mechanisms_are_in_the_table(tmp_path):
    rng = np.random.default_rng(2)
    path = fixtures.write_fractions(tmp_path / "w.json", fixtures.panel(fixtures.walked(12, 5, rng), 4, rng))
    arguments = ["--n", 4, "--forecast", 4, "--models", "constant per item", "--ablations"]
    rows = json.loads(run(path, *arguments, "--json"))["fits"][0]["models"]
    mechanisms = [row for row in rows if row["family"] == "mechanisms"]
    assert {"the walk", "with own push too", "without tilt"} <= {row["model"] for row in mechanisms}
    assert all(row["compared_with"] == "the walk" for row in mechanisms)


def test_a_line_per_condition_is_printed_and_the_tables_are_written(many, tmp_path):
    printed = run(many, "--n", 8, "--models", CHEAP, "--forecast", 6, "--out", tmp_path / "out")
    text, found = ((tmp_path / "out" / name).read_text() for name in ("fit.md", "fit.json"))
    (fit,) = json.loads(found)["fits"]
    best = fit["conclusion"]["held_out"]["best"]
    assert fit["conclusion"]["held_out"]["units"] == "items"
    assert min(fit["models"], key=lambda row: row["log_loss"])["model"] == best
    line = printed.splitlines()[1]
    assert line.startswith(fit["name"])
    assert best in line
    assert best in text
    assert "| level_sd |" in text
    assert "level_sd" not in printed


def test_the_best_curve_is_named_and_what_is_as_good(tmp_path):
    """Ten runs of a logistic curve: the constant is worse by both measures, over runs as units."""
    rng, rounds = np.random.default_rng(6), np.arange(12)
    p = 1 / (1 + np.exp(2 - 0.4 * rounds))
    rows = {"item": ["a"] * 120, "round": np.tile(rounds, 10), "n": 64, "seed": np.repeat(np.arange(10), 12)}
    pl.DataFrame(rows | {"correct": rng.binomial(64, np.tile(p, 10))}).write_csv(tmp_path / "t.csv")
    (fit,) = json.loads(run(tmp_path / "t.csv", "--models", "constant,logistic", "--json"))["fits"]
    aic, later = fit["conclusion"]["aic"], fit["conclusion"]["held_out"]
    scores = {row["model"]: row["aic"] for row in fit["models"]}
    assert (aic["best"], aic["next"], aic["not_distinguished_from"]) == ("logistic", "constant", [])
    assert aic["by"] == pytest.approx(scores["constant"] - scores["logistic"])
    assert (later["best"], later["not_distinguished_from"], later["units"]) == ("logistic", [], "10 runs")
    assert 0 < later["low"] < later["by"] < later["high"]
    assert (later["fitted"], later["scored"]) == (8, 4)


def test_of_one_run_nothing_held_out_is_distinguished(tmp_path):
    rows = {"item": ["a"] * 6, "round": range(6), "n": 32, "correct": [2, 5, 9, 14, 20, 24]}
    pl.DataFrame(rows).write_csv(tmp_path / "t.csv")
    (fit,) = json.loads(run(tmp_path / "t.csv", "--models", "constant,logistic", "--json"))["fits"]
    later = fit["conclusion"]["held_out"]
    assert later["low"] is None
    assert set(later["not_distinguished_from"]) | {later["best"]} == {
        "constant",
        "logistic",
        "mean of the last 5",
    }


def test_the_mean_over_items_is_one_curve(many):
    found = json.loads(run(many, "--n", 8, "--what", "mean", "--models", "constant,logistic", "--json"))
    assert [row["model"] for row in found["fits"][0]["models"]] == [
        "constant",
        "logistic",
        "mean of the last 5",
    ]


def test_few_items_are_fitted_one_by_one(tmp_path):
    table = pl.DataFrame({"item": ["a"] * 6 + ["b"] * 6, "round": [0, 1, 2, 3, 4, 5] * 2, "n": 32})
    table.with_columns(pl.Series("correct", [2, 5, 9, 14, 20, 24, 30, 31, 29, 30, 32, 31])).write_csv(
        tmp_path / "t.csv"
    )
    arguments = ["fit", str(tmp_path / "t.csv"), "--forecast", "4", "--models", "logistic", "--json"]
    result = CliRunner().invoke(banditrft, arguments, catch_exceptions=False)
    assert [line for line in result.stderr.splitlines() if line] == ["[1/2] done run, a", "[2/2] done run, b"]
    found = json.loads(result.stdout)
    assert [fit["name"] for fit in found["fits"]] == ["run, a", "run, b"]
    assert found["fits"][0]["models"][0]["held_out_log_loss"] > 0


def test_numbers_without_a_value_are_null():
    found = plain(
        {"a": [1.5, float("nan"), (float("inf"), "nan")], "b": {"c": -float("inf"), "d": None, "e": 2}}
    )
    assert json.dumps(found, allow_nan=False)
    assert found == {"a": [1.5, None, [None, "nan"]], "b": {"c": None, "d": None, "e": 2}}


def test_items_of_different_lengths_are_fitted(tmp_path):
    rng = np.random.default_rng(3)
    rates = fixtures.panel(fixtures.walked(12, 7, rng), 8, rng).rates_IE()
    path = tmp_path / "ragged.json"
    path.write_text(json.dumps({str(i): row[: 5 + i % 3].tolist() for i, row in enumerate(rates)}))
    found = json.loads(run(path, "--n", 8, "--forecast", 4, "--models", "constant per item", "--json"))
    assert found["fits"][0]["cells"] == 4 * (1 + 2 + 3)


def test_a_study_s_folder_is_fitted_condition_by_condition(tmp_path):
    root = studies.write(tmp_path / "s", studies.study(sim_seeds=4, llm_seeds=0))
    text = run(root, "--models", "logistic, bandit", "--split", "train", "--out", tmp_path / "out")
    assert any(line.startswith("lumped: G=4 ") for line in text.splitlines())
    assert "Bandit model, lumped" in text
    assert "## lumped: G=4" in (tmp_path / "out" / "fit.md").read_text()


def test_models_named_without_the_bandit_leave_it_out(tmp_path):
    root = studies.write(tmp_path / "s", studies.study(sim_seeds=4, llm_seeds=0))
    assert "bandit" not in json.loads(run(root, "--models", "constant", "--json"))


FAULTS = {
    "NaN": ('{"a": [0.5, NaN]}', ["--n", "8"], "item 'a', entry 1: must be a multiple of 1/8"),
    "fraction": ('{"a": [0.5, 0.3]}', ["--n", "8"], "item 'a', entry 1: must be a multiple of 1/8"),
    "no n": ('{"a": [0.5]}', [], "n: a file of fractions needs the rollouts behind each"),
    "one entry": ('{"a": [0.5]}', ["--n", "8"], "needs? .* 2, got 1|have 2"),
    "all constant": ('{"a": [1.0, 1.0, 1.0]}', ["--n", "8"], "every answer is right"),
    "unknown model": (
        '{"a": [0.5, 1.0]}',
        ["--n", "8", "--models", "magic"],
        "--models: must be among constant",
    ),
    "until alone": ('{"a": [0.5, 1.0]}', ["--n", "8", "--until", "3"], "--until: needs --forecast"),
    "nothing to score": ('{"a": [0.5, 1.0]}', ["--n", "8", "--forecast", "2"], "must leave 2 or more rounds"),
    "too few items": (
        '{"a": [0.5, 1.0]}',
        ["--n", "8", "--what", "items"],
        "item models need at least 8 items",
    ),
    "ablations of curves": (
        '{"a": [0.5, 1.0]}',
        ["--n", "8", "--ablations"],
        "--ablations: are of item models",
    ),
    "no test counts": (
        '{"a": [0.5, 1.0]}',
        ["--n", "8", "--split", "test"],
        "holds no counts of split 'test'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_fitted_is_said_and_nothing_is_written(tmp_path, name):
    text, arguments, message = FAULTS[name]
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(InputError, match=message):
        run(tmp_path / "t.json", *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv"):
        run(tmp_path / "gone.csv")


def test_every_curve_model_has_a_row(tmp_path):
    rounds = np.arange(8)
    correct = [3, 6, 10, 15, 20, 24, 26, 27]
    pl.DataFrame({"item": "a", "round": rounds, "n": 32, "correct": correct}).write_csv(tmp_path / "t.csv")
    run(tmp_path / "t.csv", "--out", tmp_path / "out")
    text = (tmp_path / "out" / "fit.md").read_text()
    assert all(f"| {name} |" in text for name in CURVES)


@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} is not set: no real curves were forecast")
def test_references_forecast_the_real_curves_as_documented():
    path = Path(os.environ[VARIABLE]) / "one_shot_rlvr" / "accuracy_history.json"
    arguments = ["--n", 8, "--forecast", 20, "--until", 46, "--models", CHEAP, "--json"]
    rows = json.loads(run(path, *arguments))["fits"][0]["models"]
    recorded = json.loads((Path(__file__).parents[2] / "docs/results/forecast/forecast.json").read_text())
    known = {row["model"]: row["log_loss"] for row in recorded["fits"][0]["models"]}
    assert len(rows) == 12
    for row in rows:
        assert row["log_loss"] == pytest.approx(known[row["model"]], abs=2e-5)
