"""How token losses become one number: the definitions, and that it does not matter how a round is cut up."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from banditrft.design import AGGREGATION_NAMES, Design
from banditrft.errors import InputError
from banditrft.objective import row_weights

AGGREGATIONS = ("token-mean", "sequence-mean", "sequence-sum", "max-length", "micro-batch-mean")
MAX_NEW = 7
ROUNDS = st.lists(st.tuples(st.integers(1, MAX_NEW), st.booleans()), min_size=1, max_size=9)


def design(aggregation: str) -> Design:
    return Design(learning_rate=0.1, rounds=1, aggregation=aggregation)


def plain_loss(aggregation, rows, micro_batch):
    """The definition, from lists of the token losses of the responses that count."""
    counted = [losses for losses, active in rows if active]
    if not counted:
        return 0.0
    tokens = sum(len(losses) for losses in counted)
    match aggregation:
        case "token-mean":
            return sum(map(sum, counted)) / tokens
        case "sequence-mean":
            return float(np.mean([np.mean(losses) for losses in counted]))
        case "sequence-sum":
            return float(np.mean([np.sum(losses) for losses in counted]))
        case "max-length":
            return sum(map(sum, counted)) / (len(counted) * MAX_NEW)
    pieces = [rows[i : i + micro_batch] for i in range(0, len(rows), micro_batch)]
    pieces = [[losses for losses, active in piece if active] for piece in pieces]
    return float(np.mean([np.mean(np.concatenate(piece)) for piece in pieces if piece]))


@given(st.sampled_from(AGGREGATIONS), ROUNDS, st.integers(1, 4), st.integers(0, 10**6))
def test_weights_give_the_definition(aggregation, shape, micro_batch, seed):
    rng = np.random.default_rng(seed)
    rows = [(rng.normal(size=length).tolist(), active) for length, active in shape]
    lengths, active = (np.array(x) for x in zip(*shape, strict=True))
    weights = row_weights(design(aggregation), lengths, active, max_new=MAX_NEW, micro_batch=micro_batch)
    loss = sum(w * sum(losses) for w, (losses, _) in zip(weights, rows, strict=True))
    assert loss == pytest.approx(plain_loss(aggregation, rows, micro_batch), abs=1e-12)


@given(st.sampled_from(AGGREGATIONS), ROUNDS, st.integers(1, 4))
def test_torch_replicas_are_weighed_one_by_one_as_in_numpy(aggregation, shape, micro_batch):
    lengths, active = (np.array(x) for x in zip(*shape, strict=True))
    settings = {"max_new": MAX_NEW, "micro_batch": micro_batch}
    both = [np.stack((x, x[::-1])) for x in (lengths, active)]
    ours = row_weights(design(aggregation), *map(torch.from_numpy, both), **settings)
    assert isinstance(ours, torch.Tensor)
    assert ours.dtype == torch.float64
    for s in range(2):
        alone = row_weights(design(aggregation), both[0][s], both[1][s], **settings)
        np.testing.assert_allclose(ours[s].numpy(), alone, rtol=1e-14)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_round_in_which_nothing_counts_weighs_nothing(aggregation):
    none = np.zeros(3, bool)
    weights = row_weights(design(aggregation), np.array([1, 2, 3]), none, max_new=MAX_NEW, micro_batch=2)
    assert weights.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("active", [[False, True], [True, True], [False, False]])
def test_an_empty_response_has_a_finite_weight(aggregation, active):
    weights = row_weights(
        design(aggregation), np.array([0, 2]), np.array(active), max_new=MAX_NEW, micro_batch=1
    )
    assert np.isfinite(weights).all()
    assert (weights[~np.array(active)] == 0).all()


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean", "sequence-sum", "max-length"])
def test_what_does_not_count_might_as_well_not_have_been_drawn(aggregation):
    lengths, active = np.array([1, 5, 3]), np.array([True, False, True])
    made = row_weights(design(aggregation), lengths, active, max_new=MAX_NEW)
    alone = row_weights(design(aggregation), lengths[active], max_new=MAX_NEW)
    np.testing.assert_array_equal(made[active], alone)


def test_token_mean_per_micro_batch_is_not_the_global_one():
    """verl's legacy default (conformance.md): sums 1 and 6 over lengths 1 and 3, that is (1 + 2)/2 and 7/4.

    With sums 2 and 3: (2 + 1)/2 = 1.5 against 5/4 = 1.25.
    """
    lengths = np.array([1, 3])

    def loss(aggregation, sums):
        weights = row_weights(design(aggregation), lengths, max_new=MAX_NEW, micro_batch=1)
        return float(weights @ sums)

    assert loss("micro-batch-mean", [1.0, 6.0]) == pytest.approx(1.5)
    assert loss("token-mean", [1.0, 6.0]) == pytest.approx(1.75)
    assert loss("bnpo", [2.0, 3.0]) == pytest.approx(1.5)
    assert loss("dapo", [2.0, 3.0]) == pytest.approx(1.25)


def test_the_frameworks_names_by_hand():
    """Lengths 1 and 4 of at most 7, token losses 1: means 1 and 1, sums 1 and 4."""
    expected = {
        "dapo": 1.0,
        "grpo": 1.0,
        "seq-mean-token-mean": 1.0,
        "seq-mean-token-sum": 2.5,
        "dr_grpo": 5 / 14,
        "seq-mean-token-sum-norm": 5 / 14,
        "bnpo": 1.0,
    }
    assert expected.keys() == AGGREGATION_NAMES.keys()
    for name, loss in expected.items():
        weights = row_weights(design(name), np.array([1, 4]), max_new=MAX_NEW, micro_batch=1)
        assert float(weights @ [1.0, 4.0]) == pytest.approx(loss)


def test_a_mean_per_micro_batch_needs_micro_batches():
    with pytest.raises(InputError, match=r"^micro_batch: "):
        row_weights(design("micro-batch-mean"), np.array([1, 3]), max_new=MAX_NEW)
