"""Records of the lumped world under designs without a table: schema, chunks, counts that fit one another."""

import numpy as np
import polars as pl
import pytest

import sims
from banditrft.design import Design, Evaluation
from banditrft.records import EVALS, TABLES, check_table
from banditrft.runs import Run
from banditrft.signals import signal
from banditrft.worlds import ArmClass, LumpedWorld

CLASSES = (
    ArmClass(name="correct", arms=3, mass=0.1, reward=1.0),
    ArmClass(name="wrong", arms=10**12, mass=0.8, reward=0.0, grade=0.3),
    ArmClass(name="half", arms=50, mass=0.1, reward=0.5),
)
EVALUATION = Evaluation(eval_every=7)
T, B, G = 20, 3, 4
GENERAL: dict[str, dict[str, object]] = {
    "batch": {"signal": "gpg"},
    "everything": {
        "signal": "grpo",
        "reward": "graded",
        "baseline_rollouts": 2,
        "replay_window": 20,
        "kl_coef": 0.05,
        "updates_per_round": 2,
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "grad_clip": 0.5,
    },
}


def run(seeds: range, world: LumpedWorld | None = None, **design: object) -> Run:
    world = world or LumpedWorld(seeds=512, classes=CLASSES, shared=0.3)
    fields = {"batch_size": B, "rollouts": G, "learning_rate": 0.05, "rounds": T, **design}
    return Run("id", world, "c", Design(**fields), EVALUATION, 7, seeds)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", GENERAL)
def test_chunks_do_not_matter(name: str) -> None:
    whole = sims.execute(run(range(300), **GENERAL[name]))
    parts = [sims.execute(run(s, **GENERAL[name])) for s in (range(256), range(256, 299), range(299, 300))]
    for table in (*TABLES, "final"):
        assert getattr(whole, table).equals(pl.concat([getattr(part, table) for part in parts]))


@pytest.mark.parametrize("name", GENERAL)
def test_records_hold_what_the_schema_says(name: str) -> None:
    tables = sims.execute(run(range(30), **GENERAL[name]))
    for table, schema in TABLES.items():
        check_table(getattr(tables, table), schema, table)
    check_table(tables.final, EVALS, "final")
    assert tables.rounds.height == 30 * T
    assert tables.groups.height == 30 * T * B
    assert set(tables.groups["n"]) == {G}
    assert set(tables.groups["item"]) == {0}
    assert tables.rounds["update_norm"].null_count() == 0
    looked = tables.rounds.filter(pl.col("entropy").is_not_null())
    assert sorted(set(looked["round"])) == [7, 14, 20]
    assert (looked["kl"] > 0).all()
    assert tables.rounds["kl"].null_count() == tables.rounds["entropy"].null_count() == 30 * (T - 3)


def test_rounds_describe_their_groups() -> None:
    made = run(range(40), signal="gpg", reward="minus-one-zero", learning_rate=0.1)
    tables = sims.execute(made)
    correct_SB = tables.groups["correct_strict"].to_numpy().reshape(-1, B)
    rewards_SBG = np.where(np.arange(G) < correct_SB[..., None], 0.0, -1.0)
    signals_SBG = signal(made.design, rewards_SBG)
    flat = signals_SBG.reshape(len(signals_SBG), -1)
    rounds = tables.rounds
    np.testing.assert_array_equal(tables.groups["reward_sum"].to_numpy().reshape(-1, B), rewards_SBG.sum(2))
    np.testing.assert_allclose(rounds["reward_mean"], rewards_SBG.mean(axis=(1, 2)), atol=1e-12)
    np.testing.assert_allclose(rounds["signal_mean"], flat.mean(1), atol=1e-12)
    np.testing.assert_allclose(rounds["signal_var"], flat.var(1), atol=1e-12)
    silent = (signals_SBG == 0).all(axis=2)
    np.testing.assert_allclose(rounds["zero_signal_fraction"], silent.mean(1), atol=1e-12)
    assert 0 < silent.mean() < 1


def test_graded_rewards_are_the_grades_of_their_class() -> None:
    """3 arms pay 1, the lump .3 though wrong, "half" its outcome: sums of groups are on that lattice."""
    groups = sims.execute(run(range(40), reward="graded", optimizer="sgd")).groups
    correct, total = groups["correct_strict"].to_numpy(), groups["reward_sum"].to_numpy()
    tenths = np.round((total - correct) / 0.3, 9)
    np.testing.assert_allclose(tenths, np.round(tenths))
    assert ((tenths >= 0) & (tenths <= G - correct)).all()
    assert tenths.max() == G


@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_groups_are_kept_or_not_and_nothing_else_changes(shared: float) -> None:
    kept, not_kept = (
        sims.execute(
            run(
                range(9), LumpedWorld(seeds=9, classes=CLASSES, shared=shared, keep_groups=keep), batch_size=1
            )
        )
        for keep in (True, False)
    )
    assert not_kept.groups.height == 0
    assert not_kept.groups.schema == kept.groups.schema
    assert kept.groups.height == 9 * T
    for table in ("rounds", "evals", "final"):
        assert getattr(kept, table).equals(getattr(not_kept, table))


def test_baseline_rollouts_are_extra_luck_and_no_more() -> None:
    """The first round's fresh rollouts are those of the plain group; only their signals differ."""
    plain, extra = (sims.execute(run(range(30), signal="rloo", baseline_rollouts=n)) for n in (0, 5))
    first = [t.groups.filter(pl.col("round") == 1) for t in (plain, extra)]
    assert first[0].equals(first[1])
    assert not plain.rounds["signal_mean"].equals(extra.rounds["signal_mean"])
    assert abs(plain.rounds["signal_mean"]).max() < 1e-12  # sums to zero over the group alone
    assert abs(extra.rounds["signal_mean"]).max() > 0.05


def test_a_window_sees_the_past() -> None:
    """G = 1, W = 5: the first signal is the reward, later ones deviations from the last five rewards."""
    made = run(range(20), batch_size=1, rollouts=1, replay_window=5, signal="centered", optimizer="sgd")
    tables = sims.execute(made)
    reward_RT = tables.rounds["reward_mean"].to_numpy().reshape(20, T)
    signal_RT = tables.rounds["signal_mean"].to_numpy().reshape(20, T)
    for t in range(T):
        window = reward_RT[:, max(0, t - 4) : t + 1]
        mean = window.mean(1) if t > 0 else 0.0
        np.testing.assert_allclose(signal_RT[:, t], reward_RT[:, t] - mean, atol=1e-12)


def test_logits_decay_from_where_they_were_put() -> None:
    """AdamW without a reward: every logit loses learning_rate x weight_decay of itself in a round."""
    classes = (
        ArmClass(name="up", arms=3, logit=1.0, reward=0.0),
        ArmClass(name="down", arms=2, logit=-0.5, reward=0.0),
    )
    decaying = run(range(2), LumpedWorld(seeds=2, classes=classes), optimizer="adamw", weight_decay=0.4)
    norms = sims.execute(decaying).rounds.filter(pl.col("seed") == 1)["update_norm"].to_numpy()
    share = 0.05 * 0.4
    expected = share * (1 - share) ** np.arange(T) * np.sqrt(3 * 1.0**2 + 2 * 0.5**2)
    np.testing.assert_allclose(norms, expected, rtol=1e-9)
