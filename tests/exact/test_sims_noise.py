"""Noisy rewards: what the learner hears is wrong at the stated rates, what is measured is not."""

import numpy as np
import polars as pl
import pytest

import sims
from banditrft.design import Design, Evaluation
from banditrft.runs import Run
from banditrft.streams import Purpose, uniforms
from banditrft.worlds import ArmClass, ContextualWorld, LumpedWorld

LUMPED = LumpedWorld(
    seeds=256,
    classes=(
        ArmClass(name="right", arms=3, mass=0.3, reward=1.0),
        ArmClass(name="wrong", arms=10**12, mass=0.5, reward=0.0),
        ArmClass(name="half", arms=50, mass=0.2, reward=0.5),
    ),
)
WORLDS = {"lumped": LUMPED, "contextual": ContextualWorld(seeds=256, test_items=20, base_pass_at_1=0.4)}
ROOT, T, G = 7, 12, 4


def execute(world: str, seeds: range = range(200), **fields: object) -> pl.DataFrame:
    merged = {"rollouts": G, "rounds": T, "optimizer": "sgd", "learning_rate": 0.02, **fields}
    design = Design(**merged)  # type: ignore[arg-type]
    return sims.execute(Run("id", WORLDS[world], "c", design, Evaluation(), ROOT, seeds)).groups


@pytest.mark.parametrize("world", WORLDS)
def test_rates_of_false_rewards(world: str) -> None:
    """Of groups whose answers are all right (all wrong) a share 1 - fn (fp) of rewards is high."""
    groups = execute(world, range(256), reward="noisy", false_positive=0.15, false_negative=0.35)
    for correct, rate in ((0, 0.15), (G, 0.65)):
        heard = groups.filter(pl.col("correct_strict") == correct)["reward_sum"].to_numpy()
        n = G * len(heard)
        assert n > 200
        assert abs(heard.sum() - n * rate) < 4 * np.sqrt(n * rate * (1 - rate))
    assert set(groups["reward_sum"].to_list()) <= set(map(float, range(G + 1)))


@pytest.mark.parametrize("world", WORLDS)
def test_the_noise_is_read_off_its_own_words(world: str) -> None:
    """Lumped: the fourth word of a pull; contextual: the second block at the address of four pulls."""
    wrong = execute(world, reward="noisy", false_positive=0.5, false_negative=1.0)
    right = wrong["correct_strict"].to_numpy().reshape(200, T)
    count = 4 if world == "lumped" else 8
    streams = [uniforms(ROOT, range(200), [0] * 200, Purpose.SAMPLE, t, G, count) for t in range(1, T + 1)]
    u = np.stack(streams, 1)
    words = u[..., 3] if world == "lumped" else u[:, :, 0, 4:]
    heard = wrong["reward_sum"].to_numpy().reshape(200, T)
    below = (words < 0.5).sum(-1)
    all_wrong = right == 0
    assert all_wrong.sum() > 50
    np.testing.assert_array_equal(heard[all_wrong], below[all_wrong])
    assert (heard <= below).all()
    assert (heard[right == G] == 0).all()


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_no_noise_is_the_grade(world: str, optimizer: str) -> None:
    fields = {"optimizer": optimizer, "signal": "grpo"}
    clean = execute(world, range(20), **fields)
    assert execute(world, range(20), reward="noisy", **fields).equals(clean)


@pytest.mark.parametrize("world", WORLDS)
def test_noise_without_a_margin_is_a_placebo(world: str) -> None:
    """fp = 1 - fn: rewards ignore the answer, and the very records of the placebo come out."""
    noisy = execute(world, range(20), reward="noisy", false_positive=0.25, false_negative=0.75)
    assert noisy.equals(execute(world, range(20), reward="random", rate=0.25))
