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

from banditrft import feedback, objective
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.feedback import Feedback, baseline_rollouts
from banditrft.rewards import reward_map
from banditrft.streams import Purpose, own_purpose
from sims.compiled.normals import fill_normals
from sims.contextual import rounds as kernels
from sims.contextual.contexts import Contexts
from sims.contextual.draws import Order
from sims.contextual.rounds import Flags, Floats, Ints, Optimizer, fill_distance
from sims.contextual.tabled import has_table, simulate_tabled
from sims.learner import deal
from sims.trace import Trace, check_rising


def base_pass_at_1(w0_PD: Floats, pool: Contexts) -> Floats:
    """Pass@1 of every training query before the first round, (P, N)."""
    P, N = pool.offset_PN.shape
    w0_PD, all_PN = _rows(w0_PD, P), np.tile(np.arange(N), (P, 1))
    out_PN = np.empty((P, N))
    kernels.fill_pass_at_1(w0_PD, pool.u_PND, pool.offset_PN, all_PN, out_PN)
    return out_PN


def _rows(w0_PD: Floats, count: int) -> Floats:
    """Base weights in as many rows, a copy."""
    return np.array(np.broadcast_to(w0_PD, (count, w0_PD.shape[1])))


def reward_law(design: Design, partial: float) -> Floats:
    """For a wrong (row 0) and a right answer: P(first reward), the first and the second reward."""
    rewards = reward_map(design)
    low, high = rewards.low, rewards.high
    if rewards.graded:
        return np.array([[partial, 0.5, low], [1.0, high, low]])
    return np.array([[rewards.p_high_if_wrong, high, low], [rewards.p_high_if_right, high, low]])


class Replicates:
    """Some replicates side by side, between two rounds.

    Those of a yoked placebo advance beside their pairs, whose rewards and signals they are dealt
    (`sims.learner.deal`).
    """

    def __init__(
        self,
        w0_PD: Floats,
        pool: Contexts,
        design: Design,
        root_seed: int,
        seeds_R: NDArray[np.int64],
        arm_noise: float,
        partial: float,
        factor: float,
    ) -> None:
        R, B, G, M = len(seeds_R), design.batch_size, design.rollouts, baseline_rollouts(design)
        self.pool, self.design, self.tau = pool, design, arm_noise
        self.root_seed, self.seeds_R, self.w0_RD = root_seed, seeds_R, _rows(w0_PD, R)
        self.order = Order(root_seed, seeds_R, pool.N, B)
        self.pair = None
        if design.reward == "yoked":
            self.pair = Replicates(
                w0_PD, pool, design.treatment, root_seed, seeds_R, arm_noise, partial, factor
            )
        self.feedback = Feedback(design, R, items=pool.N, factor=factor)
        self.optimizer = Optimizer(design, R, w0_PD.shape[1])
        placebo_PN = np.empty((0, 0))
        if design.reward == "random":
            rate = reward_map(design, base_pass_at_1(w0_PD, pool)).p_high_if_right
            placebo_PN = np.array(np.broadcast_to(rate, pool.offset_PN.shape), np.float64)
        self.rewards = kernels.Rewards(reward_law(design, partial), placebo_PN)
        self.w_RD = self.w0_RD.copy()
        self.before_RD, self.grad_RD, self.z_RD = (np.empty_like(self.w_RD) for _ in range(3))
        self.l_RB, self.l0_RB, self.norm_R = np.empty((R, B)), np.empty((R, B)), np.empty(R)
        self.slope_B = np.empty(B)
        self.right_RBG, self.reward_RBG = np.empty((R, B, G), np.uint8), np.empty((R, B, G))
        self.extra_right_RBM, self.extra_RBM = np.empty((R, B, M), np.uint8), np.empty((R, B, M))
        self.own_RBG = np.zeros((R, B, G))

    def run_round(self, t: int, trace: Trace, rows: slice) -> None:
        """Round t = 1, 2, ...: draw, learn, note."""
        batch_RB, signals_RBG = self._round(t)
        trace.record(t, self.reward_RBG, signals_RBG, self.right_RBG.sum(axis=2), batch_RB, rows)
        trace.update_norm_RT[rows, t - 1] = self.norm_R

    def _round(self, t: int) -> tuple[Ints, Floats]:
        """Draw and learn; the batch (R, B) and its signals (R, B, G)."""
        batch_RB = self.order.batch(t)
        kernels.fill_odds(self.w_RD, self.pool.u_PND, self.pool.offset_PN, batch_RB, self.l_RB)
        self._draw(t, batch_RB, 0, self.right_RBG, self.reward_RBG)
        if self.pair is not None:
            _, earned_RBG = self.pair._round(t)
            self.reward_RBG[:], signals_RBG = deal(self.pair.reward_RBG, earned_RBG)
        else:
            extra = None
            if self.extra_RBM.size:
                self._draw(t, batch_RB, self.reward_RBG[0].size, self.extra_right_RBM, self.extra_RBM)
                extra = self.extra_RBM
            signals_RBG = self.feedback.signals(self.reward_RBG, extra, batch_RB)
        self.before_RD[:] = self.w_RD
        self._learn(t, batch_RB, signals_RBG)
        fill_distance(self.w_RD, self.before_RD, self.norm_R)
        return batch_RB, signals_RBG

    def _draw(self, t: int, batch_RB: Ints, first: int, right_RBG: Flags, reward_RBG: Floats) -> None:
        at = kernels.Address(self.root_seed, self._purpose(Purpose.SAMPLE), self.seeds_R, t, first)
        kernels.draw_answers(at, batch_RB, self.l_RB, self.rewards, right_RBG, reward_RBG)

    def _purpose(self, purpose: Purpose) -> int:
        return int(own_purpose(purpose, self.design.reward))

    def _learn(self, t: int, batch_RB: Ints, signals_RBG: Floats) -> None:
        """The optimiser's steps of a round."""
        u_PND, offset_PN = self.pool.u_PND, self.pool.offset_PN
        penalised, updates = self.design.kl_coef > 0, self.design.updates_per_round
        if penalised and self.tau > 0:
            kernels.fill_own_normals(
                self.root_seed, self._purpose(Purpose.SAMPLE), self.seeds_R, t, batch_RB, self.own_RBG
            )
        old_RBG = self._log_probs(self.l_RB) if updates > 1 else self.own_RBG
        for update in range(updates):
            if update > 0:
                kernels.fill_odds(self.w_RD, u_PND, offset_PN, batch_RB, self.l_RB)
            lead = self._log_probs(self.l_RB) - old_RBG if update > 0 else None
            gap = self._gap(batch_RB) if penalised else None
            weights_RBG = objective.weights(self.design, signals_RBG, lead, gap)
            kernels.fill_gradient(
                u_PND, batch_RB, self.l_RB, self.right_RBG, weights_RBG, self.slope_B, self.grad_RD
            )
            if self.tau > 0:
                no_item_R = np.zeros_like(self.seeds_R)
                purpose = own_purpose(Purpose.REWARD, self.design.reward)
                fill_normals(self.z_RD[:, None], self.root_seed, self.seeds_R, no_item_R, purpose, t)
                moved_RD = self.w_RD - self.w0_RD if penalised else np.zeros_like(self.w_RD)
                kernels.add_arm_noise(self.tau, weights_RBG, self.own_RBG, moved_RD, self.z_RD, self.grad_RD)
            self.optimizer.step(self.w_RD, self.grad_RD)

    def _log_probs(self, l_RB: Floats) -> Floats:
        """Log-probability of each fresh answer's class, (R, B, G), nats."""
        out_RBG = np.empty_like(self.reward_RBG)
        kernels.fill_log_probs(l_RB, self.right_RBG, out_RBG)
        return out_RBG

    def _gap(self, batch_RB: Ints) -> Floats:
        """How far each fresh answer has moved, log pi_0(a) - log pi(a), (R, B, G), nats."""
        kernels.fill_odds(self.w0_RD, self.pool.u_PND, self.pool.offset_PN, batch_RB, self.l0_RB)
        gap_RBG = self._log_probs(self.l0_RB) - self._log_probs(self.l_RB)
        if self.tau > 0:
            fill_distance(self.w_RD, self.w0_RD, self.norm_R)
            moved_R11 = self.tau * self.norm_R[:, None, None]
            gap_RBG -= moved_R11 * (0.5 * moved_R11 + self.own_RBG)
        return gap_RBG


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
