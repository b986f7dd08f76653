"""The sequence bandit, run exactly under any design: a response is T softmax choices (theory §10).

R replicates advance in lockstep as in `sims.lumped.general`: a policy (`Direction` or `Table`) draws tokens
and takes the steps in compiled loops, and in between a round is an array (R, B, G) on which
`banditrft.signals` works as it is. With KL penalties and several updates weights are of single tokens, as a
language model's are.

A "tree" stops at the first wrong token: what follows belongs to nodes that no right response passes. Graded
rewards are the share of the T positions that are right (of a tree: before the first error).

Results depend on a replicate's own seed alone: not on how many share the lockstep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from banditrft import feedback
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.objective import weights
from banditrft.records import RunTables
from banditrft.rewards import reward_map
from banditrft.runs import Run
from banditrft.streams import Purpose, own_purpose
from banditrft.theory.matching import matching_factor
from banditrft.worlds import SequenceWorld
from sims import tables
from sims.learner import TableLearner, check_decay, deal, reference_gap
from sims.sequence.direction import Direction, Floats, Ints
from sims.sequence.table import Table
from sims.trace import Trace, check_rising

LOCKSTEP_BYTES = 2**26
"""Memory that one lockstep may take (one replicate may take more)."""


def check(design: Design, world: SequenceWorld) -> float:
    """Refuse what has no definition here; else the factor of the design's signals (`match_step_size`).

    Raises:
        InputError: Names the field.
    """
    feedback.check(design)
    check_decay(design.learning_rate * design.weight_decay)
    if design.optimizer != "sgd" and design.adam_eps == 0.0:
        raise InputError("adam_eps: must be positive in a simulated world, where a step would be 0/0, got 0")
    if world.geometry == "table" and design.grad_clip is not None and world.length() > 1:
        raise InputError(
            f"grad_clip: geometry 'table' runs without (None), since the norm spans all positions, got "
            f"{design.grad_clip:g}"
        )
    if has_table(design):
        TableLearner.from_design(design, world.base())
    if not design.match_step_size:
        return 1.0
    if reward_map(design).graded:
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
        log_q_RT: Log-probability of the right option of each position at the end.
        trace: The rounds.
    """

    p_RE: Floats
    entropy_RE: Floats
    kl_RE: Floats
    log_q_RT: Floats
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
    log_q_RT = np.empty((R, world.length()))
    trace = Trace.empty(R, design.rounds, design.batch_size, keep_groups=keep_groups)
    together = lockstep or max(1, LOCKSTEP_BYTES // _bytes(design, world))
    for start in range(0, R, together):
        rows = slice(start, min(start + together, R))
        part = _Lockstep(world, design, factor, root_seed, seeds_R[rows])
        part.run(eval_E, (p_RE, entropy_RE, kl_RE), trace, rows)
        log_q_RT[rows] = part.policy.measure()[0]
    return SequencePaths(p_RE, entropy_RE, kl_RE, log_q_RT, trace)


def _bytes(design: Design, world: SequenceWorld) -> int:
    """Memory of one replicate's round: marks, and weights of tokens where they are needed."""
    tokens = world.length()
    table = world.geometry == "table"
    each = (24 if table else 1) + 32 * by_token(design)
    pulls = design.batch_size * (design.rollouts + feedback.depth(design))
    options = min(design.rounds * design.batch_size * design.rollouts, world.vocabulary) if table else 0
    return tokens * (each * pulls + 72 * options + 48)


class _Lockstep:
    """Some replicates, from the first round to the last."""

    def __init__(
        self, world: SequenceWorld, design: Design, factor: float, root_seed: int, seeds_R: Ints
    ) -> None:
        self.world, self.design, self.root_seed = world, design, root_seed
        kind = Table if world.geometry == "table" else Direction
        self.policy: Direction | Table = kind(world, design, seeds_R)
        self.start = self.policy.measure()
        self.pair = None
        if design.reward == "yoked":
            self.pair = _Lockstep(world, design.treatment, factor, root_seed, seeds_R)
        self.purpose = int(own_purpose(Purpose.SAMPLE, design.reward))
        self.feedback = feedback.Feedback(design, len(seeds_R), factor=factor)
        self.reward = reward_map(design, world.base())
        self.learner = TableLearner.from_design(design, world.base()) if has_table(design) else None

    def run(self, eval_E: Ints, seen: tuple[Floats, Floats, Floats], trace: Trace, rows: slice) -> None:
        """All rounds; fills the rows of Pass@1, entropy and KL at evaluations, (R, E), and of the trace."""
        e, counts_2RT = 0, np.zeros((2, len(self.policy.norm_R), self.design.rounds), np.int32)
        for t in range(self.design.rounds + 1):
            if t > 0:
                if self.learner is not None:
                    counts_2RT[:, :, t - 1] = self._round_by_table(t, self.learner)
                else:
                    rewards_RBG, signals_RBG, correct_RBG = self._round(t)
                    trace.record(t, rewards_RBG, signals_RBG, correct_RBG.sum(axis=2), rows=rows)
                trace.update_norm_RT[rows, t - 1] = self.policy.norm_R
            if e < len(eval_E) and eval_E[e] == t:
                for out_RE, value_R in zip(seen, self._measure(), strict=True):
                    out_RE[rows, e] = value_R
                e += 1
        if self.learner is not None:
            kept = trace.correct_RTB.shape[2] > 0
            made = Trace.of_counts(self.design, self.learner, *counts_2RT, keep_groups=kept)
            for name, values in vars(made).items():
                if name != "update_norm_RT":
                    getattr(trace, name)[rows] = values

    def _round_by_table(self, t: int, learner: TableLearner) -> tuple[Ints, Ints]:
        """One round of one group of two-valued rewards: its high rewards and right answers, each (R,)."""
        tokens, right_RM, high_RM = self.policy.draw(
            self.root_seed, self.purpose, t, 0, self.reward, self.design.rollouts
        )
        counts_R = high_RM.sum(axis=1)
        of_R2 = learner.signals_S2()[counts_R]
        self._learn(t, tokens, np.where(high_RM, of_R2[:, 1:], of_R2[:, :1])[:, None, :])
        return counts_R, (right_RM == self.world.length()).sum(axis=1)

    def _round(self, t: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """One round: rewards, signals and right answers, (R, B, G)."""
        B, G = self.design.batch_size, self.design.rollouts
        tokens, correct_RBG, rewards_RBG = self._draw(t, 0, G)
        if self.pair is not None:
            rewards_RBG, signals_RBG = deal(*self.pair._round(t)[:2])
        else:
            baseline_RBM, extra = None, feedback.baseline_rollouts(self.design)
            if extra:
                baseline_RBM = self._draw(t, B * G, extra)[2]
            signals_RBG = self.feedback.signals(rewards_RBG, baseline_RBM)
        self._learn(t, tokens, signals_RBG)
        return rewards_RBG, signals_RBG, correct_RBG

    def _draw(self, t: int, first: int, per_group: int) -> tuple[Any, NDArray[np.bool_], Floats]:
        """Tokens as the policy keeps them; right answers and rewards (R, B, rollouts of a group)."""
        B, T = self.design.batch_size, self.world.length()
        tokens, right_RM, high_RM = self.policy.draw(
            self.root_seed, self.purpose, t, first, self.reward, B * per_group
        )
        low, high = self.reward[:2]
        rewards_RM = right_RM / T if self.reward.graded else np.where(high_RM, high, low)
        groups = (len(right_RM), B, per_group)
        return tokens, (right_RM == T).reshape(groups), rewards_RM.reshape(groups)

    def _learn(self, t: int, tokens: Any, signals_RBG: Floats) -> None:
        """The round's updates."""
        design, T = self.design, self.world.length()
        R, M = len(signals_RBG), signals_RBG.shape[1] * signals_RBG.shape[2]
        signals_RM1 = np.ascontiguousarray(signals_RBG.reshape(R, M, 1))
        penalised = design.kl_coef > 0.0
        loud_RM = np.full((R, M), True) if penalised else signals_RM1[..., 0] != 0.0
        tokens = self.policy.named(tokens, loud_RM)
        start_RMT = self.policy.log_probabilities(tokens, start=True) if penalised else None
        old_RMT = lead_RMT = gap_RMT = None
        for update in range(design.updates_per_round):
            weight_RMW = signals_RM1
            if by_token(design):
                now_RMT = self.policy.log_probabilities(tokens)
                lead_RMT = None if old_RMT is None else now_RMT - old_RMT
                old_RMT = now_RMT if old_RMT is None else old_RMT
                gap_RMT = None if start_RMT is None else reference_gap(start_RMT, now_RMT)
                signals_RMT = np.ascontiguousarray(np.broadcast_to(signals_RM1, (R, M, T)))
                with np.errstate(over="ignore", invalid="ignore"):  # an error below
                    weight_RMW = np.ascontiguousarray(weights(design, signals_RMT, lead_RMT, gap_RMT))
            number = (t - 1) * design.updates_per_round + update + 1
            self.policy.step(tokens, weight_RMW, number, first=update == 0)
        if not self.policy.finite():
            raise InputError(
                f"learning_rate: parameters left the range of double precision in round {t}, got "
                f"learning_rate = {design.learning_rate:g}, kl_coef = {design.kl_coef:g}"
            )

    def _measure(self) -> tuple[Floats, Floats, Floats]:
        """Exact Pass@1, entropy and KL(policy || initial policy) of responses, nats, each (R,)."""
        log_q_RT, entropy_RT, kl_RT = self.policy.measure()
        reached_RT = np.ones_like(log_q_RT)
        if self.world.prefixes == "tree":
            reached_RT[:, 1:] = np.exp(np.cumsum(log_q_RT, axis=1))[:, :-1]
        # what a tree's response does not reach on the right path it draws from nodes that never moved
        entropy_R = (reached_RT * entropy_RT + (1.0 - reached_RT) * self.start[1]).sum(axis=1)
        return np.exp(log_q_RT.sum(axis=1)), entropy_R, (reached_RT * kl_RT).sum(axis=1)


def has_table(design: Design) -> bool:
    """Whether the count of high rewards in a round's one group decides all signals."""
    return (
        design.batch_size == 1
        and not by_token(design)
        and design.reward != "yoked"
        and not reward_map(design).graded
        and feedback.baseline_rollouts(design) == 0
        and feedback.depth(design) == 0
    )


def by_token(design: Design) -> bool:
    """Whether weights differ between the tokens of a response."""
    return design.kl_coef > 0.0 or design.updates_per_round > 1
