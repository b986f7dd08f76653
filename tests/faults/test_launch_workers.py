"""Real worker processes: pinned, killed, failing, interrupted, several to one job."""

import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from support import launch as bodies
from support.study import LUMPED

from banditrft.errors import StorageError
from banditrft.launch import JobsError, launch
from banditrft.launch.jobs import Job, Work
from banditrft.launch.machine import cores
from banditrft.launch.resources import Need
from banditrft.launch.workers import Ended, Worker, attempt
from banditrft.runs import expand
from banditrft.study import parse_study
from sims.study import execute_all

pytestmark = pytest.mark.slow(40)


@pytest.fixture
def runs():
    return expand(parse_study(LUMPED, "test"), "sim")


def launched(execute, root, workers=2, **options):
    study = parse_study(LUMPED, "test")
    return launch(study, expand(study, "sim"), root, execute, workers=workers, **options)


def tables(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


@pytest.mark.skipif(len(cores()) < 2, reason="needs two cores")
def test_workers_have_cores_of_their_own_and_one_thread(tmp_path):
    outcome = launched(functools.partial(bodies.simulate_and_tell, str(tmp_path)), tmp_path / "runs")
    assert outcome.done == 3
    notes = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    shares = {note["pid"]: set(note["cores"]) for note in notes}
    assert len(shares) == 2
    assert not set.intersection(*shares.values())
    assert set.union(*shares.values()) == set(cores())
    assert {note["OMP_NUM_THREADS"] for note in notes} == {"1"}
    assert {note["CUDA_VISIBLE_DEVICES"] for note in notes} == {""}  # no GPU was asked for


def test_memory_keeps_large_jobs_apart(tmp_path):
    execute = functools.partial(bodies.simulate_and_tell, str(tmp_path))
    outcome = launched(execute, tmp_path / "runs", need=lambda _: Need(memory=2**60))
    assert outcome.done == 3
    notes = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert len({note["pid"] for note in notes}) == 1  # one at a time, though two workers were allowed


def test_a_killed_workers_job_is_done_by_another(tmp_path):
    launched(execute_all, tmp_path / "calm", workers=1)
    marker = tmp_path / "died"
    execute = functools.partial(bodies.first_worker_dies, str(marker))
    outcome = launched(execute, tmp_path / "runs")
    assert marker.exists()
    assert (outcome.done, outcome.failed) == (3, [])
    assert tables(tmp_path / "runs") == tables(tmp_path / "calm")


@pytest.mark.parametrize(
    ("execute", "error"),
    [
        (bodies.placebo_fails, "RuntimeError: no such drug"),
        (bodies.placebo_exits, "its worker ended with exit code 3"),
        (bodies.placebo_kills, "its worker was killed by SIGKILL"),
    ],
)
def test_a_failing_job_is_reported_and_stops_no_other(tmp_path, execute, error):
    with pytest.raises(JobsError, match=error) as raised:
        launched(execute, tmp_path)
    outcome = raised.value.outcome
    assert [(label.split(" · ")[1], said) for label, said in outcome.failed] == [("placebo", error)]
    assert outcome.done == len(list(tmp_path.glob("*/run.json"))) == 2


def test_a_full_disk_is_one_error_and_no_more_jobs(tmp_path):
    told, before = [], resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(
            StorageError, match=r"records cannot be written \(File too large\).*\(0 runs done"
        ):
            launched(functools.partial(bodies.fill_the_disk, told), tmp_path, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told == ["G=1"]
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]
    assert launched(execute_all, tmp_path, workers=1).done == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_that_is_moved_meanwhile_is_an_error(tmp_path, workers):
    root = tmp_path / "runs"
    execute = functools.partial(bodies.move_the_folder, str(root))
    with pytest.raises(StorageError, match=r"runs: holds no study\.json any more: was it moved"):
        launched(execute, root, workers=workers)
    assert not root.exists()
    again = launched(execute_all, tmp_path / "runs-moved", workers=1)
    assert again.found + again.done == 3


def test_records_that_vanish_meanwhile_are_not_counted(tmp_path):
    with pytest.raises(JobsError) as raised:
        launched(functools.partial(bodies.lose_the_first, str(tmp_path)), tmp_path, workers=1)
    outcome = raised.value.outcome
    assert (outcome.done, len(outcome.failed)) == (2, 1)
    assert "1 runs: are not in" in str(raised.value)


def test_a_job_whose_runs_another_process_has_recorded_is_done(tmp_path):
    outcome = launched(functools.partial(bodies.overtaken, str(tmp_path)), tmp_path, workers=1)
    assert (outcome.done, outcome.failed) == (3, [])


def test_an_interruption_does_not_reach_a_worker_that_imports(tmp_path, runs, capfd):
    (tmp_path / "study.json").touch()
    worker, said = Worker(Work(tmp_path, (), execute_all, None)), []
    try:
        os.kill(worker._process.pid, signal.SIGINT)
        worker.submit(Job(tuple(runs[:1])))
        assert wait_until(lambda: said.extend(worker.hear()) or Ended() in said)
    finally:
        worker.stop()
    assert capfd.readouterr().err == ""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(true):
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


LAUNCH = """
import functools, sys
from support import launch as bodies
from pathlib import Path
from support.study import LUMPED
from banditrft.launch import launch
from banditrft.runs import expand
from banditrft.study import parse_study

if __name__ == "__main__":
    study = parse_study(LUMPED, "test")
    execute = functools.partial(bodies.wait_for_ever, sys.argv[1])
    launch(study, expand(study, "sim"), Path(sys.argv[1]) / "runs", execute, workers=2)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(tmp_path, sign):
    (tmp_path / "script.py").write_text(LAUNCH)
    (tmp_path / "pids").mkdir()
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", tmp_path / "pids"],
        env=os.environ | paths,
        stderr=subprocess.DEVNULL,
    )
    pids = (tmp_path / "pids").glob
    assert wait_until(lambda: len(list(pids("[0-9]*"))) == 2)
    process.send_signal(sign)
    process.wait(timeout=30)
    assert wait_until(lambda: not any(alive(int(path.name)) for path in pids("[0-9]*")))


def test_ranks_of_a_job_meet_and_the_first_records(tmp_path, runs):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "study.json").touch()
    work = Work(tmp_path / "runs", (), functools.partial(bodies.meet, str(tmp_path)), None)
    reported = []
    assert attempt(work, Job(tuple(runs[:1]), need=Need(ranks=2)), reported.append) is None
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in (0, 1)] == ["3", "3"]
    assert reported == sorted(set(reported))  # one rank's reports, not both ranks'
    assert len(list((tmp_path / "runs").glob("*/run.json"))) == 1


def test_a_rank_that_fails_ends_the_job(tmp_path, runs):
    work = Work(tmp_path, (), bodies.second_rank_fails, None)
    said = attempt(work, Job(tuple(runs[:1]), need=Need(ranks=2)), lambda _: None)
    assert said == "rank 1: RuntimeError: out of breath"


def test_jobs_of_several_ranks_run_in_workers(tmp_path):
    execute = functools.partial(bodies.meet, str(tmp_path))
    outcome = launched(execute, tmp_path / "runs", need=lambda _: Need(ranks=2))
    assert (outcome.done, outcome.failed) == (3, [])
