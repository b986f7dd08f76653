"""Types "less-stable" and "more-variable": runs fall more, stand further apart, or end further apart (A4).

Unstable has three senses in A4, each with its own test: a run falls after it had stood higher; runs stand
further apart at equal progress, where the mean curve of their condition is at one half; and the test curves
of runs lie further apart. The spread of the area under the training curve is secondary there: a slower
condition has a larger one without being less stable. Where no run of either condition falls, the first sense
stays open, for such a world cannot show instability; and where nothing is learned the test set cannot show
that nothing is gained. A table's claim reads one spread.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from analysis.claims import placebos
from analysis.claims.areas import (
    FEWEST,
    area,
    area_noise,
    curve_noise,
    test_area,
    test_area_noise,
)
from analysis.claims.cases import Component, Found, Type
from analysis.claims.components import between, own_gain
from analysis.claims.reading import Band, Gate, Measured, Test, detectable, ratio_of, secondary
from analysis.claims.worlds import (
    NAMES,
    Floats,
    Group,
    Ints,
    UntestableError,
    draws_a_world,
    enough,
    final,
    own_queries,
    pair_points,
    points,
    single_queries,
    table,
    tested,
    two_named,
    why,
)
from analysis.inference import drawdown
from analysis.inference.inversion import Inverted
from analysis.inference.means import mean_of, paired_difference
from analysis.inference.spread import log_sd_ratio, spread_ratio
from analysis.loading.records import Cell, Records
from analysis.results import NO_SETTING, Note, Quantity, Secondary, Setting, Split, Values, bounded, finite
from banditrft.claims import Fields, LessStable, SpreadRatio, contrasts
from banditrft.errors import InputError

Two = tuple[Cell, Cell]
Attempt = Callable[[], list[Component]]


def read(records: Records, group: Group, claim: LessStable) -> Found:
    """Three senses of instability, plain under Adam and step-size-matched under SGD, and the test set."""
    plain, matched = Setting(optimizer="adam"), Setting(optimizer="sgd", matched=True)
    attempts: list[tuple[Quantity, Setting, Attempt]] = []
    for name, at, changed in (("adam", plain, claim.plain), ("matched", matched, claim.matched)):
        pair = _contrast(records, group.train, claim, at.optimizer, changed)
        attempts += [
            ("drawdown", at, partial(_falls, name, at, pair, claim)),
            ("level", at, partial(_progress, name, at, pair, claim)),
        ]
    shared = _contrast(records, _one_draw(records, group), claim, "adam", claim.plain)
    attempts.append(("area", NO_SETTING, partial(_test_curves, shared, claim)))
    parts: list[Component] = []
    missing: list[Note] = []
    for quantity, at, attempt in attempts:
        try:
            parts += attempt()
        except (UntestableError, InputError) as error:
            missing.append(_not_tested(quantity, at, why(error)))
    no_placebo: tuple[Note, ...] = ()
    compared = _contrast(records, group.test, claim, "adam", claim.plain)
    difference = compared and _difference(compared, claim)
    if compared and difference:
        gains = placebos.gains_gate(records, compared, "test")
        parts += [difference, *([gains] if gains else [])]
        no_placebo = () if gains else (placebos.needed(compared[0]),)
    else:
        missing.append(Note("no test comparison"))
    if not parts:
        return Found((), missing=missing, name=NAMES[group.kind])
    cells = [records.of(p.world)[n] for p in parts if isinstance(p, Measured) for n in p.conditions]
    placebo = placebos.gains(records, group.train, group.test)
    return Found(parts, cells, missing, placebo, own_queries(cells), no_placebo)


def read_spread_ratio(records: Records, group: Group, claim: SpreadRatio) -> Found:
    """The spread of two conditions that a table names: of the training area, or of the final test Pass@1."""
    a, b = two_named(records, group.world, claim.own.conditions if claim.own else (), claim.split)
    values = [area(c) if claim.split == "train" else final(c, "test") for c in (b, a)]
    keys, both = table((b, a), values)
    enough(keys, FEWEST)
    test = spread_ratio(
        both[:, 1],
        both[:, 0],
        keys[:, 0],
        permutation_below=claim.permutation_below,
        margins=(claim.margin,),
    )
    quantity: Quantity = "area" if claim.split == "train" else "final"
    part = _ratio_part(
        "more-variable", (b, a), keys, both, test, claim.margin, quantity, claim.split, Setting()
    )
    return Found([part], [a, b], placebo=placebos.gains(records, group.world))


def _not_tested(quantity: Quantity, at: Setting, because: Note) -> Note:
    reason = {"name": because.name, "values": because.values}
    what = {"quantity": quantity, "optimizer": at.optimizer, "matched": at.matched}
    return Note("not tested", what | {"why": reason})


def _one_draw(records: Records, group: Group) -> str | None:
    """The first world with a test set in which the spread over seeds is not one over worlds."""
    if group.kind == "llm":
        return group.test
    return next(
        (n for n in tested(records, group.kind, single_query=True) if not draws_a_world(records.worlds[n])),
        None,
    )


def _contrast(
    records: Records, world: str | None, claim: LessStable, optimizer: str | None, changed: Fields
) -> Two | None:
    if world is None:
        return None
    where = (*claim.where, ("optimizer", optimizer))
    found = contrasts(records.designs(world), where, changed)
    cells = records.of(world)
    return (cells[found[0][0]], cells[found[0][1]]) if found else None


def _present(cells: Two | None) -> Two:
    if cells is None:
        raise UntestableError("no conditions")
    return cells


def _falls(name: str, at: Setting, found: Two | None, claim: LessStable) -> list[Component]:
    """How much further runs fall after their maximum, and that runs fall at all."""
    cells = _present(found)
    if min(c.rounds.size for c in cells) < drawdown.FEWEST:
        raise UntestableError("few evaluations", fewest=drawdown.FEWEST)
    values, kept = _above(cells, [drawdown.drawdown(c.train) for c in cells], claim)
    if len(kept) < FEWEST:
        raise UntestableError("few pairs", fewest=FEWEST)
    more, above = paired_difference(values[:, 1], values[:, 0]), Band(low=0.0)
    arms = []
    for cell, own in zip(cells, values.T, strict=True):
        fall = mean_of(own)
        arms.append(
            Measured(
                id=f"falls-{name}",
                kind="difference",
                world=cell.world.name,
                conditions=(cell.condition,),
                test=fall,
                band=above,
                n=fall.n,
                units="runs",
                replicate=cell.replicate,
                setting=at,
                at=detectable(fall, above),
                points=points(kept, own),
                estimand="drawdown",
                split="train",
                comparator="noise",
            )
        )
    part = Measured(
        id=f"drawdown-{name}",
        kind="difference",
        world=cells[0].world.name,
        conditions=(cells[0].condition, cells[1].condition),
        test=more,
        band=above,
        n=more.n,
        units="pairs",
        replicate=cells[0].replicate,
        setting=at,
        at=detectable(more, above),
        counts={"first": float(values[:, 0].mean()), "second": float(values[:, 1].mean())},
        points=points(kept, values[:, 1] - values[:, 0]),
        estimand="drawdown",
        split="train",
        needs=f"falls-{name}",
    )
    return [part, Gate(f"falls-{name}", tuple(arms))]


def _progress(name: str, at: Setting, present: Two | None, claim: LessStable) -> list[Component]:
    """Spread over runs where the mean curve of their query is at the claim's level."""
    cells, values, noise = _present(present), [], []
    for cell in cells:
        found = drawdown.at_progress(cell.rounds, cell.train, cell.query, claim.progress)
        if found is None:
            raise UntestableError("no crossing", condition=cell.condition, level=claim.progress)
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
            secondary("area", of_area, of_area.n),
            secondary("area noise free", own, of_area.n),
        )
    setting = replace(at, progress=claim.progress)
    return [_spread(f"progress-{name}", cells, values, noise, claim, "level", "train", setting, extra)]


def _test_curves(present: Two | None, claim: LessStable) -> list[Component]:
    cells = _present(present)
    if min(c.test_rounds.size for c in cells) < FEWEST:
        raise UntestableError("few test evaluations", fewest=FEWEST)
    values, noise = [test_area(c) for c in cells], [test_area_noise(c) for c in cells]
    return [
        _spread("test-curves", cells, values, noise, claim, "area", "test", Setting(optimizer="adam"), ())
    ]


def _spread(
    part_id: str,
    cells: Two,
    values: list[Floats],
    noise: list[Floats],
    claim: LessStable,
    quantity: Quantity,
    split: Split,
    setting: Setting,
    extra: tuple[Secondary, ...],
) -> Measured:
    """A ratio of spreads, and the same with the noise of evaluation subtracted."""
    both, kept = _above(cells, values, claim)
    if len(kept) < FEWEST:
        raise UntestableError("few pairs", fewest=FEWEST)
    alone, _ = _above(cells, noise, claim)
    test = _ratio(both, kept, claim)
    own = ratio_of(log_sd_ratio(both[:, 1], alone[:, 1], both[:, 0], alone[:, 0], kept[:, 0]))

    def at(level: float) -> Values:
        known = {"estimate": finite(own.estimate), "interval": list(bounded(own.interval(level)))}
        free = known | {"side": _side(own, claim.ratio, level)}
        return {"noise_free": free, "side": _side(test, claim.ratio, level)}

    part = _ratio_part(part_id, cells, kept, both, test, claim.ratio, quantity, split, setting)
    return replace(
        part,
        secondary=(secondary("noise free", own, test.n), *extra),
        facts={"permuted": test.n < claim.permutation_below},
        at=at,
    )


def _ratio_part(
    part_id: str,
    cells: Two,
    keys: Ints,
    both: Floats,
    test: Inverted,
    least: float,
    quantity: Quantity,
    split: Split,
    setting: Setting,
) -> Measured:
    """The ratio of two conditions' spreads against the least that a claim asks for."""
    return Measured(
        id=part_id,
        kind="spread",
        world=cells[0].world.name,
        conditions=(cells[0].condition, cells[1].condition),
        test=test,
        band=Band(low=least),
        n=test.n,
        units="pairs",
        replicate=cells[0].replicate,
        counts={"sd_first": float(both[:, 0].std(ddof=1)), "sd_second": float(both[:, 1].std(ddof=1))},
        points=pair_points(keys, both),
        estimand=quantity,
        split=split,
        setting=setting,
    )


def _side(test: Test, ratio: float, level: float) -> Literal["above", "below", "open"]:
    """On which side of the claim's ratio a test places its own."""
    if test.p_above(ratio) <= level:
        return "above"
    return "below" if test.p_below(ratio) <= level else "open"


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
    extra = tuple(own_gain(c) for c in cells)
    return between("no-gain", cells, kept, values, band, extra, needs="gains")


def _above(cells: Two, values: list[Floats], claim: LessStable) -> tuple[Floats, Ints]:
    """Values of the common runs whose query's base Pass@1 is above the claim's."""
    keys, both = table(cells, values)
    _, starts = table(cells, [c.start for c in cells])
    kept = (starts > claim.base_above).all(axis=1)
    return both[kept], keys[kept]


TYPES = (
    Type(LessStable, read, single_queries, "no single query"),
    Type(SpreadRatio, read_spread_ratio),
)
