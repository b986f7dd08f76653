"""Phase diagrams of the simulated world: each a table, a figure and what they say, from one command.

A module per diagram, all with the same names (`Diagram`): a question, a number of seeds, `compute`, `draw`,
and `finding` and `caption`, whose results are read off the table, never typed in. `sims.diagrams.publish`
writes them to files. Nothing here defines a learner or a world: cells are run by the simulators themselves.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from banditrft.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

NAMES = ("advantage", "negative", "forgetting", "replay", "batch", "noise", "exploration", "length")


class Diagram(Protocol):
    """What a diagram's module offers.

    Attributes:
        QUESTION: What it answers, a question.
        SEEDS: Replicates per cell of the published figure.
    """

    QUESTION: str
    SEEDS: int

    def compute(self, seeds: int) -> "pl.DataFrame":
        """Run every cell: one row per cell, Monte-Carlo errors in columns that end in ``_se``."""

    def draw(self, table: "pl.DataFrame") -> "Figure":
        """The figure of a table."""

    def finding(self, table: "pl.DataFrame") -> str:
        """One sentence that the table shows to be true."""

    def caption(self, table: "pl.DataFrame") -> str:
        """What is shown, how it was computed, what is uncertain."""


def load(name: str) -> Diagram:
    """A diagram by name.

    Raises:
        InputError: There is none of that name.
    """
    if name not in NAMES:
        raise InputError(f"NAME: must be one of {', '.join(NAMES)}, got {name}")
    return cast(Diagram, import_module(f"sims.diagrams.{name}"))
