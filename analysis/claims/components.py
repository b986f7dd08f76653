"""Components that several types of claims have: gains over base, differences, fractions of runs."""

import math

import numpy as np
import numpy.typing as npt

from analysis.claims.reading import Band, Measured, detectable, secondary
from analysis.claims.worlds import Floats, pair_points, points
from analysis.inference.fractions import Fraction, detectable_fraction, least_successes, reaches
from analysis.inference.means import Difference, paired_difference
from analysis.loading.records import Cell
from analysis.results import NO_SETTING, Comparator, Quantity, Secondary, Setting, Split, Values
from banditrft.claims import HardQuery, NoTransfer, ReachesOne

Rows = npt.NDArray[np.bool_]


def over_base(
    part_id: str,
    cell: Cell,
    end: Floats,
    base: Floats,
    band: Band,
    split: Split,
    rows: Rows | None = None,
    setting: Setting = NO_SETTING,
) -> Measured:
    """Change of the runs of one condition over the base policy, a paired t test.

    Args:
        part_id: Name inside the claim.
        cell: The condition.
        end: Pass@1 at the end, run by run.
        base: Pass@1 of the base policy, measured for the same run.
        band: Where the change must lie.
        split: What is measured.
        rows: Runs that count; all by default.
        setting: What it is read at.
    """
    kept = np.ones(cell.n, dtype=np.bool_) if rows is None else rows
    change = paired_difference(end[kept], base[kept])
    keys = np.stack([cell.query[kept], cell.seed[kept]], axis=1)
    return Measured(
        id=part_id,
        kind="difference",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=change,
        band=band,
        n=change.n,
        units="runs",
        replicate=cell.replicate,
        at=detectable(change, band),
        counts={"base": float(base[kept].mean()), "end": float(end[kept].mean())},
        points=points(keys, (end - base)[kept]),
        split=split,
        comparator="base",
        setting=setting,
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
    return secondary("gain", change, change.n, condition=cell.condition)


def between(
    part_id: str,
    cells: tuple[Cell, Cell],
    keys: npt.NDArray[np.int64],
    values_N2: Floats,
    band: Band,
    extra: tuple[Secondary, ...] = (),
    *,
    split: Split = "test",
    comparator: Comparator = "condition",
    needs: str | None = None,
    setting: Setting = NO_SETTING,
) -> Measured:
    """Difference of two conditions' Pass@1, second minus first, run by run, read against a band.

    Args:
        part_id: Name inside the claim.
        cells: The conditions.
        keys: Query and seed of each pair.
        values_N2: Their values.
        band: Where the difference must lie.
        extra: Neighbouring readings.
        split: What is measured.
        comparator: What the first condition is.
        needs: Component without which this one refutes nothing.
        setting: What it is read at.
    """
    difference: Difference = paired_difference(values_N2[:, 1], values_N2[:, 0])
    return Measured(
        id=part_id,
        kind="difference",
        world=cells[0].world.name,
        conditions=(cells[0].condition, cells[1].condition),
        test=difference,
        band=band,
        n=difference.n,
        units="pairs",
        replicate=cells[0].replicate,
        at=detectable(difference, band),
        counts={"first": float(values_N2[:, 0].mean()), "second": float(values_N2[:, 1].mean())},
        secondary=extra,
        points=pair_points(keys, values_N2),
        split=split,
        comparator=comparator,
        needs=needs,
        setting=setting,
    )


def reaching(
    cell: Cell,
    claim: ReachesOne | HardQuery | NoTransfer,
    rows: Rows | None = None,
    extra: tuple[Secondary, ...] = (),
) -> Measured:
    """Fraction of runs that reach train Pass@1 = 1 in the sense of the final evaluation's lower bound.

    Args:
        cell: The condition.
        claim: Sets threshold, level and the fraction asked for.
        rows: Runs that count; all by default.
        extra: Neighbouring readings.
    """
    kept = np.ones(cell.n, dtype=np.bool_) if rows is None else rows
    right, samples = cell.final_correct[kept], cell.final_samples[kept]
    reached = reaches(right, samples, claim.pass_at_1, 1 - claim.confidence)
    fraction = Fraction(int(reached.sum()), int(kept.sum()))
    return share(
        "reach",
        cell,
        fraction,
        claim.fraction,
        setting=Setting(
            threshold=claim.pass_at_1,
            confidence=claim.confidence,
            base_below=claim.base_below if isinstance(claim, HardQuery) else None,
        ),
        estimand="reach",
        extra=extra,
        points={
            "query": cell.query[kept].tolist(),
            "seed": cell.seed[kept].tolist(),
            "correct": right.tolist(),
            "samples": samples.tolist(),
            "reached": reached.tolist(),
        },
    )


def share(
    part_id: str,
    cell: Cell,
    fraction: Fraction,
    least: float,
    setting: Setting,
    points: dict[str, list[int]],
    estimand: Quantity,
    extra: tuple[Secondary, ...] = (),
) -> Measured:
    """A fraction of the runs against the least that the claim asks for."""

    def at(level: float) -> Values:
        need = least_successes(fraction.n, least, level)
        if need > fraction.n:
            return {"need": need}
        return {"need": need, "detectable": detectable_fraction(fraction.n, least, level)}

    return Measured(
        id=part_id,
        kind="fraction",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=fraction,
        band=Band(least, math.inf),
        n=fraction.n,
        units="runs",
        replicate=cell.replicate,
        at=at,
        setting=setting,
        counts={"successes": fraction.successes, "runs": fraction.n},
        secondary=extra,
        points=points,
        estimand=estimand,
        split="train",
        comparator="level",
    )
