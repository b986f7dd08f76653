"""Numbers that theory.md quotes from simulations (§3, §4, §5), re-simulated.

The quoted values carry a Monte Carlo error of their own (their number of replicates is not stated): rounds are
compared to 2% + 1.5, probabilities to .03.
"""

import numpy as np
import pytest

from banditrft.design import Design
from sims.learner import TableLearner
from sims.lumped.kernel import LumpedPaths
from sims.lumped.simulator import Bandit, simulate

ADAM = [  # learning rate, p0, rounds to .99 at G = 1 and 4
    (0.1, 0.02, 157, 79),
    (0.1, 0.1, 119, 63),
    (0.1, 0.3, 81, 50),
    (0.02, 0.02, 807, 497),
    (0.02, 0.1, 670, 464),
    (0.02, 0.3, 522, 403),
]


def run(
    arms: tuple[float, float], p0: float, R: int = 300, evals: tuple[int, ...] = (), **design: object
) -> LumpedPaths:
    made = Design(**design)  # type: ignore[arg-type]
    return simulate(
        Bandit.of(arms, [p0, 1 - p0], [1, 0]),
        TableLearner.from_design(made, p0),
        root_seed=1,
        seeds=range(R),
        rounds=made.rounds,
        eval_rounds=evals,
        target=0.99,
    )


def rounds_to_target(paths: LumpedPaths) -> float:
    assert (paths.hit_R >= 0).all()
    return float(paths.hit_R.mean())


def near(quoted: float) -> object:
    return pytest.approx(quoted, rel=0.02, abs=1.5)


@pytest.mark.parametrize(("rate", "p0", "one", "four"), ADAM)
def test_adam_rounds(rate: float, p0: float, one: float, four: float) -> None:
    """§4: a thousand arms, eps negligible."""
    for G, quoted in ((1, one), (4, four)):
        paths = run((1, 999), p0, optimizer="adam", rollouts=G, learning_rate=rate, rounds=1200)
        mean, error = rounds_to_target(paths), paths.hit_R.std() / np.sqrt(len(paths.hit_R))
        assert abs(mean - quoted) < 0.02 * quoted + 1.5 + 3 * error


@pytest.mark.parametrize(
    ("K", "p0", "G", "quoted"),
    [(1e12, 0.1, 1, 267), (1e12, 0.1, 4, 173), (1e3, 0.1, 1, 118), (1e3, 0.1, 4, 62)],
)
def test_eps_freezes_a_trillion_arms(K: float, p0: float, G: int, quoted: float) -> None:
    """§4: Adam's default eps binds in a large action space."""
    paths = run((1, K - 1), p0, optimizer="adam", rollouts=G, learning_rate=0.1, rounds=500)
    assert rounds_to_target(paths) == near(quoted)


@pytest.mark.parametrize(
    ("signal", "G", "mean", "sd"), [("raw", 1, 194, 57), ("raw", 4, 173, 21), ("grpo", 4, 104, 31)]
)
def test_groups_under_sgd(signal: str, G: int, mean: float, sd: float) -> None:
    """§3: one correct of 1,001 arms, eta = 1, p0 = .02; GRPO with ddof = 0."""
    paths = run(
        (1, 1000), 0.02, R=2000, optimizer="sgd", rollouts=G, signal=signal, signal_ddof=0,
        learning_rate=1.0, rounds=900,
    )  # fmt: skip
    assert rounds_to_target(paths) == near(mean)
    assert paths.hit_R.std() == pytest.approx(sd, rel=0.1)


@pytest.mark.parametrize(("eta", "one", "four"), [(1.0, 190, 170), (2.0, 112, 88)])
def test_rollouts_hardly_help_sgd(eta: float, one: float, four: float) -> None:
    """§4, first lines."""
    for G, quoted in ((1, one), (4, four)):
        paths = run((1, 10**6 - 1), 0.02, R=1000, optimizer="sgd", rollouts=G, learning_rate=eta, rounds=900)
        error = paths.hit_R.std() / np.sqrt(len(paths.hit_R))
        assert abs(rounds_to_target(paths) - quoted) < 1.0 + 3 * error


@pytest.mark.parametrize(
    ("arms", "p0", "reward", "optimizer", "rate", "rounds", "quoted"),
    [
        ((1, 10), 0.1, "minus-one-zero", "sgd", 1.0, 400, 0.997),
        ((1, 10_000), 0.1, "minus-one-zero", "sgd", 1.0, 400, 0.997),
        ((1, 10), 0.02, "minus-one-zero", "sgd", 1.0, 400, 0.49),
        ((1, 10), 0.02, "minus-one-zero", "sgd", 2.0, 400, 0.09),
        ((100, 1000), 0.1, "minus-one-zero", "adam", 0.05, 400, 0.16),
        ((100, 1000), 0.1, "zero-one", "adam", 0.05, 400, 0.98),
        ((100, 1000), 0.1, "minus-one-zero", "adam", 0.05, 1600, 0.997),
        ((25, 475), 0.02, "minus-one-zero", "sgd", 2.0, 400, 0.006),
        ((25, 475), 0.02, "zero-one", "sgd", 2.0, 400, 0.988),
        ((25, 475), 0.1, "minus-one-zero", "sgd", 2.0, 400, 0.92),
        ((25, 475), 0.3, "minus-one-zero", "sgd", 2.0, 400, 0.96),
    ],
)
def test_negative_rewards(
    arms: tuple[float, float], p0: float, reward: str, optimizer: str, rate: float, rounds: int, quoted: float
) -> None:
    """§5: mean Pass@1 at the horizon."""
    paths = run(
        arms, p0, R=400 if rounds == 400 else 60, evals=(rounds,), reward=reward, optimizer=optimizer,
        learning_rate=rate, rounds=rounds,
    )  # fmt: skip
    p = paths.p_RE[:, 0]
    assert abs(p.mean() - quoted) < 0.01 + 3.5 * p.std() / np.sqrt(len(p))


def test_a_purely_tabular_bandit_with_many_correct_arms_learns_nothing() -> None:
    """§2's consequence: 1e4 correct of 1e9 arms, 400 rounds of SGD."""
    paths = run((1e4, 1e9 - 1e4), 0.1, R=100, evals=(400,), optimizer="sgd", learning_rate=1.0, rounds=400)
    assert paths.p_RE.mean() == pytest.approx(0.1, abs=0.005)
