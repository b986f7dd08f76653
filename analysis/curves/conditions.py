"""The runs of a world's conditions, summed up: area, crossing, robust final value, improvement.

Everything here describes; verdicts come from the claims' own tests. Bands are `analysis.curves.bands`'.
"""

from dataclasses import dataclass

import numpy as np

from analysis.claims.worlds import Floats, final_train, table
from analysis.curves.aggregates import Aggregate, iqm_interval, probability_of_improvement
from analysis.curves.area import Area, mean_area
from analysis.curves.crossing import Crossing, mean_crossing
from analysis.inference.keyed import of_data
from analysis.loading.records import Cell, Records

THRESHOLD = 0.9
"""Train Pass@1 whose crossing is told, the ledger's own."""


@dataclass(frozen=True)
class Summary:
    """One condition in one world.

    Attributes:
        world: Name of the world.
        condition: Name in the study.
        area: Mean train Pass@1 over the rounds; None without a train curve, as the next.
        crossing: When the mean train Pass@1 reaches `THRESHOLD`.
        final: Interquartile mean of final test Pass@1, of train Pass@1 without a test set; None without both.
        improvement: Probability that a run ends above one of the world's first condition; None for that.
        reference: That condition.
    """

    world: str
    condition: str
    area: Area | None
    crossing: Crossing | None
    final: Aggregate | None
    improvement: Aggregate | None
    reference: str


def summaries(records: Records, world: str, level: float = 0.95) -> tuple[Summary, ...]:
    """Every condition with at least two runs of each of its queries, in the order of the study.

    Resamples are decided by the condition's own numbers alone.

    Args:
        records: Records of a study.
        world: Name of the world.
        level: Confidence of the intervals.
    """
    cells = [c for c in records.of(world).values() if np.unique(c.query, return_counts=True)[1].min() >= 2]
    return tuple(_summary(cell, cells[0], level) for cell in cells)


def _summary(cell: Cell, first: Cell, level: float) -> Summary:
    strata, area, crossing, final = cell.query, None, None, None
    if cell.has_train:
        area = mean_area(cell.rounds, cell.train, level=level, strata_N=strata)
        rng = of_data(cell.rounds, cell.train, strata)
        crossing = mean_crossing(cell.rounds, cell.train, THRESHOLD, level=level, rng=rng, strata_N=strata)
    ends = _final(cell)
    if ends is not None:
        final = iqm_interval(ends, level=level, rng=of_data(ends, strata), strata_N=strata)
    return Summary(
        world=cell.world.name,
        condition=cell.condition,
        area=area,
        crossing=crossing,
        final=final,
        improvement=None if cell is first else _improvement(cell, first, level),
        reference=first.condition,
    )


def _final(cell: Cell) -> Floats | None:
    """Final test Pass@1, or train Pass@1 without a test set; None where a run has neither."""
    if np.isfinite(cell.test).all():
        return cell.test
    return final_train(cell) if (cell.final_samples > 0).all() else None


def _improvement(cell: Cell, first: Cell, level: float) -> Aggregate | None:
    """Of the runs that both have; None where a query keeps fewer than two, or one has no test set."""
    ends, others = _final(cell), _final(first)
    if ends is None or others is None or np.isfinite(cell.test).all() != np.isfinite(first.test).all():
        return None
    keys, values = table((cell, first), (ends, others))
    if not len(keys) or np.unique(keys[:, 0], return_counts=True)[1].min() < 2:
        return None
    return probability_of_improvement(values[:, 0], values[:, 1], strata_N=keys[:, 0], level=level)
