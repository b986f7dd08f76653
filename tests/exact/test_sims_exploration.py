"""Bandit algorithms against what is known of them: round-robin starts, regret bounds, laws of waiting times."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaincinv

from banditrft.errors import InputError
from sims.exploration import Explorer, beta_quantile, explore, search_rounds
from sims.lumped.simulator import Bandit

ALL = [
    Explorer("ucb1"),
    Explorer("kl-ucb"),
    Explorer("thompson"),
    Explorer("belief", informed=True),
    Explorer("epsilon-greedy", informed=True),
    Explorer("epsilon-greedy", decay=5.0),
]


def bandit(K: int, m: int = 1, p0: float = 0.1, good: float = 1.0, wrong: float = 0.0) -> Bandit:
    return Bandit.of([m, K - m], [p0, 1 - p0], [good, wrong])


def test_beta_quantiles_are_scipys_deep_into_the_lower_tail() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 400, (2, 3000)).astype(float)
    q = 10.0 ** rng.uniform(-14, 0, 3000)
    ours = np.array([beta_quantile(*case) for case in zip(a, b, q, strict=True)])
    np.testing.assert_allclose(ours, betaincinv(a, b, q), rtol=1e-9)
    assert [beta_quantile(2.0, 3.0, q) for q in (0.0, 1.0)] == [0.0, 1.0]


@pytest.mark.parametrize("kind", ["ucb1", "kl-ucb"])
@pytest.mark.parametrize("informed", [False, True])
def test_an_index_pulls_every_arm_once_first(kind: str, informed: bool) -> None:
    K, m = 40, 3
    run = {"root_seed": 1, "seeds": range(50), "eval_rounds": [K]}
    arms, explorer = bandit(K, m, good=0.7, wrong=0.2), Explorer(kind, informed)  # type: ignore[arg-type]
    assert set(explore(arms, explorer, rounds=K, **run).tried_R) == {K}
    assert set(explore(arms, explorer, rounds=K - 7, **run | {"eval_rounds": []}).tried_R) == {K - 7}
    gain = explore(arms, explorer, rounds=K, **run).gain_RE[:, 0]
    np.testing.assert_allclose(gain, m * 0.7 + (K - m) * 0.2)


def test_ucb1_keeps_its_regret_bound_and_kl_ucb_beats_it() -> None:
    """Auer et al. (2002), theorem 1: 8 ln(T) sum 1/gap + (1 + pi^2/3) sum gap."""
    K, T, gap = 6, 3000, 0.4
    arms = bandit(K, 1, good=0.7, wrong=0.7 - gap)
    regret = {
        kind: 0.7 * T
        - explore(
            arms, Explorer(kind), root_seed=2, seeds=range(100), rounds=T, eval_rounds=[T]
        ).gain_RE.mean()  # type: ignore[arg-type]
        for kind in ("ucb1", "kl-ucb")
    }
    bound = 8 * math.log(T) * (K - 1) / gap + (1 + math.pi**2 / 3) * (K - 1) * gap
    divergence = 0.3 * math.log(0.3 / 0.7) + 0.7 * math.log(0.7 / 0.3)
    lai_robbins = (K - 1) * gap * math.log(T) / divergence
    assert 0 < regret["kl-ucb"] < 0.6 * regret["ucb1"] < 0.6 * bound
    assert regret["kl-ucb"] < 2.5 * lai_robbins


def waits(explorer: Explorer, arms: Bandit, seeds: int = 4000, rounds: int = 400) -> np.ndarray:
    first = explore(arms, explorer, root_seed=5, seeds=range(seeds), rounds=rounds).first_R
    assert (first > 0).mean() > 0.999
    return first[first > 0]


@pytest.mark.parametrize(
    ("explorer", "p"),
    [(Explorer("epsilon-greedy", informed=True), 0.1), (Explorer("epsilon-greedy"), 3 / 60)],
)
def test_with_repetition_the_first_success_is_geometric(explorer: Explorer, p: float) -> None:
    first = waits(explorer, bandit(60, 3))
    edges = np.unique(stats.geom.ppf(np.linspace(0, 1, 21)[1:-1], p))
    observed = np.bincount(np.searchsorted(edges, first), minlength=len(edges) + 1)
    expected = np.diff([0.0, *stats.geom.cdf(edges, p), 1.0]) * len(first)
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["ucb1", "kl-ucb", "belief"])
def test_without_repetition_it_comes_after_a_share_of_the_arms(kind: str) -> None:
    """Negative hypergeometric: mean (K + 1)/(m + 1), variance m (K - m)(K + 1)/((m + 1)^2 (m + 2))."""
    K, m = 60, 3
    explorer = Explorer(kind, assumed=(1e-12, 1 - 1e-12))  # type: ignore[arg-type]
    first = waits(explorer, bandit(K, m))
    sd = math.sqrt(m * (K - m) * (K + 1) / ((m + 1) ** 2 * (m + 2)))
    assert abs(first.mean() - search_rounds(K, m, repeats=False)) < 3.5 * sd / math.sqrt(len(first))
    assert first.std() == pytest.approx(sd, rel=0.06)
    assert first.max() <= K - m + 1


def test_arms_beyond_memory_are_found_through_the_prior_alone() -> None:
    K, T = 10**12, 300
    informed = explore(bandit(K), Explorer("belief", True), root_seed=0, seeds=range(300), rounds=T)
    assert (informed.first_R > 0).all()
    assert abs(informed.first_R.mean() - 10) < 3.5 * math.sqrt(90 / 300)
    for explorer in (Explorer("ucb1"), Explorer("thompson"), Explorer("epsilon-greedy")):
        assert (explore(bandit(K), explorer, root_seed=0, seeds=range(30), rounds=T).first_R == -1).all()


@pytest.mark.parametrize("explorer", ALL, ids=lambda e: e.kind)
def test_a_replicate_does_not_know_its_chunk(explorer: Explorer) -> None:
    arms, look = bandit(50, 5, good=0.8, wrong=0.3), [0, 20, 90]
    run = {"root_seed": 9, "rounds": 90, "eval_rounds": look}
    whole = explore(arms, explorer, seeds=range(12), **run)
    parts = [explore(arms, explorer, seeds=chunk, **run) for chunk in (range(5), range(5, 12))]
    for name in ("gain_RE", "first_R", "tried_R"):
        np.testing.assert_array_equal(getattr(whole, name), np.concatenate([getattr(p, name) for p in parts]))
    assert len(np.unique(whole.gain_RE[:, -1])) > 3
    stopped = explore(arms, explorer, root_seed=9, rounds=90, seeds=range(12), until_first=True)
    np.testing.assert_array_equal(stopped.first_R, whole.first_R)
    assert (stopped.tried_R <= whole.tried_R).all()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Explorer("greedy"), "kind: must be one of"),  # type: ignore[arg-type]
        (lambda: Explorer("ucb1", epsilon=1.5), "epsilon: must lie in"),
        (lambda: Explorer("ucb1", decay=-1.0), "decay: must be finite"),
        (lambda: Explorer("belief", assumed=(0.5, 0.5)), "assumed: must rise"),
        (lambda: explore(bandit(9), ALL[0], root_seed=0, seeds=[0], rounds=-1), "rounds"),
        (
            lambda: explore(bandit(9), ALL[0], root_seed=0, seeds=[0], rounds=2, eval_rounds=[3]),
            "eval_rounds",
        ),
        (lambda: search_rounds(5, 6, repeats=True), "num_correct: must lie in"),
    ],
)
def test_bad_input_is_named(build, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        build()
