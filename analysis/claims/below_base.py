"""Types "below-base": training takes test Pass@1 below base (tables), on hard queries that it learns (A6).

The fall is read against base and against the placebo, for drift is no forgetting; so is, in A6, its
dose-response: the harder the query, the more.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Component, Found, Type
from analysis.claims.components import over_base, reaching
from analysis.claims.reading import Band, Measured, detectable, secondary
from analysis.claims.worlds import (
    NAMES,
    Floats,
    Group,
    Kind,
    UntestableError,
    enough,
    final,
    named,
    points,
    table,
    tested_cells,
)
from analysis.inference.fractions import Fraction
from analysis.inference.ladder import line, slopes
from analysis.inference.means import Difference, mean_of
from analysis.loading.records import Cell, Records
from analysis.results import Note, Setting, Units
from banditrft.claims import Decline, HardQuery

LEVELS = 3
"""Queries, or worlds of different base Pass@1, that make a dose-response."""


def read(records: Records, group: Group, claim: Decline) -> Found:
    """The fall of the condition that a table names, from base and from every placebo."""
    world, split = group.world, claim.split
    cell = named(records, world, claim.own.conditions[0] if claim.own else "", split)
    end = final(cell, split)
    if split == "train" and not cell.has_base_train:
        raise UntestableError("no base evaluation", world=world)
    base = cell.test_base if split == "test" else cell.train[:, 0]
    enough(end, 2)
    name, below = "fall" if split == "test" else "fall-train", Band(high=-claim.margin)
    others = placebos.matched(records, cell, split)
    return Found(
        [
            over_base(name, cell, end, base, below, split),
            *placebos.over_each(name, cell, others, split, below),
        ],
        [cell],
        placebo=placebos.gains(records, world),
        no_placebo=() if others else (placebos.needed(cell),),
    )


def read_hard(records: Records, group: Group, claim: HardQuery) -> Found:
    """That hard queries are learned, that the test set falls, and the more the harder they are."""
    cells = _cells(records, group, claim)
    parts: list[Component] = []
    missing: list[Note] = []
    no_placebo: list[Note] = []
    for cell in cells:
        hard = cell.start < claim.base_below
        if hard.sum() >= 2:
            found = _hard(records, cell, hard, claim)
            parts += found.parts
            no_placebo += found.no_placebo
    if not parts:
        missing.append(Note("no hard query", {"below": claim.base_below}))
    dose = _dose(cells)
    if dose is None:
        missing.append(Note("no dose", {"fewest": LEVELS}))
    else:
        over = _dose_over(records, cells)
        parts += [dose, *over]
        if not over and not no_placebo:
            no_placebo.append(Note("no dose placebo"))
    placebo = placebos.gains(records, *(c.world.name for c in cells))
    return Found(parts, cells, missing, placebo, no_placebo=no_placebo)


def _groups(records: Records, kind: Kind, claim: HardQuery) -> list[Group]:
    """All simulated worlds together, each language model by its queries."""
    names = [c.world.name for c in tested_cells(records, kind, claim.where)]
    if kind == "sim":
        return [Group(kind, NAMES[kind], None, None)] if names else []
    return [Group(kind, n, n, n) for n in names]


def _cells(records: Records, group: Group, claim: HardQuery) -> list[Cell]:
    found = tested_cells(records, group.kind, claim.where)
    return [c for c in found if group.test in (None, c.world.name)]


def _hard(records: Records, cell: Cell, hard: Any, claim: HardQuery) -> Found:
    """A condition's hard queries: whether they are learned, and whether the test set falls."""
    below, at = Band(high=0.0), Setting(base_below=claim.base_below)
    change = over_base("fall", cell, cell.test, cell.test_base, below, "test", hard, at)
    others = placebos.matched(records, cell, "test")
    more = partial(placebos.reaching_more, claim.pass_at_1, 1 - claim.confidence)
    learns = placebos.gate(records, "learns", [cell], more(hard, claim.base_below))
    parts: list[Component] = [
        reaching(cell, claim, hard),
        _with_runs_below(change, cell, hard),
        *placebos.over_each("fall", cell, others, "test", below, hard, at),
        *([learns] if learns else []),
    ]
    return Found(parts, no_placebo=() if others and learns else (placebos.needed(cell),))


def _with_runs_below(change: Measured, cell: Cell, hard: Any) -> Measured:
    below = Fraction(int((cell.test < cell.test_base)[hard].sum()), int(hard.sum()))
    low, high = below.interval(0.025)
    own = secondary(
        "below base", change.test, change.n, below=below.successes, runs=below.n, low=low, high=high
    )
    return replace(change, secondary=(own,))


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
    test, per_unit, units = found
    band = Band(low=0.0)
    worlds = tuple(c.world.name for c in cells)
    return Measured(
        id="dose" if placebo is None else f"dose-over-{placebo[0].design.reward}",
        kind="slope",
        world=", ".join(worlds),
        worlds=worlds,
        conditions=tuple(dict.fromkeys(c.condition for c in (*(placebo or ()), *cells))),
        test=test,
        band=band,
        n=test.n,
        units=units,
        at=detectable(test, band),
        points=per_unit,
        estimand="dose",
        split="test",
        comparator="base" if placebo is None else "placebo",
        setting=Setting(placebo=None if placebo is None else placebo[0].design.reward),
    )


def _dose_over(records: Records, cells: list[Cell]) -> list[Measured]:
    """The dose-response over each kind of placebo that every world has."""
    by_cell = [{c.design.reward: c for c in placebos.matched(records, cell, "test")} for cell in cells]
    shared = [kind for kind in by_cell[0] if all(kind in own for own in by_cell)]
    found = (_dose(cells, [own[kind] for own in by_cell]) for kind in shared)
    return [part for part in found if part is not None]


def _over_worlds(
    cells: list[Cell], values: list[Floats]
) -> tuple[Difference, dict[str, list[Any]], Units] | None:
    """Worlds of different difficulty, met by the same seeds: a slope per seed."""
    keys, changes = table(cells, values)
    _, odds = table(cells, [_log_odds(c.start) for c in cells])
    if len(keys) < 2 or not (odds == odds[0]).all() or np.unique(odds[0]).size < LEVELS:
        return None
    per_seed = slopes(odds[0], changes)
    return mean_of(per_seed), points(keys, per_seed), "seeds"


def _over_queries(
    cells: list[Cell], values: list[Floats]
) -> tuple[Difference, dict[str, list[Any]], Units] | None:
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
    shown = {"query": queries.tolist(), "seed": queries.tolist(), "value": changes.tolist()}
    return line(odds, changes), shown, "queries"


def _log_odds(p: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p) - np.log1p(-p))


TYPES = (Type(Decline, read), Type(HardQuery, read_hard, _groups, "no tested condition"))
