"""The log-linear contextual world: a pool of training queries, a held-out set of contexts (theory §6, §8).

A query with context u and offset b has log-odds l = u.w + b of a right answer, p = sigmoid(l); the weights w
are all that learns. A rollout of it that is right or wrong has gradient (1[right] - p) u of its
log-probability, so with omega_i the weight of rollout i in the objective (`banditrft.objective.weights`: its
signal, changed by a clip and a penalty) the round's gradient is (1/(B G)) sum_i omega_i (1[right_i] - p_i)
u_i.

A round: the next B queries of the pool (`sims.contextual.draws.Order`), G answers and rewards of each from
the policy as it stands, signals (`banditrft.feedback`), then one or more optimiser steps with torch's
semantics.

**Arms within the classes** (``arm_noise`` = tau > 0). Let "right" and "wrong" each hold n arms, arm a's
features being its class's plus xi_a, independent N(0, tau^2 I), new ones for every query and round. As n
grows, the mean of e^(xi.w) over a class tends to e^(tau^2 |w|^2/2), the same for both: it cancels in the
log-odds, and right and wrong keep the law above. The arm drawn within its class has features of density
proportional to e^(xi.w) N(0, tau^2 I), which is N(tau^2 w, tau^2 I): minus their mean under the policy they
are N(0, tau^2 I) again, and no arm is ever met twice. So the limit is exact: the gradient has the further
term (1/(B G)) sum_i omega_i z_i, z_i ~ N(0, tau^2 I) independent of all else; where omega does not depend on
z its law is one Gaussian vector of covariance tau^2 sum_i omega_i^2/(B G)^2 I. A penalty on the KL sees the
arm: log pi(a) - log pi_0(a) has, beside the class's part, tau^2 |D|^2/2 + D.z_i with D = w - w0 (from the
tilted normal laws at w and w0), so the parts of the z_i along D are drawn one by one, and only the rest is
summed. Several updates of a round would need each z_i whole and are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditrft import feedback
from banditrft.design import Design
from banditrft.errors import InputError
from sims.contextual.contexts import Contexts
from sims.contextual.lockstep import Replicates
from sims.contextual.rounds import Floats
from sims.contextual.tabled import has_table, simulate_tabled
from sims.grids import check_rising
from sims.trace import Trace

BYTES_AT_ONCE = 2**21
"""Memory of the rounds of replicates that run side by side, about: small enough to stay near the core."""


@dataclass(frozen=True)
class ContextualPaths:
    """What R replicates did.

    Attributes:
        w_RFD: Weights after each kept round.
        trace: Their rounds and groups.
    """

    w_RFD: Floats
    trace: Trace


def simulate(
    w0_PD: Floats,
    pool: Contexts,
    design: Design,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    keep_rounds: Sequence[int] | NDArray[np.int64] = (),
    arm_noise: float = 0.0,
    partial: float = 0.0,
    factor: float = 1.0,
    keep_groups: bool = True,
) -> ContextualPaths:
    """Train one replicate per seed on one core.

    Args:
        w0_PD: Base weights of each seed, or one row for all.
        pool: Training queries of each seed, or one pool for all.
        design: What the learner does; any design of `banditrft.worlds.SUPPORTED`.
        root_seed: First part of the key of every random number.
        seeds: One per replicate; a replicate depends on its own seed alone.
        keep_rounds: Rising rounds in 0..T after which weights are kept.
        arm_noise: tau, at least 0.
        partial: Share of wrong answers that earn .5 where rewards are graded, in [0, 1].
        factor: What signals are multiplied by (`banditrft.theory.matching`).
        keep_groups: Whether to note every group, or rounds only.

    Raises:
        InputError: An argument is outside its range, or the weights left double precision.
    """
    seeds_R, keep_F = np.asarray(seeds, np.int64), np.asarray(keep_rounds, np.int64)
    _check(w0_PD, pool, design, root_seed, seeds_R, keep_F, arm_noise)
    if has_table(design, arm_noise):
        tabled = simulate_tabled(w0_PD, pool, design, root_seed, seeds_R, keep_F, factor, keep_groups)
        return _finite(ContextualPaths(*tabled), design)
    R, T, B, G = len(seeds_R), design.rounds, design.batch_size, design.rollouts
    D = w0_PD.shape[1]
    trace = Trace.empty(R, T, B, keep_groups=keep_groups)
    w_RFD = np.empty((R, len(keep_F), D))
    windows = 2 * pool.N * feedback.depth(design)
    step = max(1, BYTES_AT_ONCE // (8 * (3 * B * G + B * D + windows)))
    for start in range(0, R, step):
        rows = slice(start, min(start + step, R))
        w0 = w0_PD if len(w0_PD) == 1 else w0_PD[rows]
        some = Replicates(w0, pool.of(rows), design, root_seed, seeds_R[rows], arm_noise, partial, factor)
        for t in range(T + 1):
            if t > 0:
                some.run_round(t, trace, rows)
            if t in keep_F:
                w_RFD[rows, np.searchsorted(keep_F, t)] = some.w_RD
    return _finite(ContextualPaths(w_RFD, trace), design)


def _finite(paths: ContextualPaths, design: Design) -> ContextualPaths:
    if not np.isfinite(paths.trace.update_norm_RT).all():
        raise InputError(
            f"learning_rate: weights left double precision within {design.rounds} rounds at learning_rate = "
            f"{design.learning_rate:g}, kl_coef = {design.kl_coef:g}"
        )
    return paths


def _check(
    w0_PD: Floats,
    pool: Contexts,
    design: Design,
    root_seed: int,
    seeds_R: NDArray[np.int64],
    keep_F: NDArray[np.int64],
    arm_noise: float,
) -> None:
    if root_seed < 0 or (seeds_R < 0).any():
        raise InputError(f"root_seed, seeds: must be at least 0, got root_seed = {root_seed}")
    for name, drawn in (("pools", pool.u_PND), ("base weights", w0_PD)):
        if len(drawn) not in (1, len(seeds_R)):
            raise InputError(f"seeds: must be as many as {name}, {len(drawn)}, got {len(seeds_R)}")
    check_rising("keep_rounds", keep_F, design.rounds)
    if arm_noise > 0 and design.updates_per_round > 1:
        raise InputError(f"updates_per_round: must be 1 with arm_noise, got {design.updates_per_round}")
