"""What the signatures read of a condition: one number per unit, which is the run unless said otherwise."""

import numpy as np
import numpy.typing as npt

from analysis.diagnosis.single import Measures
from analysis.inference.fractions import Fraction
from analysis.loading.counts import counts_of
from analysis.loading.records import Cell, Records
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
FEWEST = 6
"""Evaluations that a plateau needs."""
EARLY = 20
"""The first evaluation, or the first of so many parts of a dense curve, is the start."""


def of_runs(cell: Cell) -> Measures:
    """A condition's runs."""
    start, level, late = of_curve(cell.rounds, cell.train) if cell.has_train else (None, None, None)
    return Measures(
        world=cell.world.name,
        condition=cell.condition,
        unit=f"runs ({cell.replicate})",
        n=cell.n,
        start=start,
        level=level,
        late=late,
        change=_test_change(cell),
        base=_base(cell),
    )


def of_items(records: Records, cell: Cell) -> Measures:
    """The items of a condition with a single run; what is found holds for that run.

    Raises:
        InputError: Several runs, or no evaluations by item.
    """
    if cell.n != 1:
        raise InputError(
            f"unit: items are the unit of a single run, condition {cell.condition!r} has {cell.n}"
        )
    counts = counts_of(records, world=cell.world.name)
    rows = counts.filter((counts["condition"] == cell.condition) & ~counts["item"].str.starts_with("all"))
    found = [
        of_curve(item["round"].to_numpy(), (item["correct"] / item["n"]).to_numpy()[None, :])
        for item in rows.sort("round").partition_by("item", maintain_order=True)
        if item.height >= FEWEST
    ]
    if len(found) < 2:
        raise InputError(
            f"unit: condition {cell.condition!r} has no {FEWEST} evaluations of two items or more"
        )
    start, level, late = (
        np.concatenate([part for part in parts if part is not None]) for parts in zip(*found, strict=True)
    )
    return Measures(
        cell.world.name, cell.condition, "items of one run", start.size, start, level, late, None, _base(cell)
    )


def of_curve(rounds_E: Floats, train_UE: Floats) -> tuple[Floats, Floats, Floats | None]:
    """Start, level and late change of U curves on one grid of rounds."""
    count, last = rounds_E.size, float(rounds_E[-1])
    start = train_UE[:, : max(1, count // EARLY)].mean(axis=1)
    level = train_UE[:, rounds_E >= 0.75 * last].mean(axis=1)
    sixth = (rounds_E > 5 / 6 * last), (rounds_E > 4 / 6 * last) & (rounds_E <= 5 / 6 * last)
    if count < FEWEST or not all(part.any() for part in sixth):
        return start, level, None
    return start, level, train_UE[:, sixth[0]].mean(axis=1) - train_UE[:, sixth[1]].mean(axis=1)


def _test_change(cell: Cell) -> Floats | None:
    if cell.has_test:
        return cell.test - cell.test_base
    return cell.test_curve[:, -1] - cell.test_curve[:, 0] if cell.test_rounds.size > 1 else None


def _base(cell: Cell) -> Fraction | None:
    if not cell.has_train or cell.rounds[0] != 0:
        return None
    samples = cell.train_samples[:, 0]
    return Fraction(int(np.rint(cell.train[:, 0] * samples).sum()), int(samples.sum()))
