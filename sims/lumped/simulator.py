"""The exact softmax bandit, up to 1e12 arms a class at the price of those that were reinforced (theory §1).

Not an approximation. Arms of one class start with equal logits and have equal reward laws; until an arm
itself receives a non-zero signal its gradient -mean(s) pi_b is that of every such arm of its class, under SGD
and under Adam(W), whose moments are per coordinate. So those arms share one slot: a logit, moments, a count.

Which arm a pull met matters only if the pull carries a signal, and signals are known only after the whole
group is drawn. This is still exact: within a class rewards are independent of *which* arm was pulled, and
signals are functions of the round's rewards, so given slots, rewards and signals the arms are independent and
uniform on their lumps, pull by pull. The kernel therefore draws slots and rewards of all G pulls from the
round's policy first, then names the arms of the pulls with a signal only. A lump of n arms at the start of
the round, j of which have been named since, repeats one of those j with probability j/n and otherwise gives
up a new arm with a copy of its state. An arm pulled without a signal stays exchangeable with its class.

Weights are unnormalised probabilities: a step d of a logit multiplies a weight by e^d. Double precision
throughout; a weight below about e^-650 of the total counts as zero (its arm could never be drawn).
State and time per round grow with (classes) + (arms ever reinforced), never with the number of arms.

Learning signals arrive as a table (`sims.learner`). Replicates run one after another in one state, so memory
does not grow with their number and a replicate cannot depend on its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError
from banditrft.streams import Purpose
from banditrft.worlds import LumpedWorld
from sims.learner import TableLearner
from sims.lumped.kernel import Course, LumpedPaths, Rule, run_replicates
from sims.lumped.slots import PULLS_AHEAD, Classes, Pulls, allocate, allocate_gradients
from sims.trace import check_rising

NO_TARGET = 2.0


@dataclass(frozen=True)
class Bandit:
    """Classes of interchangeable arms.

    Attributes:
        arms_C: Arms in each class, whole numbers from 1 to 2**53.
        mass_C: Initial probability of each class; sums to 1.
        reward_C: P(correct) of a pull, in [0, 1]; 0 and 1 are deterministic.
        grade_C: Reward of a pull under ``reward = "graded"``, in [0, 1]; NaN is the outcome, 1 or 0.
        shared: Strength, at least 0, of the parameter phi_c that all arms of a class share: a logit is
            theta_b + shared phi_c, and phi_c starts at 0.
        level: Log of the sum of e^theta_b over all arms before the first round; 0 where logits are
            log-probabilities. No policy depends on it, but AdamW's decay is towards logits of 0.
    """

    arms_C: NDArray[np.float64]
    mass_C: NDArray[np.float64]
    reward_C: NDArray[np.float64]
    grade_C: NDArray[np.float64] | None = None
    shared: float = 0.0
    level: float = 0.0

    def __post_init__(self) -> None:
        arms, mass, reward = self.arms_C, self.mass_C, self.reward_C
        if not (arms.ndim == 1 and arms.shape == mass.shape == reward.shape and len(arms) > 0):
            raise InputError("classes: arms, mass and reward must be equally long and not empty")
        if not ((arms >= 1) & (arms <= 2.0**53) & (arms == np.floor(arms))).all():
            raise InputError(f"arms: must be whole numbers of at least 1, got {arms.tolist()}")
        if not ((mass > 0) & (mass <= 1)).all() or abs(mass.sum() - 1) > 1e-9:
            raise InputError(f"mass: must be positive and sum to 1, got {mass.tolist()}")
        if not ((reward >= 0) & (reward <= 1)).all():
            raise InputError(f"reward: must lie in [0, 1], got {reward.tolist()}")
        grade = self.grade_C
        if grade is not None and (grade.shape != arms.shape or ((grade < 0) | (grade > 1)).any()):
            raise InputError(f"grade: must be one per class and lie in [0, 1], got {grade.tolist()}")
        if not 0 <= self.shared < np.inf:
            raise InputError(f"shared: must be at least 0 and finite, got {self.shared}")

    @classmethod
    def of(cls, arms: Sequence[float], mass: Sequence[float], reward: Sequence[float]) -> Self:
        """From plain sequences, one entry per class."""
        return cls(np.asarray(arms, float), np.asarray(mass, float), np.asarray(reward, float))

    @classmethod
    def from_world(cls, world: LumpedWorld) -> Self:
        """From a study's world."""
        arms_C = np.array([c.arms for c in world.classes], float)
        logits_C = np.array(world.initial_logits()) + np.log(arms_C)
        mass_C = np.exp(logits_C - logits_C.max())
        grade_C = np.array([np.nan if c.grade is None else c.grade for c in world.classes])
        return cls(
            arms_C,
            mass_C / mass_C.sum(),
            np.array([c.reward for c in world.classes], float),
            None if np.isnan(grade_C).all() else grade_C,
            world.shared,
            0.0 if world.classes[0].logit is None else float(np.logaddexp.reduce(logits_C)),
        )

    @property
    def base_pass_at_1(self) -> float:
        """Success probability before the first round."""
        return float(self.mass_C @ self.reward_C)


def simulate(
    bandit: Bandit,
    learner: TableLearner,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    rounds: int,
    eval_rounds: Sequence[int] | NDArray[np.int64] = (),
    target: float | None = None,
    dealt_RT: NDArray[np.int32] | None = None,
) -> LumpedPaths:
    """Run one replicate per seed on one core.

    Args:
        bandit: The arms.
        learner: Signals, optimiser, step.
        root_seed: First part of the key of every random number, in [0, 2**63).
        seeds: One per replicate; a replicate depends on its own seed alone.
        rounds: Rounds T, at least 0.
        eval_rounds: Rising rounds in 0..T after which p is recorded.
        target: Pass@1 in (0, 1] whose first passage is timed.
        dealt_RT: Number of high rewards of each round, whatever is answered: those of the run that a yoked
            placebo is paired with. Pulls are then drawn from other numbers. None where rewards are earned.

    Raises:
        InputError: An argument is outside its range.
    """
    seeds_R, eval_E = np.asarray(seeds, np.int64), np.asarray(eval_rounds, np.int64)
    if not 0 <= rounds < 2**31 or root_seed < 0 or (seeds_R < 0).any():
        raise InputError(f"rounds, root_seed, seeds: must be at least 0, got rounds = {rounds}")
    check_rising("eval_rounds", eval_E, rounds)
    if target is not None and not 0 < target <= 1:
        raise InputError(f"target: must lie in (0, 1], got {target}")
    R, C, G = len(seeds_R), len(bandit.arms_C), learner.G
    reachable = min(float(rounds) * G, bandit.arms_C.sum())
    table_S2, mean_S = learner.signals_S2(), learner.moments_S()[0]
    push_S2 = np.exp(table_S2 * (learner.learning_rate / G)) if not learner.adam else np.ones_like(table_S2)
    pulls = Pulls(
        u_P4=np.empty((max(1, PULLS_AHEAD // G) * G, 4)),
        slot_G=np.zeros(G, np.int64),
        high_G=np.zeros(G, np.int64),
        born_G=np.zeros(G, np.int64),
        parent_G=np.zeros(G, np.int64),
        gone_C=np.zeros(C, np.int64),
    )
    high_RT = np.empty((R, rounds), np.int32)
    chances = learner.reward.p_high_if_wrong, learner.reward.p_high_if_right
    hidden = chances != (0.0, 1.0) or dealt_RT is not None
    paths = LumpedPaths(
        p_RE=np.empty((R, len(eval_E))),
        entropy_RE=np.empty((R, len(eval_E))),
        kl_RE=np.empty((R, len(eval_E))),
        high_RT=high_RT,
        correct_RT=np.empty((R, rounds), np.int32) if hidden else high_RT,
        hit_R=np.empty(R, np.int64),
        slots_R=np.empty(R, np.int64),
    )
    course = Course(
        root_seed,
        seeds_R,
        rounds,
        int(Purpose.SAMPLE if dealt_RT is None else Purpose.YOKED_SAMPLE),
        np.empty((0, 0), np.int32) if dealt_RT is None else dealt_RT,
        NO_TARGET if target is None else target,
        eval_E,
    )
    rule = Rule(
        table_S2,
        mean_S,
        push_S2,
        learner.learning_rate,
        learner.adam,
        learner.betas_eps,
        learner.decay,
        learner.grad_clip or 0.0,
        *chances,
    )
    capacity = C + int(reachable)
    gradients = allocate_gradients(capacity) if learner.adam or learner.clips else None
    classes = Classes(bandit.arms_C, bandit.mass_C / bandit.arms_C, bandit.reward_C)
    run_replicates(course, classes, rule, allocate(capacity), gradients, pulls, paths)
    return paths
