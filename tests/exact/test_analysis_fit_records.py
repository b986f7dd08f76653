"""The bandit fitted to whole studies: parameters, what limits them, and predictions of other conditions."""

import dataclasses
import json
import math

import numpy as np
import pytest
from support import analysis as studies
from support import bandit

import analysis
from analysis.fits.bandit import fit_records
from analysis.fits.bandit_prediction import observed, parameters_of
from analysis.fits.bandit_query import gain_of_queries
from analysis.fits.unseen import minimal, predict_unseen, ratio_of_gains
from analysis.fits.unseen_table import markdown
from analysis.loading.records import load
from banditrft.errors import InputError

pytestmark = pytest.mark.slow(7)

ADAM = ("G=1", "G=4", "GRPO")


@pytest.fixture(scope="module")
def records():
    return bandit.bandits()


@pytest.fixture(scope="module")
def lumped(records):
    return fit_records(records, "lumped")


@pytest.fixture(scope="module")
def contextual(records):
    return fit_records(records, "contextual")


@pytest.fixture(scope="module")
def predicted(records):
    return predict_unseen(records, "contextual")


@pytest.mark.parametrize("condition", [*ADAM, "G=1, SGD"])
def test_one_gain_describes_every_signal(contextual, condition):
    """Limits of this draw at 99.9%, so that a wrong model fails and luck does not."""
    found = contextual[condition]
    wide = 2.0 * math.log(found.gain.high / found.gain.median)
    assert abs(math.log(found.gain.median / found.known_gain)) < wide
    assert found.queries[0].base == pytest.approx(0.2, abs=0.04)
    assert found.misfit < 3.0


def test_a_single_direction_of_arms_is_recovered(lumped):
    low, high = lumped["G=1"].queries[0].step_interval
    assert low < 0.2 < high
    assert high / low < 1.4


def test_conditions_outside_the_closed_forms_are_left_out_with_the_reason(lumped):
    assert list(lumped.left_out) == ["placebo"]
    assert lumped.left_out["placebo"].startswith("reward: the closed forms cover 'zero-one'")


def test_replicated_runs_look_like_the_runs(lumped):
    names = {check.name for check in lumped["G=1"].checks}
    assert names == {"area", "final", "rounds", "seed_sd"}
    assert min(check.p for check in lumped["G=1"].checks) > 0.005


def test_residuals_compare_counts_with_the_fitted_path(lumped, records):
    first = lumped["G=1"].residuals[0]
    cell = records.of("lumped")["G=1"]
    assert first.observed == pytest.approx(cell.train[:, 0].mean())
    assert first.fitted == pytest.approx(lumped["G=1"].queries[0].base)
    n = cell.train_samples[:, 0].sum()
    sd = math.sqrt(first.fitted * (1 - first.fitted) / n)
    assert first.z == pytest.approx((first.observed - first.fitted) / sd, rel=0.1)


def test_predictions_of_unseen_conditions_hold(predicted):
    """One draw of 12 seeds: of 15 or so correlated rows at 95% at most a few may miss."""
    assert {row.condition for row in predicted.rows} == {"G=4", "GRPO", "G=1, SGD"}
    assert predicted.covered > 0.6
    assert predicted.closer > 0.5
    four = next(r for r in predicted.rows if (r.condition, r.quantity) == ("G=4", "rounds"))
    assert four.unchanged / four.predicted == pytest.approx(1.6, abs=0.35)
    assert four.low < four.predicted < four.high


def test_predictions_use_nothing_of_the_predicted_runs_but_their_base(records, predicted):
    """Other outcomes of G=4 change what is observed, not what is predicted."""
    cells = tuple(
        dataclasses.replace(c, train=np.where(c.rounds > 0, 0.5, c.train), final_correct=c.final_correct * 0)
        if c.condition == "G=4"
        else c
        for c in records.cells
    )
    again = predict_unseen(dataclasses.replace(records, cells=cells), "contextual")
    for old, new in zip(predicted.rows, again.rows, strict=True):
        assert (old.predicted, old.low, old.high) == (new.predicted, new.low, new.high)
    assert any(o.observed != n.observed for o, n in zip(predicted.rows, again.rows, strict=True))


def test_the_table_shows_every_row_and_what_was_left_out(predicted):
    text = markdown([predicted])
    assert text.count("\n| ") == len(predicted.rows) + 1
    assert "- Not predicted, placebo: reward: the closed forms cover" in text
    json.dumps(dataclasses.asdict(predicted))


def test_a_language_models_other_optimiser_is_not_predicted(tmp_path):
    study = studies.study(sim_seeds=0, llm_seeds=4, queries=2)
    found = predict_unseen(load(studies.write(tmp_path, study)), "tiny-qwen2")
    assert found.fitted == ("G=1", "G=1, SGD")
    assert {row.condition for row in found.rows} == {"G=4", "G=4, SGD"}
    assert found.left_out["G=1, SGD"].startswith("optimizer: sgd's log-odds per unit of step")
    assert {row.fitted for row in found.rows if row.condition == "G=4, SGD"} == {"G=1, SGD"}


def test_every_world_of_a_study_is_fitted(records):
    assert [fit.world for fit in analysis.fit(records)] == ["lumped", "contextual"]


def test_a_curve_that_never_moves_has_no_lower_limit(tmp_path):
    """Base .002 and 20 rounds: no run meets a success, and any small step is as good as none."""
    text = bandit.text(seeds=4, rounds=20, base=0.002, worlds=[bandit.LUMPED])
    fit = fit_records(bandit.run(text, tmp_path), "lumped", ["G=1"])["G=1"]
    assert fit.gain is None
    assert fit.checks == ()
    assert fit.queries[0].intervals["log_step"].low is None
    warnings = " ".join(fit.queries[0].warnings)
    assert "never moves" in warnings
    assert "no lower limit" in warnings


def test_one_run_says_that_it_is_one(tmp_path):
    text = bandit.text(seeds=1, worlds=[bandit.LUMPED])
    fit = fit_records(bandit.run(text, tmp_path), "lumped", ["G=1"])["G=1"].queries[0]
    assert any(warning.startswith("one run") for warning in fit.warnings)
    low, high = fit.step_interval
    assert low < 0.2 < high


def test_queries_with_equal_gains_share_them(lumped):
    """Three copies of one query: the common gain is the same, its error that of a mean of three."""
    one = lumped["G=1"].queries[0]
    several = gain_of_queries([one, one, one])
    assert several.median == pytest.approx(one.gain, rel=1e-3)
    assert several.between < 0.01
    assert several.error == pytest.approx(gain_of_queries([one]).error / math.sqrt(3), rel=1e-2)


def test_drawn_parameters_have_the_fits_error(lumped):
    one = lumped["G=1"].queries[0]
    drawn = parameters_of(one, 20_000, np.random.default_rng(0))
    low, high = np.quantile(drawn.log_gain_D, [0.025, 0.975])
    wanted = np.log(np.array(one.step_interval) / one.learning_rate)
    assert [low, high] == pytest.approx(wanted, abs=0.01)


def test_the_minimal_condition_has_the_fewest_raw_rollouts(records):
    assert minimal(records.of("contextual")) == {"adam": "G=1", "sgd": "G=1, SGD"}


def test_the_ratio_of_gains_is_that_of_the_settings(records):
    cells = records.of("lumped")
    ratio = ratio_of_gains(cells["G=1"].world, cells["G=1"].design, cells["G=1, SGD"].design)
    assert ratio == pytest.approx(1000 / 999 / 2)


def test_observed_statistics_are_those_of_the_cell(records):
    cell = records.of("lumped")["G=1"]
    assert observed(cell)["final"] == pytest.approx(cell.final_correct.sum() / cell.final_samples.sum())


def test_unknown_worlds_and_conditions_are_named(records, lumped):
    with pytest.raises(InputError, match="world: must be one of lumped, contextual, got 'llm'"):
        fit_records(records, "llm")
    with pytest.raises(InputError, match="world: must be one of lumped, contextual, got 'llm'"):
        predict_unseen(records, "llm")
    with pytest.raises(InputError, match=r"conditions: must be among G=1, .* got 'G=9'"):
        fit_records(records, "lumped", ["G=9"])
    with pytest.raises(InputError, match=r"condition: must be one of G=1, .* got 'placebo'"):
        lumped["placebo"]
