"""Rewards that enter a group's statistics only: baseline rollouts, windows, and groups of one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from banditrft import signals
from banditrft.design import BATCH_SIGNALS, Design
from banditrft.errors import InputError

NAMES = ("raw", "centered", "grpo", "rloo")
VALUES = st.sampled_from([-1.0, 0.0, 0.3, 0.5, 1.0])


def design(signal: str, rollouts: int, **more: object) -> Design:
    return Design(signal=signal, rollouts=rollouts, learning_rate=0.1, rounds=1, **more)


@st.composite
def populations(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fresh rewards (B, G), others (B, M) and which of them exist."""
    B, G, M = (draw(st.integers(1, n)) for n in (3, 5, 6))
    fresh = draw(hnp.arrays(np.float64, (B, G), elements=VALUES))
    others = draw(hnp.arrays(np.float64, (B, M), elements=VALUES))
    return fresh, others, draw(hnp.arrays(np.bool_, (B, M)))


def one_by_one(name: str, fresh: np.ndarray, others: np.ndarray, ddof: int, eps: float) -> list[float]:
    """Signals of one group from the definitions, with a plain list as population."""
    population = [*fresh, *others]
    alone = len(population) == 1
    mean = 0.0 if alone else float(np.mean(population))
    out = []
    for i, reward in enumerate(fresh):
        rest = population[:i] + population[i + 1 :]
        if name == "raw":
            out.append(float(reward))
        elif name == "rloo":
            out.append(float(reward - np.mean(rest)) if rest else float(reward))
        elif name == "centered":
            out.append(float(reward - mean))
        else:
            spread = 1.0 if alone else float(np.std(population, ddof=ddof))
            out.append(float((reward - mean) / (spread + eps)))
    return out


@given(populations(), st.sampled_from(NAMES), st.integers(0, 1))
def test_population_is_the_group_and_the_others_that_exist(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], name: str, ddof: int
) -> None:
    fresh, others, valid = made
    setup = design(name, fresh.shape[1], signal_ddof=ddof, signal_eps=0.01, replay_window=99)
    ours = signals.signal(setup, fresh, others, valid)
    for b in range(len(fresh)):
        expected = one_by_one(name, fresh[b], others[b, valid[b]], ddof, 0.01)
        np.testing.assert_allclose(ours[b], expected, atol=1e-12)
    by_torch = signals.signal(setup, *(torch.tensor(x) for x in (fresh, others, valid)))
    np.testing.assert_allclose(by_torch.numpy(), ours, atol=1e-12)


@given(populations(), st.sampled_from(NAMES))
def test_what_does_not_exist_does_not_matter(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], name: str
) -> None:
    fresh, others, valid = made
    setup = design(name, fresh.shape[1], replay_window=99)
    changed = np.where(valid, others, 17.0)
    np.testing.assert_array_equal(
        signals.signal(setup, fresh, others, valid), signals.signal(setup, fresh, changed, valid)
    )


@given(populations(), st.sampled_from(NAMES))
def test_a_group_cut_in_two_keeps_its_statistics(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], name: str
) -> None:
    """Signals of some rollouts, the rest of their group given as others, are those of the whole group."""
    fresh, others, _ = made
    G = fresh.shape[1]
    whole = np.concatenate([fresh, others], axis=1)
    np.testing.assert_allclose(
        signals.signal(design(name, G, replay_window=99), fresh, others),
        signals.signal(design(name, whole.shape[1]), whole)[:, :G],
        atol=1e-9,
    )


@given(
    hnp.arrays(np.float64, (4, 6), elements=st.floats(-2, 2)), st.sampled_from(["centered", "rloo", "grpo"])
)
def test_equal_rewards_give_exactly_nothing(rewards: np.ndarray, name: str) -> None:
    """0.3 added up n times and divided by n is not 0.3; the signal is 0 all the same."""
    equal = np.repeat(rewards[:, :1], 6, axis=1)
    assert not signals.signal(design(name, 6), equal).any()
    assert not signals.signal(design(name, 3, replay_window=6), equal[:, :3], equal[:, 3:]).any()


@given(st.floats(-2, 2), st.integers(1, 5), st.integers(2, 7), st.sampled_from(BATCH_SIGNALS))
def test_an_equal_batch_gives_exactly_nothing(reward: float, B: int, G: int, name: str) -> None:
    assert not signals.signal(design(name, G, batch_size=B), np.full((B, G), reward)).any()


def test_alone_in_its_population_as_in_verl() -> None:
    """Mean 0, standard deviation 1: .999999 and 0 for rewards 1 and 0 with eps = 1e-6."""
    rewards, others, none = np.array([[1.0], [0.0]]), np.zeros((2, 3)), np.zeros((2, 3))
    grpo = signals.signal(design("grpo", 1, replay_window=4), rewards, others, none)
    np.testing.assert_allclose(grpo, [[0.999999], [0.0]], atol=1e-12)
    for name in ("centered", "rloo"):
        made = signals.signal(design(name, 1, replay_window=4), rewards, others, none)
        np.testing.assert_array_equal(made, rewards)


@pytest.mark.parametrize("name", BATCH_SIGNALS)
def test_signals_over_the_batch_take_no_others(name: str) -> None:
    with pytest.raises(InputError, match="batch's own rewards only"):
        signals.signal(design(name, 3), np.ones((1, 3)), np.ones((1, 2)))


def test_others_of_another_batch() -> None:
    with pytest.raises(InputError, match="leading axes"):
        signals.centered(np.ones((2, 3)), np.ones((3, 2)))
