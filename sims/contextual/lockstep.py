"""The contextual world's general path: replicates in lockstep, round by round, for any design.

`sims.contextual.simulator` says what a round is; signals come from `banditrft.feedback`, weights of rollouts
from `banditrft.objective`, everything else from compiled loops over the replicates.
"""

import numpy as np
from numpy.typing import NDArray

from banditrft import objective
from banditrft.design import Design
from banditrft.feedback import Feedback, baseline_rollouts
from banditrft.rewards import reward_values
from banditrft.streams import Purpose, own_purpose
from sims.compiled.normals import fill_normals
from sims.contextual import rounds as kernels
from sims.contextual.contexts import Contexts
from sims.contextual.draws import Order
from sims.contextual.rounds import Flags, Floats, Ints
from sims.contextual.steps import Optimizer, fill_distance
from sims.learner import deal
from sims.trace import Trace


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
    low, high = reward_values(design)
    if design.treatment.reward == "graded":
        return np.array([[partial, 0.5, low], [1.0, high, low]])
    return np.array([[design.false_positive, high, low], [1.0 - design.false_negative, high, low]])


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
        self.law_23 = reward_law(design, partial)
        self.placebo_PN = np.empty((0, 0))
        if design.reward == "random":
            self.placebo_PN = (
                base_pass_at_1(w0_PD, pool)
                if design.rate == "base"
                else np.full(pool.offset_PN.shape, design.rate)
            )
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
        kernels.draw_answers(
            self.root_seed,
            self._purpose(Purpose.SAMPLE),
            self.seeds_R,
            t,
            batch_RB,
            self.l_RB,
            first,
            self.law_23,
            self.placebo_PN,
            right_RBG,
            reward_RBG,
        )

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
