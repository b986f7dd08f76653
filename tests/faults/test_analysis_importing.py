"""Logs that cannot be trusted are errors that name file and row; nothing is written."""

import json

import polars as pl
import pytest
from support import importing as logs

import analysis
from analysis.fits.bandit import fit_records
from analysis.importing import Options, read_table, read_trl, read_verl, write
from banditrft.claims import CLAIMS
from banditrft.errors import InputError, RecordError


def test_a_mean_that_is_no_whole_count_is_refused(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    with pytest.raises(RecordError, match=r"s\.json: log entry 1: must be a whole count of 7 samples"):
        read_trl([path], Options(samples=7))


def test_too_few_digits_for_the_samples_are_refused(tmp_path):
    path = logs.verl_console(tmp_path / "log.txt")
    with pytest.raises(RecordError, match="3 decimals cannot tell counts of 4000 samples apart"):
        read_verl([path], Options(test_samples=4000))


def test_a_reward_above_one_is_no_success_rate(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("step,r\n1,0.5\n2,1.25\n")
    with pytest.raises(RecordError, match=r"m\.csv: row 2: a mean of zeros and ones must lie in \[0, 1\]"):
        read_table([path], Options(columns={"step": "step", "reward": "r"}, samples=4))


def test_nan_in_a_log_is_named(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    state = json.loads(path.read_text())
    state["log_history"][2]["rewards/accuracy/mean"] = float("nan")
    path.write_text(json.dumps(state))
    with pytest.raises(
        RecordError, match=r"s\.json: log entry 3: 'rewards/accuracy/mean' must be a finite number"
    ):
        read_trl([path], Options(samples=logs.N))


def test_a_truncated_log_is_named(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    path.write_text(path.read_text()[:100])
    with pytest.raises(RecordError, match=r"s\.json: cannot be read as JSON"):
        read_trl([path], Options())


def test_a_truncated_completions_table_is_named(tmp_path):
    folder = logs.trl_completions(tmp_path / "run")
    path = folder / "completions" / "completions_00002.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RecordError, match=r"completions_00002\.parquet: cannot be read as Parquet"):
        read_trl([folder], Options())


def test_a_graded_reward_is_no_count(tmp_path):
    folder = logs.trl_completions(tmp_path / "run")
    path = folder / "completions" / "completions_00001.parquet"
    pl.read_parquet(path).with_columns(pl.col("accuracy") / 2).write_parquet(path)
    with pytest.raises(
        RecordError, match=r"completions_00001\.parquet: row 2: a grade must be 0 or 1, got 0\.5"
    ):
        read_trl([folder], Options())


def test_of_several_rewards_the_user_names_one(tmp_path):
    path = logs.trl_state(tmp_path / "s.json", **{"rewards/format/mean": 1.0})
    with pytest.raises(InputError, match="--map reward=NAME says which is 1 for a right answer"):
        read_trl([path], Options())


def test_steps_must_rise(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("step,r\n2,0.5\n1,0.5\n")
    with pytest.raises(RecordError, match=r"m\.csv: row 2: steps must rise from 0, got 1 after 2"):
        read_table([path], Options(columns={"step": "step", "reward": "r"}))


def test_a_resumed_log_that_repeats_a_step_is_named(tmp_path):
    path = logs.verl_jsonl(tmp_path / "m.jsonl", counts=(2, 4))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1]]))
    with pytest.raises(RecordError, match=r"m\.jsonl: line 3: step 2 stands there twice"):
        read_verl([path], Options())


def test_a_dump_of_another_step_is_named(tmp_path):
    folder = logs.verl_dumps(tmp_path / "dumps")
    (folder / "2.jsonl").rename(folder / "3.jsonl")
    with pytest.raises(RecordError, match=r"3\.jsonl: line 1: 'step' must be 3"):
        read_verl([folder], Options())


def test_a_short_row_is_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("step,r\n1,0.5\n2\n")
    with pytest.raises(RecordError, match=r"m\.csv: row 2: must have 2 cells, got 1"):
        read_table([path], Options(columns={"step": "step", "reward": "r"}))


def test_a_file_without_metrics_is_an_error(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("hello\n")
    with pytest.raises(RecordError, match=r"log\.txt: holds no rows of metrics"):
        read_verl([path], Options())


def test_the_same_run_twice_is_an_error(tmp_path):
    a, b = logs.trl_state(tmp_path / "a.json"), logs.trl_state(tmp_path / "b.json")
    found = read_trl([a, b], Options(samples=logs.N))
    with pytest.raises(InputError, match="hold the same run"):
        write(found, tmp_path / "runs", "other")
    assert not (tmp_path / "runs").exists()


def test_a_path_given_twice_is_an_error(tmp_path):
    path = logs.trl_state(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"a\.json is given twice"):
        read_trl([path, path], Options())


def test_runs_of_one_condition_share_their_design(tmp_path):
    a = logs.trl_state(tmp_path / "a.json")
    b = logs.trl_state(tmp_path / "b.json", counts=(1, 2), learning_rate=2e-6)
    with pytest.raises(InputError, match="runs of one condition share their design, but learning_rate is"):
        read_trl([a, b], Options())


def test_another_study_of_the_same_name_is_not_touched(tmp_path):
    write(read_trl([logs.trl_state(tmp_path / "a.json")], Options()), tmp_path / "runs", "other")
    other = read_trl([logs.trl_state(tmp_path / "b.json", counts=(1, 2))], Options())
    with pytest.raises(InputError, match="holds another study"):
        write(other, tmp_path / "runs", "other")


def test_a_setting_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match="set: rolouts: is not a setting of a design"):
        read_trl([logs.trl_state(tmp_path / "a.json")], Options(settings={"": {"rolouts": 4}}))


def test_a_study_file_cannot_run_an_imported_world():
    from banditrft.study import parse_study

    text = """
    name = "x"
    seeds = 1
    [[conditions]]
    name = "a"
    [design]
    learning_rate = 1.0
    rounds = 1
    [[llm]]
    world = "imported"
    name = "logs"
    tool = "trl"
    """
    with pytest.raises(InputError, match="logs of another trainer and cannot run anything"):
        parse_study(text)


def test_a_finished_run_without_its_accuracy_is_left_out_and_said(tmp_path):
    path = logs.runs_csv(tmp_path / "runs.csv")
    path.write_text(path.read_text().replace("0.625", ""))
    columns = {"test": "accuracy", "rollouts": "G"}
    found = read_table([path], Options(columns=columns, test_samples=8))
    assert [run.row for run in found.runs] == [1, 3, 4]
    assert "Row 2 of runs.csv has no final accuracy and is left out." in found.world.missing


def test_no_claim_is_decided_by_runs_whose_settings_are_unknown(tmp_path):
    paths = [
        logs.verl_console(tmp_path / f"{arm}{i}.txt", counts=(i, 4 + arm, 8, 12))
        for arm in range(3)
        for i in range(4)
    ]
    known = {"signal": "grpo", "reward": "zero-one", "optimizer": "adam", "rollouts": 4}
    said = Options(samples=logs.N, test_samples=400, conditions=tuple("aaaabbbbcccc"), settings={"": known})
    root = write(read_verl(paths, said), tmp_path / "runs", "other", sorted(CLAIMS))
    found = analysis.verdicts(analysis.load(root))
    assert {"A2", "A5", "B1", "B4"} <= {v.claim for v in found}
    assert {(v.verdict, v.parts) for v in found} == {("undecided", ())}


def test_the_bandit_is_not_fitted_to_a_design_that_is_unknown(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    root = write(read_trl([path], Options(samples=logs.N)), tmp_path / "runs", "other")
    with pytest.raises(InputError, match="the bandit needs a design that is known in full"):
        fit_records(analysis.load(root), "trl")
