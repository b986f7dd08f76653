"""Components read as a fraction of runs: how many reach train Pass@1 = 1 as far as is shown, or fail."""

import math

import numpy as np
import numpy.typing as npt

from analysis.claims.reading import Band, Measured
from analysis.claims.worlds import unit
from analysis.inference.fractions import Fraction, detectable_fraction, least_successes, reaches
from analysis.loading.records import Cell
from analysis.verdict import Quantity, Secondary
from banditrft.claims import HardQuery, NoTransfer, ReachesOne

Rows = npt.NDArray[np.bool_]


def reaching(
    cell: Cell,
    claim: ReachesOne | HardQuery | NoTransfer,
    rows: Rows | None = None,
    beside: tuple[Secondary, ...] = (),
) -> Measured:
    """Fraction of runs that reach train Pass@1 = 1 in the sense of the final evaluation's lower bound.

    Args:
        cell: The condition.
        claim: Sets threshold, level and the fraction asked for.
        rows: Runs that count; all by default.
        beside: Neighbouring readings.
    """
    kept = np.ones(cell.n, dtype=np.bool_) if rows is None else rows
    right, samples = cell.final_correct[kept], cell.final_samples[kept]
    reached = reaches(right, samples, claim.pass_at_1, 1 - claim.confidence)
    fraction = Fraction(int(reached.sum()), int(kept.sum()))
    return share(
        "reach",
        f"Runs shown to exceed train Pass@1 {claim.pass_at_1:g}",
        cell,
        fraction,
        claim.fraction,
        sentence=(
            "Pass@1 = 1 is read as: the run's final evaluation puts the exact one-sided "
            f"{claim.confidence:.0%} lower bound above {claim.pass_at_1:g}. The fraction of such runs gets "
            "exact one-sided bounds (Clopper-Pearson)."
        ),
        estimand="reach",
        beside=beside,
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
    label: str,
    cell: Cell,
    fraction: Fraction,
    least: float,
    sentence: str,
    points: dict[str, list[int]],
    estimand: Quantity,
    beside: tuple[Secondary, ...] = (),
) -> Measured:
    """A fraction of runs against the least that the claim asks for."""

    def detail(level: float) -> str:
        need = least_successes(fraction.n, least, level)
        if need > fraction.n:
            return f"{fraction.n} runs cannot show a fraction above {least:g} at this level."
        power = detectable_fraction(fraction.n, least, level)
        return f"{need} of {fraction.n} runs would be enough; 80% power at a true fraction of {power:.2f}."

    return Measured(
        id=part_id,
        label=label,
        kind="fraction",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=fraction,
        band=Band(least, math.inf),
        n=fraction.n,
        unit=unit(cell),
        sentence=sentence,
        detail=detail,
        counts={"successes": fraction.successes, "runs": fraction.n},
        secondary=beside,
        points=points,
        estimand=estimand,
        split="train",
        comparator="level",
    )
