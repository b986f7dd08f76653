"""Type "less-stable": an advantage makes training less stable and brings nothing on the test set (A4).

Unstable has three senses, each with its own test: a run falls after it had stood higher; runs stand further
apart at equal progress, where the mean curve of their condition is at one half; and the test curves of runs
lie further apart. The spread of the area under the training curve stands beside: a slower condition has a
larger one without being less stable. Where no run of either condition falls, the first sense stays open,
for such a world cannot show instability; and where nothing is learned the test set cannot show that nothing
is gained.
"""

import math

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, absent, findings
from analysis.claims.finding import Finding, Group
from analysis.claims.gains import Split, between, own_gain
from analysis.claims.random_curves import FEWEST, area, area_noise, curve_noise, test_area, test_area_noise
from analysis.claims.reading import Band, Gate, Measured, Test, beside, detectable, ratio_of
from analysis.claims.worlds import (
    Floats,
    Ints,
    Kind,
    draws_a_world,
    few_queries,
    kinds,
    own_queries,
    pair_points,
    points,
    single_query_groups,
    table,
    tested,
    unit,
)
from analysis.curves import drawdown
from analysis.formats import percent
from analysis.inference.inversion import Inverted
from analysis.inference.means import mean_of, paired_difference
from analysis.inference.spread import log_sd_ratio, spread_ratio
from analysis.loading.records import Cell, Records
from analysis.verdict import Quantity, Secondary
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
    no_placebo: tuple[str, ...] = ()
    for name, title, optimizer, changed in (
        ("adam", "Adam", "adam", claim.plain),
        ("matched", "SGD with matched steps", "sgd", claim.matched),
    ):
        cells = _contrast(records, group.train, claim, optimizer, changed)
        for sense, read in (("Falls", _falls), ("Spread at equal progress", _progress)):
            try:
                parts += read(name, title, _present(cells), claim)
            except InputError as error:
                missing.append(f"{sense} under {title}: not tested, {error}.")
    shared = _contrast(records, _one_draw(records, group), claim, "adam", claim.plain)
    try:
        parts.append(_test_curves(_present(shared), claim))
    except InputError as error:
        missing.append(f"Spread of the test curve: not tested, {error}.")
    compared = _contrast(records, group.test, claim, "adam", claim.plain)
    difference = compared and _difference(compared, claim)
    if compared and difference:
        gains = placebos.gains_gate(records, compared, "test")
        parts += [difference, *([gains] if gains else [])]
        no_placebo = () if gains else (placebos.needed(compared[0]),)
    else:
        missing.append("The test set is not compared: no such conditions with a test set and two runs each.")
    if not parts:
        return absent(group.kind, " ".join(missing))
    read_cells = [records.of(p.world)[n] for p in parts if isinstance(p, Measured) for n in p.conditions]
    return Case(
        group.kind,
        group.name,
        tuple(parts),
        tuple(missing),
        placebos.gains(records, group.train, group.test),
        few_queries(read_cells) + own_queries(read_cells),
        no_placebo,
    )


def _one_draw(records: Records, group: Group) -> str | None:
    """The first world with a test set in which the spread over seeds is not one over worlds."""
    if group.kind == "llm":
        return group.test
    kind: Kind = group.kind
    return next(
        (n for n in tested(records, kind, single_query=True) if not draws_a_world(records.worlds[n])), None
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


def _falls(name: str, title: str, cells: Two, claim: LessStable) -> list[Component]:
    """How much further runs fall after their maximum, and that runs fall at all."""
    if min(c.rounds.size for c in cells) < drawdown.FEWEST:
        raise InputError(f"fewer than {drawdown.FEWEST} evaluations")
    values, kept = _above(cells, [drawdown.drawdown(c.train) for c in cells], claim)
    if len(kept) < FEWEST:
        raise InputError(f"fewer than {FEWEST} pairs on such queries")
    more, above = paired_difference(values[:, 1], values[:, 0]), Band(low=0.0)
    how = (
        "Every other evaluation picks a run's highest and its lowest later value, those between measure "
        "the fall, and the halves change places: without a fall its mean is 0 or less, whatever the noise "
        "of evaluation."
    )
    arms = []
    for cell, own in zip(cells, values.T, strict=True):
        fall = mean_of(own)
        arms.append(
            Measured(
                id=f"falls-{name}",
                label=f"Fall of train Pass@1 after its maximum, '{cell.condition}', {title}",
                kind="difference",
                world=cell.world.name,
                conditions=(cell.condition,),
                test=fall,
                band=above,
                n=fall.n,
                unit=unit(cell),
                sentence=f"{how} One-sided t test over runs.",
                detail=detectable(fall, above),
                points=points(kept, own),
                estimand="drawdown",
                split="train",
                comparator="noise",
            )
        )
    part = Measured(
        id=f"drawdown-{name}",
        label=f"Fall of train Pass@1 after its maximum, '{cells[1].condition}' minus '{cells[0].condition}', "
        f"{title}",
        kind="difference",
        world=cells[0].world.name,
        conditions=(cells[0].condition, cells[1].condition),
        test=more,
        band=above,
        n=more.n,
        unit=f"pairs ({cells[0].replicate})",
        sentence=f"{how} One-sided paired t test; where no run falls it says nothing.",
        detail=detectable(more, above),
        counts={"first": float(values[:, 0].mean()), "second": float(values[:, 1].mean())},
        points=points(kept, values[:, 1] - values[:, 0]),
        estimand="drawdown",
        split="train",
        needs=f"falls-{name}",
    )
    return [part, Gate(f"falls-{name}", tuple(arms))]


def _progress(name: str, title: str, cells: Two, claim: LessStable) -> list[Component]:
    """Spread over runs where the mean curve of their query is at the claim's level."""
    values, noise = [], []
    for cell in cells:
        found = drawdown.at_progress(cell.rounds, cell.train, cell.query, claim.progress)
        if found is None:
            raise InputError(f"the mean curve of '{cell.condition}' does not cross {claim.progress:g}")
        values.append(found[0])
        noise.append((curve_noise(cell) * found[1] ** 2).sum(axis=1))
    areas, _ = _above(cells, [area(c) for c in cells], claim)
    area_noises, kept = _above(cells, [area_noise(c) for c in cells], claim)
    extra: tuple[Secondary, ...] = ()
    if len(kept) >= FEWEST:
        own = ratio_of(
            log_sd_ratio(areas[:, 1], area_noises[:, 1], areas[:, 0], area_noises[:, 0], kept[:, 0])
        )
        of_area = _ratio(areas, kept, claim)
        extra = (
            beside(
                "spread of the area under the training curve, which a slower condition has more of",
                of_area,
                of_area.n,
            ),
            beside("the same, evaluation noise subtracted (jackknife)", own, of_area.n),
        )
    label = f"Spread of train Pass@1 where its mean is {claim.progress:g}"
    return [
        _spread(f"progress-{name}", f"{label}, {title}", cells, values, noise, claim, "level", "train", extra)
    ]


def _test_curves(cells: Two, claim: LessStable) -> Measured:
    if min(c.test_rounds.size for c in cells) < FEWEST:
        raise InputError(f"fewer than {FEWEST} test evaluations during training")
    values, noise = [test_area(c) for c in cells], [test_area_noise(c) for c in cells]
    label = "Spread of the area under the test curve, Adam"
    return _spread("test-curves", label, cells, values, noise, claim, "area", "test", ())


def _spread(
    part_id: str,
    label: str,
    cells: Two,
    values: list[Floats],
    noise: list[Floats],
    claim: LessStable,
    estimand: Quantity,
    split: Split,
    extra: tuple[Secondary, ...],
) -> Measured:
    both, kept = _above(cells, values, claim)
    if len(kept) < FEWEST:
        raise InputError(f"fewer than {FEWEST} pairs on such queries")
    alone, _ = _above(cells, noise, claim)
    test = _ratio(both, kept, claim)
    own = ratio_of(log_sd_ratio(both[:, 1], alone[:, 1], both[:, 0], alone[:, 0], kept[:, 0]))
    how = "sign changes" if test.n < claim.permutation_below else "t"

    def detail(level: float) -> str:
        low, high = test.interval(level)
        said = f"Ratios below {max(low, 0.0):.2f} and above {high:.2f} are excluded at this level."
        return f"{said} {_without_noise(test, own, claim.ratio, level)}"

    return Measured(
        id=part_id,
        label=f"{label}, '{cells[1].condition}' over '{cells[0].condition}'",
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
        counts={"sd_first": float(both[:, 0].std(ddof=1)), "sd_second": float(both[:, 1].std(ddof=1))},
        secondary=(beside("SD ratio, evaluation noise subtracted (jackknife)", own, test.n), *extra),
        points=pair_points(kept, both),
        estimand=estimand,
        split=split,
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
    extra = tuple(own_gain(c) for c in cells)
    return between("no-gain", label, cells, kept, values, band, extra, needs="gains")


def _above(cells: Two, values: list[Floats], claim: LessStable) -> tuple[Floats, Ints]:
    """Values of the common runs whose query's base Pass@1 is above the claim's."""
    keys, both = table(cells, values)
    _, starts = table(cells, [c.start for c in cells])
    kept = (starts > claim.base_above).all(axis=1)
    return both[kept], keys[kept]
