"""Type "variance-share": worlds differ more in their test gains than designs do (B7).

Drift differs between worlds too, so the share counts where a condition is shown to end above its placebo.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Found, Type
from analysis.claims.reading import Band, Measured, Transformed, secondary
from analysis.claims.worlds import NAMES, Floats, Group, Ints, Kind, UntestableError, tested
from analysis.inference.means import Difference
from analysis.inference.spread import jackknife, log_variance_ratio, share
from analysis.loading.records import Cell, Records
from analysis.results import Secondary
from banditrft.claims import VarianceShare, conditions
from banditrft.design import Design

SEEDS = 3
"""Seeds that a jackknife needs."""


def read(records: Records, group: Group, claim: VarianceShare) -> Found:
    """The share of the worlds in the variance of mean test gains, and that some condition learns."""
    worlds = tuple(tested(records, group.kind, single_query=False))
    first = _names(records, worlds[0], claim) if worlds else []
    shared = tuple(n for n in first if all(n in records.of(w) for w in worlds))
    cells = [[records.of(w)[n] for n in shared] for w in worlds]
    if len(worlds) < 2 or len(shared) < 2 or not all(c.has_test for row in cells for c in row):
        raise UntestableError("no shared conditions")
    seeds, gains = by_seed(cells)
    if len(seeds) < SEEDS:
        raise UntestableError("few seeds", fewest=SEEDS)
    test = _share(log_variance_ratio(gains))
    part = Measured(
        id="share",
        kind="share",
        world=", ".join(worlds),
        worlds=worlds,
        conditions=shared,
        test=test,
        band=Band(claim.share, math.inf),
        n=len(seeds),
        units="seeds",
        counts={f"gain in {w}": float(g) for w, g in zip(worlds, gains.mean(axis=(0, 2)), strict=True)}
        | {f"gain of {n}": float(g) for n, g in zip(shared, gains.mean(axis=(0, 1)), strict=True)},
        secondary=tuple(_factors(gains, [cell.design for cell in cells[0]])),
        points={"query": [0] * len(seeds), "seed": seeds, "value": gains.mean(axis=(1, 2)).tolist()},
        estimand="variance share",
        split="test",
        comparator="worlds",
        needs="gains",
        facts={"log_ratio_se": test.inner.se} if test.known else {},
    )
    everything = [cell for row in cells for cell in row]
    gains_gate = placebos.gains_gate(records, everything, "test")
    learns = gains_gate and replace(gains_gate, whole=part.world)
    placebo = placebos.gains(records, *worlds)
    return placebos.gated([part], learns, everything[0], cells=everything, placebo=placebo)


def _groups(_: Records, kind: Kind, __: VarianceShare) -> list[Group]:
    return [Group(kind, NAMES[kind], None, None)]


def _names(records: Records, world: str, claim: VarianceShare) -> list[str]:
    return conditions(records.designs(world), claim.where)


def by_seed(cells: list[list[Cell]]) -> tuple[list[int], Floats]:
    """Mean test gain of each seed over its queries, (S, W, C), for the seeds that every cell has."""
    means = [
        [{int(s): float((c.test - c.test_base)[c.seed == s].mean()) for s in np.unique(c.seed)} for c in row]
        for row in cells
    ]
    common = sorted(set.intersection(*(set(m) for row in means for m in row)))
    values = np.array([[[m[s] for m in row] for row in means] for s in common], dtype=np.float64)
    return common, values.reshape(len(common), len(cells), len(cells[0]))


def _factors(gains: Floats, designs: list[Design]) -> list[Secondary]:
    """The same share against one design field at a time, by the means of its levels."""
    found = []
    for name in Design.model_fields:
        levels = [repr(getattr(d, name)) for d in designs]
        groups = [[i for i, v in enumerate(levels) if v == level] for level in dict.fromkeys(levels)]
        if len(groups) > 1:
            ratio = jackknife(partial(_log_ratio, gains, groups), gains.shape[0])
            found.append(secondary("factor", _share(ratio), gains.shape[0], field=name))
    return found


def _log_ratio(gains: Floats, groups: list[list[int]], rows: Ints) -> float:
    mean_WC = gains[rows].mean(axis=0)
    worlds = float(mean_WC.mean(axis=1).var(ddof=1))
    levels = float(np.var([mean_WC[:, g].mean() for g in groups], ddof=1))
    return math.log(worlds / levels) if min(worlds, levels) > 0 else float("nan")


def _share(log_ratio: Difference) -> Transformed:
    return Transformed(log_ratio, lambda x: math.log(x / (1 - x)), share)


TYPES = (Type(VarianceShare, read, _groups),)
