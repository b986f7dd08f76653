"""What is stacked beside a run changes no bit of it: sampling, learning, evaluation, checkpoint.

These are the rules the language-model world keeps:
1. a run's records and final weights are the same bytes alone and in a stack of several queries and seeds;
2. they are the same whatever the order of the stack;
3. the same run twice gives the same bytes;
4. conditions are paired: the first round's first rollout is the same text whatever the design.
"""

import pytest
import torch
from support.llm import SHIPPED, TASK, query, run, same, world

import llm_runs
from banditrft.records import EVALS, GROUPS, ITEMS, ROUNDS, TEXTS, check_table, read_run, write_run
from banditrft.streams import Purpose
from llm_runs.backends import open_backend
from llm_runs.evaluation import TEXTS_KEPT
from llm_runs.interfaces import Address

pytestmark = pytest.mark.slow(25)


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


@pytest.mark.parametrize(
    ("settings", "design"),
    [
        ({}, {"batch_size": 3, "signal": "grpo", "kl_coef": 0.1}),
        ({}, {"optimizer": "adamw", "weight_decay": 0.1, "grad_clip": 0.01, "updates_per_round": 2}),
        ({}, {"kl_coef": 0.1, "kl_placement": "reward", "reward": "noisy", "false_negative": 0.3}),
        ({}, {"rollouts": 1, "signal": "centered", "replay_window": 4, "aggregation": "sequence-mean"}),
        ({"train_items": 5}, {"batch_size": 4, "baseline_rollouts": 2, "signal": "rloo"}),
        ({"train_items": 5, "keep_texts": 1}, {"batch_size": 7, "skip_equal_groups": True}),
    ],
    ids=["batch", "adamw and clips", "kl in the reward", "window", "pool", "pool in part"],
)
def test_so_it_is_for_every_design(settings, design):
    runs = [run(s, q, settings=settings, **design) for s, q in ((0, 1), (3, 2), (1, 3))]
    together = llm_runs.execute(runs)
    (alone,) = llm_runs.execute([runs[1]])
    assert same(alone, together[1])
    assert len({tables.checkpoint for tables in together}) == 3


def test_order_and_company_do_not_matter():
    runs = [run(s, q, optimizer="sgd", learning_rate=0.01) for s, q in ((0, 0), (1, 1), (2, 2))]
    forward, backward = llm_runs.execute(runs), llm_runs.execute(runs[::-1])
    assert all(same(a, b) for a, b in zip(forward, backward[::-1], strict=True))


def test_tables_keep_the_schemas_and_the_schedule():
    ticks = []
    one = run(5, 3, rounds=5, rollouts=4, signal="grpo")
    (tables,) = llm_runs.execute([one], ticks.append)
    for table, schema in ((tables.rounds, ROUNDS), (tables.groups, GROUPS), (tables.evals, EVALS),
                          (tables.final, EVALS), (tables.items, ITEMS), (tables.texts, TEXTS)):  # fmt: skip
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
    items = [[TASK.items("pool", 4)[3]]]
    with open_backend(world(model)) as backend:
        backend.push()
        few, many = (
            backend.draw(items, range(count), Address(7, [5], Purpose.FINAL_TRAIN, 3)).samples
            for count in (TEXTS_KEPT, backend.engine.rows)
        )
    assert few.lengths_SQG.unique().numel() > 1
    assert torch.equal(few.tokens_SQGT, many.tokens_SQGT[:, :, :TEXTS_KEPT])
    assert torch.equal(few.logprobs_SQGT, many.logprobs_SQGT[:, :, :TEXTS_KEPT])


def test_first_rollouts_are_paired_across_designs():
    designs = ({"rollouts": 1}, {"rollouts": 4}, {"optimizer": "sgd"}, {"batch_size": 3}, {"signal": "rloo"})
    seen = []
    for design in designs:
        runs = [run(s, q, rounds=1, settings={"keep_texts": 1}, **design) for s in range(4) for q in range(3)]
        texts = [tables.texts for tables in llm_runs.execute(runs)]
        seen.append([table["response"][0] for table in texts])
        assert all(table["source"][0] == "training" for table in texts)
    assert all(responses == seen[0] for responses in seen)
    assert len(set(seen[0])) > 4


def test_another_seed_or_root_seed_is_another_run():
    base = llm_runs.execute([run(0, 0)])[0]
    assert not same(base, llm_runs.execute([run(1, 0)])[0])
    assert not same(base, llm_runs.execute([run(0, 0, root_seed=8)])[0])
