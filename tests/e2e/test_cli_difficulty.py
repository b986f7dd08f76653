"""`banditrft difficulty`: right counts, goes on after an interruption, refuses what it was not measured with."""

import json
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

from banditrft.cli.difficulty import BARS, command, draw
from banditrft.errors import InputError
from banditrft.runs import sampling_key
from banditrft.streams import Purpose
from banditrft.worlds import LLMWorld
from llm_runs.backends import open_backend
from llm_runs.interfaces import Address
from llm_runs.queries.candidates import read_difficulties
from llm_runs.queries.difficulty import measure
from llm_runs.tasks import load_task

WORLD = LLMWorld(model="tiny-qwen2", task="arithmetic", seeds=1)
SAMPLES, ITEMS = 40, 5


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return measure(WORLD, tmp_path_factory.mktemp("d") / "d.json", samples=SAMPLES, items=ITEMS, root_seed=3)


def test_counts_are_those_of_the_responses(table):
    task = load_task("arithmetic")
    items = task.items("pool", ITEMS)
    with open_backend(WORLD) as backend:
        backend.push()
        for item, row in zip(items, table.rows, strict=True):
            graded = backend.draw([[item]], range(SAMPLES), Address(3, [0], Purpose.SELECT))
            assert (row.item, row.prompt, row.answer) == (item.index, item.prompt, item.answer)
            assert row.correct_strict == graded.strict_SQG.sum()
            assert row.correct_lenient == graded.lenient_SQG.sum()


def test_an_interrupted_measurement_goes_on_to_the_same_table(table, tmp_path):
    class StopError(Exception):
        pass

    def stop(done):
        raise StopError

    out = tmp_path / "d.json"
    with pytest.raises(StopError):
        measure(WORLD, out, samples=SAMPLES, items=ITEMS, root_seed=3, report=stop)
    journal = next(tmp_path.iterdir())
    assert not out.exists()
    assert 1 < len(journal.read_text().splitlines()) < ITEMS + 1
    with journal.open("a") as lines:
        lines.write("[1068, 12")  # as a killed process leaves it
    fractions = []
    again = measure(WORLD, out, samples=SAMPLES, items=ITEMS, root_seed=3, report=fractions.append)
    assert again == table == read_difficulties(out)
    assert len(fractions) == ITEMS - 1
    assert list(tmp_path.iterdir()) == [out]


def test_a_journal_without_a_row_goes_on(table, tmp_path):
    out = tmp_path / "d.json"
    header = json.dumps(asdict(table.header))
    for content in ("", header + "\n", header + "\n[10"):
        out.unlink(missing_ok=True)
        out.with_name(".d.json.part").write_text(content)
        assert measure(WORLD, out, samples=SAMPLES, items=ITEMS, root_seed=3) == table


def test_a_table_of_other_lengths_is_refused(table, tmp_path):
    out = tmp_path / "d.json"
    measure(WORLD, out, samples=2, items=1)
    with pytest.raises(InputError, match="measured otherwise"):
        measure(WORLD.model_copy(update={"max_new": 8}), out, samples=2, items=1)


def test_a_table_of_something_else_is_refused(table, tmp_path):
    out = tmp_path / "d.json"
    measure(WORLD, out, samples=2, items=2)
    with pytest.raises(InputError, match="measured otherwise"):
        measure(WORLD, out, samples=3, items=2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 7}, "format 1"),
        ({"samples": None, "more": 1}, "is not a table"),
        ({"items": []}, "at least one item"),
    ],
)
def test_a_damaged_table_is_refused(table, tmp_path, change, says):
    out = tmp_path / "d.json"
    measure(WORLD, out, samples=2, items=1)
    out.write_text(json.dumps(json.loads(out.read_text()) | change))
    with pytest.raises(InputError, match=says):
        read_difficulties(out)


def test_impossible_counts_are_refused(tmp_path):
    out = tmp_path / "d.json"
    measure(WORLD, out, samples=2, items=1)
    value = json.loads(out.read_text())
    value["items"][0]["correct_strict"] = 3
    out.write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"counts must lie in 0\.\.n"):
        read_difficulties(out)


def test_the_command_prints_and_draws(tmp_path):
    out, plot = tmp_path / "d.json", tmp_path / "d.svg"
    typed = ["--model", "tiny-llama", "--task", "arithmetic", "--items", "3", "--samples", "4"]
    typed += ["--out", str(out), "--plot", str(plot), "--json"]
    done = CliRunner().invoke(command, typed, catch_exceptions=False, standalone_mode=False)
    value = json.loads(done.stdout)
    assert (value["items"], value["samples"], value["file"]) == (3, 4, str(out))
    assert value["strict"] == sum(row.correct_strict for row in read_difficulties(out).rows) / 12
    assert ET.parse(plot).getroot().tag.endswith("svg")


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_a_file_that_cannot_be_written_is_refused_first(tmp_path, option):
    typed = ["--model", "tiny-llama", "--task", "arithmetic", "--out", str(tmp_path / "d.json")]
    with pytest.raises(InputError, match=f"^{option}: its folder must be there, got "):
        command.main([*typed, option, str(tmp_path / "no" / "d")], standalone_mode=False)
    with pytest.raises(InputError, match=f"^{option}: must be a file, got the folder "):
        command.main([*typed, option, str(tmp_path)], standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


def test_lengths_are_the_commands(tmp_path):
    out = tmp_path / "d.json"
    typed = ["--model", "tiny-llama", "--task", "arithmetic", "--items", "1", "--samples", "1", "--no-chat"]
    command.main([*typed, "--max-new", "8", "--prompt-max", "7", "--out", str(out)], standalone_mode=False)
    world = WORLD.model_copy(update={"model": "tiny-llama", "max_new": 8, "prompt_max": 7, "chat": False})
    assert read_difficulties(out).header.settings == sampling_key(world)


def test_few_items_have_an_interval_each(table, tmp_path):
    draw(table, tmp_path / "few.svg")
    draw(replace(table, rows=table.rows * (BARS // ITEMS + 1)), tmp_path / "many.svg")
    few, many = ((tmp_path / name).read_text() for name in ("few.svg", "many.svg"))
    assert "LineCollection" in few
    assert "FillBetween" not in few
    assert "LineCollection" not in many
