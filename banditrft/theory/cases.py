"""A design in a world that closed forms cover: its start, its parameters, its chain if any."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from banditrft.design import PLACEBOS, Design
from banditrft.errors import InputError
from banditrft.rewards import is_honest, reward_map, two_valued
from banditrft.theory import domain
from banditrft.theory.adam import OPTIMIZERS, arm_moments
from banditrft.theory.contextual import gain_factors, query_coordinates
from banditrft.theory.coordinates import Coordinates, decay
from banditrft.theory.groups import GroupLaw
from banditrft.theory.laws import require, silent_failures
from banditrft.theory.moments import ClassMoments, Floats
from banditrft.theory.negative import trap_ratio
from banditrft.theory.tabulated import TabulatedLaw
from banditrft.worlds import ContextualWorld


@dataclass(frozen=True)
class Case:
    """One design, one world.

    Attributes:
        design: The design.
        p0: Base Pass@1.
        coordinates: The parameters that move, and the law of the rounds.
        one_direction: Whether the log-odds alone are a Markov chain under SGD (theory §2).
        shared: Whether all parameters are shared, so that nothing is lost in a large action space.
    """

    design: Design
    p0: float
    coordinates: Coordinates
    one_direction: bool
    shared: bool
    sized: Callable[[float], Coordinates] | None = None
    """The parameters of a query whose gain is a multiple of the mean one, where queries differ."""
    factors: tuple[Floats, Floats] | None = None
    """Law of that multiple: values and weights."""
    several: bool = False
    """Whether there are several right arms, which part company in a run."""
    trap: float = 0.0
    """Trap ratio over the rollouts of a round where wrong arms are punished under SGD (theory §5), else 0."""
    misled: float = 0.0
    """Rewards of a wrong answer per reward of a right one: several wrong arms, raw noisy rewards; else 0."""
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What has been computed for this case already, by name: comparisons ask for one case several times."""

    def __post_init__(self) -> None:
        if not decay(self.design) < 1.0:
            raise InputError(
                "weight_decay: times learning_rate must be below 1, or a step takes every logit away, got "
                f"{self.design.weight_decay!r} x {self.design.learning_rate!r}"
            )
        with np.errstate(over="ignore"):  # an infinite pull is refused
            pull = max(self.coordinates.gain(), float(np.abs(self.coordinates.slope_C).sum()))
        most = self.design.learning_rate * pull
        if not most <= MOST_STEP:
            raise InputError(
                f"learning_rate: times {pull:.3g}, log-odds per unit of step here, must be at most "
                f"{MOST_STEP:g}, got {self.design.learning_rate!r}"
            )

    @property
    def step(self) -> float:
        """Log-odds per unit of SGD's multiplier, learning rate included."""
        return self.design.learning_rate * self.coordinates.gain()

    @property
    def chain(self) -> GroupLaw | None:
        """The law of the chain that climbs (theory §2), where there is one."""
        law = self.coordinates.law
        law = law.law if isinstance(law, TabulatedLaw) else law
        if not (self.one_direction and self.design.optimizer == "sgd" and isinstance(law, GroupLaw)):
            return None
        plain = law.honest and law.copies == 1 and law.penalty is None
        return law if plain and self.design.kl_coef == 0.0 and climbs(law) else None

    @property
    def ladder(self) -> bool:
        """Whether the exact ladder of theory §2 applies: one raw {0,1} rollout under SGD."""
        d = self.design
        single = d.rollouts * d.batch_size == 1 and d.optimizer == "sgd"
        return (
            self.one_direction
            and single
            and silent_failures(d)
            and reward_map(d).high == 1.0
            and d.kl_coef == 0.0
        )

    @property
    def first(self) -> ClassMoments:
        """Moments of the first update."""
        return ClassMoments.at(self.coordinates.law.moments(domain.log_odds(self.p0)))


MOST_PENALTY = 1e6
"""Largest kl_coef: the fourth power of its products with signals must stay a number."""
MOST_STEP = 1e6
"""Log-odds that a step may span: at any such the first lesson decides all."""

Setting = Callable[[Design], Case]
"""A world as a function of the design that learns in it."""


def climbs(law: GroupLaw) -> bool:
    """Whether no round of honest rewards can lower the log-odds: u is linear in p, so look at the ends."""
    return all(float(law.multiplier(end).min()) >= -1e-12 for end in (-700.0, 700.0))


def check_design(design: Design) -> None:
    """Refuse what no closed form covers, by field.

    Raises:
        InputError: Names the design's field.
    """
    require(design, "optimizer", OPTIMIZERS)
    if design.reward == "random":
        raise InputError(
            "reward: a placebo has no drift, so no target is reached in expectation while its runs wander; "
            "the closed forms give its noise alone, got 'random'"
        )
    if design.reward == "yoked":
        raise InputError(
            "reward: a yoked placebo has no closed form, since its rewards are those of another run; "
            "simulate it, got 'yoked'"
        )
    require(design, "reward", tuple(name for name in two_valued() if name not in PLACEBOS))
    if design.kl_coef > MOST_PENALTY:
        raise InputError(f"kl_coef: the closed forms cover up to {MOST_PENALTY:g}, got {design.kl_coef!r}")
    require(design, "updates_per_round", (1,))
    require(design, "grad_clip", (None,))


def tabular(p0: float, num_arms: int, num_correct: int = 1, shared: float = 0.0) -> Setting:
    """The tabular bandit of one class of right and one of wrong arms, B copies of its query a round.

    Args:
        p0: Base Pass@1, in (0, 1).
        num_arms: K, above ``num_correct``.
        num_correct: m, at least 1.
        shared: kappa, strength of the parameter that each class shares, 0 or more.

    Raises:
        InputError: An argument is outside its domain.
    """
    domain.open_unit("p0", p0)
    m, _ = domain.arms(num_arms, num_correct)

    def case(design: Design) -> Case:
        check_design(design)
        coordinates = arm_moments(design, p0=p0, num_arms=num_arms, num_correct=num_correct, shared=shared)
        rewards = reward_map(design)
        one_direction = m == 1 and (silent_failures(design) or num_arms == 2) and decay(design) == 0.0
        punished = rewards.low < 0.0 and design.signal == "raw"
        trap = 0.0
        if punished and design.optimizer == "sgd" and num_arms - num_correct > 1 and not shared:
            trap = trap_ratio(p0, design.learning_rate, num_arms, num_correct)
            trap /= design.rollouts * design.batch_size
        misled = 0.0
        if design.signal == "raw" and not is_honest(design) and num_arms - num_correct > 1:
            right = rewards.p_high_if_right
            misled = rewards.p_high_if_wrong / right if right else math.inf
        return Case(design, p0, coordinates, one_direction, False, several=m > 1, trap=trap, misled=misled)

    return case


def contextual(world: ContextualWorld) -> Setting:
    """The contextual world's one training query, B copies of it a round.

    Raises:
        InputError: The world has a pool of queries or settings that closed forms do not cover.
    """
    p0 = single_base(world)

    def case(design: Design) -> Case:
        check_design(design)

        def sized(factor: float) -> Coordinates:
            return query_coordinates(design, world, factor)

        factors = gain_factors(world, design.optimizer)
        return Case(design, p0, sized(1.0), decay(design) == 0.0, True, sized, factors)

    return case


def has_single_query(world: ContextualWorld) -> bool:
    """Whether each seed trains on one query, and all seeds' have one base Pass@1: section 6's world."""
    return (
        world.train_items == 1
        and isinstance(world.base_pass_at_1, float)
        and not (world.offset_spread or world.arm_noise)
    )


def single_base(world: ContextualWorld) -> float:
    """Base Pass@1 of the world's only training query.

    Raises:
        InputError: There is a pool, a range of bases, or noise that closed forms leave out.
    """
    plain = {"train_items": 1, "arm_noise": 0.0, "offset_spread": 0.0, "features": None, "draw": None}
    for name, value in plain.items():
        given = getattr(world, name, value)
        if given != value:
            raise InputError(f"{name}: the closed forms cover {value!r}, got {given!r}")
    base = world.base_pass_at_1
    if not isinstance(base, float):
        raise InputError(f"base_pass_at_1: the closed forms cover one number, got {base!r}")
    return base
