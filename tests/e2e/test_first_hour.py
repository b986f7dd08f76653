"""What a new user types first: a study of one's own, a name in the way of another's, text that acts on a terminal."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from support.cli import banditrft
from support.study import LUMPED

import analysis
from banditrft.catalog import write_study
from banditrft.cli.common import preset_names
from banditrft.cli.difficulty import previews
from banditrft.files import read_sealed, write_sealed
from banditrft.parts import part_of
from banditrft.study import load_study

HIDDEN = "\x1b[2J\u202e"


def test_a_new_study_is_clean_and_runs(tmp_path):
    said = banditrft("new", "mine.toml", cwd=tmp_path).stdout
    assert said == "mine.toml: edit it, then banditrft lint mine.toml and banditrft sim mine.toml\n"
    assert banditrft("lint", "mine.toml", cwd=tmp_path).stdout == "mine: 3 cells, 0 warnings\n"
    plan = json.loads(banditrft("sim", "mine.toml", "--dry-run", "--json", cwd=tmp_path).stdout)
    assert (plan["study"], plan["to_run"]) == ("mine", 3)


def test_only_names_stand_in_for_names(tmp_path):
    banditrft("new", "FILE-NAME.toml", cwd=tmp_path)
    text = (tmp_path / "FILE-NAME.toml").read_text()
    assert load_study(tmp_path / "FILE-NAME.toml").name == "FILE-NAME"
    assert "`banditrft llm FILE-NAME.toml`" in text
    assert "or ORG/NAME on the Hugging Face hub" in text


def test_its_language_model_part_is_a_study_too(tmp_path):
    banditrft("new", "mine.toml", cwd=tmp_path)
    head, part, rest = (tmp_path / "mine.toml").read_text().partition("# [[llm]]")
    opened = "\n".join(line.removeprefix("# ") for line in (part + rest).splitlines())
    (tmp_path / "mine.toml").write_text(head + opened)
    assert "mine: 6 cells" in banditrft("lint", "mine.toml", cwd=tmp_path).stdout


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_can_be_started_from(tmp_path, preset):
    banditrft("new", "mine.toml", "--preset", preset, cwd=tmp_path)
    assert load_study(tmp_path / "mine.toml").name == "mine"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("there.toml",), "FILE: is there already, got there.toml"),
        (("mine",), "FILE: must be NAME.toml, of letters, digits and . _ -, got mine"),
        (("my study.toml",), "FILE: must be NAME.toml, of letters, digits and . _ -, got my study.toml"),
        (("quick.toml",), "FILE: 'quick' is a shipped study's name; its records would be mixed with yours"),
        (("no/mine.toml",), "FILE: cannot be written (No such file or directory), got no/mine.toml"),
    ],
)
def test_where_no_study_can_be_written(tmp_path, args, message):
    (tmp_path / "there.toml").write_text("mine")
    assert banditrft("new", *args, cwd=tmp_path, code=2).stderr == f"error: {message}\n"
    assert (tmp_path / "there.toml").read_text() == "mine"


def test_a_name_unlike_its_file_is_said_before_it_runs(tmp_path):
    (tmp_path / "mine.toml").write_text(LUMPED)
    note = "name: the study in mine.toml is called 'small', and so is its folder of records"
    assert f"warning: {note}\n" in banditrft("lint", "mine.toml", cwd=tmp_path).stdout
    assert f"note: {note}: runs/small\n" in banditrft("sim", "mine.toml", "--dry-run", cwd=tmp_path).stderr
    (tmp_path / "small.toml").write_text(LUMPED)
    assert banditrft("sim", "small.toml", "--dry-run", cwd=tmp_path).stderr == ""


def test_another_studys_folder_is_refused_before_anything_runs(tmp_path):
    other = LUMPED.replace("rounds = 20", "rounds = 19")
    (tmp_path / "small.toml").write_text(LUMPED)
    banditrft("sim", "small.toml", "--workers", 1, cwd=tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    (tmp_path / "copy.toml").write_text(other)
    for args in (("sim", "copy.toml"), ("sim", "copy.toml", "--dry-run"), ("llm", "copy.toml")):
        said = banditrft(*args, cwd=tmp_path, code=2).stderr
        assert said.startswith(
            "error: name: runs/small holds the records of another study of this name, from small.toml;"
        )
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")} == kept
    (tmp_path / "copy.toml").write_text(LUMPED)  # the same study, copied
    banditrft("sim", "copy.toml", "--workers", 1, cwd=tmp_path)
    (tmp_path / "small.toml").write_text(other)  # a study may change
    banditrft("sim", "small.toml", "--workers", 1, cwd=tmp_path)


def test_a_presets_folder_is_not_for_its_copies(tmp_path):
    study = load_study(_preset(tmp_path, "sim-b1"))
    folder = tmp_path / "runs" / study.name
    folder.mkdir(parents=True)
    write_study(folder, replace(study, source="preset sim-b1", text="older"), [], "")
    said = banditrft("sim", "sim-b1.toml", "--list", cwd=tmp_path, code=2).stderr
    assert (
        "another study of this name, from preset sim-b1; give the one in sim-b1.toml a name of its own"
        in said
    )
    banditrft("sim", "sim-b1", "--list", cwd=tmp_path)


def _preset(folder, name):
    banditrft("new", "copy.toml", "--preset", name, cwd=folder)
    text = (folder / "copy.toml").read_text().replace('name = "copy"', f'name = "{name}"')
    (folder / f"{name}.toml").write_text(text)
    return folder / f"{name}.toml"


def test_errors_of_both_worlds_come_together_and_not_without_end(tmp_path):
    bad = '\n[[llm]]\nmodel = "huge-qwen9"\n'
    (tmp_path / "small.toml").write_text(
        LUMPED.replace("rounds = 20", "rounds = 20\nbetas = [0.99, 0.5]") + bad
    )
    for command in ("lint", "sim", "llm"):
        said = banditrft(command, "small.toml", cwd=tmp_path, code=2).stderr
        assert "llm[0].model: must be a shipped model" in said
        assert "G=4 (world 'lumped'): betas: beta1^2 must be below beta2" in said
    (tmp_path / "many.toml").write_text(LUMPED + "".join(f"\nwrong{i} = 1" for i in range(500)))
    said = banditrft("lint", "many.toml", cwd=tmp_path, code=2).stderr.splitlines()
    assert (len(said), said[-1]) == (21, "error: and 480 more")


def test_previews_show_what_tells_questions_apart():
    shots = "Q: 1+1? A: 2. " * 9
    ask = " Think step by step and write the answer behind ####, as a number."
    prompts = [f"{shots}How many apples has {who}?{ask}" for who in ("Ann", "Bob", "Zoe")]
    assert previews(prompts) == ["Ann?", "Bob?", "Zoe?"]
    assert previews(["Solve 3x=6.", "Solve 2x=6."]) == ["Solve 3x=6.", "Solve 2x=6."]
    (one,) = previews([shots + "How many?"])
    assert (len(one), one[-9:], one[:3]) == (48, "How many?", "...")


def test_all_faults_of_a_command_come_at_once(tmp_path):
    (tmp_path / "folder").mkdir()
    asked = ("--model", "huge-qwen9", "--task", "chess", "--out", "folder", "--plot", "no/where.svg")
    said = banditrft("difficulty", *asked, cwd=tmp_path, code=2).stderr.splitlines()
    assert [line.split(": ")[1] for line in said] == ["--out", "--plot", "task", "model"]


def test_no_text_of_a_file_acts_on_the_terminal(tmp_path):
    said = banditrft("lint", f"{HIDDEN}.toml", cwd=tmp_path, code=2).stderr
    assert r"got \x1b[2J\u202e.toml" in said


def test_a_report_shows_what_would_hide(tmp_path):
    (tmp_path / "small.toml").write_text(LUMPED)
    banditrft("sim", "small.toml", "--workers", 1, cwd=tmp_path)
    path = tmp_path / "runs" / "small" / "study.json"
    study = read_sealed(path)
    for cell in study["cells"]:
        cell["condition"] += HIDDEN
    write_sealed(path, study)
    page = path.with_name("report.html")
    with patch.object(os, "getpid", lambda: 2**22 - 1):  # a writer that was killed
        stale = part_of(page)
    stale.write_text("half")
    analysis.report(path.parent, path.parent)
    written = [page, path.with_name("summary.md"), *path.parent.glob("figures/*")]
    assert [p.name for p in written if set(HIDDEN) - set("[2J") & set(p.read_text())] == []
    assert r"placebo\x1b[2J\u202e" in page.read_text()
    assert not stale.exists()


def test_runs_that_failed_are_said_to_be_missing(tmp_path):
    (tmp_path / "small.toml").write_text(LUMPED)
    banditrft("sim", "small.toml", "--workers", 1, cwd=tmp_path)
    root = tmp_path / "runs" / "small"
    gone = json.loads((root / "study.json").read_text())["cells"][1]["runs"][0]
    shutil.rmtree(root / gone)
    for command in ("diagnose", "report"):
        said = banditrft(command, "runs/small", cwd=tmp_path, code=2).stderr
        assert f"{gone}/run.json: is missing, one of 1 runs of 'G=4' in 'lumped' (of 1)" in said
        assert said.endswith("run the study again\n")
    assert "JSON" not in said


def test_the_readme_says_how_the_command_is_found():
    text = (Path(__file__).parents[2] / "README.md").read_text()
    assert ".venv/bin/banditrft" in text
    assert "source .venv/bin/activate" in text
