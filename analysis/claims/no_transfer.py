"""Type "no-transfer": one of several models learns its query and does not generalise (A8).

"Learns" is read against the placebo as well, and so are the slopes of the other models: drift is no learning.
"""

from dataclasses import replace

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, absent, finding, over_all, verdict
from analysis.claims.finding import Finding
from analysis.claims.fractions import reaching
from analysis.claims.reading import Band, Measured, detectable
from analysis.claims.worlds import Floats, Kind, few_queries, kinds, points, table, tested_cells, unit
from analysis.inference.ladder import slopes
from analysis.inference.means import contrast, mean_of
from analysis.inference.multiplicity import bonferroni
from analysis.loading.records import Cell, Records
from analysis.verdict import ALL, Readings, Verdict, Word
from banditrft.claims import NoTransfer

NO_KIND = "The slopes are not read against placebos: no kind has test curves in every one of these worlds."


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
        estimand="slope",
        split="test",
        comparator="base",
        needs="learns",
    )
    more = placebos.reaching_more(claim.pass_at_1, 1 - claim.confidence)
    learns = placebos.gate(records, "learns", [cell], more)
    parts: list[Component] = [reaching(cell, claim), slope, _behind(cell, own, [rise(c) for c in others])]
    over = [_over_placebos(records, c) for c in (cell, *others)]
    shared = [kind_of for kind_of in over[0] if all(kind_of in values for values in over)]
    for kind_of in shared:
        mine, *theirs = (values[kind_of] for values in over)
        parts.append(_behind(cell, mine, theirs, kind_of))
    if learns is None:
        no_placebo: tuple[str, ...] = (placebos.needed(cell),)
    else:
        no_placebo = () if shared else (NO_KIND,)
    return Case(
        kind,
        cell.world.name,
        (*parts, *([learns] if learns else [])),
        placebo=placebos.gains(records, cell.world.name),
        notes=few_queries([cell]),
        no_placebo=no_placebo,
    )


def _behind(cell: Cell, own: Floats, others: list[Floats], placebo: str | None = None) -> Measured:
    """How far a slope lies behind the mean of the other worlds', as it is or over their placebos'."""
    weights = [-1.0, *(1 / len(others) for _ in others)]
    behind, above = contrast([own, *others], weights), Band(low=0.0)
    over = "" if placebo is None else f", each over that of its {placebo} placebo"
    return Measured(
        id="behind" if placebo is None else f"behind-over-{placebo}",
        label=f"Slope of the other worlds minus this one's{over}",
        kind="slope",
        world=cell.world.name,
        conditions=(cell.condition,),
        test=behind,
        band=above,
        n=behind.n,
        unit=unit(cell),
        sentence=(
            f"World x round: Welch's test of this slope against the mean of the other worlds' slopes{over}."
        ),
        detail=detectable(behind, above),
        estimand="slope",
        split="test",
        comparator="worlds" if placebo is None else "placebo",
        needs="learns",
    )


def _over_placebos(records: Records, cell: Cell) -> dict[str, Floats]:
    """Slopes of the runs minus those of their placebos, by kind of placebo; the first of a kind."""
    found: dict[str, Floats] = {}
    for placebo in placebos.matched(records, cell, "test"):
        if placebo.test_rounds.size > 1:
            _, both = table((placebo, cell), (rise(placebo), rise(cell)))
            found.setdefault(placebo.design.reward, both[:, 1] - both[:, 0])
    return found


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
        found = [finding(claim, case).build(each, None, family).readings for case in cases]
        readings = Readings(
            word,
            word,
            _any([r.base for r in found if r]),
            _any([r.placebo for r in found if r]),
        )
        p = min(p_support, p_refute)
        return verdict(claim, whole, parts, word, level, adjusted, family, p=p, readings=readings)

    return Finding(p_support, p_refute, whole.name == ALL, build)


def _any(words: list[Word | None]) -> Word | None:
    """Whether one of several worlds is such a one, by their words."""
    known = [w for w in words if w]
    if not known or "supported" in known:
        return "supported" if known else None
    return "refuted" if all(w == "refuted" for w in known) else "undecided"
