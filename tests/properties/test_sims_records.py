"""What `sims.execute` writes: independent of chunking, consistent with itself, and what the schema says."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sims
from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.records import EVALS, TABLES, check_table
from banditrft.rewards import two_valued
from banditrft.runs import Run
from banditrft.signals import signal
from banditrft.worlds import ArmClass, ContextualWorld, LumpedWorld

LUMPED = LumpedWorld(
    seeds=512,
    classes=(
        ArmClass(name="correct", arms=3, mass=0.1, reward=1.0),
        ArmClass(name="wrong", arms=10**12, mass=0.8, reward=0.0),
        ArmClass(name="half", arms=50, mass=0.1, reward=0.5),
    ),
)
CONTEXTUAL = ContextualWorld(seeds=512, test_items=50)
WORLDS = {"lumped": LUMPED, "contextual": CONTEXTUAL}
EVALUATION = Evaluation(eval_every=7, test_every=20)


def run(world: LumpedWorld | ContextualWorld, seeds: range, **design: object) -> Run:
    fields = {"rollouts": 2, "learning_rate": 0.02, "rounds": 50, **design}
    return Run("id", world, "c", Design(**fields), EVALUATION, 7, seeds)  # type: ignore[arg-type]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_chunks_do_not_matter(world: str, optimizer: str) -> None:
    whole = sims.execute(run(WORLDS[world], range(512), optimizer=optimizer))
    parts = [
        sims.execute(run(WORLDS[world], seeds, optimizer=optimizer))
        for seeds in (range(256), range(256, 512))
    ]
    for name in (*TABLES, "final"):
        stacked = pl.concat([getattr(part, name) for part in parts])
        keys = ["seed", "round"] + (["split"] if "split" in stacked.columns else [])
        assert getattr(whole, name).sort(keys).equals(stacked.sort(keys))


@settings(max_examples=15)
@given(st.permutations(range(6)), st.sampled_from(["raw", "rloo"]))
def test_a_seed_does_not_depend_on_its_neighbours(order: list[int], name: str) -> None:
    from sims.learner import TableLearner
    from sims.lumped.simulator import Bandit, simulate

    design = Design(rollouts=3, signal=name, learning_rate=0.3, rounds=40)  # type: ignore[arg-type]
    bandit, learner = Bandit.from_world(LUMPED), TableLearner.from_design(design, 0.1)
    one = simulate(bandit, learner, root_seed=1, seeds=range(6), rounds=40, eval_rounds=[10, 40])
    two = simulate(bandit, learner, root_seed=1, seeds=order, rounds=40, eval_rounds=[10, 40])
    np.testing.assert_array_equal(one.p_RE[order], two.p_RE)
    np.testing.assert_array_equal(one.slots_R[order], two.slots_R)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("reward", ["zero-one", "minus-one-one", "random"])
def test_records_hold_what_the_schema_says(world: str, reward: str) -> None:
    made = run(WORLDS[world], range(40, 60), reward=reward, signal="grpo", rollouts=4)
    tables = sims.execute(made)
    for name, schema in TABLES.items():
        check_table(getattr(tables, name), schema, name)
    check_table(tables.final, EVALS, "final")
    assert tables.rounds.height == tables.groups.height == 20 * 50
    grid = [0, 7, 14, 21, 28, 35, 42, 49, 50]
    train = tables.evals.filter(pl.col("split") == "train")
    assert train["round"].to_list() == grid * 20
    assert set(train["n"]) == {64}
    assert set(train["item"]) == {0}
    test = tables.evals.filter(pl.col("split") == "test")
    assert sorted(set(test["round"])) == ([0, 20, 40, 50] if world == "contextual" else [])
    assert set(test["n"]) <= {50}
    assert test["item"].null_count() == test.height
    final = {(s, r, n) for s, r, n in tables.final.select("split", "round", "n").iter_rows()}
    assert final == {("train", 50, 512)} | (
        {("test", 0, 200), ("test", 50, 200)} if world == "contextual" else set()
    )
    np.testing.assert_allclose(train.filter(pl.col("round") == 0)["p_exact"], made_base(world), rtol=1e-9)


def made_base(world: str) -> float:
    return WORLDS[world].base_pass_at_1() if world == "lumped" else CONTEXTUAL.base_pass_at_1  # type: ignore[union-attr,operator,return-value]


def test_rounds_describe_their_groups() -> None:
    """Reward and signal columns recomputed from the groups with `banditrft.signals` itself."""
    made = run(LUMPED, range(30), reward="minus-one-one", signal="rloo", rollouts=4, learning_rate=0.1)
    tables = sims.execute(made)
    correct = tables.groups["correct_strict"].to_numpy()
    rewards = np.where(np.arange(4) < correct[:, None], 1.0, -1.0)
    signals = signal(made.design, rewards)
    np.testing.assert_array_equal(tables.groups["reward_sum"], rewards.sum(axis=1))
    np.testing.assert_array_equal(tables.rounds["reward_mean"], rewards.mean(axis=1))
    np.testing.assert_allclose(tables.rounds["signal_mean"], signals.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(tables.rounds["signal_var"], signals.var(axis=1), atol=1e-12)
    np.testing.assert_array_equal(tables.rounds["zero_signal_fraction"], (signals == 0).all(axis=1))


@pytest.mark.parametrize("world", WORLDS)
def test_evaluation_counts_are_binomial(world: str) -> None:
    tables = sims.execute(run(WORLDS[world], range(200), optimizer="sgd"))
    for table in (
        tables.evals.filter(pl.col("split") == "train"),
        tables.final.filter(pl.col("split") == "train"),
    ):
        last = table.filter(pl.col("round") == 50)
        n, p, k = (last[c].to_numpy() for c in ("n", "p_exact", "correct_strict"))
        z = (k - n * p) / np.sqrt(n * p * (1 - p))
        assert abs((z**2).sum() - len(z)) < 4.5 * np.sqrt(2 * len(z))
        assert abs(z.sum()) < 4 * np.sqrt(len(z))


def test_conditions_are_paired() -> None:
    """The first round's rewards are the same luck under every optimiser and signal."""
    a = sims.execute(run(LUMPED, range(50), optimizer="sgd", learning_rate=1.0))
    b = sims.execute(run(LUMPED, range(50), optimizer="adam", signal="rloo"))
    first = [t.groups.filter(pl.col("round") == 1)["correct_strict"].to_list() for t in (a, b)]
    assert first[0] == first[1]


@pytest.mark.parametrize("world", WORLDS)
def test_inert_settings_change_no_bit(world: str) -> None:
    """AdamW without decay is Adam, and a clip above every norm is none."""
    for optimizer, fields in (
        ("adam", {"optimizer": "adamw"}),
        ("adam", {"optimizer": "adam", "grad_clip": 1e6}),
        ("sgd", {"optimizer": "sgd", "grad_clip": 1e6}),
    ):
        plain = sims.execute(run(WORLDS[world], range(20), optimizer=optimizer, signal="rloo"))
        other = sims.execute(run(WORLDS[world], range(20), signal="rloo", **fields))
        for name in (*TABLES, "final"):
            assert getattr(plain, name).equals(getattr(other, name))


def test_placebo_rewards_ignore_the_answer() -> None:
    tables = sims.execute(
        run(LUMPED, range(200), reward="random", rate=0.3, optimizer="sgd", learning_rate=0.01)
    )
    reward, correct = (tables.groups[c].to_numpy() / 2 for c in ("reward_sum", "correct_strict"))
    assert abs(reward.mean() - 0.3) < 4 * np.sqrt(0.21 / 20_000)
    assert abs(np.corrcoef(reward, correct)[0, 1]) < 4 / np.sqrt(10_000)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.sampled_from([1, 2, 7, 10**12]), min_size=1, max_size=4),
    name=st.sampled_from(["raw", "centered", "grpo", "rloo", "batch-centered", "gpg", "reinforce-plus-plus"]),
    reward=st.sampled_from(two_valued()),
    optimizer=st.sampled_from(["sgd", "adam", "adamw"]),
    clip=st.sampled_from([None, 1e-3, 0.3]),
    G=st.integers(2, 40),
    rate=st.floats(1e-3, 12.0),
    seed=st.integers(0, 10**6),
)
def test_state_stays_sound(
    sizes: list[int],
    name: str,
    reward: str,
    optimizer: str,
    clip: float | None,
    G: int,
    rate: float,
    seed: int,
) -> None:
    """Whatever the design: p is a probability, counts fit their group, no arm is split off twice.

    Refused are only steps beyond the bound, which the one right answer in G can take under GPG.
    """
    from sims.learner import LARGEST_STEP, TableLearner
    from sims.lumped.simulator import Bandit, simulate

    design = Design(
        rollouts=G,
        signal=name,
        reward=reward,
        false_positive=0.1 if reward == "noisy" else 0.0,
        optimizer=optimizer,
        weight_decay=0.03 if optimizer == "adamw" else 0.0,
        grad_clip=clip,
        learning_rate=rate,
        rounds=60,
    )  # type: ignore[arg-type]
    C = len(sizes)
    bandit = Bandit.of(sizes, [1 / C] * C, np.linspace(0, 1, C))
    scaled_up = (name, optimizer) == ("gpg", "sgd") and reward != "minus-one-one"
    if scaled_up and rate * (G - 1) > LARGEST_STEP:
        with pytest.raises(InputError, match="one round must change no logit"):
            TableLearner.from_design(design, 0.5)
        return
    learner = TableLearner.from_design(design, 0.5)
    paths = simulate(bandit, learner, root_seed=0, seeds=[seed], rounds=60, eval_rounds=range(61))
    assert np.isfinite(paths.p_RE).all()
    assert (paths.p_RE >= 0).all()
    assert (paths.p_RE <= 1 + 1e-12).all()
    assert ((paths.high_RT >= 0) & (paths.high_RT <= G)).all()
    assert ((paths.correct_RT >= 0) & (paths.correct_RT <= G)).all()
    splittable = sum(size for size in sizes if size > 1)
    assert C <= paths.slots_R[0] <= C + min(splittable, 60 * G)
    if C == 1:
        np.testing.assert_allclose(paths.p_RE, paths.p_RE[0, 0], atol=1e-12)
