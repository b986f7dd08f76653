"""Settings of the exact softmax bandit over classes of interchangeable arms (theory §1)."""

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Frozen, NonNegative, Probability
from banditrft.names import Name
from banditrft.worlds.law import MAX_ARMS, ArmLaw

if TYPE_CHECKING:
    from banditrft.worlds.binning import BinningError

MASS_TOLERANCE = 1e-9
LARGEST_SPREAD = 600.0
"""Largest difference of two classes' log-masses, nats, that double precision follows."""


class ArmClass(Frozen):
    """A class of arms that start with equal probability (theory §1)."""

    name: Name = Field(description="of the class")
    arms: Annotated[int, Field(ge=1, le=MAX_ARMS)] = Field(1, description="number of arms in the class")
    mass: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="initial probability of the class"
    )
    logit: float | None = Field(None, description="initial logit of each arm, instead of a mass")
    reward: Probability = Field(description="P(correct) of one pull")
    grade: Probability | None = Field(
        None, description="reward of a pull under reward = 'graded'; none: 1 if correct, else 0"
    )


class LumpedWorld(Frozen):
    """The exact softmax bandit over classes of interchangeable arms (theory §1)."""

    kind: Literal["sim"] = "sim"
    world: Literal["lumped"] = "lumped"
    name: Name = Field("lumped", description="what records and the report call it")
    seeds: Count = Field(description="seeds of every condition")
    classes: Annotated[tuple[ArmClass, ...], Field(strict=False)] = Field(
        (), description="arms that start alike, at least one class"
    )
    law: ArmLaw | None = Field(None, description="initial distribution over ranked arms, instead of classes")
    shared: NonNegative = Field(
        0.0, description="strength of the parameter phi_c that shifts all arms of a class; starts at 0"
    )
    keep_groups: bool = Field(True, description="record every group of rollouts; false: rounds only")

    @model_validator(mode="after")
    def _masses(self) -> Self:
        if self.law is not None:
            made = classes_of(self.law)
            if self.classes not in ((), made):
                raise ValueError("classes: come from the law where there is one, and must not be given")
            object.__setattr__(self, "classes", made)
        if not self.classes:
            raise ValueError("classes: at least one class, or a law, is required")
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

    def binning_error(self) -> "BinningError | None":
        """How far the initial distribution is from the law; None where classes are given."""
        from banditrft.worlds.binning import binning_error

        return None if self.law is None else binning_error(self.law)

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


def classes_of(law: ArmLaw) -> tuple[ArmClass, ...]:
    """The classes of equal arms that stand for a law: one or two (correct, wrong) per bin.

    Raises:
        InputError: The law has no such arms.
    """
    from banditrft.worlds.binning import bins

    classes = []
    for part in bins(law):
        for correct, arms in ((True, part.correct), (False, part.arms - part.correct)):
            if arms:
                kind = "correct" if correct else "wrong"
                classes.append(
                    ArmClass(
                        name=f"ranks {part.first}-{part.last}, {kind}",
                        arms=arms,
                        mass=part.mass * arms / part.arms,
                        reward=float(correct),
                    )
                )
    return tuple(classes)
