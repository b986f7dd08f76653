"""A study on a real language model from file to records: found, re-evaluated, run again where missing."""

import json
import shutil

import polars as pl
import pytest
from support.study import LLM, LUMPED

import llm_runs
from analysis.loading.scan import scan
from banditrft.catalog import read_queries
from banditrft.errors import InputError
from banditrft.launch import JobsError
from banditrft.launch.local import Local
from banditrft.records import training_path
from banditrft.study import parse_study
from llm_runs.study import expand_study
from llm_runs.tasks import load_task

pytestmark = pytest.mark.slow(30)

TEXT = LUMPED[: LUMPED.index("[[sim]]")] + LLM
SHARED = {
    "few": '[[conditions]]\nname = "few"\nfinal_eval_samples = 8\n',
    "many": '[[conditions]]\nname = "many"\nfinal_eval_samples = 24\nfinal_test_samples = 2\n',
}
"""Conditions that differ in the final evaluation alone."""


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


def sharing(name, conditions):
    """A study of some of these conditions, on one query and two seeds."""
    (item,) = load_task("arithmetic").indices("pool", 1)
    lines = [line for line in LLM.splitlines() if not line.startswith(("queries", "final_"))]
    place = "\n".join([*lines, f"queries = {{items = [{item}], samples = 4}}"])
    head = f'name = "{name}"\nseeds = 2\nclaims = []\n[design]\nlearning_rate = 1e-3\n'
    return parse_study(head + "".join(conditions) + place)


class Noting:
    """Runs jobs in this process and notes them."""

    def __init__(self):
        self.jobs = []

    def run(self, work, jobs, advance):
        self.jobs += jobs
        yield from Local(1).run(work, jobs, advance)


def test_conditions_that_share_runs_execute_them_once(tmp_path):
    executor = Noting()
    outcome = llm_runs.run(sharing("both", SHARED.values()), tmp_path, executor=executor)
    assert [(job.redo, len(job.runs)) for job in executor.jobs] == [(False, 2), (True, 1), (True, 1)]
    assert (outcome.done, outcome.found, outcome.failed) == (4, 0, [])
    both = tmp_path / "both"
    runs = [path for path in folders(both) if (path / "run.json").exists()]
    assert [len(list(path.glob("final-*.parquet"))) for path in runs] == [2, 2]
    for name, text in SHARED.items():
        llm_runs.run(sharing(name, [text]), tmp_path, workers=1)
        for table in ("evals", "final"):
            found = scan(both, table).filter(pl.col("condition") == name).drop("study").collect()
            assert found.equals(scan(tmp_path / name, table).drop("study").collect())
    assert llm_runs.run(sharing("both", SHARED.values()), tmp_path, workers=1).found == 4


def test_shards_do_not_share_runs(tmp_path):
    study = sharing("both", SHARED.values())
    outcomes = [llm_runs.run(study, tmp_path, workers=1, shard=(part, 2)) for part in (1, 2)]
    assert [(outcome.done, outcome.found, outcome.left) for outcome in outcomes] == [(2, 0, 2), (2, 0, 0)]


def test_a_shared_run_that_fails_fails_for_both(tmp_path):
    study = sharing("both", SHARED.values())
    first = expand_study(study, tmp_path / "both", write=True)[0]
    (training_path(tmp_path / "both", first) / "round-00000001").mkdir(parents=True)  # a damaged state
    with pytest.raises(JobsError) as raised:
        llm_runs.run(study, tmp_path, workers=1)
    outcome = raised.value.outcome
    assert (outcome.done, len(outcome.failed)) == (0, 3)
    assert [error for _, error in outcome.failed][1:] == [
        "the run that it evaluates again was not executed"
    ] * 2


def test_what_training_left_beside_a_recorded_run_goes(tmp_path):
    study = sharing("few", [SHARED["few"]])
    llm_runs.run(study, tmp_path, workers=1)
    (one, _) = expand_study(study, tmp_path / "few", write=False)
    left = training_path(tmp_path / "few", one) / "round-00000001"
    left.mkdir(parents=True)
    assert llm_runs.run(study, tmp_path, workers=1).found == 2
    assert not left.exists()


def test_unknown_model_writes_nothing(tmp_path):
    with pytest.raises(InputError, match=r"model.*huge-qwen9.*tiny-qwen2|model.*tiny-qwen2.*huge-qwen9"):
        llm_runs.run(parse_study(TEXT.replace("tiny-qwen2", "huge-qwen9")), tmp_path)
    assert not list(tmp_path.iterdir())
