"""A learning signal and a reward map are each defined in one place, which every world and closed form reads.

A toy of each is put into its registry, and everything that a real one passes through must follow it. The names of
two existing ones may stand in the files that CONTRIBUTING sends a reader to and nowhere else.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from banditrft import rewards, signals
from banditrft.design import Design
from banditrft.feedback import Feedback
from banditrft.rewards import RewardMap
from banditrft.theory import cautions
from banditrft.theory.laws import round_law
from banditrft.theory.matching import matching_factor
from llm_runs.rounds import rewarding
from sims.contextual.contexts import Contexts
from sims.contextual.simulator import simulate as simulate_contextual
from sims.contextual.tabled import has_table
from sims.learner import TableLearner
from sims.lumped import general
from sims.lumped.simulator import Bandit, simulate
from sims.trace import Trace

ROOT = Path(__file__).parents[2]
ROOMS = ("banditrft", "sims", "llm_runs", "analysis")
BANDIT = Bandit.of([1, 9], [0.3, 0.7], [1.0, 0.0])
NOISY = RewardMap(-2.0, 3.0, 0.1, 0.9)
SEEDS = range(40)


def files_that_name(literal: str) -> set[str]:
    """Source files, but for diagrams, which are experiments, in which a name stands as a string of its own."""
    quoted = re.compile(f"[\"']{literal}[\"']")
    return {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "diagrams" not in path.parts and quoted.search(path.read_text(encoding="utf-8"))
    }


def toy(**fields: object) -> Design:
    """A design whose signal or reward map `Design` does not know by name."""
    plain = Design(**{"learning_rate": 1e-9, "optimizer": "sgd", "rounds": 50, "rollouts": 4})
    return plain.model_copy(update=fields)


def test_a_reward_map_is_named_in_two_files_and_one_protocol() -> None:
    """`claims/protocols.py` states which maps B7 was registered for, which no later map changes."""
    named = {"banditrft/design.py", "banditrft/rewards.py", "banditrft/claims/protocols.py"}
    assert files_that_name("minus-one-one") == named


def test_a_signal_is_named_in_two_files() -> None:
    """`analysis/fits/walk.py` models three signals of a group, by name."""
    assert files_that_name("batch-centered") == {"banditrft/design.py", "banditrft/signals.py"}
    assert files_that_name("rloo") - {"analysis/fits/walk.py"} == files_that_name("batch-centered")


def check_trace(trace: Trace, base: float) -> None:
    """Sums of four rewards of -2 and 3, whose mean is that of the toy map at the base Pass@1."""
    sums = trace.reward_sum_RTB
    assert set(np.unique(sums)) <= {-8.0, -3.0, 2.0, 7.0, 12.0}
    expected = -2.0 + 5.0 * NOISY.p_high(base)
    spread = sums.std() / 4 / np.sqrt(sums.size)
    assert abs(sums.mean() / 4 - expected) < 4.5 * spread


def test_both_paths_of_the_lumped_bandit_follow_a_reward_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rewards.MAPS, "toy", NOISY)
    design = toy(reward="toy")
    learner = TableLearner.from_design(design, 0.3)
    fast = simulate(BANDIT, learner, root_seed=1, seeds=SEEDS, rounds=50)
    check_trace(Trace.of_counts(design, learner, fast.high_RT, fast.correct_RT), 0.3)
    both = toy(reward="toy", batch_size=2)
    check_trace(general.simulate(BANDIT, both, root_seed=1, seeds=SEEDS).trace, 0.3)


def test_both_paths_of_the_contextual_world_follow_a_reward_map(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Contexts(np.array([[[1.0, 0.0], [0.0, 1.0]]]), np.full((1, 2), np.log(0.3 / 0.7)))
    monkeypatch.setitem(rewards.MAPS, "toy", NOISY)
    design = toy(reward="toy", batch_size=2)
    assert not has_table(design, 0.0)
    check_trace(simulate_contextual(np.zeros((1, 2)), pool, design, root_seed=1, seeds=SEEDS).trace, 0.3)
    monkeypatch.setitem(rewards.MAPS, "toy", RewardMap(-2.0, 3.0))
    assert has_table(design, 0.0)
    honest = simulate_contextual(np.zeros((1, 2)), pool, design, root_seed=1, seeds=SEEDS).trace
    np.testing.assert_array_equal(honest.reward_sum_RTB, 5.0 * honest.correct_RTB - 8.0)


def test_closed_forms_and_warnings_follow_a_reward_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw drift at p: p (1-p) times the difference of a right and a wrong answer's expected reward, 5 (.9 - .1)."""
    monkeypatch.setitem(rewards.MAPS, "toy", NOISY)
    law = round_law(toy(reward="toy"))
    assert law.moments(np.log(0.3 / 0.7)).drift == pytest.approx(0.3 * 0.7 * 4.0)
    assert matching_factor(toy(reward="toy", signal="centered"), 0.3) == pytest.approx(4 / 3)
    assert not any("false_positive" in text for text in cautions.of_design(toy(reward="toy")))
    monkeypatch.setitem(rewards.MAPS, "toy", RewardMap(0.0, 1.0, 0.5, 0.4))
    assert any("false_positive" in text for text in cautions.of_design(toy(reward="toy")))


def test_a_language_models_rewards_follow_a_reward_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rewards.MAPS, "toy", NOISY)
    design, strict = toy(reward="toy"), np.array([[[True, True, False, False]]])
    assert rewarding.draws_rewards(design)
    u = np.array([[[0.89, 0.91, 0.09, 0.11]]])
    found = rewarding.rewards(design, strict, np.zeros((1, 1, 4)), u, np.array([0.3]))
    np.testing.assert_array_equal(found, [[[3.0, -2.0, 3.0, -2.0]]])


def test_every_world_follows_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(signals.SIGNALS, "toy", lambda design, reward, others, valid: 2.0 * reward - 1.0)
    design = toy(signal="toy")
    np.testing.assert_array_equal(signals.table(design)[1:4], [[-1.0, 1.0]] * 3)
    seen = Feedback(design, 1).signals(np.array([[[0.0, 1.0, 1.0, 0.0]]]))
    np.testing.assert_array_equal(seen, [[[-1.0, 1.0, 1.0, -1.0]]])
    learner = TableLearner.from_design(design, 0.3)
    fast = simulate(BANDIT, learner, root_seed=1, seeds=SEEDS, rounds=50)
    trace = Trace.of_counts(design, learner, fast.high_RT, fast.correct_RT)
    np.testing.assert_allclose(trace.signal_mean_RT, 2.0 * trace.reward_mean_RT - 1.0)
    several = general.simulate(BANDIT, toy(signal="toy", batch_size=2), root_seed=1, seeds=SEEDS).trace
    np.testing.assert_allclose(several.signal_mean_RT, 2.0 * several.reward_mean_RT - 1.0)
    assert round_law(design).moments(np.log(0.3 / 0.7)).drift == pytest.approx(2 * 0.3 * 0.7)
