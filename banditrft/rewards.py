"""Reward maps: what a right and a wrong response are worth to the learner.

A reward map sits between the grader (was the response correct?) and the learning signal (how strongly is it
reinforced?). It never changes what is *measured*: Pass@1 always counts correctness. `MAPS` is the only place
where one is defined; the design's checks, the simulators, the closed forms and the learner of a language
model read it. A new map needs its name in `banditrft.design` and one entry here.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from banditrft.design import Design

Chance = Any
"""A probability: one number, or an array of them, one per query."""


class RewardMap(NamedTuple):
    """A response is given the high reward with a probability that may depend on whether it is right.

    The maps {0,1} and {-1,0} have the same mean update and different noise (theory §5).
    """

    low: float
    high: float
    p_high_if_wrong: Chance = 0.0
    """In [0, 1]; NaN where it is the base Pass@1, which is not known."""
    p_high_if_right: Chance = 1.0
    """Likewise."""
    graded: bool = False
    """Whether partial credit takes the place of the draw: a grade in [0, 1] between low and high."""

    def p_high(self, pass_at_1: float) -> float:
        """Probability of the high reward at a Pass@1 in [0, 1]."""
        if self.p_high_if_wrong == self.p_high_if_right:
            return float(self.p_high_if_right)
        return float(pass_at_1 * self.p_high_if_right + (1.0 - pass_at_1) * self.p_high_if_wrong)


def _noisy(design: Design, _base: Chance) -> RewardMap:
    return RewardMap(0.0, 1.0, design.false_positive, 1.0 - design.false_negative)


def _random(design: Design, base: Chance) -> RewardMap:
    rate = base if design.rate == "base" else design.rate
    return RewardMap(0.0, 1.0, rate, rate)


MAPS: dict[str, RewardMap | Callable[[Design, Chance], RewardMap]] = {
    "zero-one": RewardMap(0.0, 1.0),
    "minus-one-zero": RewardMap(-1.0, 0.0),
    "minus-one-one": RewardMap(-1.0, 1.0),
    "graded": RewardMap(0.0, 1.0, graded=True),
    "noisy": _noisy,
    "random": _random,
}
"""Every map by its name in a study file; a function where it depends on the design or the base Pass@1. Of the
yoked placebo, which is dealt the rewards of another run, the map is that of its pair."""


def reward_map(design: Design, base: Chance = math.nan) -> RewardMap:
    """The reward map of a design; of a yoked placebo that of its pair.

    Args:
        design: Names the map and its noise.
        base: Base Pass@1 of the training query, or an array of them: the rate of the random placebo unless
            the design fixes one.
    """
    found = MAPS[design.treatment.reward]
    return found if isinstance(found, RewardMap) else found(design.treatment, base)


def honest() -> dict[str, RewardMap]:
    """The maps whose reward takes two values and says whether the response is right, by name."""
    fixed = {name: found for name, found in MAPS.items() if isinstance(found, RewardMap)}
    return {name: found for name, found in fixed.items() if found == RewardMap(found.low, found.high)}


def two_valued() -> tuple[str, ...]:
    """Names of the maps whose reward takes two values: all but partial credit."""
    return tuple(name for name, found in MAPS.items() if not (isinstance(found, RewardMap) and found.graded))


def is_honest(design: Design) -> bool:
    """Whether the rewards that a design (a yoked placebo's pair) earns say which responses are right."""
    return design.treatment.reward in honest()
