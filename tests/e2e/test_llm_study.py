"""A study on a real language model from file to records: found, re-evaluated, run again where missing."""

import json
import shutil

import polars as pl
import pytest
from study_fixtures import LLM, LUMPED

import llm_runs
from banditrft.catalog import read_queries, scan
from banditrft.errors import InputError
from banditrft.study import parse_study

TEXT = LUMPED[: LUMPED.index("[[sim]]")] + LLM


def folders(root):
    return sorted(p for p in root.iterdir() if p.is_dir())


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    outcome = llm_runs.run(parse_study(TEXT), folder, workers=1)
    assert (outcome.done, outcome.found, outcome.failed) == (12, 0, [])
    return folder


def test_one_folder_per_condition_query_and_seed(ran):
    root = ran / "small"
    assert len(folders(root)) == 12
    evals = scan(root, "evals").collect()
    train = evals.filter(pl.col("split") == "train")
    assert train.group_by("condition", "item", "seed").len()["len"].to_list() == [3] * 12
    assert set(train["round"]) == {0, 2, 4}
    final = scan(root, "final").collect().filter((pl.col("split") == "train") & (pl.col("round") == 4))
    assert final["n"].to_list() == [16] * 12
    queries = read_queries(root)["tiny-qwen2"]
    assert set(train["item"]) == {query.item for query in queries.queries}
    assert all(0.1 <= query.base_pass_at_1 <= 0.6 for query in queries.queries)


def test_second_run_finds_everything_and_chooses_no_queries(ran, monkeypatch):
    def never(*_):
        pytest.fail("queries are resolved once")

    monkeypatch.setattr("llm_runs.study.resolve_queries", never)
    outcome = llm_runs.run(parse_study(TEXT), ran, workers=1)
    assert (outcome.done, outcome.found) == (0, 12)


def test_a_deleted_run_comes_back_bit_identical(ran):
    victim = folders(ran / "small")[5]
    evals, weights = (victim / "evals.parquet"), (victim / "checkpoints" / "final.safetensors")
    before = (evals.read_bytes(), weights.read_bytes())
    shutil.rmtree(victim)
    outcome = llm_runs.run(parse_study(TEXT), ran, workers=1)
    assert (outcome.done, outcome.found) == (1, 11)
    assert (evals.read_bytes(), weights.read_bytes()) == before


def test_another_final_evaluation_reuses_the_weights(ran):
    root = ran / "small"
    trained = {f.name: json.loads((f / "run.json").read_text())["started"] for f in folders(root)}
    more = parse_study(TEXT.replace("final_eval_samples = 16", "final_eval_samples = 32"))
    outcome = llm_runs.run(more, ran, workers=1)
    assert (outcome.done, outcome.found) == (12, 0)
    assert {f.name: json.loads((f / "run.json").read_text())["started"] for f in folders(root)} == trained
    final = scan(root, "final").collect().filter((pl.col("split") == "train") & (pl.col("round") == 4))
    assert final["n"].to_list() == [32] * 12
    old = parse_study(TEXT)
    assert llm_runs.run(old, ran, workers=1).found == 12


def test_unknown_model_writes_nothing(tmp_path):
    with pytest.raises(InputError, match=r"model.*huge-qwen9.*tiny-qwen2|model.*tiny-qwen2.*huge-qwen9"):
        llm_runs.run(parse_study(TEXT.replace("tiny-qwen2", "huge-qwen9")), tmp_path)
    assert not list(tmp_path.iterdir())
