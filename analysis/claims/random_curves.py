"""Type "random-curves": runs that differ in the seed alone differ by more than evaluation noise (A3).

The spread is one within a query. Where every seed draws a world of its own it would be one between
worlds, which says nothing of the learner, and the part is left out.

The noise of an evaluation is taken as binomial in its pooled rate, p (1 - p) / (n - 1). Items of unequal
difficulty have less, so the ratio errs towards 1.
"""

import math

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, absent, findings
from analysis.claims.finding import Finding, Group
from analysis.claims.reading import Band, Measured, over
from analysis.claims.worlds import (
    Floats,
    draws_a_world,
    few_queries,
    first_cell,
    kinds,
    single_query_groups,
    unit,
)
from analysis.inference.spread import noise_over_sd
from analysis.loading.records import Cell, Records
from banditrft.claims import RandomCurves

FEWEST = 3
"""Runs that make a spread."""


def find(records: Records, claim: RandomCurves) -> list[Finding]:
    """Judge the claim in each kind of world: curves of one query, gains where there is a test set."""
    found = []
    for kind in kinds(records):
        cases = [_case(records, group, claim) for group in single_query_groups(records, kind)]
        found += findings(claim, cases or [absent(kind, "no world with a single training query.")])
    return found


def _case(records: Records, group: Group, claim: RandomCurves) -> Case:
    parts, missing = [], []
    cell = _cell(records, group.train, claim)
    if cell is not None and draws_a_world(cell.world):
        missing.append(_own_world(cell))
    elif cell is None:
        missing.append("no such condition with three runs of one query.")
    else:
        label = f"Spread of the area under the training curve over evaluation noise, {cell.condition}"
        parts.append(_spread("spread-train", label, cell, area(cell), area_noise(cell), claim))
    other = _cell(records, group.test, claim)
    if other is not None and draws_a_world(other.world):
        missing.append(_own_world(other))
    elif other is None or not other.has_test:
        missing.append("no such condition with a test set.")
    else:
        label = f"Spread of the gain in test Pass@1 over evaluation noise, {other.condition}"
        values = other.test - other.test_base
        parts.append(_spread("spread-test", label, other, values, gain_noise(other), claim))
    if not parts:
        return absent(group.kind, " ".join(missing))
    cells = [c for c in (cell, other) if c is not None and not draws_a_world(c.world)]
    return Case(
        group.kind,
        group.name,
        tuple(parts),
        tuple(missing),
        placebos.gains(records, group.train, group.test),
        few_queries(cells),
    )


def _cell(records: Records, world: str | None, claim: RandomCurves) -> Cell | None:
    cell = first_cell(records, world, claim.where)
    return cell if cell is not None and cell.n >= FEWEST else None


def _own_world(cell: Cell) -> str:
    return (
        f"in '{cell.world.name}' every seed draws its own world, so its spread over seeds is not one "
        "within a query; the setting 'draw' gives all seeds one."
    )


def area(cell: Cell) -> Floats:
    """Mean train Pass@1 over the rounds of each run, by the trapezoid rule."""
    return np.asarray(cell.train @ _weights(cell), dtype=np.float64)


def area_noise(cell: Cell) -> Floats:
    """Variance of each run's area from evaluation alone."""
    noise = cell.train * (1 - cell.train) / np.maximum(cell.train_samples - 1, 1)
    return np.asarray(noise @ _weights(cell) ** 2, dtype=np.float64)


def gain_noise(cell: Cell) -> Floats:
    """Variance of each run's gain in test Pass@1 from evaluation alone."""
    ends = np.stack([cell.test_base, cell.test], axis=1)
    return np.asarray((ends * (1 - ends) / np.maximum(cell.test_samples - 1, 1)).sum(axis=1))


def _weights(cell: Cell) -> Floats:
    gaps = np.diff(cell.rounds)
    weights = np.concatenate([gaps, [0.0]]) + np.concatenate([[0.0], gaps])
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _spread(
    part_id: str, label: str, cell: Cell, values: Floats, noise: Floats, claim: RandomCurves
) -> Measured:
    test = over(noise_over_sd(values, noise, cell.query))
    own = max(float(test.estimate) ** 2 - 1, 0.0) if test.known else float("nan")

    def detail(_: float) -> str:
        if not test.known:
            return "There is no spread to compare."
        width = 100 * test.inner.se * abs(test.estimate)
        return f"The standard error of the ratio is {width:.2g}% of it."

    return Measured(
        id=part_id,
        label=label,
        kind="spread",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=test,
        band=Band(low=claim.ratio),
        n=cell.n,
        unit=unit(cell),
        sentence=(
            "SD over seeds within each query over the SD that binomial evaluation alone gives; the interval "
            "is a jackknife over seeds on the inverse. Above sqrt 2 the seeds' own variance exceeds the "
            "evaluation's."
        ),
        detail=detail,
        counts={"own_variance_over_noise": own} if math.isfinite(own) else {},
        points={"query": cell.query.tolist(), "seed": cell.seed.tolist(), "value": values.tolist()},
    )
