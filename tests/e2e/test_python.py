"""The package as a Python session meets it: what a script must say, names, short reprs, failures that are errors."""

import subprocess
import sys

import pytest
from support.study import LLM, LUMPED

import analysis
import banditrft
import sims
from banditrft.brief import brief
from banditrft.design import Design
from banditrft.launch import Outcome
from banditrft.runs import Query, WorldQueries, expand
from banditrft.study import parse_study
from banditrft.worlds import LumpedWorld

pytestmark = pytest.mark.slow(12)

LONGEST = 500
SCRIPT = """
import sims
from banditrft import load_study

print(sims.run(load_study("small.toml"), "records", workers=2).done)
"""


def python(*args, cwd, **options):
    return subprocess.run([sys.executable, *args], cwd=cwd, capture_output=True, text=True, **options)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.toml").write_text(LUMPED)
    return tmp_path


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_script_needs_no_main_guard(folder, way):
    (folder / "script.py").write_text(SCRIPT)
    args, options = (["script.py"], {}) if way == "file" else (["-"], {"input": SCRIPT})
    done = python(*args, cwd=folder, **options)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert "Traceback" not in done.stderr


def test_the_module_is_the_command(tmp_path):
    done = python("-m", "banditrft", "lint", "no-such.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: STUDY: must be a file or a preset")


def fails(runs, report):
    raise RuntimeError("out of luck")


def test_failed_jobs_are_an_error_after_all_others(folder, monkeypatch):
    monkeypatch.setattr("sims.study.execute_all", fails)
    with pytest.raises(banditrft.JobsError, match=r"^3 jobs failed, 0 runs done\nlumped · G=1") as raised:
        sims.run(banditrft.load_study(str(folder / "small.toml")), str(folder), workers=1)
    assert [error for _, error in raised.value.outcome.failed] == ["RuntimeError: out of luck"] * 3


def test_an_error_quotes_a_few_failures_only():
    error = banditrft.JobsError(Outcome(failed=[(f"job {i}", "no") for i in range(1000)]))
    assert str(error).splitlines()[-1] == "and 995 more"


def test_names_are_listed_and_rooms_are_attributes():
    assert {"predict", "load_study", "Study", "analysis", "sims", "llm_runs"} <= set(dir(banditrft))
    assert {"TYPE_CHECKING", "lazy", "_HOMES"}.isdisjoint(dir(banditrft))
    assert {"run", "check"} <= set(dir(sims))
    assert (banditrft.analysis, banditrft.sims) == (analysis, sims)


def test_a_public_name_is_not_replaced_by_a_module(tmp_path):
    script = "import banditrft, banditrft.predict, inspect; print(inspect.isfunction(banditrft.predict))"
    assert python("-c", script, cwd=tmp_path).stdout == "True\n"


def test_a_module_that_hides_a_room_is_named(tmp_path):
    (tmp_path / "analysis.py").write_text("")
    done = python("-c", "import banditrft; banditrft.analysis", cwd=tmp_path)
    assert "ImportError: analysis: " in done.stderr
    assert "has the name of a package of banditrft and hides it" in done.stderr


def test_reprs_are_short(folder):
    study = parse_study(LUMPED + LLM)
    sims.run(parse_study(LUMPED), folder, workers=1)
    records = analysis.load(folder / "small")
    wide = LumpedWorld(seeds=1, law={"kind": "zipf", "arms": 10**9})
    design = Design(learning_rate=0.1, rounds=3, rollouts=4, betas=(0.5, 0.9), kl_coef=0.1)
    query = Query(1, "1+1=? " * 100, "2", 0.5, 64)
    many = [
        study,
        study.cells[0],
        expand(study, "sim")[0],
        records,
        records.cells[0],
        analysis.verdicts(records)[0],
        banditrft.predict(design.model_copy(update={"kl_coef": 0.0}), p0=0.1),
        wide,
        design,
        Outcome(failed=[("job", "error " * 100)] * 100),
        WorldQueries("k", "w", "t", (query,) * 100),
    ]
    assert {type(value).__name__: len(repr(value)) for value in many if len(repr(value)) >= LONGEST} == {}
    assert (
        brief("Name", {"first": {i: {j: ["x" * 60] * 3 for j in range(3)} for i in range(3)}}) == "Name(...)"
    )
    assert repr(Design(learning_rate=0.1, rounds=3)) == "Design(learning_rate=0.1, rounds=3)"
