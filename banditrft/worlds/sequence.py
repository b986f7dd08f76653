"""Settings of the sequence bandit: a response is T choices, right when all of them are (theory §10)."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Frozen
from banditrft.names import Name

LONGEST = 4_096
MOST_OPTIONS = 200_000
LEAST_BASE = 1e-300
"""Smallest base Pass@1 that a profile may multiply to."""
OpenProbability = Annotated[float, Field(gt=0, lt=1)]


class SequenceWorld(Frozen):
    """The bandit whose arms are the V^T responses of T tokens (theory §10)."""

    kind: Literal["sim"] = "sim"
    world: Literal["sequence"] = "sequence"
    name: Name = Field("sequence", description="what records and the report call it")
    seeds: Count = Field(description="seeds of every condition")
    tokens: Annotated[int, Field(ge=1, le=LONGEST)] | None = Field(
        None, description="T, positions of a response; all alike with `base_pass_at_1`"
    )
    base_pass_at_1: OpenProbability | None = Field(
        None, description="base Pass@1; each of the T positions is right with its T-th root"
    )
    profile: Annotated[tuple[OpenProbability, ...], Field(strict=False, max_length=LONGEST)] = Field(
        (), description="instead of both: P(right option) of each position, given a right prefix"
    )
    vocabulary: Annotated[int, Field(ge=2, le=MOST_OPTIONS)] = Field(
        2, description="V, options of a position; one of them is right"
    )
    geometry: Literal["direction", "table"] = Field(
        "direction",
        description="one trained gap a position, on which wrong options agree; or a logit for every option",
    )
    prefixes: Literal["positions", "tree"] = Field(
        "positions",
        description="share a position's parameters; or a tree: a token after a wrong one has others",
    )
    keep_groups: bool = Field(True, description="record every group of rollouts; false: rounds only")

    @model_validator(mode="after")
    def _positions(self) -> Self:
        if self.profile:
            product = math.exp(math.fsum(map(math.log, self.profile)))
            if product < LEAST_BASE:
                raise ValueError(f"profile: its product, the base Pass@1, must be at least {LEAST_BASE:g}")
            for name, made in (("tokens", len(self.profile)), ("base_pass_at_1", product)):
                if getattr(self, name) not in (None, made):
                    raise ValueError(
                        f"{name}: comes from the profile where there is one, and must not be given"
                    )
                object.__setattr__(self, name, made)
        elif self.tokens is None or self.base_pass_at_1 is None:
            raise ValueError("tokens: is required with base_pass_at_1, or a profile instead of both")
        return self

    def probabilities(self) -> tuple[float, ...]:
        """P(right option) of each position, in order."""
        if self.profile:
            return self.profile
        return (self.base() ** (1.0 / self.length()),) * self.length()

    def base(self) -> float:
        """Base Pass@1; there is one once the settings are valid."""
        return float(self.base_pass_at_1 or 0.0)

    def length(self) -> int:
        """T, positions of a response."""
        return int(self.tokens or 0)
