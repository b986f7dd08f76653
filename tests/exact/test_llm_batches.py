"""What a round trains on: the simulated world's order of a pool, and addresses that no two rollouts share."""

import numpy as np
import pytest

from banditrft.streams import Purpose
from llm_runs.engines.drawing import draws
from llm_runs.interfaces import Address, Prompts
from llm_runs.rounds.batches import Batches, copies, permutation
from sims.contextual.draws import Order


@pytest.mark.parametrize(("items", "batch_size"), [(7, 3), (5, 5), (4, 11), (130, 32), (2, 1)])
def test_the_order_of_a_pool_is_the_simulated_worlds(items, batch_size):
    seeds = [0, 3, 2**31]
    order = Order(11, seeds, items, batch_size)
    batches = Batches(11, seeds, items, batch_size)
    for round_ in range(1, 9):
        assert np.array_equal(batches.at(round_).pool_SB, order.batch(round_))


def test_a_round_asked_for_out_of_turn_is_the_same():
    batches = Batches(1, [4], 6, 4)
    later = batches.at(5).pool_SB.copy()
    batches.at(1)
    assert np.array_equal(batches.at(5).pool_SB, later)
    assert np.array_equal(Batches(1, [4], 6, 4).at(5).pool_SB, later)


def test_an_epoch_meets_every_query_once():
    assert sorted(permutation(2, 3, 4, 50).tolist()) == list(range(50))
    assert not np.array_equal(permutation(2, 3, 4, 50), permutation(2, 3, 5, 50))


def test_a_single_query_fills_the_batch():
    places = Batches(1, [4, 5], 1, 3).at(9)
    assert places.pool_SB.tolist() == [[0, 0, 0]] * 2
    assert places.first_SB.tolist() == [[0, 1, 2]] * 2


def test_copies_count_what_stands_before():
    assert copies(np.array([[4, 2, 4, 4, 2], [1, 2, 3, 4, 5]])).tolist() == [[0, 0, 1, 2, 1], [0] * 5]


def test_every_rollout_of_a_batch_has_numbers_of_its_own():
    batches = Batches(1, [0], 3, 7)
    places = batches.at(1)
    prompts = Prompts([[[1]] * 7], places.pool_SB.tolist(), places.first_SB.tolist())
    u = draws(prompts, batches.rollouts(5), Address(1, [0], Purpose.SAMPLE, 1), 1)
    assert np.unique(u).size == 35


def test_more_rollouts_or_baseline_rollouts_move_no_number():
    def numbers(group):
        batches = Batches(1, [0], 1, 4)
        places = batches.at(1)
        prompts = Prompts([[[1]] * 4], places.pool_SB.tolist(), places.first_SB.tolist())
        return draws(prompts, batches.rollouts(group), Address(1, [0], Purpose.SAMPLE, 1), 2)

    assert np.array_equal(numbers(2), numbers(6)[:, :, :2])
