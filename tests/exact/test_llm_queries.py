"""Query selection: a rule of base Pass@1 alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_fixtures import TASK, world

import llm_runs
from banditrft.errors import InputError
from banditrft.runs import queries_key
from llm_runs.queries import choose, log_odds

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
    assert once.weights_hash == llm_runs.weights_hash("tiny-qwen2")
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


def test_a_pool_without_such_queries_is_an_error_that_says_so():
    with pytest.raises(InputError, match=r"queries: 3 with base Pass@1 in \[0.99, 1.0\].*only 0 of the 24"):
        llm_runs.resolve_queries(world(queries={**SMALL, "base_pass_at_1": (0.99, 1.0)}), 7)
