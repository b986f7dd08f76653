"""The simulator against the exact law of theory §2, recomputed here: a deterministic ladder, geometric waits."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from banditrft.theory.hitting import hitting_law
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

RAW = np.array([[0.0, 0.0], [0.0, 1.0]])
CASES = [(0.02, 10**6, 1.0, 190.13, 53.72), (0.1, 1000, 0.5, 244.24, 13.32), (0.3, 10, 2.0, 49.366, 3.192)]
TARGET, R = 0.99, 10_000


def ladder(p0: float, K: int, eta: float) -> list[float]:
    """Pass@1 on each rung below the target: the k-th success adds eta K/(K-1) (1 - p) to the log-odds."""
    rungs, log_odds = [], np.log(p0 / (1 - p0))
    while (p := 1 / (1 + np.exp(-log_odds))) < TARGET:
        rungs.append(float(p))
        log_odds += eta * K / (K - 1) * (1 - p)
    return rungs


def law(rungs: list[float], rounds: int) -> NDArray[np.float64]:
    """P(T = t) for t = 0..rounds by pushing probability up the ladder one round at a time."""
    p, at, out = np.array(rungs), np.zeros(len(rungs)), np.zeros(rounds + 1)
    at[0] = 1.0
    for t in range(1, rounds + 1):
        climbs = at * p
        out[t] = climbs[-1]
        at -= climbs
        at[1:] += climbs[:-1]
    return out


@pytest.mark.parametrize(("p0", "K", "eta", "mean", "sd"), CASES)
def test_hitting_time(p0: float, K: int, eta: float, mean: float, sd: float) -> None:
    rungs = ladder(p0, K, eta)
    exact_mean = sum(1 / p for p in rungs)
    exact_sd = np.sqrt(sum((1 - p) / p**2 for p in rungs))
    assert exact_mean == pytest.approx(mean, abs=0.006)
    assert exact_sd == pytest.approx(sd, abs=0.006)
    rounds = int(mean + 14 * sd)
    pmf = law(rungs, rounds)
    paths = simulate(
        Bandit.of([1, K - 1], [p0, 1 - p0], [1, 0]),
        TableLearner(RAW, eta),
        root_seed=2,
        seeds=range(R),
        rounds=rounds,
        target=TARGET,
    )
    hit = paths.hit_R
    assert (hit > 0).all()
    assert abs(hit.mean() - exact_mean) < 3.5 * exact_sd / np.sqrt(R)
    t = np.arange(rounds + 1)
    fourth = ((t - exact_mean) ** 4 * pmf).sum()
    assert abs(hit.var() - exact_sd**2) < 3.5 * np.sqrt((fourth - exact_sd**4) / R)
    edges = np.unique(np.searchsorted(pmf.cumsum(), np.linspace(0, 1, 41)[1:-1]))
    cells = np.split(np.arange(rounds + 1), edges + 1)
    expected = np.array([pmf[c].sum() for c in cells]) * R
    observed = np.array([np.isin(hit, c).sum() for c in cells])
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3
    assert hitting_law(p0, eta * K / (K - 1), TARGET).mean == pytest.approx(exact_mean, rel=1e-9)


def test_pass_at_1_visits_only_the_ladder() -> None:
    p0, K, eta = 0.1, 1000, 0.5
    rungs = np.array(ladder(p0, K, eta))
    paths = simulate(
        Bandit.of([1, K - 1], [p0, 1 - p0], [1, 0]),
        TableLearner(RAW, eta),
        root_seed=2,
        seeds=range(50),
        rounds=100,
        eval_rounds=range(101),
    )
    successes = np.concatenate([np.zeros((50, 1), int), paths.high_RT.cumsum(axis=1)], axis=1)
    np.testing.assert_allclose(paths.p_RE, rungs[successes], rtol=1e-12)


def test_hit_round_is_the_first_at_or_above_the_target() -> None:
    paths = simulate(
        Bandit.of([3, 40], [0.2, 0.8], [1, 0.1]),
        TableLearner(RAW, 1.0),
        root_seed=4,
        seeds=range(200),
        rounds=40,
        eval_rounds=range(41),
        target=0.9,
    )
    above = paths.p_RE >= 0.9
    first = np.where(above.any(axis=1), above.argmax(axis=1), -1)
    np.testing.assert_array_equal(paths.hit_R, first)
    assert -1 in first
    assert (first > 0).any()


def test_a_target_met_at_the_start_is_hit_at_round_zero() -> None:
    bandit = Bandit.of([1, 9], [0.7, 0.3], [1, 0])
    paths = simulate(bandit, TableLearner(RAW, 1.0), root_seed=0, seeds=[1, 2], rounds=3, target=0.7)
    assert paths.hit_R.tolist() == [0, 0]
