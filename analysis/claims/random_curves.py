"""Type "random-curves": runs that differ in the seed alone differ by more than evaluation noise (A3).

The claim is about curves, so what decides is the area under the training curve and that under the test curve,
never the end point alone, at which runs may meet again. The ratio at single rounds is secondary.

The spread is one within a query. Where every seed draws a world of its own it would be one between
worlds, which says nothing of the learner, and the part is left out.
"""

import math

import numpy as np

from analysis.claims import placebos
from analysis.claims.areas import FEWEST, noise, weights
from analysis.claims.cases import Found, Type
from analysis.claims.reading import Band, Measured, over, secondary
from analysis.claims.worlds import (
    NAMES,
    Floats,
    Group,
    Ints,
    draws_a_world,
    first_cell,
    single_queries,
)
from analysis.inference.spread import noise_over_sd
from analysis.loading.records import Cell, Records
from analysis.results import Note, Setting, Split
from banditrft.claims import RandomCurves

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Where along a run the ratio is also read at a single evaluation, the nearest one."""


def read(records: Records, group: Group, claim: RandomCurves) -> Found:
    """Curves of one query, train and test, each against the noise of its evaluations."""
    parts, missing = [], []
    cell, other = _cell(records, group.train, claim), _cell(records, group.test, claim)
    if cell is None:
        missing.append(Note("no curve"))
    elif draws_a_world(cell.world):
        missing.append(Note("own world", {"world": cell.world.name}))
    else:
        curve = (cell.rounds, cell.train, cell.train_samples)
        parts.append(_spread("spread-train", cell, *curve, "train", claim))
    if other is not None and draws_a_world(other.world):
        missing.append(Note("own world", {"world": other.world.name}))
    elif other is None or other.test_rounds.size < FEWEST:
        missing.append(Note("no test curve", {"fewest": FEWEST}))
    else:
        curve = (other.test_rounds, other.test_curve, other.test_curve_samples)
        parts.append(_spread("spread-test", other, *curve, "test", claim))
    if not parts:
        return Found((), missing=missing, name=NAMES[group.kind])
    cells = [c for c in (cell, other) if c is not None and not draws_a_world(c.world)]
    return Found(parts, cells, missing, placebos.gains(records, group.train, group.test))


def _cell(records: Records, world: str | None, claim: RandomCurves) -> Cell | None:
    cell = first_cell(records, world, claim.where)
    return cell if cell is not None and cell.n >= FEWEST else None


def _spread(
    part_id: str,
    cell: Cell,
    rounds: Floats,
    curve: Floats,
    samples: Ints,
    split: Split,
    claim: RandomCurves,
) -> Measured:
    along, variance = weights(rounds), noise(curve, samples)
    values = curve @ along
    test = over(noise_over_sd(values, variance @ along**2, cell.query))
    own = max(float(test.estimate) ** 2 - 1, 0.0) if test.known else float("nan")

    seen = dict.fromkeys(int(np.abs(rounds - share * rounds[-1]).argmin()) for share in SHARES)
    single = [(rounds[k], over(noise_over_sd(curve[:, k], variance[:, k], cell.query))) for k in seen if k]
    return Measured(
        id=part_id,
        kind="spread",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=test,
        band=Band(low=claim.ratio),
        n=cell.n,
        units="runs",
        replicate=cell.replicate,
        facts={"error": test.inner.se * abs(test.estimate)} if test.known else {},
        setting=Setting(evaluations=int(rounds.size)),
        counts={"own_variance_over_noise": own} if math.isfinite(own) else {},
        secondary=tuple(secondary("round", t, cell.n, round=float(at)) for at, t in single),
        points={"query": cell.query.tolist(), "seed": cell.seed.tolist(), "value": values.tolist()},
        estimand="area",
        split=split,
        comparator="noise",
    )


TYPES = (Type(RandomCurves, read, single_queries, "no single query"),)
