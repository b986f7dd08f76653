"""Success counts: from records and from files, one table."""

import numpy as np
import polars as pl
import pytest
from support import analysis as fixtures
from support.records import edit_table

import analysis
from analysis.loading.counts import COUNTS, counts_of, read_counts
from banditrft.errors import InputError
from banditrft.schemas import GROUPS


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs") / "study"
    return analysis.load(fixtures.write(root, fixtures.study(sim_seeds=3, llm_seeds=2, queries=2)))


def test_counts_of_records_are_what_the_evaluations_say(records):
    table = counts_of(records, world="tiny-qwen2")
    cell = records.of("tiny-qwen2")["G=4"]
    mine = table.filter((pl.col("condition") == "G=4") & (pl.col("item") == "10") & (pl.col("seed") == 1))
    at = cell.keys().index((10, 1))
    assert mine["round"].to_list() == cell.rounds.tolist()
    np.testing.assert_array_equal((mine["correct"] / mine["n"]).to_numpy(), cell.train[at])
    assert table.columns == list(COUNTS)


def test_conditions_of_several_worlds_carry_the_world_s_name(records):
    table = counts_of(records)
    assert {"lumped: G=1", "tiny-qwen2: G=1"} <= set(table["condition"])
    assert set(counts_of(records, world="lumped")["condition"]) == set(records.of("lumped"))


def test_test_counts_of_two_training_queries_stay_apart(tmp_path):
    text = fixtures.TEXT.replace("eval_every = 5", "eval_every = 5\ntest_every = 1")
    root = fixtures.write(tmp_path / "s", fixtures.study(sim_seeds=0, llm_seeds=2, queries=2, text=text))
    whole = {"split": pl.lit("test"), "item": pl.lit(None).cast(pl.Int64)}
    for evals in root.glob("*/evals.parquet"):
        edit_table(evals, lambda table: pl.concat([table, table.with_columns(**whole)]))
    items = counts_of(analysis.load(root), split="test")["item"].unique().sort().to_list()
    assert items == ["all, trained on 10", "all, trained on 7"]


def test_rollouts_of_round_r_belong_to_a_policy_of_r_minus_1_updates(tmp_path):
    root = fixtures.write(tmp_path / "s", fixtures.study(sim_seeds=1, llm_seeds=0))
    group = {
        "seed": 0,
        "round": 1,
        "item": 0,
        "n": 4,
        "reward_sum": 1.0,
        "correct_strict": 1,
        "correct_lenient": None,
    }
    groups = pl.DataFrame([group, group, group | {"round": 2, "correct_strict": 3}], schema=GROUPS)
    for path in root.glob("*/groups.parquet"):
        edit_table(path, lambda _: groups)
    table = counts_of(analysis.load(root), source="groups", world="lumped").filter(
        pl.col("condition") == "G=1"
    )
    assert table.select("round", "n", "correct").rows() == [(0.0, 8, 2), (1.0, 4, 3)]


def test_an_unknown_world_is_refused(records):
    with pytest.raises(InputError, match="world: must be one of"):
        counts_of(records, world="moon")


def test_fractions_become_counts_and_indices_rounds(tmp_path):
    path = tmp_path / "h.json"
    path.write_text('{"a": [0.0, 0.125, 1.0], "b": [0.5]}')
    table = read_counts(path, n=8)
    assert table.select("item", "round", "n", "correct").rows() == [
        ("a", 0.0, 8, 0), ("a", 1.0, 8, 1), ("a", 2.0, 8, 8), ("b", 0.0, 8, 4),
    ]  # fmt: skip
    assert set(table["condition"]) == {"run"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_reads_the_same_from_every_format(tmp_path, kind):
    table = pl.DataFrame(
        {"item": ["1", "1", "x"], "round": [0.0, 2.5, 0.0], "n": [4, 4, 6], "correct": [0, 4, 6]}
    )
    path = tmp_path / f"t.{kind}"
    {"csv": table.write_csv, "jsonl": table.write_ndjson, "parquet": table.write_parquet}[kind](path)
    read = read_counts(path)
    assert read.select(table.columns).equals(table)
    assert read.select("condition", "seed", "split").unique().rows() == [("run", 0, "train")]
