"""What is stacked beside a run changes no bit of it: sampling, learning, evaluation, checkpoint.

These are the rules the language-model world keeps:
1. a run's records and final weights are the same bytes alone and in a stack of several queries and seeds;
2. they are the same whatever the order of the stack;
3. the same run twice gives the same bytes;
4. conditions are paired: the first round's first rollout is the same text whatever the design.
"""

import polars as pl
import pytest
import torch
from llm_fixtures import SHIPPED, TASK, query, run

import llm_runs
from banditrft.records import EVALS, GROUPS, ROUNDS, TEXTS, check_table, read_run, write_run
from banditrft.streams import Purpose
from llm_runs.base_models import load_base_model
from llm_runs.evaluation import ROWS, Address, draw_samples
from llm_runs.measure import TEXTS_KEPT
from llm_runs.network.stacked import stack


def same(a, b) -> bool:
    """Every column but the times."""
    tables = all(
        getattr(a, name).drop(pl.selectors.starts_with("seconds")).equals(
            getattr(b, name).drop(pl.selectors.starts_with("seconds"))
        )
        for name in ("rounds", "groups", "evals", "final", "texts")
    )  # fmt: skip
    return tables and a.checkpoint == b.checkpoint


@pytest.mark.parametrize("model", SHIPPED)
@pytest.mark.parametrize("rollouts", [1, 2, 4])
def test_alone_and_stacked_are_the_same_bytes(model, rollouts):
    pairs = ((0, 0), (3, 1), (1, 0), (0, 4), (2, 2))
    runs = [run(s, q, model=model, rollouts=rollouts, reward="minus-one-one") for s, q in pairs]
    together = llm_runs.execute(runs)
    for index in (0, 1, 4):
        (alone,) = llm_runs.execute([runs[index]])
        assert same(alone, together[index])
    assert len({tables.checkpoint for tables in together}) == len(runs)  # and they are five different runs


def test_order_and_company_do_not_matter():
    runs = [run(s, q, optimizer="sgd", learning_rate=0.01) for s, q in ((0, 0), (1, 1), (2, 2))]
    forward, backward = llm_runs.execute(runs), llm_runs.execute(runs[::-1])
    assert all(same(a, b) for a, b in zip(forward, backward[::-1], strict=True))


def test_tables_keep_the_schemas_and_the_schedule():
    ticks = []
    one = run(5, 3, rounds=5, rollouts=4, signal="grpo")
    (tables,) = llm_runs.execute([one], ticks.append)
    for table, schema in ((tables.rounds, ROUNDS), (tables.groups, GROUPS), (tables.evals, EVALS),
                          (tables.final, EVALS), (tables.texts, TEXTS)):  # fmt: skip
        check_table(table, schema, "table")
        assert set(table["seed"]) == {5}
    assert tables.rounds["round"].to_list() == tables.groups["round"].to_list() == [1, 2, 3, 4, 5]
    assert tables.evals["round"].to_list() == [0, 2, 4, 5]  # every second round, and the last
    assert tables.evals["n"].to_list() == [8] * 4
    assert tables.final.select("round", "split", "item", "n").rows() == [
        (0, "test", None, 12), (5, "train", query(3).item, 12), (5, "test", None, 12)]  # fmt: skip
    assert tables.texts.height == 12
    assert ticks == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_a_diverged_run_is_recorded_as_one_that_did_not_converge(tmp_path):
    wild = run(5, 3, rounds=6, rollouts=4, optimizer="sgd", learning_rate=1e6, reward="minus-one-zero")
    (tables,) = llm_runs.execute([wild])
    assert tables.rounds["entropy"].null_count() > 0
    assert tables.evals["correct_strict"].to_list()[-1] == 0
    folder = write_run(tmp_path, wild, tables, {})
    assert read_run(folder, wild.evaluation_id).final["correct_strict"].to_list()[1:] == [0, 0]


def test_texts_are_the_beginning_of_the_final_evaluation():
    (tables,) = llm_runs.execute([run(5, 3)])
    final = tables.final.row(1, named=True)
    assert tables.texts["strict"].sum() == final["correct_strict"]
    assert tables.texts["lenient"].sum() == final["correct_lenient"]
    assert (tables.texts["log_prob"] < 0).all()


@pytest.mark.parametrize("model", SHIPPED)
def test_the_first_responses_do_not_depend_on_how_many_are_drawn(model):
    """Kept texts are drawn 16 at once, the evaluation that they begin 64 at once."""
    base = load_base_model(model)
    drawn = [
        draw_samples(
            base.arch,
            stack([base.weights()]),
            TASK,
            [[TASK.items("pool", 4)[3]]],
            range(count),
            Address(7, [5], Purpose.FINAL_TRAIN, 3),
            1.0,
        )
        for count in (TEXTS_KEPT, ROWS)
    ]
    assert drawn[0].lengths_SQG.unique().numel() > 1
    assert torch.equal(drawn[0].tokens_SQGT, drawn[1].tokens_SQGT[:, :, :TEXTS_KEPT])
    assert torch.equal(drawn[0].logprobs_SQGT, drawn[1].logprobs_SQGT[:, :, :TEXTS_KEPT])


def test_first_rollouts_are_paired_across_designs(monkeypatch):
    from llm_runs import loop

    seen = {}
    real = loop.grade_samples
    name = ""

    def spy(task, items, samples):
        graded = real(task, items, samples)
        seen.setdefault(name, []).append([texts[0][0] for texts in graded.texts])
        return graded

    monkeypatch.setattr(loop, "grade_samples", spy)
    designs = {"one": {"rollouts": 1}, "four": {"rollouts": 4}, "sgd": {"optimizer": "sgd"}}
    for name in designs:
        llm_runs.execute([run(s, q, rounds=1, **designs[name]) for s in range(4) for q in range(3)])
    assert seen["one"][0] == seen["four"][0] == seen["sgd"][0]
    assert len(set(seen["one"][0])) > 4


def test_another_seed_or_root_seed_is_another_run():
    base = llm_runs.execute([run(0, 0)])[0]
    assert not same(base, llm_runs.execute([run(1, 0)])[0])
    assert not same(base, llm_runs.execute([run(0, 0, root_seed=8)])[0])
