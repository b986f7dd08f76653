"""Where the variance of a study's results comes from: queries, seeds, evaluation; worlds against designs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.claims.random_curves import area, area_noise, gain_noise
from analysis.claims.variance_share import by_seed
from analysis.claims.worlds import Kind, tested
from analysis.curves.crossed import crossed, world_share
from analysis.curves.nested import Component, nested, query_share
from analysis.loading.records import Cell, Records
from analysis.verdict import Interval
from banditrft.design import PLACEBOS

Floats = npt.NDArray[np.float64]
SEEDS = 4
"""Seeds of a query, or of a table, below which no variance is taken apart."""


@dataclass(frozen=True)
class Decomposition:
    """Variance of one quantity, taken apart.

    Attributes:
        what: The quantity.
        world: World, or kind of worlds.
        condition: Condition, None for a table of several.
        components: Its sources.
        estimate: The leading question's share: queries of a run's variance, worlds against designs.
        interval: Its two-sided interval.
        level: Confidence of all intervals.
        n: Units of replication.
        unit: What one is.
        method: How the components came about.
        sentence: What was found.
    """

    what: str
    world: str
    condition: str | None
    components: tuple[Component, ...]
    estimate: float | None
    interval: Interval
    level: float
    n: int
    unit: str
    method: str
    sentence: str


def components(records: Records, level: float = 0.95) -> tuple[Decomposition, ...]:
    """Decompositions of every condition with enough seeds, then of worlds against designs.

    Of a condition: the area under the training curve, and the gain in test Pass@1 where there is a test set.

    Args:
        records: Records of a study.
        level: Two-sided confidence.
    """
    found = []
    for cell in records.cells:
        if min(np.unique(cell.query, return_counts=True)[1]) < SEEDS:
            continue
        if cell.has_train:
            found.append(_within(cell, "area under the training curve", area(cell), area_noise(cell), level))
        if cell.has_test:
            gain = cell.test - cell.test_base
            found.append(_within(cell, "gain in test Pass@1", gain, gain_noise(cell), level))
    kinds: tuple[Kind, ...] = ("sim", "llm")
    tables = [_table(records, kind, single, level) for kind in kinds for single in (True, False)]
    return (*found, *(t for t in tables if t is not None))


def _within(cell: Cell, what: str, values_N: Floats, noise_N: Floats, level: float) -> Decomposition:
    parts = nested(values_N, noise_N, cell.query, level)
    several = len(np.unique(cell.query)) > 1
    estimate, interval = query_share(values_N, cell.query, level) if several else (None, (None, None))
    return Decomposition(
        what=what,
        world=cell.world.name,
        condition=cell.condition,
        components=parts,
        estimate=estimate,
        interval=interval,
        level=level,
        n=cell.n,
        unit=f"runs ({cell.replicate})",
        method=(
            "Analysis of variance, seeds nested in these queries; evaluation is binomial at the pooled rate, "
            "the most that items of unequal difficulty can have. Seeds: the wider of the chi-squared and "
            "Bonett's interval; queries: jackknife over runs."
        ),
        sentence=f"Variance of the {what} of '{cell.condition}' in '{cell.world.name}': {_said(parts)}.",
    )


def _table(records: Records, kind: Kind, single_query: bool, level: float) -> Decomposition | None:
    worlds = tested(records, kind, single_query=single_query)
    if len(worlds) < 2:
        return None
    names = [
        name
        for name, cell in records.of(worlds[0]).items()
        if cell.design.reward not in PLACEBOS and all(name in records.of(w) for w in worlds)
    ]
    cells = [[records.of(w)[name] for name in names] for w in worlds]
    if len(names) < 2 or not all(c.has_test for row in cells for c in row):
        return None
    seeds, gains = by_seed(cells)
    if len(seeds) < SEEDS:
        return None
    parts = crossed(gains, level)
    estimate, interval = world_share(gains, level)
    return Decomposition(
        what="gain in test Pass@1",
        world=", ".join(worlds),
        condition=None,
        components=parts,
        estimate=estimate,
        interval=interval,
        level=level,
        n=len(seeds),
        unit="seeds",
        method=(
            "Variances of the worlds' and the designs' mean gains and of what is left of their table, the "
            "seeds' noise subtracted; jackknife over seeds. Worlds and designs are those of the study."
        ),
        sentence=(
            f"Variance of the gain in test Pass@1 over {len(worlds)} worlds and {len(names)} designs: "
            f"{_said(parts)}."
        ),
    )


def _said(parts: tuple[Component, ...]) -> str:
    if parts[0].share is None:
        return "none was seen"
    return ", ".join(f"{p.name} {p.share:.0%}" for p in parts if p.share is not None)
