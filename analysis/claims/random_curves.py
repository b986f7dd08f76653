"""Type "random-curves": runs that differ in the seed alone differ by more than evaluation noise (A3).

The claim is about curves, so what decides is the area under the training curve and that under the test curve,
never the end point alone, at which runs may meet again. The ratio at single rounds stands beside.

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
from analysis.claims.gains import Split
from analysis.claims.reading import Band, Measured, beside, over
from analysis.claims.worlds import (
    Floats,
    Ints,
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
"""Runs that make a spread, and evaluations that make a curve."""
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Where along a run the ratio is also read at a single evaluation, the nearest one."""


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
        curve = (cell.rounds, cell.train, cell.train_samples)
        parts.append(_spread("spread-train", label, cell, *curve, "train", claim))
    other = _cell(records, group.test, claim)
    if other is not None and draws_a_world(other.world):
        missing.append(_own_world(other))
    elif other is None or other.test_rounds.size < FEWEST:
        missing.append(f"no such condition with {FEWEST} test evaluations during training.")
    else:
        label = f"Spread of the area under the test curve over evaluation noise, {other.condition}"
        curve = (other.test_rounds, other.test_curve, other.test_curve_samples)
        parts.append(_spread("spread-test", label, other, *curve, "test", claim))
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
    return np.asarray(cell.train @ _weights(cell.rounds), dtype=np.float64)


def curve_noise(cell: Cell) -> Floats:
    """(N, E) variance of each train evaluation from its sampling alone."""
    return _noise(cell.train, cell.train_samples)


def area_noise(cell: Cell) -> Floats:
    """Variance of each run's area from evaluation alone."""
    return curve_noise(cell) @ _weights(cell.rounds) ** 2


def test_area(cell: Cell) -> Floats:
    """Mean test Pass@1 over the rounds of each run, by the trapezoid rule."""
    return np.asarray(cell.test_curve @ _weights(cell.test_rounds), dtype=np.float64)


def test_area_noise(cell: Cell) -> Floats:
    """Variance of each run's area under the test curve from evaluation alone."""
    return _noise(cell.test_curve, cell.test_curve_samples) @ _weights(cell.test_rounds) ** 2


def _noise(curve_NE: Floats, samples_NE: Ints) -> Floats:
    """Variance of each evaluation of a curve, estimated without bias."""
    return np.asarray(curve_NE * (1 - curve_NE) / np.maximum(samples_NE - 1, 1), dtype=np.float64)


def gain_noise(cell: Cell) -> Floats:
    """Variance of each run's gain in test Pass@1 from evaluation alone."""
    ends = np.stack([cell.test_base, cell.test], axis=1)
    return np.asarray((ends * (1 - ends) / np.maximum(cell.test_samples - 1, 1)).sum(axis=1))


def _weights(rounds_E: Floats) -> Floats:
    gaps = np.diff(rounds_E)
    weights = np.concatenate([gaps, [0.0]]) + np.concatenate([[0.0], gaps])
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _spread(
    part_id: str,
    label: str,
    cell: Cell,
    rounds: Floats,
    curve: Floats,
    samples: Ints,
    split: Split,
    claim: RandomCurves,
) -> Measured:
    weights, noise = _weights(rounds), _noise(curve, samples)
    values = curve @ weights
    test = over(noise_over_sd(values, noise @ weights**2, cell.query))
    own = max(float(test.estimate) ** 2 - 1, 0.0) if test.known else float("nan")

    def detail(_: float) -> str:
        if not test.known:
            return "There is no spread to compare."
        width = 100 * test.inner.se * abs(test.estimate)
        return f"The standard error of the ratio is {width:.2g}% of it."

    seen = dict.fromkeys(int(np.abs(rounds - share * rounds[-1]).argmin()) for share in SHARES)
    single = [(rounds[k], over(noise_over_sd(curve[:, k], noise[:, k], cell.query))) for k in seen if k]
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
            f"Area under each run's {rounds.size} {split} evaluations: SD over seeds within each query "
            "over the SD that binomial evaluation alone gives; the interval is a jackknife over seeds on "
            "the inverse. Above sqrt 2 the seeds' own variance exceeds the evaluation's."
        ),
        detail=detail,
        counts={"own_variance_over_noise": own} if math.isfinite(own) else {},
        secondary=tuple(beside(f"the same at round {at:g} alone", t, cell.n) for at, t in single),
        points={"query": cell.query.tolist(), "seed": cell.seed.tolist(), "value": values.tolist()},
        estimand="area",
        split=split,
        comparator="noise",
    )
