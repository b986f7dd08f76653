"""The walk's likelihood and forecast: messages back over what was seen, beliefs forward over what comes.

The likelihood of an item given its base log-odds is a recursion backward over its entries (Rabiner 1989), so
the free distribution of base log-odds can be fitted to all items by EM at the price of one pass. A forecast
filters each item forward to its last entry and pushes that belief on; the probability of a right answer is
averaged over it, never evaluated at a point estimate.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fits.lattice import answers, carried, seen, states, step
from analysis.fits.panel import Panel
from analysis.fits.walk import NEVER, Mechanisms, fading, loadings, mean_push, push, pushes, success

Floats = npt.NDArray[np.float64]
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
