"""Type "below-base": very hard queries are learned while the test set falls, the more the harder (A6).

The fall and its dose-response are read against base and against the placebo: drift is no forgetting.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.fractions import reaching
from analysis.claims.gains import over_base
from analysis.claims.reading import Band, Measured, beside, detectable
from analysis.claims.worlds import Floats, Kind, few_queries, kinds, points, table, tested_cells
from analysis.inference.fractions import Fraction
from analysis.inference.ladder import line, slopes
from analysis.inference.means import Difference, mean_of
from analysis.loading.records import Cell, Records
from banditrft.claims import HardQuery

LEVELS = 3
"""Queries, or worlds of different base Pass@1, that make a dose-response."""


def find(records: Records, claim: HardQuery) -> list[Finding]:
    """Judge the claim: all simulated worlds together, each language model by its queries."""
    found: list[Finding] = []
    for kind in kinds(records):
        cells = tested_cells(records, kind, claim.where)
        groups = [cells] if kind == "sim" else [[c] for c in cells]
        cases = [_case(records, kind, group, claim) for group in groups if group]
        found += findings(claim, cases or [absent(kind, "no such condition with a test set.")])
    return found


def _case(records: Records, kind: Kind, cells: list[Cell], claim: HardQuery) -> Case:
    parts: list[Component] = []
    missing: list[str] = []
    no_placebo: list[str] = []
    below = Band(high=0.0)
    more = partial(placebos.reaching_more, claim.pass_at_1, 1 - claim.confidence)
    for cell in cells:
        hard = cell.start < claim.base_below
        if hard.sum() < 2:
            continue
        label = f"Change of test Pass@1 on hard queries, '{cell.world.name}'"
        change = over_base("fall", label, cell, cell.test, cell.test_base, below, "test", hard)
        parts += [reaching(cell, claim, hard), _with_runs_below(change, cell, hard)]
        others = placebos.matched(records, cell, "test")
        learns = placebos.gate(records, "learns", [cell], more(hard))
        parts += [
            *placebos.over_each("fall", cell, others, "test", below, hard),
            *([learns] if learns else []),
        ]
        if not others or learns is None:
            no_placebo.append(placebos.needed(cell))
    if not parts:
        missing.append(f"no query of base Pass@1 below {claim.base_below:g}.")
    dose = _dose(cells)
    if dose is None:
        missing.append(f"no dose-response: fewer than {LEVELS} levels of base Pass@1.")
    else:
        over = _dose_over(records, cells)
        parts += [dose, *over]
        if not over and not no_placebo:
            no_placebo.append("The dose-response is not read against a placebo: no kind has all of its runs.")
    name = "simulated" if kind == "sim" else cells[0].world.name
    placebo = placebos.gains(records, *(c.world.name for c in cells))
    return Case(kind, name, tuple(parts), tuple(missing), placebo, few_queries(cells), tuple(no_placebo))


def _with_runs_below(change: Measured, cell: Cell, hard: Any) -> Measured:
    below = Fraction(int((cell.test < cell.test_base)[hard].sum()), int(hard.sum()))
    low, high = below.interval(0.025)
    label = (
        f"{below.successes} of {below.n} runs end below base (95% bounds {low:.2f} to {high:.2f}); the "
        "change with its 95% interval, points"
    )
    return replace(change, secondary=(beside(label, change.test, change.n),))


def _dose(cells: list[Cell], placebo: list[Cell] | None = None) -> Measured | None:
    """Slope of the change in test Pass@1 on the log-odds of the base, from base or from a placebo."""
    if placebo is None:
        changes = [c.test - c.test_base for c in cells]
    else:
        pairs = [table((c, p), (c.test, p.test))[1] for p, c in zip(placebo, cells, strict=True)]
        if any(len(both) != c.n for both, c in zip(pairs, cells, strict=True)):
            return None
        changes = [both[:, 0] - both[:, 1] for both in pairs]  # in the order of the condition's runs
    found = _over_worlds(cells, changes) if len(cells) >= LEVELS else _over_queries(cells, changes)
    if found is None:
        return None
    test, per_unit, how, what = found
    band = Band(low=0.0)
    over = "" if placebo is None else f", over '{placebo[0].condition}'"
    return Measured(
        id="dose" if placebo is None else f"dose-over-{placebo[0].design.reward}",
        label=f"Slope of the change in test Pass@1 per unit of base log-odds{over}",
        kind="slope",
        world=cells[0].world.name if len(cells) == 1 else ", ".join(c.world.name for c in cells),
        conditions=tuple(dict.fromkeys(c.condition for c in (*(placebo or ()), *cells))),
        test=test,
        band=band,
        n=test.n,
        unit=what,
        sentence=how,
        detail=detectable(test, band),
        points=per_unit,
        estimand="dose",
        split="test",
        comparator="base" if placebo is None else "placebo",
    )


def _dose_over(records: Records, cells: list[Cell]) -> list[Measured]:
    """The dose-response over each kind of placebo that every world has."""
    by_cell = [{c.design.reward: c for c in placebos.matched(records, cell, "test")} for cell in cells]
    shared = [kind for kind in by_cell[0] if all(kind in own for own in by_cell)]
    found = (_dose(cells, [own[kind] for own in by_cell]) for kind in shared)
    return [part for part in found if part is not None]


def _over_worlds(
    cells: list[Cell], values: list[Floats]
) -> tuple[Difference, dict[str, list[Any]], str, str] | None:
    """Worlds of different difficulty, met by the same seeds: a slope per seed."""
    keys, changes = table(cells, values)
    _, odds = table(cells, [_log_odds(c.start) for c in cells])
    if len(keys) < 2 or not (odds == odds[0]).all() or np.unique(odds[0]).size < LEVELS:
        return None
    per_seed = slopes(odds[0], changes)
    how = (
        f"Every seed has its own slope over {len(cells)} worlds of different base Pass@1; a t test over "
        "seeds, one-sided."
    )
    return mean_of(per_seed), points(keys, per_seed), how, "seeds"


def _over_queries(
    cells: list[Cell], values: list[Floats]
) -> tuple[Difference, dict[str, list[Any]], str, str] | None:
    """Queries of one world: the slope over the means of queries, which are then the units."""
    cell = cells[0]
    own = cell.seed if np.unique(cell.start).size > np.unique(cell.query).size else cell.query
    queries = np.unique(own)
    if queries.size < LEVELS:
        return None
    odds = np.array([_log_odds(cell.start)[own == q].mean() for q in queries])
    changes = np.array([values[0][own == q].mean() for q in queries])
    if not np.isfinite(odds).all() or np.unique(odds).size < LEVELS:
        return None
    how = "The query is a random effect: a least-squares line through the means of queries, one-sided t."
    shown = {"query": queries.tolist(), "seed": queries.tolist(), "value": changes.tolist()}
    return line(odds, changes), shown, how, "queries"


def _log_odds(p: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p) - np.log1p(-p))
