"""`banditrft power`: a simulated pilot, recorded runs as the pilot, and what it refuses; own claims to a report."""

import json

import pytest
from support.cli import banditrft

pytestmark = pytest.mark.slow(30)

STUDY = """
name = "small"
seeds = 12
claims = ["A2"]
[design]
learning_rate = 0.05
rounds = 60
eval_every = 5
[[conditions]]
name = "G=1"
[[conditions]]
name = "G=4"
rollouts = 4
[[conditions]]
name = "placebo"
reward = "random"
[[sim]]
world = "contextual"
test_items = 50
[[own_claims]]
id = "faster"
type = "faster"
statement = "Four rollouts are faster than one."
a = "G=4"
b = {rollouts = 1, reward = "zero-one"}
margin = 1.0
[[own_claims]]
id = "no-better"
type = "no-better"
statement = "Four rollouts end no better than one."
a = "G=4"
b = "G=1"
margin = 0.05
secondary = true
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("power")
    (root / "small.toml").write_text(STUDY)
    return root


@pytest.fixture(scope="module")
def recorded(folder):
    banditrft("sim", "small.toml", "--workers", 1, cwd=folder)
    return folder


def test_a_simulated_pilot_gives_seeds_for_every_claim(folder):
    done = banditrft("power", "small.toml", "--pilot-seeds", 6, "--workers", 1, "--json", cwd=folder)
    value = json.loads(done.stdout)
    assert value["pilot"] == {"records": None, "seeds": {"contextual": 6}}
    assert [c["claim"] for c in value["claims"]] == ["A2", "faster", "no-better"]
    assert all(c["planned"] == 12 for c in value["claims"])
    assert all(p["assumes"] for c in value["claims"] for p in c["parts"])


def test_recorded_runs_are_a_pilot(recorded):
    done = banditrft("power", "small.toml", "--runs", "runs", cwd=recorded)
    assert "faster, contextual: " in done.stdout
    assert "; .80 takes " in done.stdout


def test_a_folder_without_records_is_refused(folder):
    done = banditrft("power", "small.toml", "--runs", "nothing", cwd=folder, code=2)
    assert done.stderr == "error: --runs: must hold records of 'small', got nothing\n"


def test_a_study_without_claims_has_nothing_to_plan(folder):
    (folder / "none.toml").write_text(STUDY.split("[[own_claims]]")[0].replace('claims = ["A2"]\n', ""))
    done = banditrft("power", "none.toml", cwd=folder, code=2)
    assert done.stderr.startswith("error: claims: a study needs some")


def test_own_claims_stand_in_the_report_beside_the_ledgers(recorded):
    done = banditrft("report", "runs/small", "--json", cwd=recorded)
    found = {v["claim"]: v for v in json.loads(done.stdout)["verdicts"]}
    assert {"A2", "faster", "no-better"} <= set(found)
    assert found["no-better"]["secondary"]
    assert found["faster"]["family"] == 2
    assert any(p["compared"] == "G=4" for p in found["no-better"]["placebo"])
    described = json.loads((recorded / "runs" / "small" / "study.json").read_text())
    assert [c["id"] for c in described["own_claims"]] == ["faster", "no-better"]


def test_a_claim_added_after_the_runs_is_marked(recorded):
    later = (
        STUDY + '[[own_claims]]\nid = "late"\ntype = "below-base"\nstatement = "s"\na = "G=1"\nmargin = 0.0\n'
    )
    (recorded / "small.toml").write_text(later)
    banditrft("sim", "small.toml", "--workers", 1, cwd=recorded)
    found = json.loads(banditrft("report", "runs/small", "--json", cwd=recorded).stdout)
    (recorded / "small.toml").write_text(STUDY)
    assert {v["claim"]: v["post_hoc"] for v in found["verdicts"]}["late"]
    assert any("post hoc" in line for line in found["deviations"])
