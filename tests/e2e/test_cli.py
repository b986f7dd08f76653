"""The command line as a user meets it: exit codes, listings, shards, interruption, and finding what is there."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.cli import banditrft
from support.study import LLM, LUMPED

from banditrft.catalog import write_queries
from banditrft.cli.common import preset_names
from banditrft.runs import WorldQueries

pytestmark = pytest.mark.slow(40)

COMMAND = [str(Path(sys.executable).with_name("banditrft"))]


def process(*args, cwd, code=0):
    """The command as a process of its own."""
    done = subprocess.run([*COMMAND, *args], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.toml").write_text(LUMPED)
    return tmp_path


def states(folder, *args):
    runs = json.loads(banditrft("sim", "small.toml", *args, "--json", cwd=folder).stdout)["runs"]
    return [run["state"] for run in runs]


def test_nothing_is_written_by_looking(folder):
    assert states(folder, "--list") == ["missing"] * 3
    assert states(folder, "--missing") == ["missing"] * 3
    plan = json.loads(banditrft("sim", "small.toml", "--dry-run", "--json", cwd=folder).stdout)
    assert (plan["to_run"], plan["rounds"], plan["rollouts"]) == (3, 1200, 20 * 20 * 6)
    banditrft("lint", "small.toml", cwd=folder)
    banditrft("status", "small.toml", cwd=folder)
    assert [p.name for p in folder.iterdir()] == ["small.toml"]


def test_run_find_delete_and_run_again(folder):
    first = json.loads(process("sim", "small.toml", "--json", cwd=folder).stdout)
    assert (first["done"], first["found"], first["failed"]) == (3, 0, [])
    again = json.loads(banditrft("sim", "small.toml", "--json", cwd=folder).stdout)
    assert (again["done"], again["found"]) == (0, 3)
    runs = sorted(p for p in (folder / "runs" / "small").iterdir() if p.is_dir())
    before = {p.name: (p / "run.json").stat().st_mtime_ns for p in runs}
    shutil.rmtree(runs[1])
    assert sorted(states(folder, "--list")) == ["found", "found", "missing"]
    third = json.loads(banditrft("sim", "small.toml", "--json", cwd=folder).stdout)
    assert (third["done"], third["found"]) == (1, 2)
    after = {p.name: (p / "run.json").stat().st_mtime_ns for p in runs}
    assert [name for name in before if before[name] != after[name]] == [runs[1].name]
    cells = json.loads(banditrft("status", "small.toml", "--json", cwd=folder).stdout)["cells"]
    assert [(c["found"], c["missing"]) for c in cells] == [(1, 0)] * 3


def test_records_do_not_depend_on_workers_or_shards(folder):
    banditrft("sim", "small.toml", "--runs", "one", "--workers", 1, cwd=folder)
    for i in (1, 2):
        banditrft("sim", "small.toml", "--runs", "two", "--shard", f"{i}/2", "--workers", 2, cwd=folder)
    files = sorted(p.relative_to(folder / "one") for p in (folder / "one").rglob("*.parquet"))
    assert len(files) == 12
    assert all((folder / "one" / f).read_bytes() == (folder / "two" / f).read_bytes() for f in files)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "²/3"])
def test_bad_shard(folder, shard):
    done = banditrft("sim", "small.toml", "--shard", shard, cwd=folder, code=2)
    assert done.stderr == f"error: --shard: must be i/n with 1 <= i <= n, got {shard}\n"


def test_bad_studies_exit_2_with_one_line_and_write_nothing(folder):
    for old, new, field in [
        ("rollouts = 4", "rolouts = 4", "conditions[1].rolouts: is not a known key"),
        ("mass = 0.7", "mass = 1.7", "sim[0].classes[1].mass"),
    ]:
        (folder / "bad.toml").write_text(LUMPED.replace(old, new))
        for command in ("sim", "llm", "lint", "status"):
            done = banditrft(command, "bad.toml", cwd=folder, code=2)
            assert done.stderr.startswith("error: bad.toml: ")
            assert field in done.stderr
            assert len(done.stderr.splitlines()) == 1
    (folder / "bad.toml").write_text(
        (LUMPED + LLM).replace("tiny-qwen2", "huge-qwen9").replace("small", "bad")
    )
    for command in ("sim", "llm", "lint"):
        done = banditrft(command, "bad.toml", cwd=folder, code=2)
        assert done.stderr.startswith("error: llm[0].model: must be a shipped model (tiny-")
        assert done.stderr.endswith("got 'huge-qwen9'\n")
    done = process("sim", "nowhere.toml", cwd=folder, code=2)
    known = ", ".join(preset_names())
    assert f"STUDY: must be a file or a preset ({known}), got nowhere.toml" in done.stderr
    assert sorted(p.name for p in folder.iterdir()) == ["bad.toml", "small.toml"]


def test_predict_prints_one_json_object(folder):
    flags = "--p0 0.02 --num-arms 1000000 --num-correct 1 --rollouts 1 --signal raw --optimizer sgd --learning-rate 1.0"
    value = json.loads(banditrft("predict", *flags.split(), "--target", 0.99, "--json", cwd=folder).stdout)
    assert value["method"] == "exact"
    assert value["mean_rounds"] == pytest.approx(190.13, abs=0.01)
    assert value["sd_rounds"] == pytest.approx(53.72, abs=0.01)
    assert list(value["quantiles"]) == ["0.05", "0.5", "0.95"]
    assert {"zero_signal_fraction", "snr"} <= value.keys()
    done = banditrft("predict", "--p0", 2, "--learning-rate", 1, cwd=folder, code=2)
    assert "p0" in done.stderr


def test_predict_reads_a_study(folder):
    found = json.loads(banditrft("predict", "small.toml", "--target", 0.9, "--json", cwd=folder).stdout)
    cells = {cell["condition"]: cell for cell in found["cells"]}
    flags = "--p0 0.3 --num-arms 1000 --learning-rate 0.1 --target 0.9 --json"
    for name, rollouts in (("G=1", 1), ("G=4", 4)):
        alone = json.loads(banditrft("predict", *flags.split(), "--rollouts", rollouts, cwd=folder).stdout)
        assert cells[name]["mean_rounds"] == alone["mean_rounds"]
    assert cells["placebo"]["method"] is None
    assert "no closed form: reward" in banditrft("predict", "small.toml", cwd=folder).stdout
    done = banditrft("predict", "small.toml", "--rollouts", 4, cwd=folder, code=2)
    assert done.stderr == "error: --rollouts: STUDY says it already, got both\n"
    assert "--p0: is required" in banditrft("predict", cwd=folder, code=2).stderr


def test_interrupted_sweep_leaves_only_whole_records_and_goes_on(folder):
    big = LUMPED.replace("seeds = 20", "seeds = 2048").replace("rounds = 20", "rounds = 4000")
    (folder / "big.toml").write_text(big)
    process = subprocess.Popen(
        [*COMMAND, "sim", "big.toml", "--workers", "2"], cwd=folder, start_new_session=True
    )
    root = folder / "runs" / "small"
    deadline = time.monotonic() + 120
    while len(list(root.glob("*/run.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    whole = list(root.glob("*/run.json"))
    assert 2 <= len(whole) < 24
    assert not list(root.rglob("*.part"))
    assert all(
        {"rounds.parquet", "groups.parquet", "evals.parquet"} <= {f.name for f in p.parent.iterdir()}
        for p in whole
    )
    listed = json.loads(banditrft("sim", "big.toml", "--list", "--json", cwd=folder).stdout)["runs"]
    assert sum(run["state"] == "found" for run in listed) == len(whole)


def test_another_final_evaluation_of_simulated_runs_is_made_up_for(folder):
    odd = LUMPED.replace('name = "G=4"', 'name = "G=4 [/b]"')  # no markup
    (folder / "odd.toml").write_text(odd)
    banditrft("sim", "odd.toml", "--workers", 1, cwd=folder)
    (folder / "odd.toml").write_text(odd.replace("eval_every = 5", "eval_every = 5\nfinal_eval_samples = 64"))
    done = banditrft("sim", "odd.toml", "--workers", 1, "--json", cwd=folder)
    assert json.loads(done.stdout)["done"] == 3
    finals = list((folder / "runs" / "small").glob("*/final-*.parquet"))
    assert len(finals) == 6


def test_lint_refuses_what_the_simulator_would_refuse(folder):
    (folder / "bad.toml").write_text(LUMPED.replace("rounds = 20", "rounds = 20\nbetas = [0.99, 0.5]"))
    for command in ("lint", "sim"):
        done = banditrft(command, "bad.toml", cwd=folder, code=2)
        assert "G=4 (world 'lumped'): betas: beta1^2 must be below beta2" in done.stderr
    assert not (folder / "runs").exists()


def test_status_does_not_count_runs_of_queries_chosen_under_other_settings(folder):
    (folder / "both.toml").write_text(LUMPED + LLM)
    write_queries(folder / "runs" / "small", {"tiny-qwen2": WorldQueries("old", "w", "t", ())})
    done = banditrft("status", "both.toml", cwd=folder)
    assert "queries of tiny-qwen2 are not chosen yet" in done.stdout
