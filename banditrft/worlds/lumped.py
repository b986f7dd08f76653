"""Settings of the exact softmax bandit over classes of interchangeable arms (theory §1)."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Frozen, Probability

MAX_ARMS = 10**12
MASS_TOLERANCE = 1e-9
LARGEST_SPREAD = 600.0
"""Largest difference of two classes' log-masses, nats, that double precision follows."""


class ArmClass(Frozen):
    """A class of arms that start with equal probability (theory §1)."""

    name: str = Field(min_length=1)
    arms: Annotated[int, Field(ge=1, le=MAX_ARMS)] = Field(1, description="number of arms in the class")
    mass: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="initial probability of the class"
    )
    logit: float | None = Field(None, description="initial logit of each arm, instead of a mass")
    reward: Probability = Field(description="P(correct) of one pull")


class LumpedWorld(Frozen):
    """The exact softmax bandit over classes of interchangeable arms (theory §1)."""

    kind: Literal["sim"] = "sim"
    world: Literal["lumped"] = "lumped"
    name: str = "lumped"
    seeds: Count
    classes: Annotated[tuple[ArmClass, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _masses(self) -> Self:
        given = [c.mass is not None for c in self.classes]
        if any((c.mass is None) == (c.logit is None) for c in self.classes) or any(given) != all(given):
            raise ValueError("classes: every class takes either a mass or a logit, all the same one")
        names = [c.name for c in self.classes]
        if len(set(names)) < len(names):
            raise ValueError(f"classes: names must differ, got {names}")
        total = math.fsum(c.mass or 0.0 for c in self.classes)
        if all(given) and abs(total - 1.0) > MASS_TOLERANCE:
            raise ValueError(f"classes: masses must sum to 1, got {total:.12g}")
        masses = [x + math.log(c.arms) for x, c in zip(self.initial_logits(), self.classes, strict=True)]
        if max(masses) - min(masses) > LARGEST_SPREAD:
            raise ValueError(
                f"classes: log-masses must lie within {LARGEST_SPREAD:g} of one another, or a class could "
                f"never be drawn, got a spread of {max(masses) - min(masses):.6g}"
            )
        return self

    @property
    def num_arms(self) -> int:
        """K, the number of arms of all classes."""
        return sum(c.arms for c in self.classes)

    def initial_logits(self) -> tuple[float, ...]:
        """Logit of one arm of each class, so that the class masses come out."""
        return tuple(
            c.logit if c.logit is not None else math.log(c.mass or 0.0) - math.log(c.arms)
            for c in self.classes
        )

    def base_pass_at_1(self) -> float:
        """Success probability before the first round."""
        logits = [x + math.log(c.arms) for x, c in zip(self.initial_logits(), self.classes, strict=True)]
        top = max(logits)
        masses = [math.exp(x - top) for x in logits]
        rewarded = (m * c.reward for m, c in zip(masses, self.classes, strict=True))
        return math.fsum(rewarded) / math.fsum(masses)
