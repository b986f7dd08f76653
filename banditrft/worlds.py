"""Where a design runs: the settings of the two simulated worlds and of the language-model world.

No world setting shares a name with a Design field, so that a world's table in a study file may hold both.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Design, Frozen, NonNegative, Positive, Probability
from banditrft.errors import InputError

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


class ContextualWorld(Frozen):
    """Log-linear contextual policy: one training query, a held-out set of contexts (theory §6)."""

    kind: Literal["sim"] = "sim"
    world: Literal["contextual"] = "contextual"
    name: str = "contextual"
    seeds: Count
    dimension: Annotated[int, Field(ge=2, le=100_000)] = Field(64, description="d, length of a context")
    transfer: NonNegative = Field(2.0, description="|mu|, length of the contexts' mean")
    alignment: float = Field(0.3, description="c, part of the base weights along mu")
    misalignment: NonNegative = Field(0.9, description="nu, length of the part orthogonal to mu")
    noise: Positive = Field(1.0, description="sigma, spread of the contexts")
    base_pass_at_1: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="of the training query")
    test_items: Count = Field(1000, description="held-out contexts")

    @model_validator(mode="after")
    def _has_base(self) -> Self:
        if self.alignment * self.transfer == 0 and self.misalignment == 0:
            raise ValueError("alignment, misalignment: base weights of zero give every query Pass@1 = 0.5")
        return self


class QuerySelection(Frozen):
    """Training queries chosen by base Pass@1, before any fine-tuning."""

    count: Count = 4
    base_pass_at_1: Annotated[tuple[Probability, Probability], Field(strict=False)] = (0.1, 0.5)
    pool: Count = Field(160, description="candidates looked at")
    samples: Count = Field(128, description="base samples per candidate")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.base_pass_at_1
        if low >= high:
            raise ValueError(f"base_pass_at_1: the range must rise, got [{low}, {high}]")
        if self.pool < self.count:
            raise ValueError(f"pool: must hold at least count = {self.count} candidates, got {self.pool}")
        return self


class LLMWorld(Frozen):
    """A causal language model, sampled and trained (Pass@1 by sampling)."""

    kind: Literal["llm"] = "llm"
    name: str = ""
    model: str = Field(min_length=1)
    task: str = "arithmetic"
    engine: Literal["torch"] = "torch"
    queries: QuerySelection = QuerySelection()
    test_items: Count = Field(200, description="held-out items")
    seeds: Count = Field(description="seeds per query")
    temperature: Positive = 1.0

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.name:
            object.__setattr__(self, "name", self.model)
        return self


WorldSettings = LumpedWorld | ContextualWorld | LLMWorld

_LLM: dict[str, tuple[object, ...]] = {
    "batch_size": (1,),
    "baseline_rollouts": (0,),
    "replay_window": (0,),
    "reward": ("zero-one", "minus-one-zero", "minus-one-one", "random"),
    "signal": ("raw", "centered", "grpo", "rloo"),
    "match_step_size": (False,),
    "optimizer": ("sgd", "adam"),
    "grad_clip": (None,),
    "kl_coef": (0.0,),
    "updates_per_round": (1,),
    "aggregation": ("token-mean",),
}
SUPPORTED: dict[str, dict[str, tuple[object, ...]]] = {
    "llm": _LLM,
    "sim": {field: values for field, values in _LLM.items() if field != "grad_clip"}
    | {
        "reward": (*_LLM["reward"], "noisy"),
        "signal": (*_LLM["signal"], "batch-centered", "gpg", "reinforce-plus-plus"),
        "match_step_size": (False, True),
        "optimizer": (*_LLM["optimizer"], "adamw"),
    },
}
"""Values of Design fields that each kind of world runs; fields not named run with any value."""


def check_supported(design: Design, world: WorldSettings) -> None:
    """Refuse a design that a world cannot run, before anything is spent.

    Raises:
        InputError: Names every such field, what the world runs, and the value given.
    """
    problems = [
        f"{field}: world '{world.name}' runs {' | '.join(map(repr, allowed))}, got {getattr(design, field)!r}"
        for field, allowed in SUPPORTED[world.kind].items()
        if getattr(design, field) not in allowed
    ]
    if problems:
        raise InputError("\n".join(problems))
