"""From another trainer's logs to a diagnosis and a report, through the command line."""

import json

import pytest
from click.testing import CliRunner
from support import importing as logs

from banditrft.cli import banditrft
from banditrft.cli.import_ import own_claims, settings
from banditrft.errors import InputError


def run(*arguments):
    return CliRunner().invoke(
        banditrft, [str(a) for a in arguments], catch_exceptions=False, standalone_mode=False
    )


@pytest.fixture
def records(tmp_path):
    paths = [
        logs.trl_state(
            tmp_path / f"{arm}{i}.json",
            counts=[min(16, k + i + (arm == "b")) for k in (1, 2, 4, 6, 9, 12, 15)],
        )
        for arm in "ab"
        for i in range(3)
    ]
    names = [option for arm in "aaabbb" for option in ("--condition", arm)]
    done = run(
        "import",
        "trl",
        *paths,
        "--out",
        tmp_path / "runs",
        "--study",
        "mine",
        "--samples",
        logs.N,
        *names,
        "--set",
        "rollouts=4",
        "--set",
        "b:signal=grpo",
        "--set",
        "a:signal=raw",
        "--claim",
        "A1",
        "--json",
    )
    return tmp_path / "runs" / "mine", json.loads(done.stdout)


def test_an_import_says_what_was_read_what_is_missing_and_what_can_be_done(records):
    _, said = records
    assert {name: cell["runs"] for name, cell in said["conditions"].items()} == {"a": 3, "b": 3}
    assert "learning_rate" not in said["conditions"]["a"]["unknown"]
    assert "optimizer" in said["conditions"]["a"]["unknown"]
    assert any("No test evaluations" in sentence for sentence in said["missing"])
    assert said["possible"]["fit of the training curve"] == "yes"
    assert said["possible"]["gains on the test set"].startswith("no: the base policy")


def test_imported_records_are_diagnosed(records):
    root, _ = records
    said = json.loads(run("diagnose", root, "--json").stdout)
    assert {s["condition"] for s in said["signs"]} == {"a", "b", "b | a"}
    spread = next(s for s in said["signs"] if s["signature"] == "large spread under an advantage")
    assert "tests" in spread["evidence"]


def test_imported_records_are_reported_with_what_is_unknown(records, tmp_path):
    root, _ = records
    run("report", root, "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "is imported" in page
    assert "unknown optimizer" in page
    value = json.loads((tmp_path / "report" / "verdicts.json").read_text())
    assert {v["verdict"] for v in value["verdicts"]} == {"undecided"}


def test_a_table_of_counts_is_diagnosed_as_it_is(tmp_path):
    path = logs.counts_csv(tmp_path / "counts.csv", seeds=5)
    said = json.loads(run("diagnose", path, "--json").stdout)
    found = {s["signature"]: s["found"] for s in said["signs"]}
    assert found["zero improvement"] == "absent"
    assert found["flat test curve"] == "cannot tell"


def test_what_is_no_import_is_one_line(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    with pytest.raises(InputError, match="--map: must be NAME=VALUE, got 'reward'"):
        run("import", "trl", path, "--map", "reward", "--out", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def placebo(tmp_path, n):
    """Logs of runs under random rewards, whose test score stays as it was."""
    paths = [logs.verl_console(tmp_path / f"placebo{i}.txt", counts=(i, 6, 8, 7)) for i in range(n)]
    for path in paths:
        path.write_text(path.read_text().replace("0.750", "0.250"))
    return paths


def test_a_claim_is_read_as_far_as_imported_runs_of_a_said_design_go(tmp_path):
    """Rewards drawn at random count no right answers, so the placebo's log has no training curve to compare."""
    said = [
        "batch_size=32",
        "rollouts=1",
        "signal=raw",
        "run:reward=zero-one",
        "placebo:reward=random",
        "optimizer=adam",
        "updates_per_round=1",
    ]
    said += ["replay_window=0", "baseline_rollouts=0"]
    names = [option for arm in ("run", "placebo") for option in 8 * ("--condition", arm)]
    paths = [logs.verl_console(tmp_path / f"{i}.txt", counts=(i, 6, 8, 14 + i % 2)) for i in range(8)]
    sets = [option for value in said for option in ("--set", value)]
    counts = ("--samples", logs.N, "--test-samples", 400)
    paths += placebo(tmp_path, 8)
    place = ("--out", tmp_path / "runs", "--study", "b1")
    run("import", "verl", *paths, *names, *counts, *sets, "--claim", "B1", *place)
    value = json.loads(run("report", tmp_path / "runs" / "b1", "--json").stdout)
    (verdict,) = value["verdicts"]
    words = {(p["split"], p["comparator"]): p["verdict"] for p in verdict["parts"]}
    assert words == {
        ("train", "base"): "supported",
        ("test", "base"): "supported",
        ("test", "placebo"): "supported",
    }
    assert (verdict["verdict"], verdict["n"]) == ("undecided", 8)
    assert verdict["notes"][0] == "'placebo' in 'verl' has no train Pass@1 to compare with."


def test_final_accuracies_alone_decide_no_claim(tmp_path):
    columns = ("--map", "test=accuracy,rollouts=G", "--test-samples", 8, "--set", "batch_size=32")
    claims = [option for claim in ("B1", "B2", "B3") for option in ("--claim", claim)]
    path = logs.runs_csv(tmp_path / "runs.csv")
    done = run("import", "table", path, *columns, *claims, "--out", tmp_path / "runs", "--json")
    assert json.loads(done.stdout)["possible"]["verdicts"].startswith("no: neither")
    value = json.loads(run("report", tmp_path / "runs" / "imported", "--json").stdout)
    assert {v["verdict"] for v in value["verdicts"]} == {"undecided"}


OWN = """
[[own_claims]]
id = "same"
type = "no-better"
statement = "b ends within two points of a on the test set."
a = "b"
b = "a"
margin = 0.02
"""


def test_own_claims_are_tested_on_imported_runs(tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    paths = [
        logs.verl_console(tmp_path / f"{arm}{i}.txt", counts=(i, 6, 8 + arm, 14))
        for arm in (0, 1)
        for i in range(8)
    ]
    paths += placebo(tmp_path, 8)
    names = [option for arm in ("a", "b", "placebo") for option in 8 * ("--condition", arm)]
    names += ["--set", "placebo:reward=random"]
    counts = ("--samples", logs.N, "--test-samples", 400)
    run(
        "import",
        "verl",
        *paths,
        *names,
        *counts,
        "--claims",
        tmp_path / "own.toml",
        "--out",
        tmp_path / "runs",
    )
    value = json.loads(run("report", tmp_path / "runs" / "imported", "--json").stdout)
    assert [(v["claim"], v["verdict"]) for v in value["verdicts"]] == [("same", "supported")]


def test_an_own_claim_on_a_condition_that_is_not_there_is_one_line(tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    path = logs.verl_console(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"own_claims\[0\]\.a"):
        run("import", "verl", path, "--claims", tmp_path / "own.toml", "--out", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["x = " + "[" * 60 + "]" * 60, f"a{'.a' * 40} = 1", "x = " + "9" * 5000])
def test_claims_are_read_within_the_limits_of_a_study_file(tmp_path, text):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(
        InputError, match=r"own\.toml: (x: must nest|line 1: a key must have|is not valid TOML)"
    ):
        own_claims(tmp_path / "own.toml")
    assert settings(("rounds=" + "9" * 5000,))[""]["rounds"] == "9" * 5000


def test_imported_records_are_the_pilot_of_their_own_claims(tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    paths = [
        logs.verl_console(tmp_path / f"{arm}{i}.txt", counts=(i, 6, 8 + arm, 14))
        for arm in (0, 1)
        for i in range(4)
    ]
    names = [option for arm in "aaaabbbb" for option in ("--condition", arm)]
    place = ("--samples", logs.N, "--test-samples", 400, "--out", tmp_path / "runs", "--study", "mine")
    with_claims = ("--claims", tmp_path / "own.toml")
    said = json.loads(run("import", "verl", *paths, *names, *place, "--json").stdout)
    assert said["possible"]["power"].startswith("no: no claims")
    with pytest.raises(InputError, match=r"claims: .*mine has none for power"):
        run("power", tmp_path / "runs" / "mine")
    done = run("import", "verl", *paths, *names, *place, *with_claims, "--replace", "--json")
    assert json.loads(done.stdout)["possible"]["power"] == "yes"
    value = json.loads(run("power", tmp_path / "runs" / "mine", "--json").stdout)
    assert (value["study"], value["pilot"]["seeds"]) == ("mine", {"verl": 4})
    assert [(c["claim"], c["planned"]) for c in value["claims"]] == [("same", 4)]
    with pytest.raises(InputError, match=r"--runs: .* is itself the folder of records"):
        run("power", tmp_path / "runs" / "mine", "--runs", tmp_path / "runs")


def test_a_scale_and_a_name_with_a_comma_are_typed_as_they_are(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text('step,"lr 1e-6, b=2 - r"\n1,-1.0\n2,0.0\n')
    mapped = "step=step,reward=lr 1e-6, b=2 - r"
    options = ("--samples", 4, "--scale", -1, 1, "--out", tmp_path / "runs", "--json")
    with pytest.raises(InputError, match="map: 'b' is not read"):
        run("import", "table", path, "--map", mapped, *options)
    mapped = mapped.replace(", b=2", ", b 2")
    path.write_text(path.read_text().replace(", b=2", ", b 2"))
    said = json.loads(run("import", "table", path, "--map", mapped, *options).stdout)
    assert said["conditions"]["run"]["train_responses"] == 8
    assert "Rewards are -1 for a wrong and 1 for a right answer." in said["missing"]
