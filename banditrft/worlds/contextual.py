"""Settings of the log-linear contextual world (theory §6)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Frozen, NonNegative, Positive


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
