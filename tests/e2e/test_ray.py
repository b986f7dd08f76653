"""Studies on a real Ray cluster of two CPUs: the same records, failures, lost workers, interruption."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import ray
from support import launch as bodies
from support import memory
from support.study import LLM, LUMPED

import llm_runs
from banditrft.launch import JobsError, choose_executor, cluster, launch
from banditrft.launch.cluster import QUIET, STORE_BYTES
from banditrft.runs import expand
from banditrft.study import parse_study
from sims.study import execute_all

pytestmark = pytest.mark.slow(60)

COMMAND = [str(Path(sys.executable).with_name("banditrft"))]


def banditrft(*args, cwd, code=0):
    done = subprocess.run([*COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def address():
    """A cluster of two CPUs on this machine."""
    os.environ.update(QUIET)
    for module in (sys.modules[__name__], bodies):  # which workers cannot import
        ray.cloudpickle.register_pickle_by_value(module)
    started = ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=STORE_BYTES,
        logging_level="error",
        log_to_driver=False,
    )
    yield started.address_info["gcs_address"]
    ray.shutdown()


def tables(root):
    """Every table under a folder by its path, without the columns that time something."""
    return {
        path.relative_to(root): pl.read_parquet(path).select(pl.exclude("^seconds.*$"))
        for path in sorted(root.rglob("*.parquet"))
    }


@pytest.mark.parametrize("kind", ["sim", "llm"])
def test_records_are_those_of_the_local_executor(address, tmp_path, kind):
    (tmp_path / "small.toml").write_text(LUMPED + LLM)
    banditrft(kind, "small.toml", "--runs", "here", "--workers", 1, cwd=tmp_path)
    banditrft(
        kind, "small.toml", "--runs", "there", "--executor", "ray", "--ray-address", address, cwd=tmp_path
    )
    here, there = tables(tmp_path / "here"), tables(tmp_path / "there")
    assert len(here) >= 12
    assert here.keys() == there.keys()
    assert all(here[path].equals(there[path]) for path in here)


def test_a_cluster_of_its_own_is_started_and_stopped(tmp_path):
    (tmp_path / "small.toml").write_text(LUMPED)
    done = banditrft("sim", "small.toml", "--executor", "ray", "--workers", 2, cwd=tmp_path)
    assert "3 runs done, 0 found, 0 jobs failed" in done.stdout
    assert len(done.stderr.splitlines()) == 3  # one line a job, none of Ray's
    again = banditrft("sim", "small.toml", "--executor", "ray", cwd=tmp_path)
    assert "0 runs done, 3 found, 0 jobs failed" in again.stdout


def launched(execute, root):
    study = parse_study(LUMPED, "test")
    return launch(study, expand(study, "sim"), root, execute, executor=choose_executor("ray"))


@pytest.mark.usefixtures("address")
def test_a_failing_job_is_reported_and_stops_no_other(tmp_path):
    with pytest.raises(JobsError) as raised:
        launched(bodies.placebo_fails, tmp_path)
    outcome = raised.value.outcome
    ((label, error),) = outcome.failed
    assert "placebo" in label
    assert error == "RuntimeError: no such drug"
    assert outcome.done == len(list(tmp_path.glob("*/run.json"))) == 2


@pytest.mark.usefixtures("address")
def test_a_lost_worker_is_made_up_for(tmp_path):
    marker = tmp_path / "died"
    outcome = launched(functools.partial(bodies.first_worker_dies, marker), tmp_path / "root")
    assert marker.exists()
    assert (outcome.done, outcome.failed) == (3, [])


class Lost:
    """Holds progress on a node that goes down with the first report."""

    def put(self, label, fraction):
        os._exit(1)

    def take(self):
        return []


@pytest.mark.usefixtures("address")
def test_losing_the_node_that_holds_progress_ends_no_job(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_Reports", Lost)
    outcome = launched(execute_all, tmp_path)
    assert (outcome.done, outcome.failed) == (3, [])


@pytest.mark.usefixtures("address")
def test_a_killed_workers_training_goes_on_from_its_checkpoint(tmp_path):
    study, runs = memory.study_of("tiny-qwen2", seeds=2, world="checkpoint_every = 1")
    launch(study, runs, tmp_path / "calm", llm_runs.execute, workers=1)
    execute = functools.partial(bodies.first_trainer_dies, str(tmp_path))
    outcome = launch(study, runs, tmp_path / "runs", execute, executor=choose_executor("ray"))
    assert (outcome.done, outcome.failed) == (2, [])
    told = [line.split() for line in (tmp_path / "told").read_text().splitlines()]
    (first, *others) = dict.fromkeys(pid for pid, _ in told)
    assert others
    assert [fraction for pid, fraction in told if pid == first] == ["0.5"]
    resumed = [fraction for pid, fraction in told if pid != first]
    assert sorted(resumed) == ["0.5", "1.0", "1.0"]  # the killed run went on after its first round
    calm, killed = tables(tmp_path / "calm"), tables(tmp_path / "runs")
    assert calm.keys() == killed.keys()
    assert all(calm[path].equals(killed[path]) for path in calm)


def test_interruption_leaves_only_whole_records_and_frees_the_cluster(address, tmp_path):
    big = LUMPED.replace("seeds = 20", "seeds = 2048").replace("rounds = 20", "rounds = 4000")
    (tmp_path / "big.toml").write_text(big)
    process = subprocess.Popen(
        [*COMMAND, "sim", "big.toml", "--executor", "ray", "--ray-address", address],
        cwd=tmp_path,
        start_new_session=True,
    )
    root = tmp_path / "runs" / "small"
    deadline = time.monotonic() + 120
    while len(list(root.glob("*/run.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    whole = list(root.glob("*/run.json"))
    assert 2 <= len(whole) < 24
    assert not list(root.rglob("*.part"))
    assert all(len(list(p.parent.glob("*.parquet"))) == 4 for p in whole)
    deadline = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources().get("CPU") == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ray-address", "auto"], "ray-address: needs executor ray, got auto with executor local"),
        (
            ["--executor", "ray", "--ray-address", "127.0.0.1:9"],
            "ray-address: no Ray cluster at 127.0.0.1:9 ([Errno 111] Connection refused)",
        ),
    ],
)
def test_bad_addresses(tmp_path, flags, message):
    (tmp_path / "small.toml").write_text(LUMPED)
    assert banditrft("sim", "small.toml", *flags, cwd=tmp_path, code=2).stderr == f"error: {message}\n"
