"""Real logs of other trainers are imported whole, where BANDITRFT_DATA names the folder that has them."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

import analysis
from analysis.diagnosis import diagnose
from analysis.importing import Options, read_table, read_trl, write

VARIABLE = "BANDITRFT_DATA"
DATA = Path(os.environ.get(VARIABLE, ""))
pytestmark = pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"{VARIABLE} is not set: real logs of other trainers were not imported"
)
TRL = ("a2_vi_42", "a3_enlang_42", "reproduce_openrs_rs2_42")
METRICS = {"step": "step", "reward": "reward_avg", "test": "eval_acc%"}
NOISY = {
    "test": "final_validation_accuracy",
    "rollouts": "num_rollouts",
    "false_positive": "false_positive_rate",
    "false_negative": "false_negative_rate",
}


def test_three_trl_runs_have_96_responses_a_step(tmp_path):
    paths = [DATA / f"trl_logs/{name}.trainer_state.json" for name in TRL]
    said = Options(columns={"reward": "rewards/r1_correctness"}, samples=96, conditions=TRL)
    records = analysis.load(write(read_trl(paths, said), tmp_path, "trl"))
    assert [cell.train_samples[0].tolist() for cell in records.cells] == [[480] * 10] * 3
    assert [int((c.train * c.train_samples).sum().round()) for c in records.cells] == [
        sum_of(p) for p in paths
    ]


def sum_of(path):
    """Right answers of a run, added up by hand."""
    return sum(round(480 * e["rewards/r1_correctness"]) for e in json.loads(path.read_text())["log_history"])


@pytest.mark.parametrize("name", ["7_4_plus_clip_ratio", "7_5_plus_kl", "ch06_rlvr_grpo_original_no_kl"])
def test_single_prompt_logs_are_eighths_with_tests_of_500(tmp_path, name):
    path = DATA / f"rlvr_logs/{name}_metrics.csv"
    said = Options(columns=METRICS, samples=8, test_samples=500)
    cell = analysis.load(write(read_table([path], said), tmp_path, "rlvr")).cells[0]
    table = pl.read_csv(path)
    assert cell.train[0].tolist() == table["reward_avg"].to_list()
    assert (100 * cell.test_curve[0]).round(1).tolist() == table["eval_acc"].drop_nulls().to_list()


def test_a_reward_with_a_format_term_is_no_success_rate(tmp_path):
    path = DATA / "rlvr_logs/7_6_plus_format_reward_metrics.csv"
    with pytest.raises(ValueError, match=r"row 3: a mean of zeros and ones must lie in \[0, 1\], got 2\.0"):
        read_table([path], Options(columns=METRICS, samples=8, test_samples=500))


def test_runs_with_noisy_rewards_have_a_condition_per_design(tmp_path):
    path = DATA / "rlvr_noisy_rewards/batch32_metrics.csv"
    conditions = {}
    for model, pattern in (("0.5B", "0.5B"), ("1.5B", r"^(?!.*0\.5B)")):
        said = Options(
            columns=NOISY,
            settings={"": {"reward": "noisy", "batch_size": 32}},
            test_samples=256,
            rows={"run_name": pattern},
            model=model,
        )
        records = analysis.load(write(read_table([path], said), tmp_path, f"noisy-{model}"))
        conditions[model] = {c.condition: c.n for c in records.cells}
        assert all((256 * c.test).round(6).tolist() == (256 * c.test).round().tolist() for c in records.cells)
        assert (
            "Row 39 of batch32_metrics.csv has no final accuracy" in " ".join(records.worlds[model].missing)
        ) == (model == "1.5B")
    assert {model: sum(n.values()) for model, n in conditions.items()} == {"0.5B": 25, "1.5B": 116}
    assert {n for found in conditions.values() for n in found.values()} == {1}


def test_605_problems_are_one_run_whose_items_can_be_the_unit(tmp_path):
    path = DATA / "one_shot_rlvr/accuracy_history.json"
    records = analysis.load(write(read_table([path], Options(rollouts=8)), tmp_path, "one"))
    cell = records.cells[0]
    assert (cell.n, cell.rounds.size, int(cell.train_samples[0, 0])) == (1, 57, 605 * 8)
    by_run = {s.signature: s.found for s in diagnose(records)}
    by_item = {s.signature: s.found for s in diagnose(records, unit="items")}
    assert by_run["zero improvement"] == "cannot tell"
    assert by_item["zero improvement"] == "absent"


def test_final_scores_of_three_seeds_an_arm_are_runs(tmp_path):
    said = Options(
        columns={"test": "pass_at_1", "condition": "arm"},
        test_samples=500,
        rows={"benchmark": "^math500$", "arm": "^A"},
    )
    found = read_table([DATA / "trl_logs/master.csv"], said)
    cells = analysis.load(write(found, tmp_path, "arms")).cells
    assert {c.condition: (500 * c.test).round().tolist() for c in cells} == {
        "A1": [294, 308, 293],
        "A2": [301, 310, 301],
        "A3": [303, 307, 301],
        "A4": [310],
    }
