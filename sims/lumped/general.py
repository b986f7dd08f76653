"""The exact softmax bandit under any design: batches, baselines, windows, grades, KL, clips, sharing.

The general path beside `sims.lumped.simulator`'s fast one, and as exact. R replicates advance in lockstep:
compiled loops draw slots and rewards and take the steps, and between them the round is an array (R, B, G) on
which `banditrft.signals` and `banditrft.objective` work as they are, so that nothing needs a table.

Why arms may still be named after their rewards are known (theory §1): a round's rewards depend on slots only,
and so does the log-probability of a pull, since the arms of a lump have one. Hence the signals, penalties and
ratios of all updates of the round are functions of the slots alone. Pulls whose weight is 0 in every update
are not named. With a KL penalty all are named, since the penalty acts on whatever was drawn. A shared
parameter of a class shifts its arms alike, which keeps a lump a lump.

A yoked placebo advances beside its pair, whose rewards and signals it is dealt (`sims.learner.deal`).

Results depend on a replicate's own seed alone: not on how many share the lockstep.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditrft import feedback
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.objective import weights
from banditrft.rewards import reward_map
from banditrft.streams import Purpose, own_purpose
from banditrft.theory.matching import matching_factor
from sims.learner import check_decay, deal, reference_gap
from sims.lumped import arms, steps
from sims.lumped.arms import Floats, Ints
from sims.lumped.simulator import Bandit
from sims.trace import Trace, check_rising

LOCKSTEP_BYTES = 2**25
"""Memory that the slots of the replicates in one lockstep may come to take (one replicate may take more)."""
SLOT_BYTES = 72


@dataclass(frozen=True)
class GeneralPaths:
    """What R replicates did.

    Attributes:
        p_RE: Exact Pass@1 after each evaluation round.
        entropy_RE: Exact entropy of the policy, nats.
        kl_RE: Exact KL(policy || initial policy), nats.
        slots_R: Slots in use at the end: classes plus arms that were ever named.
        trace: The rounds.
    """

    p_RE: Floats
    entropy_RE: Floats
    kl_RE: Floats
    slots_R: Ints
    trace: Trace


def check(design: Design, bandit: Bandit) -> float:
    """Refuse what has no definition here; else the factor of the design's signals (`match_step_size`).

    Raises:
        InputError: Names the field: see `banditrft.feedback.check` and `banditrft.theory.matching`; or AdamW
            takes more than half of a logit in one step.
    """
    feedback.check(design)
    check_decay(design.learning_rate * design.weight_decay)
    if not design.match_step_size:
        return 1.0
    if reward_map(design).graded and bandit.grade_C is not None:
        raise InputError("match_step_size: needs two-valued rewards, got reward = 'graded' with grades")
    return matching_factor(design, bandit.base_pass_at_1)


def simulate(
    bandit: Bandit,
    design: Design,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    eval_rounds: Sequence[int] | NDArray[np.int64] = (),
    keep_groups: bool = True,
    lockstep: int | None = None,
) -> GeneralPaths:
    """Run one replicate per seed on one core.

    Args:
        bandit: The arms.
        design: What the learner does; a batch is ``batch_size`` copies of the one query.
        root_seed: First part of the key of every random number, in [0, 2**63).
        seeds: One per replicate.
        eval_rounds: Rising rounds in 0..T after which the policy is looked at.
        keep_groups: Whether the trace keeps rewards and right answers of every group.
        lockstep: Replicates that advance together; by default as many as memory suggests. Changes no result.

    Raises:
        InputError: See :func:`check`; or logits grew beyond every number.
    """
    seeds_R, eval_E = np.asarray(seeds, np.int64), np.asarray(eval_rounds, np.int64)
    R, E = len(seeds_R), len(eval_E)
    if root_seed < 0 or (seeds_R < 0).any():
        raise InputError("root_seed, seeds: must be at least 0")
    check_rising("eval_rounds", eval_E, design.rounds)
    factor = check(design, bandit)
    paths = GeneralPaths(
        p_RE=np.empty((R, E)),
        entropy_RE=np.empty((R, E)),
        kl_RE=np.empty((R, E)),
        slots_R=np.empty(R, np.int64),
        trace=Trace.empty(R, design.rounds, design.batch_size, keep_groups=keep_groups),
    )
    together = lockstep or _lockstep(bandit, design)
    for start in range(0, R, together):
        rows = slice(start, min(start + together, R))
        _Lockstep(bandit, design, factor, root_seed, seeds_R[rows]).run(eval_E, paths, rows)
    return paths


def _most_slots(bandit: Bandit, design: Design) -> int:
    """Slots of one replicate, should every arm be named that can be."""
    pulls = float(design.rounds) * design.batch_size * design.rollouts
    return len(bandit.arms_C) + int(min(pulls, bandit.arms_C.sum()))


def _lockstep(bandit: Bandit, design: Design) -> int:
    """Replicates whose slots, pulls and windows are sure to fit in LOCKSTEP_BYTES; 1 to 256."""
    rows = _most_slots(bandit, design) + design.batch_size * (design.rollouts + feedback.depth(design))
    return min(256, max(1, LOCKSTEP_BYTES // (SLOT_BYTES * rows)))


class _Lockstep:
    """Some replicates, from the first round to the last."""

    def __init__(self, bandit: Bandit, design: Design, factor: float, root_seed: int, seeds_R: Ints) -> None:
        self.bandit, self.design, self.root_seed, self.seeds_R = bandit, design, root_seed, seeds_R
        R, C, B, G = len(seeds_R), len(bandit.arms_C), design.batch_size, design.rollouts
        self.start_C = np.log(bandit.mass_C) - np.log(bandit.arms_C)
        self.most_slots = _most_slots(bandit, design)
        room = min(C + 4 * B * G, self.most_slots)
        self.state = arms.allocate(self.start_C + bandit.level, bandit.arms_C, R, room)
        self.pair = None
        if design.reward == "yoked":
            self.pair = _Lockstep(bandit, design.treatment, factor, root_seed, seeds_R)
        self.purpose = int(own_purpose(Purpose.SAMPLE, design.reward))
        self.feedback = feedback.Feedback(design, R, factor=factor)
        rewards = reward_map(design, bandit.base_pass_at_1)
        value_C2 = np.tile(np.array(rewards[:2]), (C, 1))
        if rewards.graded and bandit.grade_C is not None:
            given_C1 = np.isnan(bandit.grade_C)[:, None]
            value_C2 = np.where(given_C1, value_C2, bandit.grade_C[:, None])
        chances = rewards.p_high_if_wrong, rewards.p_high_if_right
        self.rewards = arms.Rewards(bandit.reward_C, value_C2, *chances)
        decay = design.learning_rate * design.weight_decay if design.optimizer == "adamw" else 0.0
        self.rule = steps.Rule(
            shared=bandit.shared,
            rate=design.learning_rate,
            adam=design.optimizer != "sgd",
            beta1=design.betas[0],
            beta2=design.betas[1],
            eps=design.adam_eps,
            decay=decay,
            clip=design.grad_clip or 0.0,
        )
        self.scratch_2C, self.gone_C = np.empty((2, C)), np.zeros(C, np.int64)
        self.parent_M = np.empty(B * G, np.int64)
        self.norm_R = np.zeros(R)
        arms.softmax_all(self.state, bandit.shared)

    def run(self, eval_E: Ints, paths: GeneralPaths, rows: slice) -> None:
        """All rounds; fills the rows of the paths."""
        e = 0
        for t in range(self.design.rounds + 1):
            if t > 0:
                rewards_RBG, signals_RBG, correct_RBG = self._round(t)
                paths.trace.record(t, rewards_RBG, signals_RBG, correct_RBG.sum(axis=2), rows=rows)
                paths.trace.update_norm_RT[rows, t - 1] = self.norm_R
            if e < len(eval_E) and eval_E[e] == t:
                seen = [np.empty(len(self.seeds_R)) for _ in range(3)]
                arms.measure(self.state, self.bandit.shared, self.bandit.reward_C, self.start_C, *seen)
                paths.p_RE[rows, e], paths.entropy_RE[rows, e], paths.kl_RE[rows, e] = seen
                e += 1
        paths.slots_R[rows] = self.state.used_R

    def _round(self, t: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """One round: rewards, signals and right answers, (R, B, G)."""
        B, G = self.design.batch_size, self.design.rollouts
        slot_RM, which_RM, correct_RBG, rewards_RBG = self._draw(t, 0, G)
        if self.pair is not None:
            rewards_RBG, signals_RBG = deal(*self.pair._round(t)[:2])
        else:
            baseline_RBM, extra = None, feedback.baseline_rollouts(self.design)
            if extra:
                baseline_RBM = self._draw(t, B * G, extra)[3]
            signals_RBG = self.feedback.signals(rewards_RBG, baseline_RBM)
        self._learn(t, slot_RM, which_RM, signals_RBG)
        return rewards_RBG, signals_RBG, correct_RBG

    def _draw(self, t: int, first: int, per_group: int) -> tuple[Ints, Floats, NDArray[np.bool_], Floats]:
        """Slots and naming numbers (R, M); right answers and rewards (R, B, rollouts of a group)."""
        R, B = len(self.seeds_R), self.design.batch_size
        shape = (R, B * per_group)
        slot_RM, which_RM = np.empty(shape, np.int64), np.empty(shape)
        correct_RM, rewards_RM = np.empty(shape, np.bool_), np.empty(shape)
        arms.draw(
            self.state,
            np.empty(self.state.n_RS.shape[1]),
            arms.Address(self.root_seed, self.purpose, self.seeds_R, t, first),
            self.rewards,
            arms.Pulls(slot_RM, which_RM, correct_RM, rewards_RM),
        )
        groups = (R, B, per_group)
        return slot_RM, which_RM, correct_RM.reshape(groups), rewards_RM.reshape(groups)

    def _learn(self, t: int, slot_RM: Ints, which_RM: Floats, signals_RBG: Floats) -> None:
        """Name the arms of pulls that move a logit, then take the round's updates."""
        design, state = self.design, self.state
        signals_RM = signals_RBG.reshape(slot_RM.shape)
        penalised = design.kl_coef > 0.0
        named_RM = np.full(slot_RM.shape, True) if penalised else signals_RM != 0.0
        room = min(int(state.used_R.max()) + slot_RM.shape[1], self.most_slots)
        self.state = state = arms.with_room(state, room)
        arms.name_arms(state, len(self.start_C), slot_RM, which_RM, named_RM, self.gone_C, self.parent_M)
        initial_RM = None
        if penalised:
            initial_RM = self.start_C[state.class_RS[np.arange(len(slot_RM))[:, None], slot_RM]]
        old_RM = lead_RM = gap_RM = None
        for update in range(design.updates_per_round):
            if penalised or design.updates_per_round > 1:
                now_RM = self._log_probabilities(slot_RM)
                lead_RM = None if old_RM is None else now_RM - old_RM
                gap_RM = None if initial_RM is None else reference_gap(initial_RM, now_RM)
                old_RM = now_RM if old_RM is None else old_RM
            with np.errstate(over="ignore", invalid="ignore"):  # refused below
                weight_RM = np.ascontiguousarray(weights(design, signals_RM, lead_RM, gap_RM))
            number = (t - 1) * design.updates_per_round + update + 1
            steps.step_all(
                state, slot_RM, weight_RM, number, update == 0, self.rule, self.scratch_2C, self.norm_R
            )
        if not (np.isfinite(state.log_Z_R).all() and np.isfinite(self.norm_R).all()):
            raise InputError(
                f"learning_rate: logits left the range of double precision in round {t}, got learning_rate = "
                f"{design.learning_rate:g}, kl_coef = {design.kl_coef:g}, shared = {self.bandit.shared:g}"
            )

    def _log_probabilities(self, slot_RM: Ints) -> Floats:
        """Log-probability of each named arm under the present policy."""
        out_RM = np.empty(slot_RM.shape)
        arms.log_probabilities(self.state, self.bandit.shared, slot_RM, out_RM)
        return out_RM
