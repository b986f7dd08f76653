"""match_step_size: the expected gradient at the base is raw's, by enumerating every group of three pulls."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.theory.matching import design_table, matching_factor, ratio_to_raw
from sims.learner import TableLearner
from sims.lumped import general
from sims.lumped.simulator import Bandit, simulate

PI, GRADE = np.array([0.2, 0.1, 0.4, 0.3]), np.array([1.0, 0.6, 0.0, 0.25])
BASE, G = float(PI @ GRADE), 3
SIGNALS = ["raw", "centered", "grpo", "rloo", "batch-centered", "gpg", "reinforce-plus-plus"]
VALUES = {"zero-one": (0, 1), "minus-one-zero": (-1, 0), "minus-one-one": (-1, 1), "noisy": (0, 1)}
Floats = NDArray[np.float64]


def design(signal: str, reward: str = "zero-one", *, match: bool = True, **more: object) -> Design:
    noise = {"false_positive": 0.1, "false_negative": 0.3} if reward == "noisy" else {}
    fields = {"rollouts": G, "optimizer": "sgd", "learning_rate": 0.5, "rounds": 1, **noise, **more}
    return Design(signal=signal, reward=reward, match_step_size=match, **fields)  # type: ignore[arg-type]


def expected_gradient(table_S2: Floats, noise: tuple[float, float]) -> Floats:
    """E[grad] of each of the four arms: sum over all (arm, reward) outcomes of three pulls."""
    fp, fn = noise
    high_K = GRADE * (1 - fn) + (1 - GRADE) * fp
    total = np.zeros(4)
    for arms in product(range(4), repeat=G):
        for highs in product((0, 1), repeat=G):
            pulls = list(zip(arms, highs, strict=True))
            chance = np.prod([PI[a] * (high_K[a] if h else 1 - high_K[a]) for a, h in pulls])
            for arm, high in pulls:
                total += chance * table_S2[sum(highs), high] / G * ((np.arange(4) == arm) - PI)
    return total


@pytest.mark.parametrize("reward", VALUES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_every_arms_expected_gradient_is_raws(signal: str, reward: str) -> None:
    noise = (0.1, 0.3) if reward == "noisy" else (0.0, 0.0)
    low, high = VALUES[reward]
    raw_S2 = np.tile([float(low), float(high)], (G + 1, 1))
    matched = expected_gradient(design_table(design(signal, reward), BASE), noise)
    np.testing.assert_allclose(matched, expected_gradient(raw_S2, noise), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("signal", SIGNALS[:4])
def test_factor_is_one_over_the_ratio_to_raw(signal: str) -> None:
    plain = design(signal, match=False)
    assert matching_factor(design(signal), BASE) == pytest.approx(1 / ratio_to_raw(plain, BASE), rel=1e-12)


def test_factor_of_known_signals() -> None:
    """G = 3: centered has drift (1 - 1/G) p(1-p), RLOO raw's own; raw stays as it is, bit by bit."""
    assert matching_factor(design("raw"), BASE) == 1.0
    assert matching_factor(design("centered"), BASE) == pytest.approx(1.5, rel=1e-12)
    assert matching_factor(design("rloo"), BASE) == pytest.approx(1.0, rel=1e-12)
    # theory §3's table: GRPO over raw at G = 4, p = .1, ddof = 0 is 1.690
    quoted = design("grpo", rollouts=4, signal_ddof=0, signal_eps=1e-12)
    assert 1 / matching_factor(quoted, 0.1) == pytest.approx(1.690, abs=5e-4)


def test_placebo_is_matched_as_honest_rewards_at_its_rate() -> None:
    placebo = matching_factor(design("grpo", "random", rate=0.3), BASE)
    assert placebo == matching_factor(design("grpo"), 0.3)


@pytest.mark.parametrize("base", [0.0, 1.0])
def test_nothing_to_match(base: float) -> None:
    with pytest.raises(InputError, match="match_step_size"):
        matching_factor(design("grpo"), base)


def mean_step(learner: TableLearner, seeds: int) -> tuple[float, float]:
    """Mean change of Pass@1 in the first round of a bandit with tiny steps, and its standard error."""
    bandit = Bandit.of([1, 1, 1, 1], PI.tolist(), GRADE.tolist())
    p = simulate(bandit, learner, root_seed=1, seeds=range(seeds), rounds=1, eval_rounds=[0, 1]).p_RE
    step = p[:, 1] - p[:, 0]
    return float(step.mean()), float(step.std() / np.sqrt(seeds))


@pytest.mark.parametrize("signal", ["grpo", "gpg", "reinforce-plus-plus"])
def test_simulated_first_step_is_raws(signal: str) -> None:
    """Unmatched it would be 1.3 times raw's and more, many standard errors away."""
    steps = {}
    for name, match in ((signal, True), ("raw", True), (signal, False)):
        learner = TableLearner.from_design(design(name, match=match, learning_rate=0.01), BASE)
        steps[name, match] = mean_step(learner, 40_000)
    (ours, error), (raw, raw_error) = steps[signal, True], steps["raw", True]
    noise = np.hypot(error, raw_error)
    assert abs(ours - raw) < 4 * noise
    assert abs(steps[signal, False][0] - raw) > 6 * noise


LARGER: dict[str, dict[str, object]] = {
    "baseline": {"signal": "grpo", "baseline_rollouts": 3},
    "batch gpg": {"signal": "gpg", "batch_size": 2},
    "batch reinforce-plus-plus": {"signal": "reinforce-plus-plus", "batch_size": 2},
    "noisy baseline": {"signal": "grpo", "baseline_rollouts": 1, "reward": "noisy"},
}


@pytest.mark.parametrize("case", LARGER)
def test_simulated_first_step_of_larger_populations(case: str) -> None:
    """Baseline rollouts and batches of copies: the general path's mean first step is raw's too."""
    fields = {"learning_rate": 0.01, "reward": "zero-one", **LARGER[case]}
    bandit = Bandit.of([1, 1, 1, 1], PI.tolist(), GRADE.tolist())
    steps = {}
    for signal, match in ((fields["signal"], True), ("raw", False), (fields["signal"], False)):
        made = design(**{**fields, "signal": signal, "match": match})  # type: ignore[arg-type]
        p = general.simulate(bandit, made, root_seed=1, seeds=range(40_000), eval_rounds=[0, 1]).p_RE
        steps[signal, match] = (p[:, 1] - p[:, 0]).mean(), (p[:, 1] - p[:, 0]).std() / 200
    (ours, error), (raw, raw_error), (free, _) = steps.values()
    assert abs(ours - raw) < 4 * np.hypot(error, raw_error)
    assert abs(free - raw) > 6 * np.hypot(error, raw_error)
