"""Records that cannot be trusted are errors that name the file; conditions that a claim needs may be absent."""

import json
from pathlib import Path

import analysis_fixtures as fixtures
import polars as pl
import pytest

import analysis
from banditrft.errors import InputError, RecordError


@pytest.fixture
def root(tmp_path):
    return fixtures.write(tmp_path / "study", fixtures.study(sim_seeds=4, llm_seeds=2, queries=2))


def first(root: Path, world: str, condition: str = "G=1") -> Path:
    cells = json.loads((root / "study.json").read_text())["cells"]
    return root / next(c for c in cells if (c["world"], c["condition"]) == (world, condition))["runs"][0]


def test_whole_records_load(root):
    records = analysis.load(root)
    cell = records.of("tiny-qwen2")["G=4"]
    assert cell.keys() == [(7, 0), (7, 1), (10, 0), (10, 1)]
    assert cell.train.shape == (4, 31)
    assert cell.has_test
    assert not records.of("lumped")["G=1"].has_test
    assert cell.base == pytest.approx({7: 0.15, 10: 0.23})
    assert records.seconds == pytest.approx(0.001 * 150 * (2 * 5 * 4 + 5 * 4))


def test_rates_are_counts_over_samples(root):
    folder = first(root, "tiny-qwen2")
    final = pl.read_parquet(next(folder.glob("final-*.parquet")))
    cell = analysis.load(root).of("tiny-qwen2")["G=1"]
    test = final.filter((pl.col("split") == "test") & (pl.col("round") == 150))
    assert cell.test[0] == test["correct_strict"][0] / test["n"][0]
    evals = pl.read_parquet(folder / "evals.parquet").sort("round")
    assert cell.train[0].tolist() == (evals["correct_strict"] / evals["n"]).to_list()


def test_no_study_no_analysis(tmp_path):
    with pytest.raises(RecordError, match=r"study\.json"):
        analysis.load(tmp_path)


@pytest.mark.parametrize("name", ["evals.parquet", "run.json"])
def test_a_missing_file_is_named(root, name):
    (first(root, "lumped") / name).unlink()
    with pytest.raises(RecordError, match=name):
        analysis.load(root)


def test_a_truncated_file_is_named(root):
    path = first(root, "lumped") / "evals.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match=r"evals\.parquet"):
        analysis.load(root)


def edit(path: Path, change) -> None:
    table = change(pl.read_parquet(path))
    table.write_parquet(path)
    info = path.parent / "run.json"
    value = json.loads(info.read_text())
    if path.stem in value["rows"]:
        value["rows"][path.stem] = table.height
        info.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.filter(pl.col("round") != 50), "evaluated at rounds"),
        (lambda t: pl.concat([t, t.head(1)]), "twice"),
        (
            lambda t: t.with_columns(
                n=pl.lit(0), correct_strict=pl.lit(0), correct_lenient=pl.lit(None, pl.Int64)
            ).cast({"n": pl.Int64, "correct_strict": pl.Int64}),
            "no samples",
        ),
    ],
)
def test_an_incomplete_curve_is_an_error(root, change, what):
    edit(first(root, "lumped") / "evals.parquet", change)
    with pytest.raises(RecordError, match=what):
        analysis.load(root)


def test_a_run_without_its_final_evaluation_is_an_error(root):
    folder = first(root, "tiny-qwen2")
    edit(next(folder.glob("final-*.parquet")), lambda t: t.filter(pl.col("split") == "test"))
    with pytest.raises(RecordError, match="needs a final evaluation"):
        analysis.load(root)


def test_a_run_counted_twice_is_an_error(root):
    path = root / "study.json"
    value = json.loads(path.read_text())
    value["cells"][0]["runs"] *= 2
    path.write_text(json.dumps(value))
    with pytest.raises(RecordError, match="twice"):
        analysis.load(root)


def test_a_bad_report_writes_nothing(root, tmp_path):
    (first(root, "lumped") / "run.json").unlink()
    with pytest.raises(InputError):
        analysis.report(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_claims_without_their_conditions_are_not_tested(tmp_path):
    text = fixtures.TEXT.replace('name = "G=1"', 'name = "G=2"\nrollouts = 2').split(
        '[[conditions]]\nname = "G=1, SGD"'
    )[0]
    root = fixtures.write(tmp_path / "s", fixtures.study(sim_seeds=4, llm_seeds=0, text=text))
    found = analysis.verdicts(analysis.load(root))
    assert [(v.verdict, v.p, v.family) for v in found] == [("undecided", None, 0)] * 2
    assert all("Not tested" in v.summary for v in found)
    assert analysis.report(root, tmp_path / "out").exists()


def test_one_seed_one_query_decides_nothing(tmp_path):
    root = fixtures.write(tmp_path / "s", fixtures.study(sim_seeds=1, llm_seeds=1, queries=1))
    found = analysis.verdicts(analysis.load(root))
    assert {v.verdict for v in found} == {"undecided"}
    assert analysis.report(root, tmp_path / "out").exists()
