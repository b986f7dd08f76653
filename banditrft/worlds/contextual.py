"""Settings of the log-linear contextual world (theory §6, §8)."""

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Design, Frozen, Probability, changed
from banditrft.errors import InputError
from banditrft.files import sha256_of
from banditrft.names import Name

LARGEST_POOL = 10**8
"""Largest number of contexts x dimension, of the training pool and of the test set: 0.8 GB."""
LARGEST_LENGTH, SMALLEST_NOISE = 1e6, 1e-6
"""Far beyond any use; log-odds then stay far inside double precision."""
DRAWN = {
    "dimension",
    "transfer",
    "alignment",
    "misalignment",
    "noise",
    "train_items",
    "base_pass_at_1",
    "offset_spread",
    "test_items",
    "draw",
}
"""Settings that say how contexts are drawn; a file of features takes the place of them all."""
OpenUnit = Annotated[float, Field(gt=0, lt=1)]
Length = Annotated[float, Field(ge=0, le=LARGEST_LENGTH)]
Base = OpenUnit | Annotated[tuple[Probability, Probability], Field(strict=False)] | Literal["any"]


class ContextualWorld(Frozen):
    """Log-linear contextual policy: a pool of training queries, a held-out set of contexts (theory §6)."""

    kind: Literal["sim"] = "sim"
    world: Literal["contextual"] = "contextual"
    name: Name = Field("contextual", description="what records and the report call it")
    seeds: Count = Field(description="seeds of every condition")
    dimension: Annotated[int, Field(ge=2, le=100_000)] = Field(64, description="d, length of a context")
    transfer: Length = Field(2.0, description="|mu|, length of the contexts' mean")
    alignment: Annotated[float, Field(ge=-LARGEST_LENGTH, le=LARGEST_LENGTH)] = Field(
        0.3, description="c, part of the base weights along mu"
    )
    misalignment: Length = Field(0.9, description="nu, length of the part orthogonal to mu")
    noise: Annotated[float, Field(ge=SMALLEST_NOISE, le=LARGEST_LENGTH)] = Field(
        1.0, description="sigma, spread of the contexts"
    )
    train_items: Count = Field(1, description="N, training queries in the pool of each seed")
    base_pass_at_1: Base = Field(
        0.1,
        description="of the training queries: one value for all, a range [low, high], or 'any' as drawn",
    )
    offset_spread: Length = Field(
        0.0, description="sd of the log-odds that belong to a context and are not learned"
    )
    arm_noise: Length = Field(
        0.0, description="tau, sd of the features of single answers within right and wrong"
    )
    partial: Probability = Field(
        0.0, description="share of wrong answers that earn half a reward under reward = 'graded'"
    )
    test_items: Count = Field(1000, description="held-out contexts")
    draw: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="seed whose directions, queries and test contexts all share; by default each has its own",
    )
    features: str | None = Field(
        None, description="npz file with train (N, D), test (M, D) and w0 (D,) in place of drawn contexts"
    )
    keep_groups: bool = Field(True, description="record every group of rollouts; false: rounds only")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.features is not None:
            given = sorted(DRAWN & changed(self))
            if given:
                raise ValueError(f"{', '.join(given)}: decided by the file of features, must not be given")
            return self
        if isinstance(self.base_pass_at_1, tuple):
            low, high = self.base_pass_at_1
            if low >= high:
                raise ValueError(f"base_pass_at_1: the range must rise, got [{low}, {high}]")
        base = math.hypot(self.alignment * self.transfer, self.misalignment)
        if base < SMALLEST_NOISE and self.offset_spread < SMALLEST_NOISE:
            raise ValueError(
                f"alignment, misalignment: base weights must be at least {SMALLEST_NOISE:g} long, or every "
                f"query has Pass@1 = 0.5, got {base:g}"
            )
        for field in ("train_items", "test_items"):
            count = getattr(self, field)
            if count * self.dimension > LARGEST_POOL:
                raise ValueError(
                    f"{field}: times dimension must be at most {LARGEST_POOL:.0e}, "
                    f"got {count} x {self.dimension}"
                )
        return self

    def one_base(self) -> float:
        """The base Pass@1 that every training query has.

        Raises:
            InputError: Queries differ in it.
        """
        if self.features is not None:
            raise InputError(f"features: the base Pass@1 of world '{self.name}' lies in its file")
        if not isinstance(self.base_pass_at_1, float):
            raise InputError(
                f"base_pass_at_1: one value is needed here, the queries of world '{self.name}' "
                f"have {self.base_pass_at_1}"
            )
        return self.base_pass_at_1

    def features_hash(self) -> str:
        """sha256 of the file of features, hex: what the records depend on, wherever the file lies.

        Raises:
            InputError: It cannot be read.
        """
        path = Path(self.features or "")
        try:
            return sha256_of(path)
        except OSError as error:
            raise InputError(f"features: '{path}' cannot be read ({error.strerror})") from None

    def problems(self, design: Design) -> list[str]:
        """What this world cannot run of a design, one line each (beside `banditrft.worlds.SUPPORTED`)."""
        if self.arm_noise > 0 and design.updates_per_round > 1:
            return [
                f"updates_per_round: must be 1 where arm_noise > 0, since a second update needs every "
                f"answer's own features, got {design.updates_per_round}"
            ]
        return []
