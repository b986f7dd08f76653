"""Claims that a study states itself (`banditrft.claims.own`), read by the tests of the ledger's types."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.claims import placebos, speed
from analysis.claims.cases import Case, Component, absent, findings
from analysis.claims.failure import failing, more_failing
from analysis.claims.finding import Finding
from analysis.claims.gains import between, over_base, own_gain
from analysis.claims.optimum import ends, location
from analysis.claims.own_cells import enough, final, on_split, one, rungs, two
from analysis.claims.pairs import match
from analysis.claims.random_curves import FEWEST, area
from analysis.claims.reading import Band, Gate, Measured
from analysis.claims.trend import slope, uneven
from analysis.claims.worlds import Kind, few_queries, kinds, own_queries, pair_points, table
from analysis.inference.ratio import RatioTest, ratio_test
from analysis.inference.spread import spread_ratio
from analysis.loading.records import Cell, Records
from banditrft.claims import Fails, OwnClaim
from banditrft.claims.own import (
    AddsLittle,
    BelowBase,
    BestAt,
    FailsToLearn,
    Faster,
    MoreVariable,
    NoBetter,
    Own,
)
from banditrft.errors import InputError


def find(records: Records, claim: OwnClaim) -> list[Finding]:
    """Judge a study's own claim in every world that it names and that can show it."""
    spec = claim.spec
    read = READERS[type(spec)]
    found: list[Finding] = []
    for kind in kinds(records):
        names = [w.name for w in records.worlds.values() if w.kind == kind and records.of(w.name)]
        names = [n for n in names if not spec.worlds or n in spec.worlds]
        cases = [_case(records, kind, name, spec, read) for name in names]
        able = [c for c in cases if c.components] or cases[:1]
        if able:
            found += findings(claim, able)
    return found or [_nowhere(records, claim)]


def _nowhere(records: Records, claim: OwnClaim) -> Finding:
    worlds = ", ".join(claim.spec.worlds)
    return findings(claim, [absent(kinds(records)[0], f"no records of {worlds}.")])[0]


@dataclass(frozen=True)
class Read:
    """What a type reads of a claim in one world.

    Attributes:
        parts: Components.
        cells: The conditions behind them.
        notes: Limits.
        no_placebo: What could not be read for want of a placebo, one sentence each.
    """

    parts: Sequence[Component]
    cells: Sequence[Cell]
    notes: tuple[str, ...] = ()
    no_placebo: tuple[str, ...] = ()


def _case(records: Records, kind: Kind, world: str, spec: Own, read: Callable[..., Read]) -> Case:
    try:
        found = read(records, world, spec)
    except InputError as error:
        return Case(kind, world, (), (f"{error}.",))
    return Case(
        kind,
        world,
        tuple(found.parts),
        placebo=placebos.gains(records, world),
        notes=(*few_queries(found.cells), *own_queries(found.cells), *found.notes),
        no_placebo=found.no_placebo,
    )


def _gated(parts: Sequence[Component], cells: Sequence[Cell], gate: Gate | None, *notes: str) -> Read:
    """Components with what they need; without a placebo that is missing."""
    lacks = () if gate else (placebos.needed(cells[-1]),)
    return Read([*parts, *([gate] if gate else [])], cells, notes, lacks)


def _faster(records: Records, world: str, spec: Faster) -> Read:
    fast, slow = two(records, world, spec)
    pairs = match(slow, fast)
    until = math.inf if spec.horizon is None else float(spec.horizon)
    times = speed.both_times(pairs, spec.threshold, spec.consecutive, until)
    test = ratio_test(*times, strata_N=pairs.query, margins=(spec.margin,))
    least = test.smallest_p
    part = Measured(
        id="faster",
        label=f"Rounds to train Pass@1 ≥ {spec.threshold:g}, '{slow.condition}' over '{fast.condition}'",
        kind="ratio",
        world=world,
        conditions=(slow.condition, fast.condition),
        test=OneSided(test),
        band=Band(low=spec.margin),
        n=pairs.n,
        unit=pairs.unit,
        sentence=(
            f"Hitting time: first of {spec.consecutive} consecutive evaluations at or above the threshold, "
            f"right-censored at round {times[0].horizon:g}; one-sided permutation log-rank that swaps labels "
            "inside pairs of runs, inverted for the ratio."
        ),
        detail=lambda level: (
            f"This many pairs cannot decide: the least p-value they can give is {least:.3g}."
            if least > level
            else f"{pairs.n} pairs; the least p-value they can give is {least:.2g}."
        ),
        counts={
            "reached_few": int(times[0].hit.sum()),
            "reached_many": int(times[1].hit.sum()),
            "runs": pairs.n,
            "horizon": times[0].horizon,
            "step": max(t.step for t in times),
        },
        points=speed.points(pairs, times),
        estimand="time",
        split="train",
        needs="learns",
    )
    sooner = placebos.sooner(spec.threshold, spec.consecutive, until)
    return _gated([part], [slow, fast], placebos.gate(records, "learns", [fast], sooner))


def _no_better(records: Records, world: str, spec: NoBetter) -> Read:
    a, b = two(records, world, spec)
    keys, values = table((b, a), (final(b, spec.split), final(a, spec.split)))
    band = Band(-spec.margin, spec.margin, gain_only=not spec.two_sided)
    label = f"Final {spec.split} Pass@1, '{a.condition}' minus '{b.condition}'"
    extra = tuple(own_gain(c) for c in (b, a)) if spec.split == "test" else ()
    name = on_split("no-better", spec.split)
    part = between(name, label, (b, a), enough(keys, 2), values, band, extra, split=spec.split, needs="gains")
    return _gated([part], [b, a], placebos.gains_gate(records, [b, a], spec.split))


def _more_variable(records: Records, world: str, spec: MoreVariable) -> Read:
    a, b = two(records, world, spec)
    read = area if spec.split == "train" else lambda c: final(c, "test")
    keys, values = table((b, a), (read(b), read(a)))
    enough(keys, FEWEST)
    test = spread_ratio(values[:, 1], values[:, 0], keys[:, 0], margins=(spec.margin,))
    what = "area under the training curve" if spec.split == "train" else "final test Pass@1"

    def detail(level: float) -> str:
        low, high = test.interval(level)
        return f"Ratios below {max(low, 0.0):.2f} and above {high:.2f} are excluded at this level."

    part = Measured(
        id="more-variable",
        label=f"Spread of the {what}, '{a.condition}' over '{b.condition}'",
        kind="spread",
        world=world,
        conditions=(b.condition, a.condition),
        test=test,
        band=Band(low=spec.margin),
        n=test.n,
        unit=f"pairs ({a.replicate})",
        sentence=(
            "Brown-Forsythe for pairs: absolute deviations from the query's median, subtracted pair by pair, "
            "one-sided, inverted for the ratio; evaluation noise is in both spreads."
        ),
        detail=detail,
        counts={"sd_first": float(values[:, 0].std(ddof=1)), "sd_second": float(values[:, 1].std(ddof=1))},
        points=pair_points(keys, values),
        estimand="area" if spec.split == "train" else "final",
        split=spec.split,
    )
    return Read([part], [a, b])


def _below_base(records: Records, world: str, spec: BelowBase) -> Read:
    cell = one(records, world, spec.a, spec.split)
    end = final(cell, spec.split)
    if spec.split == "train" and not cell.has_base_train:
        raise InputError(f"no evaluation of the base policy on the training queries in '{world}'")
    base = cell.test_base if spec.split == "test" else cell.train[:, 0]
    enough(end, 2)
    label = f"Change of {spec.split} Pass@1 from the base policy, '{cell.condition}'"
    name, below = on_split("fall", spec.split), Band(high=-spec.margin)
    others = placebos.matched(records, cell, spec.split)
    parts = [over_base(name, label, cell, end, base, below, spec.split)]
    parts += placebos.over_each(name, cell, others, spec.split, below)
    return Read(parts, [cell], no_placebo=() if others else (placebos.needed(cell),))


def _fails(records: Records, world: str, spec: FailsToLearn) -> Read:
    cell = one(records, world, spec.a)
    others = [] if spec.b is None else [one(records, world, spec.b)]
    last = min(float(c.rounds[-1]) for c in (cell, *others))
    horizon = last if spec.horizon is None else min(last, float(spec.horizon))
    protocol = Fails(*("",) * 7, pass_at_1=spec.threshold, consecutive=spec.consecutive, fraction=spec.margin)
    parts: list[Component] = [failing("fails", cell, protocol, horizon)]
    if not others:
        return Read(parts, [cell])
    parts.append(more_failing("fails", [(others[0], cell)], protocol, horizon))
    sooner = placebos.sooner(spec.threshold, spec.consecutive, horizon)
    return _gated(parts, [cell, *others], placebos.gate(records, "learns", others, sooner))


def _best_at(records: Records, world: str, spec: BestAt) -> Read:
    cells, finals = rungs(records, world, spec)
    keys, values = table(cells, finals)
    enough(keys, 2)
    middle = next(i for i, c in enumerate(cells) if float(getattr(c.design, spec.field)) == spec.at)
    where = location(cells, keys, values, spec.field, spec.at, spec.margin, spec.split)
    best = placebos.gains_gate(records, [cells[middle]], spec.split)
    return _gated([where, *ends(cells, keys, values, middle, spec.split)], cells, best)


def _adds_little(records: Records, world: str, spec: AddsLittle) -> Read:
    cells, finals = rungs(records, world, spec)
    enough(table(cells, finals)[0], 2)
    part = slope(cells, finals, spec.field, spec.split, spec.margin, two_sided=spec.two_sided)
    notes = uneven(cells, finals, spec.field, spec.margin, two_sided=spec.two_sided)
    return _gated([part], cells, placebos.gains_gate(records, cells, spec.split), *notes)


READERS: dict[type[Own], Callable[[Records, str, Any], Read]] = {
    Faster: _faster,
    NoBetter: _no_better,
    MoreVariable: _more_variable,
    BelowBase: _below_base,
    FailsToLearn: _fails,
    BestAt: _best_at,
    AddsLittle: _adds_little,
}


@dataclass(frozen=True)
class OneSided:
    """A ratio of times read by its one-sided bounds."""

    test: RatioTest

    @property
    def estimate(self) -> float:
        """Point estimate."""
        return self.test.estimate

    def p_above(self, x: float) -> float:
        """p-value of "ratio <= x"."""
        return self.test.p_above(x)

    def p_below(self, x: float) -> float:
        """p-value of "ratio >= x"."""
        return self.test.p_below(x)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""
        return self.test.interval(2 * alpha)
