"""Two conditions lined up run by run: the same (query, seed) has met the same random streams under both."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.loading.records import Cell
from banditrft.errors import InputError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Runs of two conditions with a (query, seed) in common.

    Attributes:
        few: Cell of the condition with few rollouts.
        many: Cell of the condition with many rollouts.
        rows_few: (N,) rows of `few`.
        rows_many: (N,) rows of `many`, the same (query, seed) in the same order.
    """

    few: Cell
    many: Cell
    rows_few: Ints
    rows_many: Ints

    @property
    def n(self) -> int:
        """Number of pairs."""
        return int(self.rows_few.size)

    @property
    def query(self) -> Ints:
        """(N,) query of each pair."""
        return self.few.query[self.rows_few]

    @property
    def seed(self) -> Ints:
        """(N,) seed of each pair."""
        return self.few.seed[self.rows_few]

    @property
    def unit(self) -> str:
        """What one pair is."""
        return f"pairs ({self.few.replicate})"


def match(few: Cell, many: Cell) -> Pairs:
    """Line up two conditions.

    Raises:
        InputError: No (query, seed) in common; unpaired runs are no data for a paired protocol.
    """
    place = {key: row for row, key in enumerate(many.keys())}
    rows = [(row, place[key]) for row, key in enumerate(few.keys()) if key in place]
    if not rows:
        raise InputError(f"conditions: {few.condition!r} and {many.condition!r} share no (query, seed)")
    both = np.asarray(rows, dtype=np.int64)
    return Pairs(few, many, both[:, 0], both[:, 1])
