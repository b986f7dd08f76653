"""Types "more-rollouts" and "faster": what more rollouts, or another change, do to speed (A5).

A speed-up counts where the faster condition reaches the threshold before its placebo; that SGD gains hardly
anything counts where one of its conditions does; that the test set gains nothing counts where one condition
ends above its placebo there. What learns nothing cannot show that it learns no better.

"No gain in test Pass@1" is equivalence: a gain beyond the margin refutes it, a loss beyond it leaves it
undecided, since a worse test set is not what the claim says. Where few rollouts themselves gain nothing there
is no margin, and the part is undecided whatever the difference.
"""

import math

import numpy as np

from analysis.claims import placebos, times
from analysis.claims.cases import Component, Found, Type, each
from analysis.claims.reading import CONVENTION, Band, Gate, Measured, TimesBand, detectable, secondary
from analysis.claims.worlds import Group, Pairs, first_worlds, match, two_named
from analysis.inference.fractions import Fraction
from analysis.inference.means import margin, paired_difference
from analysis.inference.ratio import ratio_test
from analysis.inference.times import hitting_times
from analysis.loading.records import Cell, Records
from analysis.results import Note, Placebo, Secondary, Setting
from banditrft.claims import MoreRollouts, Speedup, placebo_conditions, rollout_pairs

OPTIMIZERS = ("adam", "sgd")


def read(records: Records, group: Group, claim: MoreRollouts) -> Found:
    """Speed under Adam and under SGD, and the test set under Adam."""
    parts: list[Component] = []
    missing: list[Note] = []
    no_placebo: list[Note] = []
    cells: list[Cell] = []
    for optimizer in OPTIMIZERS:
        pairs = _pairs(records, group.train, claim, optimizer)
        if pairs is None:
            few, many = claim.rollouts
            missing.append(Note("no speed", {"optimizer": optimizer, "few": few, "many": many}))
            continue
        elsewhere = group.test if group.test != group.train else None
        near = _pairs(records, elsewhere, claim, optimizer)
        learns = _learns(records, pairs, claim, optimizer)
        parts += [_speed(pairs, claim, optimizer, [near] if near else []), *([learns] if learns else [])]
        no_placebo += [] if learns else [placebos.needed(pairs.second)]
        cells += [pairs.first, pairs.second]
    pairs = _pairs(records, group.test, claim, "adam")
    notes: list[Note] = []
    if pairs is None or not (pairs.first.has_test and pairs.second.has_test) or pairs.n < 2:
        missing.append(Note("no test comparison"))
    else:
        tested = _no_gain(pairs, claim, _pairs(records, group.test, claim, "sgd"))
        gains = placebos.gains_gate(records, [pairs.first, pairs.second], "test")
        parts += [tested, *([gains] if gains else [])]
        no_placebo += [] if gains else [placebos.needed(pairs.second)]
        cells += [pairs.first, pairs.second]
        notes = _notes(pairs, claim, tested.band.high)
    first = {(n.name, str(n.values)): n for n in no_placebo}
    return Found(parts, cells, missing, _placebos(records, group, claim), notes, list(first.values()))


def read_speedup(records: Records, group: Group, claim: Speedup) -> Found:
    """The ratio of the times of two conditions that a study's claim names, and that the faster one learns."""
    named = claim.own.conditions if claim.own else ()
    fast, slow = two_named(records, group.world, named, "train")
    pairs = match(slow, fast)
    until = math.inf if claim.horizon is None else float(claim.horizon)
    of = times.both_times(pairs, claim.pass_at_1, claim.consecutive, until)
    test = ratio_test(*of, strata_N=pairs.query, margins=(claim.margin,))
    at = Setting(threshold=claim.pass_at_1, consecutive=claim.consecutive, horizon=of[0].horizon)
    part = times.component("faster", pairs, of, test, Band(low=claim.margin), at, "learns")
    sooner = placebos.sooner(claim.pass_at_1, claim.consecutive, until)
    learns = placebos.gate(records, "learns", [fast], sooner)
    placebo = placebos.gains(records, group.world)
    return placebos.gated([part], learns, fast, cells=[slow, fast], placebo=placebo)


def _pairs(records: Records, world: str | None, claim: MoreRollouts, optimizer: str) -> Pairs | None:
    if world is None:
        return None
    found = rollout_pairs(records.designs(world), claim.rollouts, optimizer)
    cells = records.of(world)
    return match(cells[found[0][0]], cells[found[0][1]]) if found else None


def _speed(pairs: Pairs, claim: MoreRollouts, optimizer: str, neighbours: list[Pairs]) -> Measured:
    low, high = claim.speed_band if optimizer == "adam" else claim.sgd_band
    of = times.both_times(pairs, claim.pass_at_1, claim.consecutive)
    extra = times.sensitivities(pairs, of, claim, neighbours)
    test = ratio_test(*of, strata_N=pairs.query, margins=(low, high))
    at = Setting(
        rollouts=claim.rollouts,
        optimizer=optimizer,
        threshold=claim.pass_at_1,
        consecutive=claim.consecutive,
        horizon=of[0].horizon,
    )
    needs = f"learns-{optimizer}"
    return times.component(f"speed-{optimizer}", pairs, of, test, TimesBand(low, high), at, needs, extra)


def _learns(records: Records, pairs: Pairs, claim: MoreRollouts, optimizer: str) -> Gate | None:
    arms = [pairs.second] if optimizer == "adam" else [pairs.first, pairs.second]
    sooner = placebos.sooner(claim.pass_at_1, claim.consecutive)
    return placebos.gate(records, f"learns-{optimizer}", arms, sooner)


def _no_gain(pairs: Pairs, claim: MoreRollouts, sgd: Pairs | None) -> Measured:
    few, many = (c.test[rows] for c, rows in _sides(pairs))
    base = pairs.first.test_base[pairs.rows_first]
    difference, gain = paired_difference(many, few), paired_difference(few, base)
    width = margin(claim.margin_points, claim.margin_share, gain.estimate)
    band = Band(0.0 - width, width, gain_only=True)
    return Measured(
        id="test",
        kind="difference",
        world=pairs.first.world.name,
        conditions=(pairs.first.condition, pairs.second.condition),
        test=difference,
        band=band,
        n=pairs.n,
        units="pairs",
        replicate=pairs.first.replicate,
        counts={
            "gain_few": gain.estimate,
            "margin": width,
            "test_base": float(base.mean()),
            "test_few": float(few.mean()),
            "test_many": float(many.mean()),
        },
        secondary=_neighbours(pairs, sgd),
        points={
            "query": pairs.query.tolist(),
            "seed": pairs.seed.tolist(),
            "few": few.tolist(),
            "many": many.tolist(),
        },
        split="test",
        needs="gains",
        setting=Setting(rollouts=claim.rollouts, optimizer="adam"),
        facts={"margin_points": claim.margin_points, "margin_share": claim.margin_share},
        at=detectable(difference, band),
    )


def _sides(pairs: Pairs) -> tuple[tuple[Cell, np.ndarray], tuple[Cell, np.ndarray]]:
    return (pairs.first, pairs.rows_first), (pairs.second, pairs.rows_second)


def _neighbours(pairs: Pairs, sgd: Pairs | None) -> tuple[Secondary, ...]:
    """By the lenient grade, where it says anything else; under SGD; and what each condition gains."""
    extra = []
    strict = [c.test[rows] for c, rows in _sides(pairs)]
    lenient = [c.test_lenient[rows] for c, rows in _sides(pairs)]
    differs = any(not np.array_equal(a, b) for a, b in zip(lenient, strict, strict=True))
    if differs and all(np.isfinite(v).all() for v in lenient):
        found = paired_difference(lenient[1], lenient[0])
        extra.append(secondary("lenient", found, found.n))
    if sgd and sgd.first.has_test and sgd.second.has_test:
        found = paired_difference(*(c.test[rows] for c, rows in reversed(_sides(sgd))))
        extra.append(secondary("optimizer", found, found.n, optimizer="sgd"))
    for cell, rows in _sides(pairs):
        found = paired_difference(cell.test[rows], cell.test_base[rows])
        extra.append(secondary("gain", found, found.n, condition=cell.condition))
    return tuple(extra)


def _notes(pairs: Pairs, claim: MoreRollouts, width: float) -> list[Note]:
    """What an equivalence must not hide: a shown gain or loss, and a margin that is none."""
    few, many = (c.test[rows] for c, rows in _sides(pairs))
    gain = paired_difference(few, pairs.first.test_base[pairs.rows_first])
    low, high = paired_difference(many, few).interval(CONVENTION / 2)
    gain_low, gain_high = gain.interval(CONVENTION / 2)
    own = {"share": claim.margin_share, "low": gain_low, "high": gain_high}
    found = []
    if high < 0:
        found.append(Note("lower"))
    if low > 0:
        found.append(Note("higher", {"low": low, "high": high, "margin": width}))
    if gain.estimate <= 0:
        found.append(Note("no margin", own | {"condition": pairs.first.condition, "change": gain.estimate}))
    elif width < claim.margin_points:
        found.append(Note("margin estimated", own))
    return found


def _placebos(records: Records, group: Group, claim: MoreRollouts) -> tuple[Placebo, ...]:
    names = placebo_conditions(records.designs(group.train)) if group.train else []
    found = []
    for name in names:
        cell = records.of(group.train or "")[name]
        of = hitting_times(cell.rounds, cell.train, claim.pass_at_1, consecutive=claim.consecutive)
        hits = Fraction(int(of.hit.sum()), cell.n)
        found.append(placebos.fraction("time", cell, hits, Setting(threshold=claim.pass_at_1)))
    return (*found, *placebos.gains(records, group.test))


TYPES = (Type(MoreRollouts, read, first_worlds, judge=each), Type(Speedup, read_speedup))
