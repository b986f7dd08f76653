"""What the compiled kernels need to know of a design: signals, a step, how rewards follow answers.

Signals come from `banditrft.signals.table` (through `banditrft.theory.matching`), so that the simulator never
defines one of its own.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import RewardMap, reward_map
from banditrft.theory.matching import design_table

LARGEST_STEP = 100.0
"""Largest change of one logit in one round, in nats, that the simulator's weights can follow."""
LARGEST_DECAY = 0.5
"""Largest learning_rate x weight_decay: far above any in use, in reach of `sims.compiled.exponential`."""
ROUNDING = 1e-14
AGREED = 1e-13
"""A log-probability within this share of its reference is the reference: rounding is no gap to close."""
HONEST = RewardMap(0.0, 1.0)


def check_decay(decay: float) -> None:
    """Refuse a learning_rate x weight_decay out of range.

    Raises:
        InputError: Names the field.
    """
    if not 0 <= decay <= LARGEST_DECAY:
        raise InputError(
            f"weight_decay: times learning_rate must lie in [0, {LARGEST_DECAY:g}], got {decay:g}"
        )


@dataclass(frozen=True)
class TableLearner:
    """A learner of two-valued rewards, whose signals are a table.

    Attributes:
        table_S2: Signal of a rollout with the low (column 0) or high (column 1) reward by the number of high
            rewards in its group, (G + 1, 2).
        learning_rate: Step size, eta.
        optimizer: "sgd", "adam" or "adamw" (torch semantics).
        betas: Adam's decay rates.
        adam_eps: Adam's eps.
        reward: Probabilities of the high reward for a wrong and a right answer; its values are in the table.
        weight_decay: Decoupled weight decay of "adamw".
        grad_clip: Largest norm of the gradient over all arms (weights); None is no limit.
    """

    table_S2: NDArray[np.float64]
    learning_rate: float
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    betas: tuple[float, float] = (0.9, 0.999)
    adam_eps: float = 1e-8
    reward: RewardMap = HONEST
    weight_decay: float = 0.0
    grad_clip: float | None = None

    def __post_init__(self) -> None:
        if self.table_S2.ndim != 2 or self.table_S2.shape[0] < 2 or self.table_S2.shape[1] != 2:
            raise InputError(f"table: must be (G + 1, 2) with G >= 1, got shape {self.table_S2.shape}")
        if not np.isfinite(self.table_S2).all():
            raise InputError("table: signals must be finite")
        if not 0 < self.learning_rate < np.inf:
            raise InputError(f"learning_rate: must be positive and finite, got {self.learning_rate}")
        for name in ("p_high_if_wrong", "p_high_if_right"):
            if not 0 <= getattr(self.reward, name) <= 1:
                raise InputError(f"{name}: must lie in [0, 1], got {getattr(self.reward, name)}")
        if self.grad_clip is not None and not 0 < self.grad_clip < np.inf:
            raise InputError(f"grad_clip: must be positive and finite, got {self.grad_clip}")
        check_decay(self.decay)
        if self.adam and not self.adam_eps > 0:
            raise InputError(
                "adam_eps: must be positive in a simulated world, where an arm may have no gradient at all "
                f"and its step would be 0/0; got {self.adam_eps}"
            )
        if self.largest_step() > LARGEST_STEP:
            raise InputError(
                f"learning_rate: one round must change no logit by more than {LARGEST_STEP:g} nats, "
                f"got up to {self.largest_step():.4g} at learning_rate = {self.learning_rate:g}"
            )

    @classmethod
    def from_design(cls, design: Design, base: float) -> Self:
        """The learner of a design.

        Args:
            design: One that `banditrft.worlds.check_supported` lets a simulated world run.
            base: Base Pass@1, the placebo's default rate and where a matched step equals raw's.

        Raises:
            InputError: The step is larger than the simulator's weights can follow, adam_eps is 0, or there is
                no drift to match.
        """
        return cls(
            table_S2=design_table(design, base),
            learning_rate=design.learning_rate,
            optimizer=design.optimizer,
            betas=design.betas,
            adam_eps=design.adam_eps,
            reward=reward_map(design, base),
            weight_decay=design.weight_decay,
            grad_clip=design.grad_clip,
        )

    @property
    def adam(self) -> bool:
        """Whether gradients pass through Adam."""
        return self.optimizer != "sgd"

    @property
    def clips(self) -> bool:
        """Whether the gradient's norm is limited."""
        return self.grad_clip is not None

    @property
    def decay(self) -> float:
        """Share of every logit (weight) that one step of AdamW takes away."""
        return self.learning_rate * self.weight_decay if self.optimizer == "adamw" else 0.0

    @property
    def G(self) -> int:
        """Rollouts in a round."""
        return len(self.table_S2) - 1

    def signals_S2(self) -> NDArray[np.float64]:
        """The table, with rounding residue (a deviation from the mean that should be 0) set to 0."""
        scale = np.abs(self.table_S2).max()
        return np.where(np.abs(self.table_S2) <= ROUNDING * scale, 0.0, self.table_S2)

    def moments_S(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and (population) variance of a group's signals by its number of high rewards, (G + 1,)."""
        table_S2, G = self.signals_S2(), self.G
        high_S = np.arange(G + 1)
        mean_S = (high_S * table_S2[:, 1] + (G - high_S) * table_S2[:, 0]) / G
        mean_S[np.abs(mean_S) <= ROUNDING * np.abs(table_S2).max()] = 0.0
        square_S = (high_S * table_S2[:, 1] ** 2 + (G - high_S) * table_S2[:, 0] ** 2) / G
        return mean_S, np.maximum(square_S - mean_S**2, 0.0)

    def largest_step(self) -> float:
        """A bound on the change of one logit in one round, in nats.

        Under Adam by Cauchy-Schwarz: |m_hat|/sqrt(v_hat) is at most that of gradients proportional to
        (beta1/beta2)^age, over as many rounds as it takes to converge.
        """
        if not self.adam:
            return float(self.learning_rate * np.abs(self.table_S2).max())
        return self.learning_rate * _largest_normed(*self.betas)

    @property
    def betas_eps(self) -> NDArray[np.float64]:
        """beta1, beta2, eps as one array."""
        return np.array([*self.betas, self.adam_eps])


@cache
def _largest_normed(b1: float, b2: float) -> float:
    """A bound on |m_hat|/sqrt(v_hat) under Adam's decay rates."""
    if b1 > 0 and b1 * b1 >= b2:
        raise InputError(f"betas: beta1^2 must be below beta2, or steps have no bound; got {(b1, b2)}")
    t = np.arange(1, 10_001)
    ratio = b1 * b1 / b2 if b1 > 0 else 0.0
    squares = (1 - ratio**t) / (1 - ratio)
    bound = (1 - b1) / (1 - b1**t) * np.sqrt((1 - b2**t) / (1 - b2) * squares)
    return float(bound.max())


def reward_sums(design: Design, high: NDArray[np.int32]) -> NDArray[np.float64]:
    """Sum of the rewards the learner saw, by the number of high ones in groups of ``design.rollouts``."""
    low_value, high_value = reward_map(design)[:2]
    return high * high_value + (design.rollouts - high) * low_value


def deal(
    rewards_RBG: NDArray[np.float64], signals_RBG: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rewards and signals of the pair's groups as a yoked placebo's groups are given them: the highest first.

    That deals them out at random. The placebo's answers in a group are drawn from one policy by numbers of
    their own, so they are exchangeable whatever the pair was given, and any order that does not look at them
    has the law of a uniformly random one.
    """
    order_RBG = np.argsort(-rewards_RBG, axis=-1, kind="stable")
    return np.take_along_axis(rewards_RBG, order_RBG, -1), np.take_along_axis(signals_RBG, order_RBG, -1)


def reference_gap(reference: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log pi_ref - log pi of each pull or token, exactly 0 where the two agree to rounding.

    A gap of 1e-16 is nothing to SGD, but Adam would follow it at full speed, and a penalty that overshoots
    would then move a policy that has learned nothing.
    """
    gap = reference - now
    return np.where(np.abs(gap) <= AGREED * np.maximum(np.abs(reference), 1.0), 0.0, gap)
