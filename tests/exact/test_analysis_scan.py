"""Tables of many runs, lazily: the same numbers as `analysis.load`, and errors that name the file."""

import shutil

import numpy as np
import polars as pl
import pytest
from support.analysis import study, write
from support.records import edit_json, edit_table

from analysis import load
from analysis.loading.scan import scan, summary
from banditrft.errors import InputError, RecordError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("runs") / "synthetic", study(sim_seeds=5, llm_seeds=2, queries=2))


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_summary_has_the_means_that_load_has(root):
    found = summary(root)
    for cell in load(root).cells:
        rows = found.filter((pl.col("world") == cell.world.name) & (pl.col("condition") == cell.condition))
        train = rows.row(by_predicate=pl.col("split") == "train", named=True)
        rates = cell.final_correct / cell.final_samples
        assert train["runs"] == cell.n
        assert train["mean"] == pytest.approx(rates.mean())
        assert train["sd"] == pytest.approx(rates.std(ddof=1))
        if cell.has_test:
            test = rows.row(by_predicate=pl.col("split") == "test", named=True)
            assert test["mean"] == pytest.approx(cell.test.mean())


def test_curves_are_those_that_load_reads(root):
    cell = load(root).cells[0]
    name = cell.world.name
    found = (
        scan(root)
        .filter((pl.col("world") == name) & (pl.col("condition") == cell.condition))
        .sort("seed", "round")
        .select(pl.col("correct_strict") / pl.col("n"))
        .collect()
    )
    np.testing.assert_allclose(found.to_numpy().reshape(cell.train.shape), cell.train)


def test_studies_are_told_apart_and_rows_can_be_limited(root, copy):
    both = scan([root, copy], "rounds")
    assert (
        both.select("run_id").unique().collect().height
        == scan(root).select("run_id").unique().collect().height
    )
    assert (
        both.select(pl.len()).collect().item() == 2 * scan(root, "rounds").select(pl.len()).collect().item()
    )
    assert both.head(7).collect().height == 7


@pytest.mark.parametrize("table", ["rounds", "groups", "evals", "final"])
def test_every_table_has_its_columns(root, table):
    found = scan(root, table).head(3).collect()
    assert found.columns[:4] == ["study", "world", "condition", "run_id"]
    assert found.schema == scan(root, table).collect_schema()


def broken(change):
    return lambda path: edit_table(path, change)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "is damaged"),
        (lambda path: path.unlink(), "cannot be read"),
        (broken(lambda t: t.drop("n")), "columns must be"),
        (broken(lambda t: t.with_columns(pl.col("n").cast(pl.Int32))), "columns must be"),
        (broken(lambda t: t.with_columns(correct_strict=pl.col("n") + 1)), "must lie in 0..n"),
        (broken(lambda t: t.with_columns(reward_sum=pl.lit(float("nan")))), "must be finite"),
    ],
)
def test_a_damaged_file_ends_the_query_with_its_name(copy, damage, what):
    path = sorted(copy.glob("*/final-*.parquet"))[3]
    damage(path)
    with pytest.raises(RecordError, match=what) as caught:
        scan(copy, "final").collect()
    assert str(path) in str(caught.value)


def test_a_study_of_another_schema_or_with_a_run_counted_twice_is_named(copy):
    path = copy / "study.json"
    edit_json(path, lambda v: v["cells"][0].update(runs=2 * v["cells"][0]["runs"]))
    with pytest.raises(RecordError, match="counts a run twice"):
        scan(copy)
    edit_json(path, lambda v: v | {"schema": 1})
    with pytest.raises(RecordError, match=r"study.json: schema must be \d, got 1"):
        scan(copy)
    path.write_text("{}")
    with pytest.raises(RecordError, match="states no sha256"):
        scan(copy)


def test_unknown_tables_and_repeated_folders_are_named(root):
    with pytest.raises(InputError, match="table: must be one of rounds, groups, evals, final, got 'eval'"):
        scan(root, "eval")
    with pytest.raises(InputError, match="given twice"):
        scan([root, root / "."])
