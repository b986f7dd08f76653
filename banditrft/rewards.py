"""Reward maps: what a right and a wrong response are worth to the learner.

A reward map sits between the grader (was the response correct?) and the learning signal (how strongly is it
reinforced?). It never changes what is *measured*: Pass@1 always counts correctness.
"""

from banditrft.design import Design

VALUES: dict[str, tuple[float, float]] = {
    "zero-one": (0.0, 1.0),
    "graded": (0.0, 1.0),
    "noisy": (0.0, 1.0),
    "random": (0.0, 1.0),
    "minus-one-zero": (-1.0, 0.0),
    "minus-one-one": (-1.0, 1.0),
}


def reward_values(design: Design) -> tuple[float, float]:
    """Reward of a wrong and of a right response, ``(low, high)``.

    A graded reward lies between the two; a noisy or random (placebo) one is drawn first and then takes one of
    them. The maps {0,1} and {-1,0} have the same mean update and different noise (theory §5). A yoked reward
    is one that the paired run was given.
    """
    return VALUES[design.treatment.reward]


def placebo_rate(design: Design, base: float) -> float:
    """Success rate of the placebo's rewards: the base Pass@1 of the query, unless the design fixes one.

    Args:
        design: A design with ``reward="random"``.
        base: Base Pass@1 of the training query, in [0, 1].
    """
    return base if design.rate == "base" else design.rate


def high_rate(design: Design, base: float) -> float:
    """Probability that a pull at Pass@1 = ``base`` is given the high reward.

    Under noise p (1 - false_negative) + (1 - p) false_positive, for the random placebo its rate, for the
    yoked one that of its pair, else p itself.

    Args:
        design: Names the reward and its noise.
        base: Pass@1, in [0, 1].
    """
    if design.reward == "random":
        return placebo_rate(design, base)
    if design.treatment.reward == "noisy":
        return base * (1.0 - design.false_negative) + (1.0 - base) * design.false_positive
    return base
