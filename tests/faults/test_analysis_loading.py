"""Records that cannot be trusted are errors that name the file; conditions that a claim needs may be absent."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from support import analysis as fixtures
from support import claims as by_hand
from support.records import edit_json, edit_table

import analysis
from analysis.diagnosis import diagnose
from banditrft.errors import InputError, RecordError

pytestmark = pytest.mark.slow(8)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    study = fixtures.study(sim_seeds=4, llm_seeds=2, queries=2)
    return fixtures.write(tmp_path_factory.mktemp("written") / "study", study)


@pytest.fixture
def root(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "study"))


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


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.filter(pl.col("round") != 50), "evaluated at rounds"),
        (lambda t: pl.concat([t, t.head(1)]), "twice"),
        (
            lambda t: t.with_columns(
                n=pl.lit(0), correct_strict=pl.lit(0), correct_lenient=pl.lit(None, pl.Int64)
            ).cast({"n": pl.Int64, "correct_strict": pl.Int64}),
            "'n' must be at least 1, got",
        ),
    ],
)
def test_an_incomplete_curve_is_an_error(root, change, what):
    edit_table(first(root, "lumped") / "evals.parquet", change)
    with pytest.raises(RecordError, match=what):
        analysis.load(root)


def test_a_run_without_its_final_evaluation_is_an_error(root):
    folder = first(root, "tiny-qwen2")
    edit_table(next(folder.glob("final-*.parquet")), lambda t: t.filter(pl.col("split") == "test"))
    with pytest.raises(RecordError, match="needs a final evaluation"):
        analysis.load(root)


@pytest.mark.parametrize("world", ["contextual", "tiny-qwen2"])
@pytest.mark.parametrize("at", [0, 150])
def test_a_seed_without_its_test_evaluation_is_named(root, world, at):
    """One lost row must not turn a condition with a test set into one without."""
    path = next(first(root, world).glob("final-*.parquet"))
    gone = (pl.col("split") == "test") & (pl.col("round") == at) & (pl.col("seed") == pl.col("seed").min())
    edit_table(path, lambda t: t.filter(~gone))
    with pytest.raises(
        RecordError, match=rf"must have 1 rows of split 'test' at round {at} .* 0 for seed 0"
    ) as e:
        analysis.load(root)
    assert str(path) in str(e.value)


def test_a_run_counted_twice_is_an_error(root):
    edit_json(root / "study.json", lambda v: v["cells"][0].update(runs=2 * v["cells"][0]["runs"]))
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


def test_a_run_of_an_unknown_schema_is_named(root):
    edit_json(first(root, "lumped") / "run.json", lambda v: v.update(schema=99))
    with pytest.raises(RecordError, match=r"run\.json: schema must be 3, got 99"):
        analysis.load(root)


def test_a_table_with_a_strange_column_is_named(root):
    edit_table(first(root, "lumped") / "evals.parquet", lambda t: t.with_columns(extra=pl.lit(1)))
    with pytest.raises(RecordError, match=r"evals\.parquet: columns must be"):
        analysis.load(root)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            {"reward_sum": float("nan")},
            r"evals\.parquet: column 'reward_sum' must be finite, got \{'row': 3, .*'reward_sum': nan\}",
        ),
        ({"n": None}, r"evals\.parquet: column 'n' must have no nulls, got \{'row': 3, .*'n': None\}"),
        ({"correct_strict": 1000}, r"evals\.parquet: 'correct_strict' must lie in 0\.\.n, got \{'row': 3"),
    ],
)
def test_a_bad_value_is_named_with_its_row(root, change, what):
    def put(table):
        row = pl.int_range(pl.len()) == 3
        return table.with_columns(
            pl.when(row).then(pl.lit(v, table.schema[k])).otherwise(pl.col(k)).alias(k)
            for k, v in change.items()
        )

    edit_table(first(root, "lumped") / "evals.parquet", put)
    with pytest.raises(RecordError, match=what):
        analysis.load(root)


def test_a_missing_evaluation_is_named(root):
    edit_table(
        first(root, "lumped") / "evals.parquet",
        lambda t: t.filter((pl.col("seed") != 2) | (pl.col("round") != 50)),
    )
    with pytest.raises(RecordError, match="but seed 2 at round 50 is missing"):
        analysis.load(root)


def test_a_condition_without_runs_is_named(root):
    edit_json(root / "study.json", lambda v: v["cells"][0].update(runs=[]))
    with pytest.raises(RecordError, match=r"study\.json: condition 'G=1' names no runs"):
        analysis.load(root)


def test_a_run_without_seeds_is_named(root):
    edit_json(first(root, "lumped") / "run.json", lambda v: v.update(seeds=[0, 0]))
    with pytest.raises(RecordError, match=r"seeds must be the first and the last \+ 1, got \[0, 0\]"):
        analysis.load(root)


def test_runs_of_another_design_under_one_name_are_named(root):
    def mix(value):
        cells = [c for c in value["cells"] if c["world"] == "tiny-qwen2"]
        cells[0]["runs"][0] = cells[1]["runs"][0]

    edit_json(root / "study.json", mix)
    with pytest.raises(
        RecordError, match=r"study\.json: condition 'G=1' says rollouts = 1, but .*run\.json was made with 4"
    ):
        analysis.load(root)


def test_an_edited_study_is_told_from_its_runs(root):
    edit_json(root / "study.json", lambda v: v["cells"][0]["design"].update(learning_rate=0.5))
    with pytest.raises(RecordError, match=r"says learning_rate = 0\.5, but .* was made with 0\.01"):
        analysis.load(root)


def test_an_edited_world_is_told_from_its_runs(root):
    edit_json(root / "study.json", lambda v: v["worlds"][1].update(base_pass_at_1=0.4))
    with pytest.raises(RecordError, match=r"says world\.base_pass_at_1 = 0\.4, but .* was made with 0\.1"):
        analysis.load(root)


def test_runs_that_all_are_censored_leave_the_ratio_undecided(tmp_path):
    stuck = dict.fromkeys(("G=1", "G=4", "G=1, SGD", "G=4, SGD"), 8)
    study = fixtures.study(sim_seeds=8, llm_seeds=0)
    root = fixtures.write(tmp_path / "s", study, fixtures.Truth(stuck=stuck))
    found = {v.claim: v for v in analysis.verdicts(analysis.load(root))}
    assert found["A5"].verdict == "undecided"
    assert found["A5"].summary
    assert analysis.report(root, tmp_path / "out").exists()


def test_constant_curves_support_nothing_about_learning():
    plain = by_hand.design(rollouts=4)
    designs = {
        "G=1": by_hand.design(),
        "G=4": plain,
        "GRPO": by_hand.design(rollouts=4, signal="grpo"),
        "{-1, 0}": by_hand.design(reward="minus-one-zero"),
        "placebo": by_hand.design(reward="random"),
    }
    cells = [
        by_hand.cell(by_hand.llm(), name, design, curve=0.1, final=0.1, test=0.3, base=0.3, noise=0.0)
        for name, design in designs.items()
    ]
    records = by_hand.records(["A1", "A2", "A3", "A4", "A5"], *cells)
    assert {v.verdict for v in analysis.verdicts(records)} <= {"undecided", "refuted"}
    assert {s.found for s in diagnose(records, ["train plateau below 1", "flat test curve"])} == {"absent"}
