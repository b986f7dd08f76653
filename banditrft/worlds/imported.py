"""Settings of a world whose runs were made by another trainer, and of which only logs are left."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Design, Evaluation, Frozen
from banditrft.names import Name


class ImportedWorld(Frozen):
    """Runs of a language model that another tool trained; its logs were turned into records.

    What the logs do not say stands in `unknown` by its Design or Evaluation field, and is never read as that
    field's default: the analysis holds such a field as None.
    """

    kind: Literal["llm"] = "llm"
    world: Literal["imported"] = "imported"
    name: Name
    tool: Literal["trl", "verl", "table"] = Field(description="what wrote the logs")
    model: str | None = Field(None, description="model that was trained, where the user said so")
    task: str | None = Field(None, description="questions it was trained on, likewise")
    single_query: bool = Field(False, description="each run trained on one query, the same for every seed")
    seeds: Count = Field(description="most runs of a condition")
    unknown: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="settings that the logs of at least one condition do not say"
    )
    missing: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="what the logs lack for the analysis, one sentence each"
    )

    @model_validator(mode="after")
    def _fields(self) -> Self:
        known = {*Design.model_fields, *Evaluation.model_fields}
        if wrong := [name for name in self.unknown if name not in known]:
            raise ValueError(f"unknown: must name settings of a design, got {', '.join(wrong)}")
        return self
