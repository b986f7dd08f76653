"""What must be the same bandit: merged and split classes, shifted and scaled rewards, equal designs by other names.

With the same random numbers wherever the two sides use them alike: whole paths then agree to rounding.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from banditrft.design import Design
from banditrft.rewards import MAPS
from sims.learner import TableLearner
from sims.lumped import simulator as lumped
from sims.lumped.general import GeneralPaths, simulate
from sims.lumped.run import has_table
from sims.lumped.simulator import Bandit

T, SEEDS = 25, range(6)
SMALL = Bandit.of([2, 3, 8, 1, 40], [0.2, 0.3, 0.25, 0.15, 0.1], [1.0, 0.0, 0.5, 0.0, 0.8])
CENTRED = ("centered", "grpo", "rloo", "batch-centered", "reinforce-plus-plus")
STEPS = {"sgd": 0.8, "adam": 0.05, "adamw": 0.05}
few = settings(max_examples=25)
sizes = st.integers(1, 4)
optimizers = st.sampled_from(sorted(STEPS))


def design(**fields: object) -> Design:
    optimizer = str(fields.get("optimizer", "sgd"))
    base = {"optimizer": optimizer, "learning_rate": STEPS[optimizer], "adam_eps": 1e-3, "rounds": T}
    return Design(**{**base, **fields})  # type: ignore[arg-type]


def run(bandit: Bandit, seeds: range = SEEDS, **fields: object) -> GeneralPaths:
    return simulate(bandit, design(**fields), root_seed=5, seeds=seeds, eval_rounds=range(T + 1))


def graded(grades: list[float], bandit: Bandit = SMALL) -> Bandit:
    return Bandit(bandit.arms_C, bandit.mass_C, bandit.reward_C, np.array(grades))


def agree(one: GeneralPaths, two: GeneralPaths) -> None:
    for name in ("p_RE", "entropy_RE", "kl_RE"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-8, atol=1e-10)


@few
@given(
    signal=st.sampled_from(
        ["raw", "centered", "grpo", "rloo", "gpg", "batch-centered", "reinforce-plus-plus"]
    ),
    reward=st.sampled_from([*MAPS, "yoked"]),
    optimizer=optimizers,
    clip=st.sampled_from([None, 0.2]),
    G=st.integers(2, 6),
)
def test_both_paths_run_a_design_with_a_table_alike(
    signal: str, reward: str, optimizer: str, clip: float | None, G: int
) -> None:
    noise = {"false_positive": 0.2, "false_negative": 0.1} if reward == "noisy" else {}
    decay = {"weight_decay": 0.3} if optimizer == "adamw" else {}
    fields = {"signal": signal, "reward": reward, "optimizer": optimizer, "rollouts": G, "grad_clip": clip}
    made = design(**fields, **noise, **decay)
    assert has_table(made, SMALL)
    grid = {"root_seed": 5, "seeds": SEEDS, "eval_rounds": range(T + 1)}
    general = simulate(SMALL, made, **grid)  # type: ignore[arg-type]
    learner = TableLearner.from_design(made.treatment, SMALL.base_pass_at_1)
    fast = lumped.simulate(SMALL, learner, rounds=T, **grid)  # type: ignore[arg-type]
    if reward == "yoked":
        fast = lumped.simulate(SMALL, learner, rounds=T, dealt_RT=fast.high_RT, **grid)  # type: ignore[arg-type]
    for name in ("p_RE", "entropy_RE", "kl_RE"):
        np.testing.assert_allclose(getattr(general, name), getattr(fast, name), rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(general.slots_R, fast.slots_R)
    np.testing.assert_array_equal(general.trace.correct_RTB[..., 0], fast.correct_RT)
    np.testing.assert_allclose(general.trace.signal_mean_RT, learner.moments_S()[0][fast.high_RT], atol=1e-12)


@few
@given(
    st.sampled_from(["raw", *CENTRED]), optimizers, st.lists(st.integers(1, 10**9), min_size=2, max_size=5)
)
def test_merging_equal_classes_and_splitting_one(signal: str, optimizer: str, parts: list[int]) -> None:
    """One large class, or several with the same logit of an arm: nobody can tell.

    Arms are so many that none is met twice, so that the same random numbers give the same path.
    """
    arms = np.array(parts, float) + 1e10
    fields = {"signal": signal, "optimizer": optimizer, "rollouts": 3, "batch_size": 2}
    whole = Bandit.of([5, arms.sum(), 7], [0.2, 0.5, 0.3], [1, 0.4, 0])
    mass = [0.2, *(0.5 * arms / arms.sum()), 0.3]
    split = Bandit.of([5, *arms, 7], mass, [1, *([0.4] * len(arms)), 0])
    one, two = (run(bandit, **fields) for bandit in (whole, split))
    agree(one, two)
    np.testing.assert_array_equal(two.slots_R - one.slots_R, len(arms) - 1)


@pytest.mark.parametrize("kl_coef", [0.0, 0.3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_small_classes_split_or_permuted_have_the_same_law(optimizer: str, kl_coef: float) -> None:
    """Where arms are met again, other random numbers are used: the law of Pass@1 is the same."""
    fields = {"signal": "grpo", "rollouts": 3, "batch_size": 2, "kl_coef": kl_coef, "optimizer": optimizer}
    bandits = [
        Bandit.of([2, 6, 4], [0.2, 0.5, 0.3], [1, 0, 0.5]),
        Bandit.of([4, 2, 6], [0.3, 0.2, 0.5], [0.5, 1, 0]),
        Bandit.of([2, 2, 4, 3, 1], [0.2, 0.5 / 3, 1 / 3, 0.225, 0.075], [1, 0, 0, 0.5, 0.5]),
    ]
    made = [run(b, range(1500 * i, 1500 * (i + 1)), **fields).p_RE for i, b in enumerate(bandits)]
    for other in made[1:]:
        for t in (1, 5, T):
            rounded = (np.round(x[:, t], 9) for x in (made[0], other))
            assert stats.ks_2samp(*rounded, method="asymp").pvalue > 1e-4


@few
@given(st.sampled_from(CENTRED), optimizers, sizes, st.floats(0.0, 0.5))
def test_a_constant_added_to_all_rewards(signal: str, optimizer: str, B: int, shift: float) -> None:
    fields = {"signal": signal, "optimizer": optimizer, "batch_size": B, "rollouts": 3}
    agree(run(SMALL, **fields), run(SMALL, reward="minus-one-zero", **fields))
    grades = [0.5, 0.0123, 0.2571, 0.4117, 0.0931]  # none a mean of others, where rounding would decide
    population = {"baseline_rollouts": 2, "replay_window": 9} if signal in CENTRED[:3] else {}
    one, two = (
        run(graded([g + c for g in grades]), reward="graded", **fields, **population) for c in (0.0, shift)
    )
    agree(one, two)


@few
@given(optimizers, st.integers(1, 3), st.floats(0.1, 0.9))
def test_scaled_rewards_are_another_step(optimizer: str, G: int, scale: float) -> None:
    """Raw rewards times c: SGD with c eta; Adam, which divides by size, with eps c."""
    grades = [1.0, 0.0, 0.25, 0.4, 0.1]
    fields: dict[str, object] = {"optimizer": optimizer, "rollouts": G, "batch_size": 2, "reward": "graded"}
    scaled = run(graded([scale * g for g in grades]), **fields)
    other = {"learning_rate": scale * STEPS["sgd"]} if optimizer == "sgd" else {"adam_eps": 1e-3 / scale}
    agree(scaled, run(graded(grades), **{**fields, **other}))


@few
@given(
    optimizers, st.sampled_from(["raw", "batch-centered", "reinforce-plus-plus"]), st.sampled_from([2, 3, 4])
)
def test_groups_of_one_in_a_batch_are_a_group(optimizer: str, signal: str, B: int) -> None:
    """A signal that knows no groups does not mind how B G copies are cut; over one group it is a group's."""
    cuts = [(2 * B, 1), (B, 2), (1, 2 * B)]
    made = [run(SMALL, signal=signal, optimizer=optimizer, batch_size=b, rollouts=g) for b, g in cuts]
    if signal == "batch-centered":
        made.append(run(SMALL, signal="centered", optimizer=optimizer, rollouts=2 * B))
    for other in made[1:]:
        agree(made[0], other)


@few
@given(st.sampled_from(["centered", "grpo", "rloo"]), sizes, st.integers(2, 5), st.data())
def test_a_window_within_the_group_is_the_group(signal: str, B: int, G: int, data: st.DataObject) -> None:
    extra = data.draw(st.integers(0, 2))
    fields = {"signal": signal, "batch_size": B, "rollouts": G, "baseline_rollouts": extra}
    window = data.draw(st.integers(1, G + extra))
    plain, windowed = run(SMALL, **fields), run(SMALL, replay_window=window, **fields)
    np.testing.assert_array_equal(plain.p_RE, windowed.p_RE)
    larger = run(SMALL, replay_window=G + extra + 1, **fields)
    assert np.abs(larger.p_RE - plain.p_RE).max() > 1e-6


@few
@given(sizes, st.integers(1, 3), optimizers)
def test_statistics_are_inert_under_the_raw_reward(B: int, G: int, optimizer: str) -> None:
    fields = {"batch_size": B, "rollouts": G, "optimizer": optimizer}
    more = {"baseline_rollouts": 3, "replay_window": 50}
    np.testing.assert_array_equal(run(SMALL, **fields).p_RE, run(SMALL, **fields, **more).p_RE)


@few
@given(st.sampled_from(["raw", *CENTRED, "gpg"]), optimizers, st.sampled_from(["k1", "k2", "k3"]), sizes)
def test_no_kl_at_the_start(signal: str, optimizer: str, estimator: str, B: int) -> None:
    """KL is 0 before the first step, at least 0 ever after, and k2's and k3's penalties are silent at first."""
    fields = {"signal": signal, "optimizer": optimizer, "batch_size": B, "rollouts": 2}
    free, held = run(SMALL, **fields), run(SMALL, kl_coef=0.5, kl_estimator=estimator, **fields)
    assert (np.abs(free.kl_RE[:, 0]) < 1e-14).all()
    assert (held.kl_RE >= 0).all()
    if estimator != "k1":
        np.testing.assert_allclose(held.p_RE[:, 1], free.p_RE[:, 1], rtol=1e-12)
    assert np.abs(held.p_RE - free.p_RE).max() > 1e-6


@few
@given(st.sampled_from(CENTRED), optimizers, st.sampled_from(["k2", "k3"]), st.floats(0, 2), sizes)
def test_a_penalty_alone_moves_nothing(
    signal: str, optimizer: str, estimator: str, shared: float, B: int
) -> None:
    """Where all rewards are equal; an eps of 1e-12 would let Adam follow a gap that is only rounding."""
    fields = {"signal": signal, "optimizer": optimizer, "batch_size": B, "reward": "random", "rate": 1.0}
    bandit = Bandit(SMALL.arms_C, SMALL.mass_C, SMALL.reward_C, None, shared)
    made = run(bandit, kl_coef=0.5, kl_estimator=estimator, rollouts=2, adam_eps=1e-12, **fields)
    assert made.kl_RE.max() < 1e-13
    assert not made.trace.update_norm_RT.any()


@few
@given(
    st.sampled_from(["raw", *CENTRED, "gpg"]), optimizers, st.floats(0, 2), st.sampled_from([0.0, 0.4]), sizes
)
def test_probabilities_sum_to_one(signal: str, optimizer: str, shared: float, kl: float, B: int) -> None:
    """The mass of all classes, read as Pass@1 of a bandit that is always right about some classes."""
    fields = {"signal": signal, "optimizer": optimizer, "batch_size": B, "rollouts": 2, "kl_coef": kl}
    grades = np.array([1.0, 0.0, 0.5, 0.2, 0.8])
    always = Bandit(SMALL.arms_C, SMALL.mass_C, np.ones(5), grades, shared)
    np.testing.assert_allclose(run(always, reward="graded", **fields).p_RE, 1.0, rtol=1e-12)
    made = run(Bandit(SMALL.arms_C, SMALL.mass_C, SMALL.reward_C, None, shared), **fields)
    assert ((made.p_RE >= 0) & (made.p_RE <= 1 + 1e-12)).all()
    assert ((made.entropy_RE >= 0) & (made.entropy_RE <= np.log(SMALL.arms_C.sum()) + 1e-9)).all()


@few
@given(st.integers(2, 5), sizes, st.sampled_from(["zero-one", "minus-one-zero"]))
def test_signals_that_differ_by_a_factor_differ_by_a_step(G: int, B: int, reward: str) -> None:
    fields = {"batch_size": B, "rollouts": G, "reward": reward}
    centred = run(SMALL, signal="centered", **fields)
    agree(centred, run(SMALL, signal="rloo", learning_rate=0.8 * (G - 1) / G, **fields))
    wide = {"signal_eps": 1e9, "learning_rate": 0.8e9}
    np.testing.assert_allclose(centred.p_RE, run(SMALL, signal="grpo", **wide, **fields).p_RE, atol=1e-7)
    signs = {**fields, "reward": "minus-one-one"}
    agree(run(SMALL, signal="gpg", **signs), run(SMALL, signal="centered", **signs))
    sharp = {**fields, "signal": "grpo", "signal_eps": 1e-12}
    one, two = (
        run(SMALL, signal_ddof=ddof, learning_rate=0.8 * step, **sharp)
        for ddof, step in ((1, 1.0), (0, np.sqrt((G - 1) / G)))
    )
    agree(one, two)


@few
@given(st.sampled_from(["raw", *CENTRED]), st.floats(0, 3), sizes)
def test_sharing_within_classes_of_one_arm_is_a_larger_step(signal: str, shared: float, B: int) -> None:
    """theta + s phi moves by eta (1 + s^2) g where the class is the arm (SGD)."""
    bandits = [Bandit(np.ones(5), SMALL.mass_C, SMALL.reward_C, None, s) for s in (shared, 0.0)]
    fields = {"signal": signal, "batch_size": B, "rollouts": 2}
    agree(
        run(bandits[0], learning_rate=0.3, **fields),
        run(bandits[1], learning_rate=0.3 * (1 + shared**2), **fields),
    )


@few
@given(st.sampled_from(["raw", "grpo"]), optimizers, st.floats(0.05, 1.0), st.floats(0.05, 1.0))
def test_a_clip_never_acts_on_the_first_update(signal: str, optimizer: str, low: float, high: float) -> None:
    fields = {"signal": signal, "optimizer": optimizer, "batch_size": 2, "rollouts": 2}
    np.testing.assert_array_equal(
        run(SMALL, **fields).p_RE, run(SMALL, clip_low=low, clip_high=high, **fields).p_RE
    )


@pytest.mark.parametrize("signal", ["raw", "grpo"])
def test_who_shares_a_lockstep_changes_no_bit(signal: str) -> None:
    made = design(
        signal=signal, batch_size=3, rollouts=2, baseline_rollouts=2, replay_window=12, kl_coef=0.1,
        updates_per_round=2, optimizer="adamw", weight_decay=0.1,
    )  # fmt: skip
    paths = [
        simulate(SMALL, made, root_seed=5, seeds=range(9), eval_rounds=[0, 7, T], lockstep=n)
        for n in (1, 2, 5, 9)
    ]
    for other in paths[1:]:
        for name in ("p_RE", "entropy_RE", "kl_RE", "slots_R"):
            np.testing.assert_array_equal(getattr(paths[0], name), getattr(other, name))
        for name in ("signal_mean_RT", "signal_var_RT", "update_norm_RT", "reward_sum_RTB"):
            np.testing.assert_array_equal(getattr(paths[0].trace, name), getattr(other.trace, name))
