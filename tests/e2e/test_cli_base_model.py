"""`banditrft base-model` as a user meets it: list, show, and an unknown name."""

import json
import sys

import pytest

from banditrft.cli import main
from llm_runs.tiny.pretraining import ORIGINS


@pytest.fixture
def base_model(monkeypatch, capsys):
    def run(*args, code=0):
        monkeypatch.setattr(sys, "argv", ["banditrft", "base-model", *args])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == code
        return capsys.readouterr()

    return run


def test_list_names_every_model_and_its_tasks(base_model):
    lines = base_model("list").out.splitlines()
    assert {line.split()[0] for line in lines} == set(ORIGINS)
    words = next(line for line in lines if line.startswith("tiny-qwen2-words"))
    assert all(task in words for task in ("tiny-gsm", "tiny-math", "tiny-sort"))


def test_list_as_json(base_model):
    models = json.loads(base_model("list", "--json").out)["models"]
    assert {model["name"]: list(model["base_pass_at_1"]) for model in models} == {
        name: [task.name for task in origin.tasks] for name, origin in ORIGINS.items()
    }


def test_show_says_how_a_model_was_made_and_what_it_can_do(base_model):
    told = json.loads(base_model("show", "tiny-olmo2-words", "--json").out)
    page = base_model("show", "tiny-olmo2-words").out
    assert told["weights_sha256"] in page
    assert "banditrft base-model train tiny-olmo2-words --out DIR" in page
    strict = told["measured"]["tasks"]["tiny-sort"]["test"]["strict"]
    row = next(line for line in page.splitlines() if line.split()[:2] == ["tiny-sort", "test"])
    assert row.split()[2] == f"{strict:.3f}"


def test_an_unknown_name_is_answered_with_those_there_are(base_model):
    error = base_model("show", "tiny-gpt", code=2).err
    assert all(name in error for name in ORIGINS)
