"""docs/other-trainers.md shows what the commands print, where BANDITRFT_DATA names the folder of the logs."""

import importlib.util
import json
import os
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from banditrft.cli import banditrft
from banditrft.errors import InputError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "other-trainers.md").read_text(encoding="utf-8")
NOISY = ROOT / "docs" / "results" / "noisy-rewards"
VARIABLE = "BANDITRFT_DATA"
pytestmark = pytest.mark.skipif(
    VARIABLE not in os.environ,
    reason=f"{VARIABLE} is not set: the examples of docs/other-trainers.md were not run",
)


def shown(command: str) -> str:
    """What a command prints, errors as the front door prints them."""
    arguments = shlex.split(command)[1:]
    try:
        done = CliRunner().invoke(banditrft, arguments, catch_exceptions=False, standalone_mode=False)
    except InputError as error:
        return "".join(f"error: {line}\n" for line in str(error).splitlines())
    return done.output


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(os.environ[VARIABLE])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_shows_what_its_commands_print(folder, capsys):
    for kind, block in re.findall(r"```(console|python)\n(.*?)```", PAGE, flags=re.S):
        if kind == "console":
            commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
            assert "".join(f"$ {command}\n{shown(command)}" for command in commands) == block
        else:
            exec(compile(block, "other-trainers.md", "exec"), {})
            assert f"```python\n{block}```\n\n```text\n{capsys.readouterr().out}```" in PAGE


def test_the_tests_of_the_noisy_runs_are_those_committed():
    spec = importlib.util.spec_from_file_location("noisy_rewards", NOISY / "noisy_rewards.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    committed = json.loads((NOISY / "noisy_rewards.json").read_text(encoding="utf-8"))
    path = Path(os.environ[VARIABLE]) / "rlvr_noisy_rewards" / "batch32_metrics.csv"
    for model, found in committed["models"].items():
        for name, test in script.tests(script.Runs(path, model)).items():
            assert test["estimate"] == pytest.approx(found["tests"][name]["estimate"], rel=1e-3)
            assert test["p"] == pytest.approx(found["tests"][name]["p"], rel=1e-2)
