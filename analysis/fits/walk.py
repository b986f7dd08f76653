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

The lattice holds the states of the walk. A step has a drift per state and a common standard deviation. A wide
one is a Gaussian sampled on the lattice, which keeps mean and variance to 2%; a narrow one goes to the three
states around its end with the same mean and variance; one narrower than any such law to the two neighbours of
its end, so that its mean is exact.

The likelihood of an item given its base log-odds is a recursion backward over its entries (Rabiner 1989), so
the free distribution of base log-odds can be fitted to all items by EM at the price of one pass. A forecast
filters each item forward to its last entry and pushes that belief on; the probability of a right answer is
averaged over it, never evaluated at a point estimate.
"""

from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import expit, gammaln

from analysis.fits.item_models import ItemFit, bound_warnings
from analysis.fits.likelihood import beta_binomial, maximise_dear
from analysis.fits.panel import Panel, clock
from banditrft.design import Design
from banditrft.signals import table

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EDGE, SPACING = 9.0, 0.2
"""Log-odds from -9 to 9: Pass@1 from 1.2e-4 to its mirror image."""
WIDE = 0.6 * SPACING
"""Standard deviation from which a step is a sampled Gaussian."""


def states() -> Floats:
    """The log-odds, (J,)."""
    return np.linspace(-EDGE, EDGE, round(2 * EDGE / SPACING) + 1)


def step(drift_J: Floats, sd: float) -> Floats:
    """Transition probabilities of one step, rows from and columns to, (J, J).

    Args:
        drift_J: Mean displacement of each state; what would leave the lattice stays at its edge.
        sd: Standard deviation of the displacement, 0 for none.
    """
    grid_J = states()
    end_J = np.clip(grid_J + drift_J, -EDGE, EDGE)
    if sd >= WIDE:
        weight_JJ = np.exp(-0.5 * ((grid_J[None, :] - end_J[:, None]) / sd) ** 2)
    else:
        middle_J = np.rint((end_J + EDGE) / SPACING).astype(np.int64)
        off_J = (end_J - grid_J[middle_J]) / SPACING
        second_J = np.maximum((sd / SPACING) ** 2 + off_J**2, np.abs(off_J))
        weight_JJ = np.zeros((grid_J.size, grid_J.size))
        rows_J = np.arange(grid_J.size)
        for move, share_J in ((-1, (second_J - off_J) / 2), (0, 1 - second_J), (1, (second_J + off_J) / 2)):
            np.add.at(weight_JJ, (rows_J, np.clip(middle_J + move, 0, grid_J.size - 1)), share_J)
    return np.asarray(weight_JJ / weight_JJ.sum(axis=1, keepdims=True), dtype=np.float64)


def carried(belief_IJ: Floats, kernel_JJ: Floats, *, back: bool) -> Floats:
    """Beliefs after a step, or messages from after it brought back, (I, J).

    Args:
        belief_IJ: One row per item.
        kernel_JJ: Transition probabilities.
        back: Whether these are messages.
    """
    if np.count_nonzero(kernel_JJ) > kernel_JJ.size / 8:
        return np.asarray(belief_IJ @ (kernel_JJ.T if back else kernel_JJ))
    sparse = csr_array(kernel_JJ if back else kernel_JJ.T)
    return np.ascontiguousarray((sparse @ belief_IJ.T).T)


def answers(n: int, p_J: Floats, rho: float) -> Floats:
    """Probability of each number of right answers among n, (J, n + 1).

    Args:
        n: Responses.
        p_J: Pass@1 of each state, in (0, 1).
        rho: Intra-class correlation of the answers of one entry, in [0, 1); 0 is binomial.
    """
    count_K = np.arange(n + 1.0)
    if rho == 0.0:
        ways_K = gammaln(n + 1.0) - gammaln(count_K + 1.0) - gammaln(n - count_K + 1.0)
        log_JK = np.log(p_J)[:, None] * count_K + np.log1p(-p_J)[:, None] * (n - count_K)
        return np.asarray(np.exp(ways_K + log_JK), dtype=np.float64)
    return np.exp(beta_binomial(count_K[None, :], n, p_J[:, None], rho))


def seen(n_I: Ints, correct_I: Ints, p_J: Floats, rho: float) -> Floats:
    """Probability of what was seen of each item at one entry in each state, (I, J); 1 where nothing was."""
    out_IJ = np.ones((n_I.size, p_J.size))
    for n in np.unique(n_I[n_I > 0]).tolist():
        rows = n_I == n
        out_IJ[rows] = answers(n, p_J, rho).T[correct_I[rows]]
    return out_IJ


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


EM_STEPS = 100
"""Fixed: EM from the uniform distribution, stopped here, is smooth in the other parameters."""

SMALLEST = 1e-300
"""Keeps the log-likelihood finite where parameters make what was seen impossible."""


@dataclass(frozen=True)
class Start:
    """Distribution of the base log-odds.

    Attributes:
        weight_J: Probability of each lattice state, (J,).
        unreachable: Fraction of items outside the policy's support.
    """

    weight_J: Floats
    unreachable: float


class Walk:
    """One panel under one set of mechanisms.

    Args:
        panel: What was seen.
        mechanisms: What moves the items.
    """

    def __init__(self, panel: Panel, mechanisms: Mechanisms) -> None:
        self.panel, self.mechanisms = panel, mechanisms
        self.push_IE = np.round(pushes(panel, mechanisms.signal), 12)
        self.mean_push_E = mean_push(panel, mechanisms.signal)
        self.group = int(panel.n_IE.max())

    def displacement(self, value: dict[str, float]) -> Floats:
        """B at each entry, (E,); 0 at the first."""
        times_E = self.panel.times_E
        fade_E = fading(self.mechanisms, value.get("fade", 0.0), times_E)
        gained_E = value.get("transfer", 0.0) * fade_E * self.mean_push_E
        return np.concatenate([[0.0], np.cumsum(gained_E[:-1] * np.diff(times_E))])

    def log_likelihood(self, value: dict[str, float]) -> tuple[float, Start]:
        """Log-likelihood in nats, and the distribution of base log-odds that maximises it."""
        node_C, weight_C = loadings(value.get("loading", 0.0))
        scaled = [self._backward(value, c) for c in node_C]
        log_IC = np.stack([log_I for _, log_I in scaled], axis=1)
        top_I = log_IC.max(axis=1)
        given_IJ = sum(
            w * message_IJ * np.exp(log_I - top_I)[:, None]
            for w, (message_IJ, log_I) in zip(weight_C, scaled, strict=True)
        )
        never_I = np.exp(self._never() - top_I) if self.mechanisms.unreachable else np.zeros(top_I.size)
        total_I, start = self._start(np.asarray(given_IJ), never_I, value)
        return float(np.sum(np.log(np.maximum(total_I, SMALLEST)) + top_I)), start

    def _backward(self, value: dict[str, float], loading: float) -> tuple[Floats, Floats]:
        """Probability of all entries given the base state, as (I, J) messages times exp of (I,) logs."""
        panel, shared_E = self.panel, self.displacement(value)
        gaps_E = np.diff(panel.times_E)
        message_IJ = np.ones((panel.num_items, states().size))
        log_I = np.zeros(panel.num_items)
        for t in range(panel.num_entries - 1, -1, -1):
            if t < panel.num_entries - 1:
                p_J = success(value, loading, float(shared_E[t]))
                message_IJ = self.moved(message_IJ, value, t, float(gaps_E[t]), p_J, back=True)
            message_IJ = message_IJ * self.seen(value, t, success(value, loading, float(shared_E[t])))
            scale_I = message_IJ.max(axis=1)
            message_IJ /= scale_I[:, None]
            log_I += np.log(scale_I)
        return message_IJ, log_I

    def seen(self, value: dict[str, float], t: int, p_J: Floats) -> Floats:
        """Probability of what was seen of each item at entry t in each state, (I, J)."""
        return seen(self.panel.n_IE[:, t], self.panel.correct_IE[:, t], p_J, value.get("rho", 0.0))

    def moved(
        self, belief_IJ: Floats, value: dict[str, float], t: int, gap: float, p_J: Floats, *, back: bool
    ) -> Floats:
        """Beliefs carried from entry t to the next, or messages from the next to entry t."""
        own, sd = value.get("own", 0.0), value.get("diffusion", 0.0) * gap**0.5
        if self.mechanisms.own == "expected":
            kernel_JJ = self.expected(value, gap, p_J)
            return carried(belief_IJ, kernel_JJ, back=back)
        if sd == 0 and own == 0:
            return belief_IJ
        out_IJ = np.empty_like(belief_IJ)
        for pushed in np.unique(self.push_IE[:, t]) if own else [0.0]:
            rows = self.push_IE[:, t] == pushed if own else slice(None)
            kernel_JJ = step(np.full(states().size, own * gap * pushed), sd)
            out_IJ[rows] = carried(belief_IJ[rows], kernel_JJ, back=back)
        return out_IJ

    def expected(self, value: dict[str, float], gap: float, p_J: Floats) -> Floats:
        """A step over rollouts that were not seen: each count of right answers has its own drift, (J, J)."""
        own, sd = value.get("own", 0.0), value.get("diffusion", 0.0) * gap**0.5
        size = states().size
        if own == 0:
            return np.eye(size) if sd == 0 else step(np.zeros(size), sd)
        chance_JK = answers(self.group, p_J, value.get("rho", 0.0))
        push_K = np.round(push(self.mechanisms.signal, self.group), 12)
        kernels = (
            chance_JK[:, push_K == pushed].sum(axis=1)[:, None] * step(np.full(size, own * gap * pushed), sd)
            for pushed in np.unique(push_K)
        )
        return np.asarray(sum(kernels), dtype=np.float64)

    def _never(self) -> Floats:
        """Log-probability of what was seen of each item if it cannot be solved, (I,)."""
        each = [np.log(self.seen_never(t)) for t in range(self.panel.num_entries)]
        return np.asarray(np.sum(each, axis=0), dtype=np.float64)

    def seen_never(self, t: int) -> Floats:
        """Probability of what was seen of each item at entry t if it cannot be solved, (I,)."""
        return seen(self.panel.n_IE[:, t], self.panel.correct_IE[:, t], np.array([NEVER]), 0.0)[:, 0]

    def _start(self, given_IJ: Floats, never_I: Floats, value: dict[str, float]) -> tuple[Floats, Start]:
        """EM for the distribution of base log-odds, and each item's likelihood under it, (I,)."""
        if self.mechanisms.start == "normal":
            normal_J = np.exp(-0.5 * ((states() - value["centre"]) / value["spread"]) ** 2)
            normal_J /= normal_J.sum()
            part_IM = (given_IJ @ normal_J)[:, None]
        else:
            part_IM = given_IJ
        if self.mechanisms.unreachable:
            part_IM = np.concatenate([part_IM, never_I[:, None]], axis=1)
        weight_M = np.full(part_IM.shape[1], 1.0 / part_IM.shape[1])
        for _ in range(EM_STEPS if weight_M.size > 1 else 0):
            weight_M = weight_M * (part_IM.T @ (1.0 / (part_IM @ weight_M))) / len(part_IM)
        unreachable = float(weight_M[-1]) if self.mechanisms.unreachable else 0.0
        reached_M = weight_M[:-1] if self.mechanisms.unreachable else weight_M
        weight_J = normal_J * reached_M[0] if self.mechanisms.start == "normal" else reached_M
        return part_IM @ weight_M, Start(weight_J, unreachable)


UNCALIBRATED = "no intervals: what Wald's cover of a walk has not been measured"
"""A fit of the size that would need one takes seconds, two thousand of them hours; 120 fits at 128 items
covered .88 to .98."""


@lru_cache(maxsize=32)
def fit_walk(panel: Panel, mechanisms: Mechanisms, *, errors: bool = True) -> ItemFit:
    """Fit the walk to a panel by maximum marginal likelihood.

    Args:
        panel: Counts of items over time.
        mechanisms: What moves them.
        errors: Whether to compute standard errors.
    """
    walk, wanted = Walk(panel, mechanisms), parameters(mechanisms)
    names = [p.name for p in wanted]
    starts = [p.start for p in wanted]
    fit = maximise_dear(
        lambda x: -walk.log_likelihood(dict(zip(names, x.tolist(), strict=True)))[0],
        starts,
        names,
        n=panel.num_items,
        bounds=[(p.low, p.high) for p in wanted],
        unit=starts,
        errors=errors,
    )
    value = {name: fit[name] for name in names}
    _, start = walk.log_likelihood(value)
    free = mechanisms.start == "free"
    df = None if free else len(names) + mechanisms.unreachable
    extra = {"start: mean log-odds": float(start.weight_J @ states() / start.weight_J.sum())} if free else {}
    if mechanisms.unreachable:
        extra["unreachable"] = start.unreachable
    meanings = tuple(p.meaning for p in wanted)
    warnings = bound_warnings(fit, errors=errors)
    ahead = partial(forecast, walk, value, start)
    return ItemFit(fit, df, meanings, ahead, extra, warnings, UNCALIBRATED if names else None)


def forecast(walk: Walk, value: dict[str, float], start: Start, rounds_T: Floats) -> Floats:
    """Probability of a right answer of each item at later rounds, averaged over the belief about it, (I, T).

    Args:
        walk: What was seen, and the mechanisms.
        value: Parameters by name.
        start: Distribution of the base log-odds.
        rounds_T: Rounds after the panel's last, rising.
    """
    panel = walk.panel
    node_C, _ = loadings(value.get("loading", 0.0))
    belief_CIJ, never_I = filtered(walk, value, start)
    shared = float(walk.displacement(value)[-1])
    mean_push = float(walk.mean_push_E[-1])
    times_T = clock(panel.rounds_E, rounds_T)
    now = float(panel.times_E[-1])
    out_IT = np.empty((panel.num_items, times_T.size))
    for i, time in enumerate(times_T.tolist()):
        gap = time - now
        for c, loading in enumerate(node_C.tolist()):
            p_J = success(value, loading, shared)
            if i == 0:  # what the last entry's rollouts taught is known
                last = panel.num_entries - 1
                belief_CIJ[c] = walk.moved(belief_CIJ[c], value, last, gap, p_J, back=False)
            else:
                belief_CIJ[c] = carried(belief_CIJ[c], walk.expected(value, gap, p_J), back=False)
        fade = float(fading(walk.mechanisms, value.get("fade", 0.0), np.array([now]))[0])
        shared += value.get("transfer", 0.0) * fade * mean_push * gap
        p_CJ = np.stack([success(value, loading, shared) for loading in node_C.tolist()])
        out_IT[:, i] = np.einsum("cij,cj->i", belief_CIJ, p_CJ) + NEVER * never_I
        mean_push, now = _expected_push(walk, value, belief_CIJ, p_CJ), time
    return out_IT


def _expected_push(walk: Walk, value: dict[str, float], belief_CIJ: Floats, p_CJ: Floats) -> float:
    """Mean over items of what a group will push, given the beliefs."""
    push_K = push(walk.mechanisms.signal, walk.group)
    push_CJ = np.stack([answers(walk.group, p_J, value.get("rho", 0.0)) @ push_K for p_J in p_CJ])
    return float(np.einsum("cij,cj->", belief_CIJ, push_CJ) / belief_CIJ.shape[1])


def filtered(walk: Walk, value: dict[str, float], start: Start) -> tuple[Floats, Floats]:
    """Belief about each item after its last entry: loading and state, (C, I, J), and never solvable, (I,)."""
    panel = walk.panel
    node_C, weight_C = loadings(value.get("loading", 0.0))
    shared_E, gaps_E = walk.displacement(value), np.diff(panel.times_E)
    belief_CIJ = np.repeat((weight_C[:, None] * start.weight_J)[:, None, :], panel.num_items, axis=1)
    never_I = np.full(panel.num_items, start.unreachable)
    for t in range(panel.num_entries):
        for c, loading in enumerate(node_C.tolist()):
            if t:
                before_J, gap = success(value, loading, float(shared_E[t - 1])), float(gaps_E[t - 1])
                belief_CIJ[c] = walk.moved(belief_CIJ[c], value, t - 1, gap, before_J, back=False)
            belief_CIJ[c] *= walk.seen(value, t, success(value, loading, float(shared_E[t])))
        never_I = never_I * walk.seen_never(t)
        total_I = belief_CIJ.sum(axis=(0, 2)) + never_I
        belief_CIJ /= total_I[None, :, None]
        never_I = never_I / total_I
    return belief_CIJ, never_I
