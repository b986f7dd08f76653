"""Type "no-transfer": one of several models learns its query and does not generalise (A8)."""

from dataclasses import replace

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, absent, finding, over_all, verdict
from analysis.claims.finding import Finding
from analysis.claims.fractions import reaching
from analysis.claims.reading import Band, Measured, detectable
from analysis.claims.worlds import Floats, Kind, few_queries, kinds, points, tested_cells, unit
from analysis.inference.equivalence import contrast
from analysis.inference.multiplicity import bonferroni
from analysis.inference.slopes import mean_of, slopes
from analysis.loading.records import Cell, Records
from analysis.verdict import ALL, Verdict, Word
from banditrft.claims import NoTransfer


def find(records: Records, claim: NoTransfer) -> list[Finding]:
    """Judge every world, and whether there is such a one among them."""
    found: list[Finding] = []
    for kind in kinds(records):
        cells = tested_cells(records, kind, claim.where)
        if len(cells) < 2:
            found.append(finding(claim, absent(kind, "no two worlds with such a condition and a test set.")))
            continue
        cases = [_case(records, kind, cell, [c for c in cells if c is not cell], claim) for cell in cells]
        found += [*(finding(claim, case) for case in cases), _one_of(claim, cases)]
    return found


def rise(cell: Cell) -> Floats:
    """Least-squares slope of each run's test curve, in points of probability over the whole run."""
    return slopes(cell.test_rounds / cell.test_rounds[-1], cell.test_curve)


def _case(records: Records, kind: Kind, cell: Cell, others: list[Cell], claim: NoTransfer) -> Case:
    keys = np.stack([cell.query, cell.seed], axis=1)
    own = rise(cell)
    flat, band = mean_of(own), Band(-claim.margin, claim.margin)
    slope = Measured(
        id="flat",
        label="Slope of test Pass@1, as a change over the run",
        kind="slope",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=flat,
        band=band,
        n=flat.n,
        unit=unit(cell),
        sentence=(
            f"A least-squares line through each run's {cell.test_rounds.size} test evaluations; two "
            "one-sided t tests over runs: a flat curve has to be shown, not merely not excluded."
        ),
        detail=detectable(flat, band),
        points=points(keys, own),
    )
    weights = [-1.0, *(1 / len(others) for _ in others)]
    behind, above = contrast([own, *(rise(c) for c in others)], weights), Band(low=0.0)
    interaction = Measured(
        id="behind",
        label="Slope of the other worlds minus this one's",
        kind="slope",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=behind,
        band=above,
        n=behind.n,
        unit=unit(cell),
        sentence="World x round: Welch's test of this slope against the mean of the other worlds' slopes.",
        detail=detectable(behind, above),
    )
    return Case(
        kind,
        cell.world.name,
        (reaching(cell, claim), slope, interaction),
        placebo=placebos.gains(records, cell.world.name),
        notes=few_queries([cell]),
    )


def _one_of(claim: NoTransfer, cases: list[Case]) -> Finding:
    """Whether one world is such a one: the best of them pays for having been picked."""
    p_support = bonferroni(min(c.p_support for c in cases), len(cases))
    p_refute = max(c.p_refute for c in cases)
    whole = replace(over_all(cases), missing=())

    def build(level: float, adjusted: float | None, family: int) -> Verdict:
        word: Word = "undecided"
        if p_support <= level:
            word = "supported"
        elif p_refute <= level:
            word = "refuted"
        each = level / len(cases)
        parts = tuple(c.part(each, level / case.wanted) for case in cases for c in case.components)
        p = min(p_support, p_refute)
        return verdict(claim, whole, parts, word, level, adjusted, family, p=p)

    return Finding(p_support, p_refute, whole.name == ALL, build)
