"""Replay: past scalar rewards as a query's mean and standard deviation while its Pass@1 moves (theory §8).

A query of a pool of N is visited every V = N/B rounds. A visit draws G = ``rollouts`` fresh rollouts; the
mean and standard deviation in the signal come from the last W = ``replay_window`` rewards of that query,
the fresh ones included, while only fresh rollouts carry a gradient. So the window is a stack of layers of G
rewards, aged 0, V, 2V, ... rounds (the oldest cut to fit), and its successes are a sum of Bernoullis with
the Pass@1 of their own rounds. With W = G it is a plain group. The law of the count is a convolution, hence
every moment here is exact *given the path of Pass@1*. The path is an argument (for instance a mean-field
trajectory); what the window does to the path is not fed back.

Under ``centered`` staleness leaves the drift alone, (1 - 1/W) p(1-p) for any path: of the window's mean
only a rollout's own share 1/W correlates with its gradient. It changes the noise. Under ``grpo`` the
scale adds its own bias.

A closed form of its own section: what a prediction that takes past rewards as fresh leaves out. The diagram
`sims.diagrams.replay` shows it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import honest, reward_map
from banditrft.theory.laws import require


@dataclass(frozen=True)
class ReplayLag:
    """Windows of one query at its visits j = 0..J-1 (theory §8). Rewards are in the design's own units.

    Attributes:
        rounds_J: Round of each visit, jV, (J,).
        pass_at_1_J: Pass@1 at the visit, (J,).
        entries_J: Rewards in the window, min(W, (j+1) G), (J,).
        mean_age_J: Mean age of the window's rewards, in rounds, (J,).
        baseline_bias_J: E[window mean] minus the mean reward of a fresh rollout, (J,): negative while Pass@1
            rises, for the window lags.
        std_J: E[standard deviation of the window], with the design's ``signal_ddof``, (J,).
        fresh_std_J: The same of a window of as many *fresh* rewards, (J,).
        drift_J: Mean multiplier of the correct-against-wrong direction, E[u], (J,); see theory §3.
        second_J: E[u^2], (J,).
        fresh_drift_J: E[u] had the whole window been drawn afresh (still G gradients), (J,).
        silent_J: Probability that the window holds equal rewards, so that no rollout teaches, (J,).
    """

    rounds_J: NDArray[np.float64]
    pass_at_1_J: NDArray[np.float64]
    entries_J: NDArray[np.int64]
    mean_age_J: NDArray[np.float64]
    baseline_bias_J: NDArray[np.float64]
    std_J: NDArray[np.float64]
    fresh_std_J: NDArray[np.float64]
    drift_J: NDArray[np.float64]
    second_J: NDArray[np.float64]
    fresh_drift_J: NDArray[np.float64]
    silent_J: NDArray[np.float64]

    @property
    def scale_bias_J(self) -> NDArray[np.float64]:
        """E[std of the window] over that of fresh rewards, (J,); above 1 it damps. NaN for windows of one."""
        with np.errstate(invalid="ignore"):
            return self.std_J / self.fresh_std_J

    @property
    def drift_ratio_J(self) -> NDArray[np.float64]:
        """Drift with stale rewards over drift with fresh ones in the window, (J,). NaN for windows of one."""
        with np.errstate(invalid="ignore"):
            return self.drift_J / self.fresh_drift_J


def mean_age(design: Design, pool: int) -> float:
    """Mean age of a full window's rewards in rounds, about (W/G - 1)/2 visits of N/B rounds (theory §8).

    Exactly (N/B) (L - 1)(W - G L/2)/W with L = ceil(W/G) layers. Along a slowly moving Pass@1 the window's
    mean is behind by this times dp/dt.

    Args:
        design: Gives replay_window W >= rollouts G, and batch_size B.
        pool: N, training queries, at least B.

    Raises:
        InputError: The window is shorter than the group, or the pool smaller than the batch.
    """
    sizes_L = _layers(design, _window(design))
    return _period(design, pool) * float(np.arange(len(sizes_L)) @ sizes_L) / design.replay_window


def replay_lag(design: Design, pass_at_1_T: ArrayLike, pool: int) -> ReplayLag:
    """Law of the window's mean, scale and update at each visit along a path of Pass@1 (theory §8).

    Args:
        design: ``centered`` or ``grpo`` (ddof, eps); a two-valued reward; replay_window W >= rollouts G;
            batch_size B; no baseline rollouts.
        pass_at_1_T: (T+1,) the query's Pass@1 after t = 0..T rounds, each in (0, 1); linear between rounds.
        pool: N, training queries, at least B. Under reshuffled epochs the visits' spacing N/B is a mean.

    Raises:
        InputError: The design has no such window, or an argument is outside its domain.
    """
    require(design, "signal", ("centered", "grpo"))
    require(design, "reward", tuple(honest()))
    for field, value in (("baseline_rollouts", 0), ("match_step_size", False)):
        require(design, field, (value,))
    path_T = np.asarray(pass_at_1_T, dtype=np.float64)
    if path_T.ndim != 1 or not len(path_T):
        raise InputError(f"pass_at_1_T: must hold one value per round, got shape {path_T.shape}")
    if not np.all((path_T > 0) & (path_T < 1)):
        raise InputError(
            f"pass_at_1_T: must lie strictly between 0 and 1, got {path_T.min():g} to {path_T.max():g}"
        )
    window, G, period = _window(design), design.rollouts, _period(design, pool)
    rounds_J: NDArray[np.float64] = period * np.arange(
        math.floor((len(path_T) - 1) / period * (1 + 1e-12)) + 1, dtype=np.float64
    )
    p_J = np.interp(rounds_J, np.arange(len(path_T)), path_T)
    rows = []
    for visit, p in enumerate(p_J):
        sizes_L = _layers(design, min(window, (visit + 1) * G))
        layers_L = p_J[visit::-1][: len(sizes_L)]
        stale, fresh = _visit(design, layers_L, sizes_L), _visit(design, np.full_like(layers_L, p), sizes_L)
        ages = period * float(np.arange(len(sizes_L)) @ sizes_L) / sizes_L.sum()
        means = [ages, stale.mean - fresh.mean, stale.std, fresh.std]
        rows.append([*means, stale.drift, stale.second, fresh.drift, stale.silent])
    ages_J, bias_J, std_J, fresh_std_J, drift_J, second_J, fresh_drift_J, silent_J = np.array(rows).T
    return ReplayLag(
        rounds_J=rounds_J,
        pass_at_1_J=p_J,
        entries_J=np.minimum(window, G * np.arange(1, len(p_J) + 1)),
        mean_age_J=ages_J,
        baseline_bias_J=bias_J,
        std_J=std_J,
        fresh_std_J=fresh_std_J,
        drift_J=drift_J,
        second_J=second_J,
        fresh_drift_J=fresh_drift_J,
        silent_J=silent_J,
    )


@dataclass(frozen=True)
class _Visit:
    mean: float
    std: float
    drift: float
    second: float
    silent: float


def _visit(design: Design, p_L: NDArray[np.float64], sizes_L: NDArray[np.int64]) -> _Visit:
    """Moments of one visit: layer 0 is fresh, its success count and the older layers' are independent."""
    low, high = reward_map(design)[:2]
    G, entries, p = int(sizes_L[0]), int(sizes_L.sum()), float(p_L[0])
    old_O = np.ones(1)
    for size, past in zip(sizes_L[1:], p_L[1:], strict=True):
        old_O = np.convolve(old_O, binom.pmf(np.arange(size + 1), size, past))
    fresh_F = np.arange(G + 1)
    weight_FO = binom.pmf(fresh_F, G, p)[:, None] * old_O
    share_FO = (fresh_F[:, None] + np.arange(len(old_O))) / entries
    spread_FO = (high - low) * np.sqrt(share_FO * (1.0 - share_FO))
    if design.signal_ddof and entries > 1:
        spread_FO = spread_FO * math.sqrt(entries / (entries - 1))
    scale_FO = spread_FO + design.signal_eps if design.signal == "grpo" else np.ones_like(share_FO)
    # a success pulls by its signal times (1 - p), a failure by its signal times -p
    hits_FO = fresh_F[:, None] * (1.0 - share_FO) * (1.0 - p) + (G - fresh_F)[:, None] * share_FO * p
    u_FO = (high - low) * hits_FO / (G * scale_FO)
    u_FO[(share_FO == 0.0) | (share_FO == 1.0)] = 0.0
    return _Visit(
        mean=low + (high - low) * float((weight_FO * share_FO).sum()),
        std=float((weight_FO * spread_FO).sum()),
        drift=float((weight_FO * u_FO).sum()),
        second=float((weight_FO * u_FO**2).sum()),
        silent=float(weight_FO[(share_FO == 0.0) | (share_FO == 1.0)].sum()),
    )


def _window(design: Design) -> int:
    if design.replay_window < design.rollouts:
        raise InputError(
            f"replay_window: must hold at least one visit's {design.rollouts} rollouts, "
            f"got {design.replay_window}"
        )
    if design.signal_ddof and design.replay_window == 1:
        raise InputError("replay_window: a standard deviation with signal_ddof = 1 needs at least 2, got 1")
    return design.replay_window


def _period(design: Design, pool: int) -> float:
    if pool < design.batch_size:
        raise InputError(f"pool: must be at least batch_size = {design.batch_size}, got {pool!r}")
    return pool / design.batch_size


def _layers(design: Design, entries: int) -> NDArray[np.int64]:
    """Sizes of the layers that make up the newest ``entries`` rewards, newest first."""
    starts_L = np.arange(0, entries, design.rollouts)
    return np.asarray(np.minimum(design.rollouts, entries - starts_L), np.int64)
