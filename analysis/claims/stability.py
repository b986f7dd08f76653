"""Type "more-variable": an advantage makes training less stable and brings nothing on the test set (A4).

What is claimed is unstable *training*: the spread of the area under the training curve decides. The spread
of final test Pass@1 is tested in the same way and stands beside the equivalence of the test set.
"""

import math

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, absent, findings
from analysis.claims.finding import Finding, Group
from analysis.claims.gains import between, own_gain
from analysis.claims.random_curves import FEWEST, area, area_noise
from analysis.claims.reading import Band, Measured, Test, beside, ratio_of
from analysis.claims.worlds import (
    Floats,
    Ints,
    few_queries,
    kinds,
    own_queries,
    points,
    single_query_groups,
    table,
)
from analysis.formats import percent
from analysis.inference.inversion import Inverted
from analysis.inference.spread import log_sd_ratio, spread_ratio
from analysis.loading.records import Cell, Records
from analysis.verdict import Secondary
from banditrft.claims import Fields, LessStable, contrasts
from banditrft.errors import InputError

Two = tuple[Cell, Cell]


def find(records: Records, claim: LessStable) -> list[Finding]:
    """Judge the claim in each kind of world."""
    found = []
    for kind in kinds(records):
        cases = [_case(records, group, claim) for group in single_query_groups(records, kind)]
        found += findings(claim, cases or [absent(kind, "no world with a single training query.")])
    return found


def _case(records: Records, group: Group, claim: LessStable) -> Case:
    parts: list[Component] = []
    missing: list[str] = []
    compared = _contrast(records, group.test, claim, "adam", claim.plain)
    for part_id, title, optimizer, changed in (
        ("spread-adam", "Adam", "adam", claim.plain),
        ("spread-matched", "SGD with matched steps", "sgd", claim.matched),
    ):
        cells = _contrast(records, group.train, claim, optimizer, changed)
        try:
            extra = _test_spread(compared, claim) if optimizer == "adam" else ()
            parts.append(_spread(part_id, title, _present(cells), claim, extra))
        except InputError as error:
            missing.append(f"Spread under {title} is not tested: {error}.")
    difference = compared and _difference(compared, claim)
    if difference:
        parts.append(difference)
    else:
        missing.append("The test set is not compared: no such conditions with a test set and two runs each.")
    if not parts:
        return absent(group.kind, " ".join(missing))
    cells_read = [
        records.of(p.world)[name] for p in parts if isinstance(p, Measured) for name in p.conditions
    ]
    return Case(
        group.kind,
        group.name,
        tuple(parts),
        tuple(missing),
        placebos.gains(records, group.train, group.test),
        few_queries(cells_read) + own_queries(cells_read),
    )


def _contrast(
    records: Records, world: str | None, claim: LessStable, optimizer: str, changed: Fields
) -> Two | None:
    if world is None:
        return None
    where = (*claim.where, ("optimizer", optimizer))
    found = contrasts(records.designs(world), where, changed)
    cells = records.of(world)
    return (cells[found[0][0]], cells[found[0][1]]) if found else None


def _present(cells: Two | None) -> Two:
    if cells is None:
        raise InputError("no such conditions")
    return cells


def _spread(
    part_id: str, title: str, cells: Two, claim: LessStable, extra: tuple[Secondary, ...]
) -> Measured:
    areas, kept = _above(cells, [area(c) for c in cells], claim)
    if len(kept) < FEWEST:
        raise InputError(f"fewer than {FEWEST} pairs on such queries")
    noise, _ = _above(cells, [area_noise(c) for c in cells], claim)
    test = _ratio(areas, kept, claim)
    own = ratio_of(log_sd_ratio(areas[:, 1], noise[:, 1], areas[:, 0], noise[:, 0], kept[:, 0]))
    how = "sign changes" if test.n < claim.permutation_below else "t"

    def detail(level: float) -> str:
        low, high = test.interval(level)
        said = f"Ratios below {max(low, 0.0):.2f} and above {high:.2f} are excluded at this level."
        return f"{said} {_without_noise(test, own, claim.ratio, level)}"

    return Measured(
        id=part_id,
        label=f"Spread of the area under the training curve, '{cells[1].condition}' over "
        f"'{cells[0].condition}', {title}",
        kind="spread",
        world=cells[0].world.name,
        conditions=(cells[0].condition, cells[1].condition),
        test=test,
        band=Band(low=claim.ratio),
        n=test.n,
        unit=f"pairs ({cells[0].replicate})",
        sentence=(
            "Brown-Forsythe for pairs: absolute deviations from the query's median, subtracted pair by pair "
            f"and tested by {how}, inverted for the ratio. Evaluation noise is in both spreads; it depends "
            "on the level that a condition is at, so that it can move the ratio either way."
        ),
        detail=detail,
        counts={"sd_first": float(areas[:, 0].std(ddof=1)), "sd_second": float(areas[:, 1].std(ddof=1))},
        secondary=(beside("SD ratio, evaluation noise subtracted (jackknife)", own, test.n), *extra),
        points=points(kept, areas[:, 1] - areas[:, 0]),
    )


def _without_noise(test: Test, own: Test, ratio: float, level: float) -> str:
    """The ratio once evaluation noise is subtracted, and whether it says the same at this level."""
    judged, alone = (_side(t, ratio, level) for t in (test, own))
    if not math.isfinite(own.estimate):
        doubt = "" if judged == alone else ": the ratio judged may be that of the noise"
        return f"With evaluation noise subtracted no spread is left to compare{doubt}."
    low, high = own.interval(level)
    said = (
        f"With evaluation noise subtracted the ratio is {own.estimate:.2f} ({percent(1 - level)} one-sided "
        f"bounds {low:.2f} and {high:.2f})"
    )
    if judged == alone:
        return f"{said}, which says the same."
    return f"{said}: the two disagree, the ratio judged {judged} {ratio:g} and this one {alone} it."


def _side(test: Test, ratio: float, level: float) -> str:
    if test.p_above(ratio) <= level:
        return "is above"
    return "is below" if test.p_below(ratio) <= level else "is not told from"


def _test_spread(cells: Two | None, claim: LessStable) -> tuple[Secondary, ...]:
    if cells is None or not all(c.has_test for c in cells):
        return ()
    values, kept = _above(cells, [c.test for c in cells], claim)
    if len(kept) < FEWEST:
        return ()
    label = f"spread of final test Pass@1 in '{cells[0].world.name}'"
    return (beside(label, _ratio(values, kept, claim), len(kept)),)


def _ratio(values_N2: Floats, keys: Ints, claim: LessStable) -> Inverted:
    return spread_ratio(
        values_N2[:, 1],
        values_N2[:, 0],
        keys[:, 0],
        permutation_below=claim.permutation_below,
        margins=(claim.ratio,),
    )


def _difference(cells: Two, claim: LessStable) -> Measured | None:
    if not all(c.has_test for c in cells):
        return None
    values, kept = _above(cells, [c.test for c in cells], claim)
    if len(kept) < 2:
        return None
    band = Band(-claim.margin_points, claim.margin_points, gain_only=True)
    label = f"Final test Pass@1, '{cells[1].condition}' minus '{cells[0].condition}'"
    return between("no-gain", label, cells, kept, values, band, tuple(own_gain(c) for c in cells))


def _above(cells: Two, values: list[Floats], claim: LessStable) -> tuple[Floats, Ints]:
    """Values of the common runs whose query's base Pass@1 is above the claim's."""
    keys, both = table(cells, values)
    _, starts = table(cells, [c.start for c in cells])
    kept = (starts > claim.base_above).all(axis=1)
    return both[kept], keys[kept]
