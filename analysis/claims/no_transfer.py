"""Type "no-transfer": one of several models learns its query and does not generalise (A8).

"Learns" is read against the placebo as well, and so are the slopes of the other models: drift is no learning.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, Finding, Found, Type, finding, over_all, verdict
from analysis.claims.components import reaching
from analysis.claims.reading import Band, Measured, detectable
from analysis.claims.worlds import Floats, Group, Kind, points, table, tested_cells
from analysis.inference.ladder import slopes
from analysis.inference.means import contrast, mean_of
from analysis.inference.multiplicity import bonferroni
from analysis.loading.records import Cell, Records
from analysis.results import Note, Setting, Word
from analysis.verdict import Readings, Verdict
from banditrft.claims import NoTransfer


def rise(cell: Cell) -> Floats:
    """Least-squares slope of each run's test curve, in points of probability over the whole run."""
    return slopes(cell.test_rounds / cell.test_rounds[-1], cell.test_curve)


def read(records: Records, group: Group, claim: NoTransfer) -> Found:
    """That one world's runs learn, that their test curve is flat, and that the other worlds' is not."""
    cells = {c.world.name: c for c in tested_cells(records, group.kind, claim.where)}
    cell = cells[group.world]
    others = [c for name, c in cells.items() if name != group.world]
    own, needs = rise(cell), "learns"
    flat, band = mean_of(own), Band(-claim.margin, claim.margin)
    slope = Measured(
        id="flat",
        kind="slope",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=flat,
        band=band,
        n=flat.n,
        units="runs",
        replicate=cell.replicate,
        at=detectable(flat, band),
        points=points(np.stack([cell.query, cell.seed], axis=1), own),
        estimand="slope",
        split="test",
        comparator="base",
        needs=needs,
        setting=Setting(evaluations=int(cell.test_rounds.size)),
    )
    more = placebos.reaching_more(claim.pass_at_1, 1 - claim.confidence)
    learns = placebos.gate(records, needs, [cell], more)
    parts: list[Component] = [reaching(cell, claim), slope, _behind(cell, own, [rise(c) for c in others])]
    over = [_over_placebos(records, c) for c in (cell, *others)]
    shared = [kind for kind in over[0] if all(kind in values for values in over)]
    for kind in shared:
        mine, *theirs = (values[kind] for values in over)
        parts.append(_behind(cell, mine, theirs, kind))
    no_placebo = [] if shared else [Note("no slope placebo")]
    return Found(
        [*parts, *([learns] if learns else [])],
        [cell],
        placebo=placebos.gains(records, cell.world.name),
        no_placebo=no_placebo if learns else [placebos.needed(cell)],
    )


def _behind(cell: Cell, own: Floats, others: list[Floats], placebo: str | None = None) -> Measured:
    """How far a slope lies behind the mean of the other worlds', as it is or over their placebos'."""
    weights = [-1.0, *(1 / len(others) for _ in others)]
    behind, above = contrast([own, *others], weights), Band(low=0.0)
    return Measured(
        id="behind" if placebo is None else f"behind-over-{placebo}",
        kind="slope",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=behind,
        band=above,
        n=behind.n,
        units="runs",
        replicate=cell.replicate,
        at=detectable(behind, above),
        estimand="slope",
        split="test",
        comparator="worlds" if placebo is None else "placebo",
        needs="learns",
        setting=Setting(placebo=placebo),
    )


def _over_placebos(records: Records, cell: Cell) -> dict[str, Floats]:
    """Slopes of the runs minus those of their placebos, by kind of placebo; the first of a kind."""
    found: dict[str, Floats] = {}
    for placebo in placebos.matched(records, cell, "test"):
        if placebo.test_rounds.size > 1:
            _, both = table((placebo, cell), (rise(placebo), rise(cell)))
            found.setdefault(placebo.design.reward, both[:, 1] - both[:, 0])
    return found


def _groups(records: Records, kind: Kind, claim: NoTransfer) -> list[Group]:
    names = [c.world.name for c in tested_cells(records, kind, claim.where)]
    return [Group(kind, n, n, n) for n in names] if len(names) > 1 else []


def one_of(cases: Sequence[Case]) -> list[Finding]:
    """Every world, and whether one of them is such a one: the best of them pays for having been picked."""
    whole = over_all(cases)
    whole = replace(whole, found=replace(whole.found, missing=()))
    if not whole.found.parts:
        return [finding(case) for case in cases]
    p_support = bonferroni(min(c.p_support for c in cases), len(cases))
    p_refute = max(c.p_refute for c in cases)

    def build(level: float, adjusted: float | None, family: int) -> Verdict:
        word: Word = "undecided"
        if p_support <= level:
            word = "supported"
        elif p_refute <= level:
            word = "refuted"
        share = level / len(cases)
        parts = tuple(c.part(share, level / case.wanted) for case in cases for c in case.found.parts)
        found = [finding(case).build(share, None, family).readings for case in cases]
        base, placebo = _any([r.base for r in found if r]), _any([r.placebo for r in found if r])
        readings = Readings(word, word, base, placebo)
        p = min(p_support, p_refute)
        return verdict(whole, parts, word, level, adjusted, family, p=p, readings=readings)

    return [*(finding(case) for case in cases), Finding(p_support, p_refute, testable=True, build=build)]


def _any(words: list[Word | None]) -> Word | None:
    """Whether one of several worlds is such a one, by their words."""
    known = [w for w in words if w]
    if not known or "supported" in known:
        return "supported" if known else None
    return "refuted" if all(w == "refuted" for w in known) else "undecided"


TYPES = (Type(NoTransfer, read, _groups, "no two worlds", judge=one_of),)
