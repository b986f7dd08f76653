"""Query selection: a rule of base Pass@1 alone."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import banditrft
from support.llm import TASK, TOKENIZER, world

import llm_runs
from banditrft.catalog import read_queries, write_queries
from banditrft.design import Evaluation
from banditrft.errors import InputError
from banditrft.runs import WorldQueries, queries_key
from banditrft.study import Cell, Study
from llm_runs.backends import BASE_ONLY
from llm_runs.base_models import find_model
from llm_runs.interfaces import Message
from llm_runs.planning.checks import notes
from llm_runs.queries.candidates import named_item
from llm_runs.queries.difficulty import measure
from llm_runs.queries.resolve import choose, log_odds
from llm_runs.tasks import Item, load_task, task_of
from llm_runs.tasks.fitting import content_hash, pool_items
from llm_runs.tasks.fitting import test_items as held_out_items

pytestmark = pytest.mark.slow(8)

SMALL = {"count": 3, "base_pass_at_1": (0.1, 0.6), "pool": 24, "samples": 64}


def test_log_odds_of_a_count():
    assert log_odds(32, 64) == 0
    assert log_odds(0, 64) == pytest.approx(math.log(0.5 / 64.5))


def test_targets_are_evenly_spaced_on_the_log_odds_scale():
    # 101 candidates, one at each per cent of 1000 samples; range 0.1-0.5, four parts.
    correct = [10 * i for i in range(101)]
    low, high = log_odds(100, 1000), log_odds(500, 1000)
    targets = [low + (high - low) * x for x in (0.125, 0.375, 0.625, 0.875)]
    expected = [round(100 / (1 + math.exp(-t))) for t in targets]
    assert choose(correct, 1000, 4, 0.1, 0.5) == expected == [13, 20, 31, 43]


@given(st.lists(st.integers(0, 64), min_size=6, max_size=40), st.integers(1, 5))
def test_chosen_items_are_eligible_distinct_and_the_nearest(correct, count):
    eligible = [i for i, c in enumerate(correct) if 6.4 <= c <= 38.4]
    if len(eligible) < count:
        with pytest.raises(InputError, match=f"only {len(eligible)}"):
            choose(correct, 64, count, 0.1, 0.6)
        return
    chosen = choose(correct, 64, count, 0.1, 0.6)
    assert len(set(chosen)) == count
    assert set(chosen) <= set(eligible)
    low, high = log_odds(6.4, 64), log_odds(38.4, 64)
    first = low + 0.5 / count * (high - low)
    nearest = min(abs(log_odds(correct[i], 64) - first) for i in eligible)
    assert abs(log_odds(correct[chosen[0]], 64) - first) == nearest


def test_ties_go_to_the_lower_item():
    assert choose([20, 20, 20, 20], 64, 2, 0.1, 0.6) == [0, 1]


def test_resolving_is_reproducible_and_stays_in_the_pool():
    settings = world(queries=SMALL)
    once, twice = (llm_runs.resolve_queries(settings, 7) for _ in range(2))
    assert once == twice
    assert once.key == queries_key(settings, 7)
    assert once.weights_hash == find_model("tiny-qwen2").weights_sha256
    assert [q.base_pass_at_1 for q in once.queries] == sorted(q.base_pass_at_1 for q in once.queries)
    for query in once.queries:
        item = TASK.item(query.item)
        assert (query.prompt, query.answer) == (item.prompt, item.answer)
        assert TASK.split_of(query.item) == "pool"
        assert 0.1 <= query.base_pass_at_1 <= 0.6
        assert query.base_samples == 64
    other = llm_runs.resolve_queries(settings, 8)
    assert other.test_hash == once.test_hash
    assert {q.base_pass_at_1 for q in other.queries} != {q.base_pass_at_1 for q in once.queries}
    assert llm_runs.resolve_queries(world(queries=SMALL, test_items=7), 7).test_hash != once.test_hash


def test_named_items_are_taken_as_they_are_and_measured():
    named = TASK.indices("pool", 9)[-2:]
    found = llm_runs.resolve_queries(world(queries={"items": named, "samples": 16}), 7)
    assert {query.item for query in found.queries} == set(named)
    assert all(query.base_samples == 16 for query in found.queries)
    with pytest.raises(InputError, match="must not be held-out items"):
        named_item(TASK, TASK.indices("test", 1)[0])


def test_a_table_of_difficulties_serves_in_place_of_samples(tmp_path):
    path = tmp_path / "hard.json"
    plain = {"count": 3, "base_pass_at_1": (0.1, 0.6)}
    measure(world(), path, samples=64, root_seed=7, items=24)
    chosen = llm_runs.resolve_queries(world(queries={**plain, "file": str(path)}), 7)
    sampled = llm_runs.resolve_queries(world(queries={**SMALL}), 7)
    assert chosen.queries == sampled.queries
    with pytest.raises(InputError, match=r"queries\.file: .* was measured with another "):
        llm_runs.resolve_queries(world("tiny-llama", queries={**plain, "file": str(path)}), 7)


def test_queries_of_a_coarse_table_are_measured_again(tmp_path):
    path = tmp_path / "hard.json"
    table = measure(world(), path, samples=4, root_seed=7, items=24)
    said = {row.item: row.correct_strict / row.n for row in table.rows}
    settings = world(queries={"count": 3, "base_pass_at_1": (0.1, 0.6), "file": str(path)})
    found = llm_runs.resolve_queries(settings, 7)
    assert found.told == tuple(said[query.item] for query in found.queries)
    assert {query.base_samples for query in found.queries} == {128}
    again = llm_runs.resolve_queries(
        world(queries={"items": tuple(q.item for q in found.queries), "samples": 128}), 7
    )
    assert [q.base_pass_at_1 for q in again.queries] != [
        q.base_pass_at_1 for q in found.queries
    ]  # other samples
    far = WorldQueries(
        "k",
        "w",
        "t",
        found.queries[:2],
        told=(found.queries[0].base_pass_at_1 + 0.11, found.queries[1].base_pass_at_1),
    )
    (line,) = far.surprises()
    assert line.startswith(f"queries: item {found.queries[0].item} has base Pass@1 ")
    assert line.endswith(
        "in 128 samples, not " + f"{far.told[0]:.3f} as in the coarse table that it was chosen from"
    )
    write_queries(tmp_path, {"w": found})
    assert read_queries(tmp_path) == {"w": found}


def files_world(tmp_path, **settings):
    for name, first in (("q", 1), ("t", 11)):
        rows = [{"question": f"{a}+1=?", "answer": str(a + 1)} for a in range(first, first + 8)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"train_file": str(tmp_path / "q.jsonl"), "test_file": str(tmp_path / "t.jsonl")}
    return world(task="file", **files, grader="arithmetic", test_items=8, train_items=8, **settings)


@pytest.mark.parametrize(
    ("given", "lengths"),
    [
        ({}, (32, 32)),
        ({"max_new": 24}, (40, 24)),
        ({"prompt_max": 10}, (10, 54)),
        ({"prompt_max": 10, "max_new": 24}, (10, 24)),
    ],
)
def test_lengths_are_cut_to_the_model(tmp_path, given, lengths):
    settings = files_world(tmp_path, **given)
    task = task_of(settings, 64)
    assert (task.prompt_max, task.max_new) == lengths
    study = Study("s", 0, (), (Cell(settings, "c", BASE_ONLY, Evaluation()),), "")
    llm_runs.check(study)
    cut = {"prompt_max": 512, "max_new": 1024}.items() - given.items()
    wanted = {
        f"llm[0].{field}: {getattr(task, field)} tokens, not the task's {asked}: tiny-qwen2 has 64 positions"
        for field, asked in cut
        if field not in given
    }
    assert set(notes(study)) == wanted


def test_notes_are_said_once(tmp_path):
    files_world(tmp_path)
    text = (
        'name = "s"\nseeds = 1\n[design]\nlearning_rate = 0.1\nrounds = 1\n[[conditions]]\nname = "c"\n'
        '[[llm]]\nmodel = "tiny-qwen2"\ntask = "file"\ntrain_file = "q.jsonl"\ntest_file = "q.jsonl"\n'
        'grader = "arithmetic"\ntest_items = 8\ntrain_items = 8\n'
    )
    (tmp_path / "s.toml").write_text(text)
    said = banditrft("llm", "s.toml", "--shard", "9/9", cwd=tmp_path).stderr.splitlines()
    assert [line.split(":")[1] for line in said] == [" llm[0].prompt_max", " llm[0].max_new", " llm[0].task"]


def test_lengths_that_are_asked_for_are_not_cut(tmp_path):
    settings = files_world(tmp_path, prompt_max=60, max_new=60)
    study = Study("s", 0, (), (Cell(settings, "c", BASE_ONLY, Evaluation()),), "")
    with pytest.raises(InputError, match="together must be at most 64"):
        llm_runs.check(study)


def test_a_table_of_other_questions_or_lengths_is_refused(tmp_path):
    path = tmp_path / "hard.json"
    measure(world(), path, samples=2, items=2)
    named = {"count": 1, "base_pass_at_1": (0.0, 1.0), "file": str(path)}
    with pytest.raises(InputError, match="other settings of sampling"):
        llm_runs.resolve_queries(world(max_new=9, queries=named), 7)
    path.write_text(path.read_text().replace(TASK.items("pool", 1)[0].prompt, "9+9=?"))
    with pytest.raises(InputError, match=r"queries\.file: .* asks something else"):
        llm_runs.resolve_queries(world(queries=named), 7)


def test_a_table_may_be_of_fewer_items_than_the_usual_pool(tmp_path):
    questions = tmp_path / "q.jsonl"
    questions.write_text(
        "".join(json.dumps({"question": f"{a}+1=?", "answer": str(a + 1)}) + "\n" for a in range(1, 9))
    )
    files = {
        "task": "file",
        "train_file": str(questions),
        "test_file": str(questions),
        "grader": "arithmetic",
    }
    files |= {"prompt_max": 10, "max_new": 24, "test_items": 8}
    measure(world(**files), tmp_path / "hard.json", samples=4)
    named = {"count": 2, "base_pass_at_1": (0.0, 1.0), "file": str(tmp_path / "hard.json")}
    settings = world(**files, queries=named)
    llm_runs.check(Study("s", 0, (), (Cell(settings, "c", BASE_ONLY, Evaluation()),), ""))
    assert len(llm_runs.resolve_queries(settings, 7).queries) == 2


def test_a_pool_is_known_by_its_content_and_samples_nothing():
    found = llm_runs.resolve_queries(world(train_items=10), 7)
    assert found.queries == ()
    assert found.pool_hash == content_hash(TASK.items("pool", 10))
    assert llm_runs.resolve_queries(world(train_items=11), 7).pool_hash != found.pool_hash


def test_prompts_that_are_too_long_are_passed_over_and_counted():
    place = world(train_items=12, prompt_max=7, test_items=5)
    short = load_task("arithmetic", prompt_max=7)
    pool, test = pool_items(short, TOKENIZER, place), held_out_items(short, TOKENIZER, place)
    assert all(len(item.prompt) <= 7 for item in (*pool.items, *test.items))
    assert (len(pool.items), len(test.items)) == (12, 5)
    assert pool.left_out > 0
    found = llm_runs.resolve_queries(place, 7)
    assert (found.pool_left_out, found.test_left_out) == (pool.left_out, test.left_out)


def test_a_chat_is_part_of_an_items_content():
    plain = Item(3, "2+2=?", "4")
    chat = Item(3, "2+2=?", "4", messages=(Message("system", "Be brief."), Message("user", "2+2=?")))
    assert content_hash([plain]) != content_hash([chat])


def test_a_pool_without_such_queries_is_an_error_that_says_so():
    with pytest.raises(InputError, match=r"queries: 3 with base Pass@1 in \[0.99, 1.0\].*only 0 of the 24"):
        llm_runs.resolve_queries(world(queries={**SMALL, "base_pass_at_1": (0.99, 1.0)}), 7)
