"""Settings of the language-model world."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Frozen, Positive, Probability


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
