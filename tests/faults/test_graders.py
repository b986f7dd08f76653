"""Graders against hostile responses and dying workers. Wall limits here are guards against hanging, not speeds."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from banditrft.errors import InputError
from llm_runs.graders import Grade, Gsm8k, Mathematics, equivalence, load_grader
from llm_runs.graders.equivalence import Equivalence

pytestmark = pytest.mark.slow(12)

NEVER = r"\sum_{n=1}^{10000000000} n^{n}"  # sympy adds term by term: minutes at least
LATE, WRONG, LENIENT = Grade(False, False, timed_out=True), Grade(False, False), Grade(False, True)

LONG = {
    "deep braces": "{" * 50_000 + "}" * 50_000,
    "open boxes": r"\boxed{" * 14_000,
    "nested boxes": r"\boxed{" * 12_000 + "7" + "}" * 12_000,
    "open brackets": r"\[" * 50_000,
    "dollars": "$" * 100_000,
    "dollar pairs": "$1" * 50_000,
    "hashes": "#### " * 20_000,
    "digits": "9" * 10**6,
    "commas": "1," * 50_000,
    "dots": "." * 100_000,
    "minuses": "-" * 100_000,
    "slashes": "1/" * 50_000,
    "backslashes": "\\" * 100_000,
    "open texts": r"1\text{" * 14_000,
    "null bytes": "\x00" * 100_000,
    "right to left": "\u202e7" * 50_000,
    "long box": r"\boxed{" + "1+" * 9_000 + "1}",
}


@pytest.fixture(scope="module")
def mathematics():
    with Mathematics(timeout_s=2, workers=2) as grader:
        grader.grade(r"\boxed{1+1}", "2")  # the workers' start is not on trial
        yield grader


@pytest.mark.parametrize("name", LONG)
def test_long_responses_take_bounded_time(mathematics, name):
    started = time.monotonic()
    assert not Gsm8k().grade(LONG[name], "72").strict
    assert not mathematics.grade(LONG[name], "72").strict
    assert time.monotonic() - started < 10


SUMS = itertools.count(100)


def grade_a_new_sum(grader):
    """A verdict that the grader cannot remember: only a worker finds that k+1 is k+1."""
    k = next(SUMS)
    return grader.grade(rf"\boxed{{{k}+1}}", str(k + 1))


HOSTILE = [
    r"\boxed{10^{10^{10}}}",
    r"\boxed{10**10**10}",
    r"\boxed{" + "9" * 990 + "}",
    r"\boxed{" + r"\frac{1}{" * 90 + "1" + "}" * 90 + "}",
    "\\boxed{\x007}",
    "\\boxed{\u202e7\u202c}",
    "\\boxed{\ud800}",
]


def test_hostile_responses_cost_at_most_the_limit_each(mathematics):
    started = time.monotonic()
    grades = mathematics.grade_many([*HOSTILE, r"\boxed{36+36}"], ["72"] * (len(HOSTILE) + 1))
    assert time.monotonic() - started < 60
    assert grades[-1] == LENIENT
    assert not any(grade.strict or grade.lenient for grade in grades[:-1])


def test_late_workers_are_replaced_and_order_is_kept(mathematics):
    rows = [(rf"\boxed{{{NEVER}}}", "1", LATE), (rf"\boxed{{{NEVER}}}", "2", LATE)]
    rows += [(rf"\boxed{{{k}+1}}", str(k + k % 2), LENIENT if k % 2 else WRONG) for k in range(9)]
    grade_a_new_sum(mathematics)
    before = {worker.process.pid for worker in mathematics._equivalence._workers if worker.ready}
    grades = mathematics.grade_many([r for r, _, _ in rows], [a for _, a, _ in rows])
    assert grades == [grade for _, _, grade in rows]
    after = {worker.process.pid for worker in mathematics._equivalence._workers}
    assert before
    assert not before & after  # whoever got the first two was late and killed


def test_a_worker_killed_from_outside_is_replaced(mathematics):
    grade_a_new_sum(mathematics)
    for worker in mathematics._equivalence._workers:
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
    assert grade_a_new_sum(mathematics) == LENIENT


def test_workers_retire(mathematics, monkeypatch):
    monkeypatch.setattr(equivalence, "RETIRE", 1)
    before = {worker.process.pid for worker in mathematics._equivalence._workers}
    assert [grade_a_new_sum(mathematics) for _ in range(3)] == [LENIENT] * 3
    assert not before & {worker.process.pid for worker in mathematics._equivalence._workers}


def test_an_interruption_leaves_no_stale_reply(mathematics):
    def interrupt(*_):
        raise KeyboardInterrupt

    grade_a_new_sum(mathematics)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            mathematics.grade(rf"\boxed{{{NEVER}}}", "2")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert grade_a_new_sum(mathematics) == LENIENT


def test_a_forked_process_has_workers_of_its_own(mathematics):
    grade_a_new_sum(mathematics)
    pids = [worker.process.pid for worker in mathematics._equivalence._workers]
    child = os.fork()
    if child == 0:
        fine = grade_a_new_sum(mathematics) == LENIENT
        mathematics.close()
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert grade_a_new_sum(mathematics) == LENIENT
    assert [worker.process.pid for worker in mathematics._equivalence._workers] == pids


def test_a_worker_ends_with_whoever_asked_it():
    """A killed grader closes no worker, but its end of the pipe: that must do, however long the limit."""
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        [*equivalence.COMMAND, "3600"], env=os.environ | paths, bufsize=0, **pipes
    ) as worker:
        assert worker.stdout.read(1) == b"R"
        worker.stdin.write(json.dumps([NEVER, "3"]).encode() + b"\n")
        time.sleep(0.2)  # it has begun
        assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait(timeout=20) in (0, -signal.SIGIO)


def test_a_verdict_is_remembered_until_close():
    with Mathematics(timeout_s=30, workers=1) as grader:
        assert grader.grade(r"\boxed{1+1}", "2") == LENIENT
        grader._equivalence.close()
        rows = [r"\boxed{1+1}", r"\boxed{2}", r"\boxed{1+1}"]
        assert grader.grade_many(rows, ["2"] * 3) == [LENIENT, Grade(True, True), LENIENT]
        assert not grader._equivalence._workers  # nobody was asked
        grader.close()
        assert grader.grade(r"\boxed{1+1}", "2") == LENIENT
        assert grader._equivalence._workers


def test_a_pair_that_ran_out_of_time_is_asked_again(mathematics):
    assert mathematics.grade(rf"\boxed{{{NEVER}}}", "3") == LATE
    started = time.monotonic()
    assert mathematics.grade(rf"\boxed{{{NEVER}}}", "3") == LATE
    assert time.monotonic() - started >= 2  # the limit


def test_nothing_a_model_writes_is_executed(mathematics, tmp_path):
    flag = tmp_path / "flag"
    code = f"__import__('pathlib').Path('{flag}').touch()"
    for text in (code, rf"\boxed{{{code}}}", f"${code}$", rf"\boxed{{1/1*{code}}}"):
        mathematics.grade(text, "72")
        mathematics.grade("72", text)
    assert not flag.exists()


def test_close_ends_the_processes_and_the_grader_can_go_on():
    grader = Mathematics(timeout_s=30, workers=1)
    assert grade_a_new_sum(grader) == LENIENT
    process = grader._equivalence._workers[0].process
    grader.close()
    assert process.poll() == -signal.SIGKILL
    assert grade_a_new_sum(grader) == LENIENT
    process = grader._equivalence._workers[0].process
    del grader
    assert process.poll() == -signal.SIGKILL  # forgotten is closed


def test_workers_that_do_not_start_are_an_error(monkeypatch):
    monkeypatch.setattr(equivalence, "COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(ChildProcessError, match="math-verify: no worker starts"):
        Equivalence().equal([("1", "1")])


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_bad_limits(seconds):
    with pytest.raises(InputError, match="timeout_s: must be positive and finite"):
        load_grader("gsm8k", timeout_s=seconds)
    with pytest.raises(InputError, match="timeout_s: must be positive and finite"):
        Equivalence(seconds)


def test_bad_number_of_workers():
    with pytest.raises(InputError, match="workers: must be at least 1, got 0"):
        Equivalence(workers=0)


@pytest.mark.parametrize("score", [-0.5, 1.5, float("inf")])
def test_a_score_outside_the_unit_interval_is_an_error_of_its_grader(score):
    with pytest.raises(ValueError, match=r"score: must lie in \[0, 1\]"):
        Grade(strict=False, lenient=False, score=score)


@pytest.mark.parametrize("strict", [False, True])
def test_without_partial_credit_the_score_is_the_strict_verdict(strict):
    assert Grade(strict, lenient=True).score == float(strict)
    assert Grade(strict, lenient=True, score=0.5).score == 0.5
