"""The stochastic bandit on log-odds: each item's log-odds walk on a lattice, pushed by what was rewarded.

Item i at entry t answers with success probability sigmoid(x_it + (c_i + tilt x_it) B_t), and

    x_i,t+1 = x_it + own * u_it + diffusion * noise      its own problem: a group with S of G right pushes it
                                                         by the signal's multiplier u(S) (theory §3)
    B_t+1   = B_t + transfer * fade(t) * mean of u_jt    what all problems share: one direction (theory §6),
                                                         fed by the mean signal of the population
    c_i     ~ Normal(1, loading)                         how far the problem lies along that direction

`tilt` is the part of the shared direction that lies along the base weights: it moves a problem by as much as
the base policy already had an opinion on it, which sharpens. `fade` is 1, (1 + t)^-rate, 1/(1 + rate t) or
exp(-rate t): interference and saturation slow what is shared (theory §9). `noise` is standard normal: the
updates of other problems, which hit this one at random. Answers of one entry are correlated by `rho`. Base
log-odds x_i0 follow a free distribution on the lattice (Kiefer and Wolfowitz 1956), or a normal one. A
fraction of the items may lie outside the policy's support and never be solved (theory §9).

Signals are those whose push depends on the group's counts alone (grpo, centered, rloo); the raw reward has
the expected push of `centered`, times G/(G-1).
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from analysis.fits.lattice import states
from analysis.fits.panel import Panel
from banditrft.design import Design
from banditrft.signals import table

Floats = npt.NDArray[np.float64]
Signal = Literal["grpo", "centered", "rloo"]
NEVER = 1e-4
"""Pass@1 of an item outside the policy's support; no policy is surer than this of anything."""
NODES = 5
"""Gauss-Hermite nodes of the loading."""


@dataclass(frozen=True)
class Mechanisms:
    """What moves the log-odds; each is switched on and off for itself.

    Attributes:
        own: Whether an item's own rewards push it, by the rollouts that were seen, or by their expectation
            (where the counts are evaluations and not what was learned from).
        transfer: Whether all items move along a shared direction.
        fade: How what is shared slows down.
        tilt: Whether the shared direction has a part along the base weights.
        loading: Whether items differ otherwise in how far they follow it.
        diffusion: Whether items also move at random.
        overdispersion: Whether the answers of one entry are correlated.
        start: Distribution of the base log-odds.
        unreachable: Whether some items can never be solved.
        signal: What a group of answers teaches.
    """

    own: Literal["none", "rollouts", "expected"] = "rollouts"
    transfer: bool = True
    fade: Literal["none", "power", "hyperbolic", "exponential"] = "power"
    tilt: bool = True
    loading: bool = True
    diffusion: bool = True
    overdispersion: bool = True
    start: Literal["free", "normal"] = "free"
    unreachable: bool = False
    signal: Signal = "grpo"


@dataclass(frozen=True)
class Parameter:
    """One parameter of an item model.

    Attributes:
        name: Its name.
        meaning: What it is, with its unit.
        start: Where the search begins; also the scale on which it moves.
        low: Lower bound.
        high: Upper bound.
    """

    name: str
    meaning: str
    start: float
    low: float
    high: float


def parameters(mechanisms: Mechanisms) -> tuple[Parameter, ...]:
    """The parameters that the mechanisms need, in order."""
    m, found = mechanisms, []
    if m.own != "none":
        found.append(Parameter("own", "log-odds per unit of an item's own signal", 0.1, 0.0, 3.0))
    if m.transfer:
        found.append(Parameter("transfer", "log-odds of all items per unit of mean signal", 0.2, -3.0, 10.0))
    if m.transfer and m.fade != "none":
        found.append(Parameter("fade", "rate at which transfer slows", 0.2, 0.0, 5.0))
    if m.transfer and m.tilt:
        found.append(Parameter("tilt", "share of transfer gained per unit of log-odds", 0.1, -2.0, 5.0))
    if m.transfer and m.loading:
        found.append(Parameter("loading", "SD over items of the share of transfer they get", 0.5, 0.0, 4.0))
    if m.diffusion:
        found.append(Parameter("diffusion", "SD of random log-odds per root entry", 0.2, 0.0, 2.0))
    if m.overdispersion:
        found.append(Parameter("rho", "correlation of the answers of one entry", 0.02, 0.0, 0.5))
    if m.start == "normal":
        found.append(Parameter("centre", "mean of the base log-odds", 0.5, -8.0, 8.0))
        found.append(Parameter("spread", "SD of the base log-odds", 2.0, 0.05, 8.0))
    return tuple(found)


@cache
def push(signal: Signal, n: int) -> Floats:
    """The multiplier u(S) of the correct-against-wrong direction for S = 0..n right of n (theory §3), (n+1,).

    sqrt(S (n-S) (n-1) / n) / n for grpo with its ddof of 1, S (n-S) / n^2 centered, S (n-S) / (n (n-1)) rloo;
    0 where a group has one member.
    """
    if n < 2:
        return np.zeros(n + 1)
    high_S = table(Design(signal=signal, rollouts=n, learning_rate=1.0, rounds=1))[:, 1]
    return np.asarray(high_S * np.arange(n + 1) / n, dtype=np.float64)


def pushes(panel: Panel, signal: Signal) -> Floats:
    """What each group of a panel pushed its item by, (I, E); 0 where nothing was rolled out."""
    out_IE = np.zeros(panel.n_IE.shape)
    for n in np.unique(panel.n_IE[panel.n_IE > 0]).tolist():
        here = panel.n_IE == n
        out_IE[here] = push(signal, n)[panel.correct_IE[here]]
    return out_IE


def mean_push(panel: Panel, signal: Signal) -> Floats:
    """Mean over the items that were measured, (E,)."""
    measured_E = np.maximum((panel.n_IE > 0).sum(axis=0), 1)
    return np.asarray(pushes(panel, signal).sum(axis=0) / measured_E, dtype=np.float64)


def fading(mechanisms: Mechanisms, rate: float, times_T: Floats) -> Floats:
    """fade(t), (T,)."""
    if mechanisms.fade == "exponential":
        return np.asarray(np.exp(-rate * times_T), dtype=np.float64)
    if mechanisms.fade == "power":
        return np.asarray((1.0 + times_T) ** -rate, dtype=np.float64)
    if mechanisms.fade == "hyperbolic":
        return np.asarray(1.0 / (1.0 + rate * times_T), dtype=np.float64)
    return np.ones(times_T.size)


def loadings(sd: float) -> tuple[Floats, Floats]:
    """Nodes and weights of the loading's distribution, Normal(1, sd); one node where sd is 0."""
    if sd <= 0:
        return np.ones(1), np.ones(1)
    node_C, weight_C = np.polynomial.hermite_e.hermegauss(NODES)
    return 1.0 + sd * node_C, weight_C / weight_C.sum()


def success(value: dict[str, float], loading: float, shared: float) -> Floats:
    """Success probability in each state, (J,).

    Args:
        value: Parameters by name.
        loading: c of the item.
        shared: B of the entry.
    """
    log_odds_J = states()
    p_J = expit(log_odds_J + (loading + value.get("tilt", 0.0) * log_odds_J) * shared)
    return np.asarray(np.clip(p_J, NEVER, 1.0 - NEVER), dtype=np.float64)
