"""Components read as differences of Pass@1: a gain over base, and a difference between two conditions."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.claims.reading import Band, Measured, beside, detectable
from analysis.claims.worlds import Floats, pair_points, points, unit
from analysis.inference.means import Difference, paired_difference
from analysis.loading.records import Cell
from analysis.verdict import Comparator, Secondary

Rows = npt.NDArray[np.bool_]
Split = Literal["train", "test"]


def over_base(
    part_id: str,
    label: str,
    cell: Cell,
    end: Floats,
    base: Floats,
    band: Band,
    split: Split,
    rows: Rows | None = None,
) -> Measured:
    """Change of the runs of one condition over the base policy, a paired t test.

    Args:
        part_id: Name inside the claim.
        label: What it states.
        cell: The condition.
        end: Pass@1 at the end, run by run.
        base: Pass@1 of the base policy, measured for the same run.
        band: Where the change must lie.
        split: What is measured.
        rows: Runs that count; all by default.
    """
    kept = np.ones(cell.n, dtype=np.bool_) if rows is None else rows
    change = paired_difference(end[kept], base[kept])
    keys = np.stack([cell.query[kept], cell.seed[kept]], axis=1)
    return Measured(
        id=part_id,
        label=label,
        kind="difference",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=change,
        band=band,
        n=change.n,
        unit=unit(cell),
        sentence=(
            "One-sided paired t test of every run's change over the base policy: both ends are sampled, so "
            "the base's own error is in the spread, and items are not replicates."
        ),
        detail=detectable(change, band),
        counts={"base": float(base[kept].mean()), "end": float(end[kept].mean())},
        points=points(keys, (end - base)[kept]),
        split=split,
        comparator="base",
    )


def lenient(cell: Cell) -> tuple[Floats, Floats] | None:
    """Final and base test Pass@1 by the lenient grade, where it says anything else than the strict one."""
    end, base = cell.test_lenient, cell.test_base_lenient
    known = bool(np.isfinite(end).all() and np.isfinite(base).all())
    same = np.array_equal(end, cell.test) and np.array_equal(base, cell.test_base)
    return (end, base) if known and not same else None


def own_gain(cell: Cell) -> Secondary:
    """What a condition gains on the test set."""
    change = paired_difference(cell.test, cell.test_base)
    return beside(f"gain of '{cell.condition}' over the base policy, points", change, change.n)


def between(
    part_id: str,
    label: str,
    cells: tuple[Cell, Cell],
    keys: npt.NDArray[np.int64],
    values_N2: Floats,
    band: Band,
    extra: tuple[Secondary, ...] = (),
    *,
    split: Split = "test",
    comparator: Comparator = "condition",
    needs: str | None = None,
    said: str = "",
) -> Measured:
    """Difference of two conditions' Pass@1, second minus first, run by run, read against a band.

    Args:
        part_id: Name inside the claim.
        label: What it states.
        cells: The conditions.
        keys: Query and seed of each pair.
        values_N2: Their values.
        band: Where the difference must lie.
        extra: Neighbouring readings.
        split: What is measured.
        comparator: What the first condition is.
        needs: Component without which this one refutes nothing.
        said: Ends the sentence.
    """
    difference: Difference = paired_difference(values_N2[:, 1], values_N2[:, 0])
    equivalence = np.isfinite([band.low, band.high]).all()
    how = "Two one-sided paired t tests" if equivalence else "One-sided paired t test"
    return Measured(
        id=part_id,
        label=label,
        kind="difference",
        world=cells[0].world.name,
        conditions=(cells[0].condition, cells[1].condition),
        test=difference,
        band=band,
        n=difference.n,
        unit=f"pairs ({cells[0].replicate})",
        sentence=f"{how}: both conditions met the same random streams, and items are not replicates.{said}",
        detail=detectable(difference, band),
        counts={"first": float(values_N2[:, 0].mean()), "second": float(values_N2[:, 1].mean())},
        secondary=extra,
        points=pair_points(keys, values_N2),
        split=split,
        comparator=comparator,
        needs=needs,
    )
