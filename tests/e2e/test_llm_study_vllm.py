"""The study "rollouts", cut to five conditions, 2 queries x 2 seeds and 40 rounds, sampled by torch and by a real vLLM."""

import re

import polars as pl
import pytest
from scipy import stats
from support.vllm import needs_vllm

import analysis
import llm_runs
from analysis.loading.scan import scan
from banditrft.catalog import read_queries
from banditrft.cli.common import preset_text
from banditrft.study import parse_study

SMALL = {
    "seeds": 2,
    "rounds": 40,
    "eval_every": 10,
    "eval_samples": 16,
    "final_eval_samples": 64,
    "final_test_samples": 1,
    "test_items": 40,
}
TINY_P = 1e-4
"""A test on fixed seeds: the two engines draw different samples, and one p-value in 10,000 is bad luck."""


def small():
    text = preset_text("rollouts").partition("[[sim]]")[0]
    text += "[[llm]]" + preset_text("rollouts").partition("[[llm]]")[2]
    for name, value in SMALL.items():
        text = re.sub(rf"^{name} = \d+", f"{name} = {value}", text, flags=re.MULTILINE)
    text = re.sub(r'\[\[conditions\]\]\nname = "placebo, (.+\n)+', "", text)
    text = re.sub(r"^contextual = .*$", "", text, flags=re.MULTILINE)
    return parse_study(text.replace("count = 4", "count = 2"))


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    found = {}
    for engine in ("torch", "vllm"):
        folder = tmp_path_factory.mktemp(engine)
        outcome = llm_runs.run(llm_runs.with_engine(small(), engine), folder, workers=1)
        assert (outcome.done, outcome.failed) == (20, [])
        found[engine] = folder / "rollouts"
    return found


def counts(root, table, split, round_):
    """Right answers and samples of every condition, all runs together."""
    rows = scan(root, table).filter((pl.col("split") == split) & (pl.col("round") == round_))
    found = rows.group_by("condition").agg(pl.col("correct_strict").sum(), pl.col("n").sum()).collect()
    return {c: (int(k), int(n)) for c, k, n in found.sort("condition").iter_rows()}


@needs_vllm
def test_the_engines_are_different_runs_of_one_study(roots):
    torch_ids, vllm_ids = (
        {f.name for f in root.iterdir() if (f / "run.json").exists()} for root in roots.values()
    )
    assert len(torch_ids) == len(vllm_ids) == 20
    assert not torch_ids & vllm_ids
    prompts = [{q.prompt for q in read_queries(root)["tiny-qwen2"].queries} for root in roots.values()]
    assert all(len(p) == 2 for p in prompts)


@needs_vllm
def test_the_sampler_has_the_learners_weights_in_every_round(roots):
    for root in roots.values():
        mismatch = scan(root, "rounds").select("mismatch").collect()["mismatch"]
        assert mismatch.len() == 20 * SMALL["rounds"]
        assert mismatch.null_count() == 0
        assert mismatch.max() < 1e-4


@needs_vllm
def test_both_sample_the_base_policy(roots):
    (a, n), (b, m) = (
        map(sum, zip(*counts(root, "final", "test", 0).values(), strict=True)) for root in roots.values()
    )
    assert n == m
    assert stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue > TINY_P


@needs_vllm
def test_both_make_the_same_claims_with_overlapping_intervals(roots):
    torch_verdicts, vllm_verdicts = (analysis.verdicts(analysis.load(root)) for root in roots.values())
    assert [v.claim for v in torch_verdicts] == [v.claim for v in vllm_verdicts] == ["A1", "A5"]
    compared = 0
    for one, other in zip(torch_verdicts, vllm_verdicts, strict=True):
        assert {one.verdict, other.verdict} != {"supported", "refuted"}
        for a, b in zip(one.parts, other.parts, strict=True):
            assert (a.id, a.conditions) == (b.id, b.conditions)
            if None in (*a.interval, *b.interval):
                continue
            compared += 1
            assert a.interval[0] <= b.interval[1]
            assert b.interval[0] <= a.interval[1]
    assert compared >= 2


@needs_vllm
def test_training_on_either_learns_the_same(roots):
    per_run = []
    for root in roots.values():
        last = (pl.col("split") == "train") & (pl.col("round") == SMALL["rounds"])
        rows = scan(root, "final").filter(last).sort("condition", "seed").collect()
        per_run.append((rows["correct_strict"] / rows["n"]).to_numpy())
    assert stats.ttest_ind(*per_run).pvalue > TINY_P
    assert min(values.mean() for values in per_run) > 0.4
