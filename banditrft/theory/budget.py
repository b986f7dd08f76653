"""How to spend a fixed number of rollouts a round: B queries with G rollouts each (theory §8).

A round draws B distinct queries of a pool of N and G rollouts for each. Query i's log-odds has gradient
d_i, a unit vector; two queries' gradients have inner product rho (``sharing``). The update is g = (1/B)
sum_b [u_b d_b + sqrt(kappa) (1/G) sum_k s_bk e_bk]: u_b is the class multiplier of theory §3 and the e_bk
are unit vectors orthogonal to everything, each rollout's own arm of a very large action space
(``arm_noise`` = kappa, their squared length over that of d). The aim is the pool's mean Pass@1, whose
gradient is (1/N) sum_i p_i (1-p_i) d_i. All first and second moments are exact finite sums.

Criterion. For an objective of curvature at most L, a step eta improves it by at least eta <aim, E g> -
(L/2) eta^2 E|g|^2, at best by <aim, E g>^2 / (2 L E|g|^2), at eta = <aim, E g> / (L E|g|^2). So the best
(B, G) has the largest *efficiency* <aim, E g>^2 / (|aim|^2 E|g|^2), which needs no L: the guaranteed
progress of one round as a share of an exact gradient step's, when the step size is retuned for every (B,
G). It judges one round at the given difficulties, not a whole run; at a step size that is not retuned, use
:meth:`Split.progress`.

A closed form of its own section; `banditrft.theory.what_if` is its only user.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from banditrft.design import GROUP_SIGNALS, Design
from banditrft.errors import InputError
from banditrft.rewards import honest
from banditrft.theory import domain
from banditrft.theory.laws import SIGNALS, require, round_law

MAX_ROLLOUTS = 4096
"""Largest group of a design."""


@dataclass(frozen=True)
class Split:
    """One way to spend the budget (theory §8). Lengths are in units of one query's log-odds gradient.

    Attributes:
        batch_size: B, distinct queries per round.
        rollouts: G, rollouts per query.
        alignment: <aim, E g>, first-order gain in mean Pass@1 per unit of step size.
        drift_square: |E g|^2.
        noise: E|g|^2 - |E g|^2, what the choice of queries, successes and arms adds.
        aim_square: |aim|^2, squared gradient of the pool's mean Pass@1.
        silent: Expected fraction of queries whose rollouts all have signal 0.
    """

    batch_size: int
    rollouts: int
    alignment: float
    drift_square: float
    noise: float
    aim_square: float
    silent: float

    @property
    def efficiency(self) -> float:
        """Best guaranteed progress over an exact gradient step's, in [0, 1]; see the module's docstring."""
        square = self.drift_square + self.noise
        return self.alignment**2 / (self.aim_square * square) if square > 0.0 else 0.0

    @property
    def snr(self) -> float:
        """|E g|^2 over noise; infinite without noise."""
        return self.drift_square / self.noise if self.noise > 0.0 else math.inf

    def best_step(self, curvature: float) -> float:
        """Step size of the best guarantee, <aim, E g>/(L E|g|^2).

        Raises:
            InputError: ``curvature`` L is not above 0, or the update is always 0.
        """
        square = self.drift_square + self.noise
        if square <= 0.0:
            raise InputError(
                f"rollouts: {self.rollouts} rollouts never give a signal here, so no step is best"
            )
        return self.alignment / (domain.positive("curvature", curvature) * square)

    def progress(self, learning_rate: float, curvature: float) -> float:
        """Guaranteed gain in mean Pass@1 of one round, eta <aim, E g> - (L/2) eta^2 E|g|^2; may be negative.

        Raises:
            InputError: ``learning_rate`` or ``curvature`` is not above 0.
        """
        eta = domain.positive("learning_rate", learning_rate)
        square = self.drift_square + self.noise
        return eta * self.alignment - 0.5 * domain.positive("curvature", curvature) * eta**2 * square


def splits(
    design: Design, p_N: ArrayLike, budget: int, *, sharing: float = 0.0, arm_noise: float = 0.0
) -> list[Split]:
    """Every split of a budget into B queries times G rollouts, smallest B first (theory §8).

    Args:
        design: Signal (raw, centered, grpo with ddof and eps, rloo) and two-valued reward; its ``batch_size``
            and ``rollouts`` are replaced.
        p_N: (N,) Pass@1 of the pool's queries, each in (0, 1).
        budget: B G, rollouts per round. B runs over its divisors up to N; signals that compare a rollout with
            its group need G >= 2; G is at most 4096, as in a design.
        sharing: rho, inner product of two queries' gradients, in [0, 1]: 0 tabular, 1 one shared parameter.
        arm_noise: kappa >= 0, squared length of a rollout's own direction over that of its query's.

    Raises:
        InputError: An argument is outside its domain, no split is possible, or the design has no closed form.
    """
    p_N = np.asarray(p_N, dtype=np.float64)
    if p_N.ndim != 1 or not len(p_N):
        raise InputError(f"p_N: must hold one value per query, got shape {p_N.shape}")
    if not np.all((p_N > 0) & (p_N < 1)):
        raise InputError(f"p_N: must lie strictly between 0 and 1, got {p_N.min():g} to {p_N.max():g}")
    if budget < 1:
        raise InputError(f"budget: must be at least 1, got {budget!r}")
    if not 0.0 <= sharing <= 1.0:
        raise InputError(f"sharing: must lie in [0, 1], got {sharing!r}")
    if not (math.isfinite(arm_noise) and arm_noise >= 0.0):
        raise InputError(f"arm_noise: must be finite and 0 or more, got {arm_noise!r}")
    require(design, "updates_per_round", (1,))
    require(design, "signal", SIGNALS)
    require(design, "reward", tuple(honest()))
    for field, value in (("baseline_rollouts", 0), ("replay_window", 0), ("match_step_size", False)):
        require(design, field, (value,))
    least = 2 if design.signal in GROUP_SIGNALS else 1
    sizes = [
        b
        for b in range(1, min(len(p_N), budget) + 1)
        if budget % b == 0 and least <= budget // b <= MAX_ROLLOUTS
    ]
    if not sizes:
        raise InputError(
            f"budget: must be B x G with {least} to {MAX_ROLLOUTS} rollouts G under '{design.signal}' and "
            f"at most {len(p_N)} queries B, got {budget}"
        )
    return [_split(design, p_N, b, budget // b, sharing, arm_noise) for b in sizes]


def best_split(
    design: Design, p_N: ArrayLike, budget: int, *, sharing: float = 0.0, arm_noise: float = 0.0
) -> Split:
    """The split of largest efficiency, the smallest B among equals (theory §8). Takes what splits takes.

    Raises:
        InputError: As :func:`splits`.
    """
    table = splits(design, p_N, budget, sharing=sharing, arm_noise=arm_noise)
    return max(table, key=lambda split: split.efficiency)


def _split(
    design: Design, p_N: NDArray[np.float64], B: int, G: int, sharing: float, arm_noise: float
) -> Split:
    law = round_law(Design(**design.model_dump() | {"batch_size": 1, "rollouts": G}))
    now_N = law.moments(np.log(p_N) - np.log1p(-p_N))
    drift_N = now_N.drift
    own = float(np.mean(now_N.second))
    arms = float(np.mean(now_N.correct_energy + now_N.wrong_energy))
    slope_N, N = p_N * (1.0 - p_N), len(p_N)
    # distinct queries a, b of a batch: E[u_a u_b] = ((sum drift)^2 - sum drift^2)/(N (N-1))
    pairs = float(drift_N.sum() ** 2 - drift_N @ drift_N) / (N * (N - 1)) if N > 1 else 0.0
    square = (own + arm_noise * arms) / B + (1.0 - 1.0 / B) * sharing * pairs
    drift_square = _inner(drift_N, drift_N, sharing)
    return Split(
        batch_size=B,
        rollouts=G,
        alignment=_inner(slope_N, drift_N, sharing),
        drift_square=drift_square,
        noise=max(square - drift_square, 0.0),
        aim_square=_inner(slope_N, slope_N, sharing),
        silent=float(np.mean(now_N.silent)),
    )


def _inner(left_N: NDArray[np.float64], right_N: NDArray[np.float64], sharing: float) -> float:
    """Inner product of (1/N) sum_i left_i d_i and (1/N) sum_i right_i d_i."""
    shared = float(left_N.mean() * right_N.mean())
    return sharing * shared + (1.0 - sharing) * float((left_N * right_N).mean()) / len(left_N)
