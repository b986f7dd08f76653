"""Records that the bandit cannot be fitted to: each says why, naming the file or the field."""

import polars as pl
import pytest
from support import bandit
from support.records import edit_table

import analysis
from analysis.fits.bandit import fit_records
from analysis.fits.bandit_data import check_world
from analysis.fits.unseen import predict_unseen
from analysis.loading.records import load
from banditrft.errors import InputError, RecordError
from banditrft.worlds import ImportedWorld

ONLY = """
[[conditions]]
name = "only"
{fields}
"""


def records(tmp_path, fields="", worlds=(bandit.LUMPED,), more=""):
    conditions = ONLY.format(fields=fields)
    text = bandit.text(seeds=3, rounds=10, conditions=conditions, worlds=worlds, more=more)
    return bandit.run(text, tmp_path)


def test_groups_of_another_size_are_refused_by_file(tmp_path):
    found = records(tmp_path)
    path = next(found.path.glob("*/groups.parquet"))
    edit_table(path, lambda table: table.with_columns(pl.lit(2, pl.Int32).alias("n")))
    with pytest.raises(
        RecordError, match=r"groups\.parquet: each seed needs 10 rounds of 1 groups of 1 rollouts"
    ):
        fit_records(load(found.path), "lumped")


def test_rounds_without_groups_are_refused_by_file(tmp_path):
    found = records(tmp_path)
    path = next(found.path.glob("*/groups.parquet"))
    edit_table(path, lambda table: table.filter(pl.col("round") < 10))
    with pytest.raises(
        RecordError, match=r"groups\.parquet: each seed needs 10 rounds .* got 27 rows for 3 seeds"
    ):
        fit_records(load(found.path), "lumped")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("kl_coef = 0.1", "kl_coef: the closed forms cover 0.0, got 0.1"),
        ("grad_clip = 1.0", "grad_clip: the closed forms cover None, got 1.0"),
        ("updates_per_round = 2", "updates_per_round: the closed forms cover 1, got 2"),
        (
            'rollouts = 4\nsignal = "grpo"\nreplay_window = 8',
            "replay_window: the closed forms cover 0, got 8",
        ),
        ('rollouts = 4\nsignal = "gpg"', "signal: the closed forms cover 'raw' |"),
    ],
)
def test_designs_outside_the_closed_forms_are_left_out(tmp_path, fields, reason):
    fit = fit_records(records(tmp_path, fields), "lumped")
    assert fit.conditions == ()
    assert fit.left_out["only"].startswith(reason)
    assert fit.sentence == "No condition's effective step is identified."


def test_a_pool_of_queries_is_no_bandit(tmp_path):
    found = records(tmp_path, "batch_size = 2", [bandit.CONTEXTUAL], "train_items = 4")
    with pytest.raises(InputError, match="world 'contextual': the bandit is fitted to runs on one query"):
        fit_records(found, "contextual")
    assert analysis.fit(found)[0].sentence.startswith("world 'contextual': the bandit is fitted")


def test_logs_of_other_trainers_are_no_known_design():
    world = ImportedWorld(name="logs", tool="trl", seeds=1)
    with pytest.raises(InputError, match="world 'logs': the bandit needs a design that is known in full"):
        check_world(world)


def test_nothing_is_foretold_without_a_minimal_condition(tmp_path):
    with pytest.raises(
        InputError, match="world 'lumped': a prediction of unseen conditions needs one of raw"
    ):
        predict_unseen(records(tmp_path, 'reward = "random"'), "lumped")


def test_a_step_that_is_not_identified_predicts_nothing(tmp_path):
    text = bandit.text(seeds=3, rounds=10, base=0.001, worlds=[bandit.LUMPED])
    found = predict_unseen(bandit.run(text, tmp_path), "lumped")
    assert found.rows == ()
    assert found.covered is None
    assert found.left_out["G=4"] == "G=1: the step of query 0 is not identified"
