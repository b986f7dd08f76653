"""A panel: success counts of many items at many entries, as dense arrays.

An item here is whatever has a curve of its own: a problem in one training run. Items may miss entries.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FEWEST_ITEMS, FEWEST_ENTRIES = 8, 3
"""Below these an item model has nothing to learn a population or a movement from."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Counts of I items at E entries, in order of time; equal only to itself.

    Attributes:
        items: (I,) what each is called.
        rounds_E: Rounds of the entries, rising.
        n_IE: Responses behind each cell, 0 where an item was not measured.
        correct_IE: How many of them were right, 0 where it was not measured.
    """

    items: tuple[str, ...]
    rounds_E: Floats
    n_IE: Ints
    correct_IE: Ints

    @property
    def num_items(self) -> int:
        """I."""
        return len(self.items)

    @property
    def num_entries(self) -> int:
        """E."""
        return int(self.rounds_E.size)

    @property
    def times_E(self) -> Floats:
        """Times in units of the usual gap between entries, 0 at the first: 0, 1, 2, ... on an even grid."""
        return clock(self.rounds_E, self.rounds_E)

    def window(self, start: int, stop: int) -> "Panel":
        """Entries start..stop-1; the items stay, measured there or not."""
        cut = slice(start, stop)
        return Panel(self.items, self.rounds_E[cut], self.n_IE[:, cut], self.correct_IE[:, cut])

    def rates_IE(self) -> Floats:
        """Fractions correct, NaN where not measured."""
        with np.errstate(invalid="ignore"):
            return np.where(self.n_IE > 0, self.correct_IE / self.n_IE, np.nan)


def clock(rounds_E: Floats, at_T: Floats) -> Floats:
    """Rounds `at_T` as times since the first of `rounds_E`, in units of the median gap between them."""
    gap = float(np.median(np.diff(rounds_E))) if rounds_E.size > 1 else 1.0
    return np.asarray((at_T - rounds_E[0]) / gap, dtype=np.float64)


def panel_of(table: pl.DataFrame, source: str) -> Panel:
    """The items of a table of counts as a panel.

    Args:
        table: Columns of `analysis.loading.counts.COUNTS`, one split. Conditions and seeds are kept apart: an
            item of another seed has another curve.
        source: What the table is called in errors.

    Raises:
        InputError: Too few items or entries, or every answer was right, or wrong.
    """
    several = [name for name in ("condition", "seed") if table[name].n_unique() > 1]
    label = pl.concat_str(
        [*(pl.col(name).cast(pl.String) for name in several), pl.col("item")], separator=", "
    )
    table = table.with_columns(label.alias("label"))
    items = table["label"].unique(maintain_order=True)
    rounds_E = table["round"].unique().sort().to_numpy()
    if len(items) < FEWEST_ITEMS or rounds_E.size < FEWEST_ENTRIES:
        raise InputError(
            f"{source}: item models need at least {FEWEST_ITEMS} items and {FEWEST_ENTRIES} entries, "
            f"got {len(items)} and {rounds_E.size}"
        )
    if table["correct"].sum() in (0, table["n"].sum()):
        raise InputError(
            f"{source}: every answer is {'right' if table['correct'][0] else 'wrong'}: nothing to fit"
        )
    row = table.join(pl.DataFrame({"label": items}).with_row_index("row"), on="label", maintain_order="left")[
        "row"
    ]
    column = np.searchsorted(rounds_E, table["round"].to_numpy())
    n_IE = np.zeros((len(items), rounds_E.size), dtype=np.int64)
    correct_IE = np.zeros_like(n_IE)
    n_IE[row.to_numpy(), column] = table["n"].to_numpy()
    correct_IE[row.to_numpy(), column] = table["correct"].to_numpy()
    return Panel(tuple(items.to_list()), np.asarray(rounds_E, np.float64), n_IE, correct_IE)
