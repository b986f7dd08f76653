"""Initial policies given by a law over ranks instead of classes: its settings (theory §1).

Arms are ranked by their initial probability, i = 1..K, proportional to

    uniform: 1;  zipf: i^-exponent;  log-normal: e^(sigma z_i), z_i the normal quantile of rank i,

so a log-normal law is the one that K normal logits take, without its luck. `banditrft.worlds.binning` makes
classes of it and says how far they are from the law.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Frozen

MAX_ARMS = 10**12
"""Most arms in a class, and under a law."""

Steepness = Annotated[float, Field(gt=0, le=20)]
"""Of a law; at 20 the likeliest and unlikeliest of 1e12 arms are 553 nats apart, near what doubles hold."""


class ArmLaw(Frozen):
    """An initial distribution over K ranked arms, m of which are correct."""

    kind: Literal["uniform", "zipf", "log-normal"] = Field(description="law of the initial probabilities")
    arms: Annotated[int, Field(ge=2, le=MAX_ARMS)] = Field(description="number of arms, K")
    exponent: Steepness | None = Field(None, description="of zipf; 1 by default")
    sigma: Steepness | None = Field(None, description="spread of log-normal's logits; 1 by default")
    correct: Annotated[int, Field(ge=1)] = Field(1, description="number of correct arms, m")
    place: Literal["top", "spread", "bottom"] | None = Field(
        None, description="ranks of the correct arms: the likeliest, evenly spread (default), the unlikeliest"
    )
    correct_mass: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="instead of a place: m neighbouring ranks whose initial mass is nearest to this"
    )
    bins: Annotated[int, Field(ge=1, le=4096)] = Field(
        256, description="steps of equal length in log-probability whose arms are treated as equal"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.correct >= self.arms:
            raise ValueError(f"correct: must be below arms = {self.arms}, got {self.correct}")
        if self.exponent is not None and self.kind != "zipf":
            raise ValueError(f"exponent: belongs to kind = 'zipf', got kind = '{self.kind}'")
        if self.sigma is not None and self.kind != "log-normal":
            raise ValueError(f"sigma: belongs to kind = 'log-normal', got kind = '{self.kind}'")
        if self.correct_mass is not None and self.place is not None:
            raise ValueError(f"correct_mass: takes the place of a place, got place = '{self.place}'")
        return self
