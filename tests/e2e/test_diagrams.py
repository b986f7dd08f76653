"""The command that draws phase diagrams, and the published ones: text and data belong together."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from banditrft.cli import banditrft
from banditrft.errors import InputError
from sims.diagrams import NAMES, load
from sims.diagrams.publish import INTRODUCTION, page, publish, write_index

PUBLISHED = Path(__file__).parents[2] / "docs" / "results" / "sim"


def test_a_diagram_from_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "figures"
    for _ in range(2):
        result = CliRunner().invoke(banditrft, ["diagram", "batch", "--seeds", "2", "--out", str(out)])
        assert result.exit_code == 0, result.output
        files = {path.name: path.read_bytes() for path in out.iterdir()}
        assert sorted(files) == ["README.md", "batch.csv", "batch.md", "batch.svg"]
        first = files if _ == 0 else first  # noqa: F821
    assert first == files  # byte for byte
    assert "banditrft diagram batch --seeds 2" in files["batch.md"].decode()
    assert files["README.md"].decode().count("\n| [") == 1


def test_bad_requests_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NAME: must be one of advantage"):
        publish("nonsense", tmp_path)
    with pytest.raises(InputError, match="--seeds: must be at least 2"):
        publish("negative", tmp_path, seeds=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_the_published_text_is_what_the_published_data_say(name: str) -> None:
    table = pl.read_csv(PUBLISHED / f"{name}.csv", infer_schema_length=None)
    assert (PUBLISHED / f"{name}.md").read_text() == page(name, table, f"banditrft diagram {name}")
    assert (PUBLISHED / f"{name}.svg").read_bytes().startswith(b"<?xml")
    if "seeds" in table.columns:
        assert set(table["seeds"].drop_nulls()) == {load(name).SEEDS}


def test_the_published_index_is_complete(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.csv").write_bytes((PUBLISHED / f"{name}.csv").read_bytes())
    text = write_index(tmp_path).read_text()
    assert text == (PUBLISHED / "README.md").read_text()
    assert text.startswith(INTRODUCTION)
    assert text.count("\n| [") == len(NAMES)
