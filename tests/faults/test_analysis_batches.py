"""Runs that are read together are what each is when read alone; whatever is wrong with one is named by its file."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from support import analysis as fixtures
from support.records import edit_table

from analysis.loading import blocks
from analysis.loading.blocks import read_runs
from banditrft.errors import RecordError
from banditrft.records import TABLES, read_run


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    study = fixtures.study(sim_seeds=4, llm_seeds=3, queries=2)
    return fixtures.write(tmp_path_factory.mktemp("written") / "study", study)


@pytest.fixture
def runs(written, tmp_path):
    root = Path(shutil.copytree(written, tmp_path / "study"))
    cells = json.loads((root / "study.json").read_text())["cells"]
    cell = next(c for c in cells if (c["world"], c["condition"]) == ("tiny-qwen2", "G=1"))
    return [root / run for run in cell["runs"]], cell["evaluation_id"]


@pytest.mark.parametrize("files", [2, 4, 512])
def test_together_they_are_what_they_are_alone(runs, files, monkeypatch):
    monkeypatch.setattr(blocks, "FILES", files)
    folders, evaluation = runs
    assert len(folders) == 6
    for found, folder in zip(read_runs(folders, evaluation), folders, strict=True):
        alone = read_run(folder, evaluation)
        assert (found.folder, found.info) == (folder, alone.info)
        for name in (*TABLES, "final"):
            assert getattr(found, name).equals(getattr(alone, name)), name


def test_whole_runs_need_no_second_reading(runs, monkeypatch):
    monkeypatch.setattr(blocks, "read_run", None)
    assert len(read_runs(*runs)) == 6


def truncate(path):
    path.write_bytes(path.read_bytes()[:200])


FAULTS = {
    "truncated": ("evals", truncate, "is damaged"),
    "rows": (
        "rounds",
        lambda p: edit_table(p, lambda t: t.head(20), rows=False),
        r"run\.json says 150 rows, got 20",
    ),
    "seeds": (
        "evals",
        lambda p: edit_table(p, lambda t: t.with_columns(pl.lit(9, pl.Int64).alias("seed"))),
        "seeds must be",
    ),
    "missing": ("evals", Path.unlink, "cannot be read"),
    "counts": (
        "evals",
        lambda p: edit_table(p, lambda t: t.with_columns((pl.col("n") + 1).alias("correct_strict"))),
        "'correct_strict' must lie in 0..n",
    ),
    "column": ("rounds", lambda p: edit_table(p, lambda t: t.drop("kl")), "columns must be"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("which", [1, 5])
def test_a_bad_file_among_many_is_named(runs, fault, which):
    name, harm, message = FAULTS[fault]
    folders, evaluation = runs
    harm(folders[which] / f"{name}.parquet")
    with pytest.raises(RecordError, match=message) as raised:
        read_runs(folders, evaluation)
    assert str(folders[which] / name) in str(raised.value)


def test_rows_that_moved_to_a_neighbours_file_are_found(runs):
    """The sum of the rows is right, and every count possible; the files are not."""
    folders, evaluation = runs
    one, two = (pl.read_parquet(f / "rounds.parquet") for f in folders[:2])
    edit_table(folders[0] / "rounds.parquet", lambda _: one.head(149), rows=False)
    edit_table(folders[1] / "rounds.parquet", lambda _: pl.concat([one.tail(1), two]), rows=False)
    with pytest.raises(RecordError, match=r"run\.json says 150 rows, got 149"):
        read_runs(folders, evaluation)
