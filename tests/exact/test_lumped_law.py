"""Laws over ranked arms: sums, bins, their stated error, and where the correct arms lie, against brute force."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sims
from banditrft.design import Design, Evaluation, parse
from banditrft.errors import InputError
from banditrft.runs import Run, world_key
from banditrft.worlds import ArmLaw, LumpedWorld
from banditrft.worlds.binning import binning_error, bins, log_weight, weight_sum

LAWS = {
    "uniform": {"kind": "uniform"},
    "zipf 1": {"kind": "zipf"},
    "zipf 0.6": {"kind": "zipf", "exponent": 0.6},
    "zipf 2.5": {"kind": "zipf", "exponent": 2.5},
    "log-normal": {"kind": "log-normal", "sigma": 1.5},
    "wide log-normal": {"kind": "log-normal", "sigma": 5.0},
}
law_of = st.builds(
    lambda name, arms, bins, share, place: ArmLaw(
        **LAWS[name], arms=arms, bins=bins, correct=max(1, int(share * (arms - 1))), place=place
    ),
    st.sampled_from(sorted(LAWS)),
    st.integers(2, 6000),
    st.integers(1, 80),
    st.floats(0, 1),
    st.sampled_from(["top", "spread", "bottom"]),
)


def exact(law: ArmLaw) -> np.ndarray:
    """Probability of every rank."""
    weight = np.exp(log_weight(law, np.arange(1.0, law.arms + 1)))
    return weight / weight.sum()


def spread_out(law: ArmLaw) -> tuple[np.ndarray, np.ndarray]:
    """Binned probability of every rank, and the correct arms of every bin, by the bin's ranks."""
    parts = bins(law)
    return np.concatenate([np.full(b.arms, b.mass / b.arms) for b in parts]), np.array(
        [b.correct for b in parts]
    )


def test_weights_are_the_laws() -> None:
    ranks = np.arange(1.0, 11)
    zipf = exact(ArmLaw(kind="zipf", exponent=2.0, arms=10))
    np.testing.assert_allclose(zipf, ranks**-2 / (ranks**-2).sum())
    normal = np.log(exact(ArmLaw(kind="log-normal", sigma=3.0, arms=10)))
    np.testing.assert_allclose(normal - normal.mean(), -(normal - normal.mean())[::-1])  # symmetric
    # 100,000 normal logits of spread .7: mean 0, variance .49
    logits = log_weight(ArmLaw(kind="log-normal", sigma=0.7, arms=100_000), np.arange(1.0, 100_001))
    assert abs(logits.mean()) < 1e-12
    assert abs(logits.var() - 0.49) < 1e-4


@pytest.mark.parametrize("name", LAWS)
def test_sums_over_ranks(name: str) -> None:
    law = ArmLaw(**LAWS[name], arms=300_000)
    weight = np.exp(log_weight(law, np.arange(1.0, law.arms + 1)))
    for first, last in ((1, 300_000), (1, 2001), (37, 37), (500, 99_999), (150_001, 300_000), (5, 4)):
        np.testing.assert_allclose(
            weight_sum(law, first, last), np.sort(weight[first - 1 : last]).sum(), rtol=1e-10
        )


@given(law_of)
def test_bins_partition_the_ranks_and_state_their_error(law: ArmLaw) -> None:
    parts, p = bins(law), exact(law)
    assert [b.first for b in parts] == [1, *(b.last + 1 for b in parts[:-1])]
    assert parts[-1].last == law.arms
    assert sum(b.correct for b in parts) == law.correct
    binned, _ = spread_out(law)
    for b in parts:
        np.testing.assert_allclose(b.mass, p[b.first - 1 : b.last].sum(), rtol=1e-9)
    error = binning_error(law)
    assert abs(error.total_variation - 0.5 * np.abs(binned - p).sum()) < 1e-9
    np.testing.assert_allclose(error.log_ratio, np.abs(np.log(binned / p)).max(), rtol=1e-6, atol=1e-9)
    step = -np.diff(log_weight(law, np.array([1.0, law.arms])))[0] / law.bins
    assert error.log_ratio <= step + 1e-9
    assert error.total_variation <= np.expm1(step) / 2 + 1e-9


@given(law_of)
def test_correct_arms_lie_where_they_should(law: ArmLaw) -> None:
    parts, m, K = bins(law), law.correct, law.arms
    for b in parts:
        expected = {
            "top": max(0, min(b.last, m) - b.first + 1),
            "bottom": max(0, b.last - max(b.first, K - m + 1) + 1),
        }
        if law.place == "spread":
            assert abs(b.correct - b.arms * m / K) <= 1
            assert b.correct <= b.arms
        else:
            assert b.correct == expected[str(law.place)]
            assert b.correct in (0, b.arms)


@pytest.mark.parametrize("name", ["zipf 1", "log-normal", "wide log-normal"])
def test_correct_mass_is_met_as_nearly_as_neighbours_can(name: str) -> None:
    law = ArmLaw(**LAWS[name], arms=5000, correct=40, correct_mass=0.01)
    p = exact(law)
    blocks = np.convolve(p, np.ones(40), mode="valid")
    mine = sum(b.mass for b in bins(law) if b.correct)
    np.testing.assert_allclose(mine, blocks[np.abs(blocks - 0.01).argmin()], rtol=1e-9)
    world = LumpedWorld(seeds=1, law=law)
    np.testing.assert_allclose(world.base_pass_at_1(), mine, rtol=1e-9)
    assert world.num_arms == 5000


def test_the_largest_and_smallest_mass_are_within_reach_whatever_their_last_bit() -> None:
    for last_bit in (1 - 1e-15, 1.0, 1 + 1e-15):
        law = ArmLaw(kind="uniform", arms=1000, correct=22, correct_mass=0.022 * last_bit)
        assert sum(b.correct for b in bins(law)) == 22


def test_a_trillion_arms() -> None:
    law = ArmLaw(kind="zipf", arms=10**12, correct=1000, correct_mass=0.1)
    world = LumpedWorld(seeds=1, law=law)
    assert world.num_arms == 10**12
    assert len(world.classes) <= 258
    assert abs(world.base_pass_at_1() - 0.1) < 1e-3
    # H_K = ln K + gamma + 1/(2K)
    np.testing.assert_allclose(weight_sum(law, 1, 10**12), 12 * np.log(10) + 0.5772156649015329, rtol=1e-12)
    coarse = law.model_copy(update={"bins": 32})
    assert binning_error(coarse).log_ratio > 4 * binning_error(law).log_ratio


def test_error_falls_with_the_number_of_bins() -> None:
    errors = [
        binning_error(ArmLaw(kind="log-normal", sigma=3.0, arms=100_000, bins=n)) for n in (8, 32, 128, 512)
    ]
    for coarse, fine in pairwise(errors):
        assert 3 < coarse.total_variation / fine.total_variation < 6
        assert 2 < coarse.log_ratio / fine.log_ratio < 6


def test_a_law_runs_and_its_run_id_knows_the_law_alone() -> None:
    law = ArmLaw(kind="zipf", arms=10**9, correct=50, correct_mass=0.1, bins=20)
    world = LumpedWorld(seeds=8, law=law)
    assert LumpedWorld.model_validate(world.model_dump()) == world
    assert world_key(world)["classes"] == []
    assert world_key(world) != world_key(
        world.model_copy(update={"law": law.model_copy(update={"bins": 21})})
    )
    design = Design(learning_rate=1.0, optimizer="sgd", rounds=20, rollouts=4)
    made = sims.execute(Run("id", world, "c", design, Evaluation(), 0, range(8)))
    np.testing.assert_allclose(made.evals["p_exact"][0], world.base_pass_at_1(), rtol=1e-9)


def test_binned_and_exact_laws_learn_alike() -> None:
    """200 Zipf arms, each a class of its own or in 17: the error in Pass@1 stays of the stated size."""
    means = []
    laws = [ArmLaw(kind="zipf", arms=200, correct=20, correct_mass=0.1, bins=n) for n in (4096, 16)]
    assert binning_error(laws[0]).total_variation < 1e-12
    design = Design(learning_rate=2.0, optimizer="sgd", rounds=100, batch_size=4, rollouts=2)
    for law in laws:
        run = Run("id", LumpedWorld(seeds=1000, law=law), "c", design, Evaluation(), 0, range(1000))
        curve = sims.execute(run).evals.group_by("round", maintain_order=True).agg(pl.col("p_exact").mean())
        means.append(curve["p_exact"].to_numpy())
    assert means[0][-1] - means[0][0] > 0.3
    gap = np.abs(means[0] - means[1]).max()
    assert 1e-5 < gap < 2 * binning_error(laws[1]).total_variation


BAD: dict[str, tuple[str, dict[str, object]]] = {
    "all correct": ("correct", {"kind": "uniform", "arms": 5, "correct": 5}),
    "exponent of a uniform law": ("exponent", {"kind": "uniform", "arms": 5, "exponent": 1.0}),
    "sigma of zipf": ("sigma", {"kind": "zipf", "arms": 5, "sigma": 1.0}),
    "two places": ("correct_mass", {"kind": "zipf", "arms": 5, "correct_mass": 0.1, "place": "top"}),
    "mass out of reach": ("correct_mass", {"kind": "zipf", "arms": 100, "correct_mass": 0.9}),
    "too many arms": ("arms", {"kind": "zipf", "arms": 10**13}),
    "too steep": ("sigma", {"kind": "log-normal", "arms": 10**12, "sigma": 100.0}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_laws(case: str) -> None:
    field, law = BAD[case]
    with pytest.raises(InputError, match=field):
        parse(LumpedWorld, {"seeds": 1, "law": law})


def test_classes_and_a_law_exclude_each_other() -> None:
    arms = {"name": "a", "mass": 1.0, "reward": 1.0}
    with pytest.raises(InputError, match="classes"):
        parse(LumpedWorld, {"seeds": 1, "classes": [arms], "law": {"kind": "uniform", "arms": 5}})
    with pytest.raises(InputError, match="at least one class, or a law"):
        parse(LumpedWorld, {"seeds": 1})
