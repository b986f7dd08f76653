"""The sequence bandit, run exactly: geometry "direction", under any design (theory §10).

A position has one parameter, its gap l_t between the right option and all wrong ones, so a response matters
only through which of its positions are right: V never enters a loop. R replicates advance in lockstep as in
`sims.lumped.general`: compiled loops draw and step, and in between a round is an array (R, B, G) on which
`banditrft.signals` works as it is. With KL penalties and several updates weights are of single tokens, (R, M, T).

A "tree" stops at the first wrong token: what follows belongs to nodes that no right response passes.
Graded rewards are the share of the T positions that are right (of a tree: before the first error).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, xlogy

from banditrft import feedback
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.objective import weights
from banditrft.records import RunTables
from banditrft.rewards import reward_values
from banditrft.runs import Run
from banditrft.streams import Purpose, own_purpose
from banditrft.theory.matching import matching_factor
from banditrft.worlds import SequenceWorld
from sims import tables
from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, block, unit
from sims.learner import check_decay, deal, heard_rates
from sims.lumped.updates import CLIP_EPS
from sims.trace import Trace, check_rising

Floats = NDArray[np.float64]
Marks = NDArray[np.uint8]
WRONG, RIGHT, UNTOUCHED = 0, 1, 2
LOCKSTEP_BYTES = 2**26
ROUNDING = 1e-13


class Rule(NamedTuple):
    """How gradients move gaps; constant over a run."""

    rate: float
    adam: bool
    beta1: float
    beta2: float
    eps: float
    decay: float
    """Share of a parameter that one step of AdamW takes away."""
    clip: float
    """Largest norm of the gradient over all gaps; 0 is no limit."""
    rest: float
    """Gap where parameters are 0, towards which weight decay pulls."""


@kernel
def draw(
    q_RT: Floats,
    root_seed: int,
    purpose: int,
    seeds_R: NDArray[np.int64],
    round_: int,
    first: int,
    tree: bool,
    if_wrong: float,
    if_right: float,
    mark_RMT: Marks,
    right_RM: NDArray[np.int64],
    high_RM: NDArray[np.bool_],
) -> None:
    """Draw M responses of every replicate, rollouts ``first`` on of the round.

    Args:
        q_RT: P(right option) of each position.
        root_seed: First key word of the random numbers.
        purpose: Of the random numbers.
        seeds_R: Second key word.
        round_: Round, from 1.
        first: Rollout number of the first response.
        tree: Whether a response ends, as far as parameters go, at its first wrong token.
        if_wrong: P(high reward) of a wrong answer; negative where the reward is the grade itself.
        if_right: Of a right one.
        mark_RMT: Written: right, wrong or untouched, token by token.
        right_RM: Written: right tokens.
        high_RM: Written: whether the reward is the high one.
    """
    T = q_RT.shape[1]
    place = np.uint64(round_) << ROLLOUT_BITS
    k0, kind = np.uint64(root_seed), np.uint64(purpose)
    for r in range(len(seeds_R)):
        k1 = np.uint64(seeds_R[r])
        for i in range(mark_RMT.shape[1]):
            at = place | np.uint64(first + i)
            count, alive = 0, True
            for b in range((T + 3) // 4):
                words = block(k0, k1, np.uint64(b), at, np.uint64(0), kind)
                for j in range(min(4, T - 4 * b)):
                    t = 4 * b + j
                    if alive:
                        hit = unit(words[j]) < q_RT[r, t]
                        mark_RMT[r, i, t] = 1 if hit else 0
                        count += hit
                        alive = hit or not tree
                    else:
                        mark_RMT[r, i, t] = 2
                if not alive and 4 * b + 4 < T:
                    mark_RMT[r, i, 4 * b + 4 :] = 2
                    break
            right_RM[r, i] = count
            high = count == T
            if if_right >= 0.0:
                words = block(k0, k1, np.uint64((T + 3) // 4), at, np.uint64(0), kind)
                high = unit(words[0]) < (if_right if high else if_wrong)
            high_RM[r, i] = high


@kernel
def add_responses(g_T: Floats, q_T: Floats, mark_MT: Marks, weight_M: Floats) -> bool:
    """Gradients of the gaps, mean over M of weight (y - q), into ``g_T``; whether any weight is not 0."""
    M, T = mark_MT.shape
    loud = False
    g_T[:] = 0.0
    for i in range(M):
        weight = weight_M[i] / M
        if weight != 0.0:
            loud = True
            for t in range(T):
                mark = mark_MT[i, t]
                g_T[t] += weight * (mark - q_T[t]) if mark != 2 else 0.0
    return loud


@kernel
def add_tokens(g_T: Floats, q_T: Floats, mark_MT: Marks, weight_MT: Floats) -> bool:
    """As :func:`add_responses`, with a weight for every token."""
    M, T = mark_MT.shape
    g_T[:] = 0.0
    for i in range(M):
        for t in range(T):
            mark = mark_MT[i, t]
            g_T[t] += weight_MT[i, t] / M * (mark - q_T[t]) if mark != 2 else 0.0
    return True


@kernel
def step_row(
    gap_T: Floats, change_T: Floats, g_T: Floats, m_T: Floats, v_T: Floats, rule: Rule, update: int
) -> None:
    """One optimiser step on T gaps, with torch's semantics."""
    factor = 1.0
    if rule.clip > 0.0:
        square = 0.0
        for t in range(len(g_T)):
            square += g_T[t] * g_T[t]
        factor = min(1.0, rule.clip / (np.sqrt(square) + CLIP_EPS))
    if not rule.adam:
        for t in range(len(g_T)):
            d = rule.rate * factor * g_T[t]
            gap_T[t] += d
            change_T[t] += d
        return
    step, root = rule.rate / (1.0 - rule.beta1**update), np.sqrt(1.0 - rule.beta2**update)
    for t in range(len(g_T)):
        g = factor * g_T[t]
        m = m_T[t] + (1.0 - rule.beta1) * (g - m_T[t])
        v = rule.beta2 * v_T[t] + (1.0 - rule.beta2) * (g * g)
        d = step * m / (np.sqrt(v) / root + rule.eps) - rule.decay * (gap_T[t] - rule.rest)
        gap_T[t] += d
        change_T[t] += d
        m_T[t], v_T[t] = m, v


@kernel
def step_all(
    gap_RT: Floats,
    change_RT: Floats,
    m_RT: Floats,
    v_RT: Floats,
    q_RT: Floats,
    mark_RMT: Marks,
    weight_RMW: Floats,
    rule: Rule,
    update: int,
    first: bool,
    g_T: Floats,
    norm_R: Floats,
) -> None:
    """One update of every replicate, and its new policy.

    Args:
        gap_RT: Gaps, changed; so are moments ``m_RT``, ``v_RT``, a round's ``change_RT`` and ``q_RT``.
        change_RT: Sum of the round's changes.
        m_RT: Adam's first moments.
        v_RT: Adam's second moments.
        q_RT: P(right option).
        mark_RMT: The round's responses.
        weight_RMW: Weight of each response (W = 1) or of each token (W = T).
        rule: What is done with gradients.
        update: Number of this update, from 1, for Adam's bias corrections.
        first: Whether it is the first of its round.
        g_T: Scratch.
        norm_R: Written: norm of the change since the start of the round.
    """
    R, T = gap_RT.shape
    for r in range(R):
        if first:
            change_RT[r, :] = 0.0
            norm_R[r] = 0.0
        if weight_RMW.shape[2] == 1:
            loud = add_responses(g_T, q_RT[r], mark_RMT[r], weight_RMW[r, :, 0])
        else:
            loud = add_tokens(g_T, q_RT[r], mark_RMT[r], weight_RMW[r])
        if not loud and not rule.adam:
            continue
        step_row(gap_RT[r], change_RT[r], g_T, m_RT[r], v_RT[r], rule, update)
        square = 0.0
        for t in range(T):
            q_RT[r, t] = 1.0 / (1.0 + np.exp(-gap_RT[r, t]))
            square += change_RT[r, t] * change_RT[r, t]
        norm_R[r] = np.sqrt(square)


def check(design: Design, world: SequenceWorld) -> float:
    """Refuse what has no definition here; else the factor of the design's signals (`match_step_size`).

    Raises:
        InputError: Names the field.
    """
    feedback.check(design)
    check_decay(design.learning_rate * design.weight_decay)
    if world.geometry == "table":
        raise InputError("geometry: 'table' is not simulated yet; known is 'direction'")
    if not design.match_step_size:
        return 1.0
    if design.treatment.reward == "graded":
        raise InputError("match_step_size: needs two-valued rewards, got reward = 'graded'")
    return matching_factor(design, world.base())


def execute(run: Run, world: SequenceWorld, seeds_R: NDArray[np.int64]) -> RunTables:
    """Simulate the seeds of a run."""
    rounds_E = tables.eval_grid(run.design.rounds, run.evaluation.eval_every)
    paths = simulate(
        world,
        run.design,
        root_seed=run.root_seed,
        seeds=seeds_R,
        eval_rounds=rounds_E,
        keep_groups=world.keep_groups,
    )
    evals, final = tables.train_tables(run.evaluation, run.root_seed, seeds_R, rounds_E, paths.p_RE)
    return RunTables(
        rounds=tables.rounds_table(seeds_R, paths.trace, rounds_E, paths.entropy_RE, paths.kl_RE),
        groups=tables.groups_table(seeds_R, paths.trace, run.design.rollouts),
        evals=evals,
        final=final,
    )


@dataclass(frozen=True)
class SequencePaths:
    """What R replicates did.

    Attributes:
        p_RE: Exact Pass@1 after each evaluation round.
        entropy_RE: Exact entropy of a response, nats.
        kl_RE: Exact KL(policy || initial policy) of a response, nats.
        gap_RT: Gaps at the end.
        trace: The rounds.
    """

    p_RE: Floats
    entropy_RE: Floats
    kl_RE: Floats
    gap_RT: Floats
    trace: Trace


def simulate(
    world: SequenceWorld,
    design: Design,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    eval_rounds: Sequence[int] | NDArray[np.int64] = (),
    keep_groups: bool = True,
    lockstep: int | None = None,
) -> SequencePaths:
    """Run one replicate per seed on one core.

    Args:
        world: The positions of a response.
        design: What the learner does; a batch is ``batch_size`` copies of the one query.
        root_seed: First part of the key of every random number, in [0, 2**63).
        seeds: One per replicate.
        eval_rounds: Rising rounds in 0..rounds after which the policy is measured.
        keep_groups: Whether the trace keeps rewards and right answers of every group.
        lockstep: Replicates that advance together; by default as many as memory suggests. Changes no result.

    Raises:
        InputError: See :func:`check`; or gaps grew beyond every number.
    """
    seeds_R, eval_E = np.asarray(seeds, np.int64), np.asarray(eval_rounds, np.int64)
    R, E = len(seeds_R), len(eval_E)
    if root_seed < 0 or (seeds_R < 0).any():
        raise InputError("root_seed, seeds: must be at least 0")
    check_rising("eval_rounds", eval_E, design.rounds)
    factor = check(design, world)
    p_RE, entropy_RE, kl_RE = np.empty((3, R, E))
    gap_RT = np.empty((R, world.length()))
    trace = Trace.empty(R, design.rounds, design.batch_size, keep_groups=keep_groups)
    together = lockstep or max(1, LOCKSTEP_BYTES // _bytes(design, world))
    for start in range(0, R, together):
        rows = slice(start, min(start + together, R))
        part = _Lockstep(world, design, factor, root_seed, seeds_R[rows])
        part.run(eval_E, (p_RE, entropy_RE, kl_RE), trace, rows)
        gap_RT[rows] = part.gap_RT
    return SequencePaths(p_RE, entropy_RE, kl_RE, gap_RT, trace)


def _bytes(design: Design, world: SequenceWorld) -> int:
    """Memory of one replicate's round: marks, and weights of tokens where they are needed."""
    tokens = world.length()
    each = 1 + 24 * (design.kl_coef > 0.0 or design.updates_per_round > 1)
    pulls = design.batch_size * (design.rollouts + feedback.depth(design))
    return tokens * (each * pulls + 48)


class _Lockstep:
    """Some replicates, from the first round to the last."""

    def __init__(
        self, world: SequenceWorld, design: Design, factor: float, root_seed: int, seeds_R: NDArray[np.int64]
    ) -> None:
        self.world, self.design, self.root_seed, self.seeds_R = world, design, root_seed, seeds_R
        R, q_T = len(seeds_R), np.array(world.probabilities())
        self.start_T = np.log(q_T) - np.log1p(-q_T)
        self.gap_RT = np.tile(self.start_T, (R, 1))
        self.q_RT = np.tile(q_T, (R, 1))
        self.change_RT, self.m_RT, self.v_RT = np.zeros((3, R, len(q_T)))
        self.pair = None
        if design.reward == "yoked":
            self.pair = _Lockstep(world, design.treatment, factor, root_seed, seeds_R)
        self.purpose = int(own_purpose(Purpose.SAMPLE, design.reward))
        self.feedback = feedback.Feedback(design, R, factor=factor)
        self.heard = heard_rates(design, world.base())
        self.values = np.array(reward_values(design))
        self.graded = design.treatment.reward == "graded"
        self.rule = Rule(
            rate=design.learning_rate,
            adam=design.optimizer != "sgd",
            beta1=design.betas[0],
            beta2=design.betas[1],
            eps=design.adam_eps,
            decay=design.learning_rate * design.weight_decay if design.optimizer == "adamw" else 0.0,
            clip=design.grad_clip or 0.0,
            rest=-float(np.log(world.vocabulary - 1.0)),
        )
        self.g_T, self.norm_R = np.empty(len(q_T)), np.zeros(R)

    def run(
        self,
        eval_E: NDArray[np.int64],
        seen: tuple[Floats, Floats, Floats],
        trace: Trace,
        rows: slice,
    ) -> None:
        """All rounds; fills the rows of Pass@1, entropy and KL at evaluations, (R, E), and of the trace."""
        e = 0
        for t in range(self.design.rounds + 1):
            if t > 0:
                rewards_RBG, signals_RBG, correct_RBG = self._round(t)
                trace.record(t, rewards_RBG, signals_RBG, correct_RBG.sum(axis=2), rows=rows)
                trace.update_norm_RT[rows, t - 1] = self.norm_R
            if e < len(eval_E) and eval_E[e] == t:
                for out_RE, value_R in zip(seen, self._look(), strict=True):
                    out_RE[rows, e] = value_R
                e += 1

    def _round(self, t: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """One round: rewards, signals and right answers, (R, B, G)."""
        B, G = self.design.batch_size, self.design.rollouts
        mark_RMT, correct_RBG, rewards_RBG = self._draw(t, 0, G)
        if self.pair is not None:
            rewards_RBG, signals_RBG = deal(*self.pair._round(t)[:2])
        else:
            baseline_RBM, extra = None, feedback.baseline_rollouts(self.design)
            if extra:
                baseline_RBM = self._draw(t, B * G, extra)[2]
            signals_RBG = self.feedback.signals(rewards_RBG, baseline_RBM)
        self._learn(t, mark_RMT, signals_RBG)
        return rewards_RBG, signals_RBG, correct_RBG

    def _draw(self, t: int, first: int, per_group: int) -> tuple[Marks, NDArray[np.bool_], Floats]:
        """Tokens (R, M, T); right answers and rewards (R, B, rollouts of a group)."""
        R, T = self.q_RT.shape
        M = self.design.batch_size * per_group
        mark_RMT = np.empty((R, M, T), np.uint8)
        right_RM, high_RM = np.empty((R, M), np.int64), np.empty((R, M), np.bool_)
        draw(
            self.q_RT,
            self.root_seed,
            self.purpose,
            self.seeds_R,
            t,
            first,
            self.world.prefixes == "tree",
            *self.heard,
            mark_RMT,
            right_RM,
            high_RM,
        )
        groups = (R, self.design.batch_size, per_group)
        rewards_RM = right_RM / T if self.graded else self.values[high_RM.astype(np.int64)]
        return mark_RMT, (right_RM == T).reshape(groups), rewards_RM.reshape(groups)

    def _learn(self, t: int, mark_RMT: Marks, signals_RBG: Floats) -> None:
        """The round's updates."""
        design = self.design
        signals_RM1 = np.ascontiguousarray(signals_RBG.reshape(*mark_RMT.shape[:2], 1))
        tokens = design.kl_coef > 0.0 or design.updates_per_round > 1
        old_RMT = lead_RMT = gap_RMT = None
        for update in range(design.updates_per_round):
            weight_RMW = signals_RM1
            if tokens:
                now_RMT = self._log_probabilities(mark_RMT, self.gap_RT)
                lead_RMT = None if old_RMT is None else now_RMT - old_RMT
                old_RMT = now_RMT if old_RMT is None else old_RMT
                if design.kl_coef > 0.0:
                    start_RMT = self._log_probabilities(mark_RMT, np.broadcast_to(self.start_T, self.gap_RT.shape))
                    gap_RMT = start_RMT - now_RMT
                    gap_RMT[np.abs(gap_RMT) <= ROUNDING * np.maximum(np.abs(start_RMT), 1.0)] = 0.0
                signals_RMT = np.ascontiguousarray(np.broadcast_to(signals_RM1, mark_RMT.shape))
                with np.errstate(over="ignore", invalid="ignore"):
                    weight_RMW = np.ascontiguousarray(weights(design, signals_RMT, lead_RMT, gap_RMT))
            number = (t - 1) * design.updates_per_round + update + 1
            step_all(
                self.gap_RT,
                self.change_RT,
                self.m_RT,
                self.v_RT,
                self.q_RT,
                mark_RMT,
                weight_RMW,
                self.rule,
                number,
                update == 0,
                self.g_T,
                self.norm_R,
            )
        if not (np.isfinite(self.gap_RT).all() and np.isfinite(self.norm_R).all()):
            raise InputError(
                f"learning_rate: gaps left the range of double precision in round {t}, got learning_rate = "
                f"{design.learning_rate:g}, kl_coef = {design.kl_coef:g}"
            )

    def _log_probabilities(self, mark_RMT: Marks, gap_RT: Floats) -> Floats:
        """Log-probability of each token: a wrong one is one of V - 1."""
        right_RT = np.asarray(log_expit(gap_RT))[:, None, :]
        wrong_RT = np.asarray(log_expit(-gap_RT))[:, None, :] + self.rule.rest
        return np.where(mark_RMT == RIGHT, right_RT, wrong_RT)

    def _look(self) -> tuple[Floats, Floats, Floats]:
        """Exact Pass@1, entropy and KL(policy || initial policy) of responses, nats, each (R,)."""
        gap_RT, rest = self.gap_RT, self.rule.rest
        log_q_RT, q_RT, w_RT = log_expit(gap_RT), expit(gap_RT), expit(-gap_RT)
        start_q_T, start_w_T = expit(self.start_T), expit(-self.start_T)

        def entropy(q: Floats, w: Floats) -> Floats:
            return np.asarray(-xlogy(q, q) - xlogy(w, w) - w * rest)

        reached_RT = np.ones_like(q_RT)
        off_R = np.zeros(len(q_RT))
        if self.world.prefixes == "tree":
            reached_RT[:, 1:] = np.exp(np.cumsum(log_q_RT, axis=1))[:, :-1]
            off_R = ((1.0 - reached_RT) * entropy(start_q_T, start_w_T)).sum(axis=1)
        divergence_RT = q_RT * (log_q_RT - log_expit(self.start_T)) + w_RT * (
            log_expit(-gap_RT) - log_expit(-self.start_T)
        )
        entropy_R = (reached_RT * entropy(q_RT, w_RT)).sum(axis=1) + off_R
        return np.exp(log_q_RT.sum(axis=1)), entropy_R, (reached_RT * divergence_RT).sum(axis=1)
