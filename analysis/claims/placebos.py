"""Conditions read against the placebo: changes that need no information in the reward are not learning.

A condition is compared with its own placebos, those that differ from it least: of each kind of placebo,
random and yoked, under the same optimiser. What they still differ in is said. The comparison is pair by
pair, and has two forms: the final Pass@1, by the paired difference; and who is first at a threshold, or
gets there at all, by a sign test over the pairs that tell (McNemar's exact test). Neither draws a random
number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analysis.claims.areas import FEWEST as FEWEST_SPREAD
from analysis.claims.areas import area
from analysis.claims.cases import Component, Found
from analysis.claims.components import between
from analysis.claims.reading import Band, Gate, Measured
from analysis.claims.times import both_times
from analysis.claims.worlds import Floats, final_train, match, table
from analysis.estimands import Kind
from analysis.inference.fractions import Fraction, reaches
from analysis.inference.means import paired_difference
from analysis.inference.spread import spread_ratio
from analysis.loading.records import Cell, Records
from analysis.results import NO_SETTING, Note, Part, Placebo, Quantity, Setting, Split, bounded, finite
from banditrft.claims import placebo_conditions, rest
from banditrft.errors import InputError

TAIL = 0.025
"""Error rate of each bound of what is shown of a placebo."""
OWN = {"reward", "yoked_to", "rate", "false_positive", "false_negative"}
"""Fields in which a placebo may differ from any condition."""
FEWEST = 2
"""Pairs that a comparison with a placebo needs."""


def matched(records: Records, cell: Cell, split: Split) -> list[Cell]:
    """A condition's placebos: of each kind those that differ from it in the fewest fields, ties all of them.

    They have its optimiser, runs in common with it and evaluations of the split. A placebo has none itself.
    """
    cells = records.of(cell.world.name)
    names = placebo_conditions(records.designs(cell.world.name))
    if cell.condition in names:
        return []
    same = [
        c
        for c in (cells[n] for n in names)
        if c.design.optimizer == cell.design.optimizer
        and (c.has_test if split == "test" else c.has_train)
        and len({*c.keys()} & {*cell.keys()}) >= FEWEST
    ]
    found: list[Cell] = []
    for kind in dict.fromkeys(c.design.reward for c in same):
        own = [c for c in same if c.design.reward == kind]
        least = min(len(differing(c, cell)) for c in own)
        found += [c for c in own if len(differing(c, cell)) == least]
    return found


def differing(placebo: Cell, cell: Cell) -> list[str]:
    """Fields in which a placebo is another design: a yoked one has its pair's reward map, too."""
    first, second = rest(placebo.design, OWN), rest(cell.design, OWN)
    elsewhere = placebo.design.reward == "yoked" and placebo.design.yoked_to != cell.design.reward
    found = [name for name, value in first.items() if second[name] != value]
    return ["yoked_to", *found] if elsewhere else found


def against(placebo: Cell, cell: Cell, setting: Setting = NO_SETTING) -> Setting:
    """A setting in which a condition is read against a placebo: which one, and what else it differs in."""
    differs = tuple(differing(placebo, cell))
    return replace(setting, placebo=placebo.design.reward, differs=differs)


def needed(cell: Cell) -> Note:
    """What is missing where a condition has no placebo."""
    where = {"condition": cell.condition, "world": cell.world.name, "optimizer": cell.design.optimizer}
    return Note("needed", where)


def final_over(
    part_id: str,
    cell: Cell,
    placebo: Cell,
    split: Split,
    band: Band,
    kept: npt.NDArray[np.bool_] | None = None,
    setting: Setting = NO_SETTING,
) -> Measured:
    """Final Pass@1 of a condition minus that of its placebo, pair by pair.

    Args:
        part_id: Name inside the claim.
        cell: The condition.
        placebo: One of its placebos.
        split: What is measured.
        band: Where the difference must lie.
        kept: Runs of the condition that count; all by default.
        setting: What it is read at.
    """
    compared, lenient = (placebo, cell), setting.grade == "lenient"
    keys, values = table(compared, [_final(c, split, lenient=lenient) for c in compared])
    if kept is not None:
        wanted = {key for key, keep in zip(cell.keys(), kept, strict=True) if keep}
        rows = np.array([(int(q), int(s)) in wanted for q, s in keys], dtype=np.bool_)
        keys, values = keys[rows], values[rows]
    at = against(placebo, cell, setting)
    return between(part_id, compared, keys, values, band, split=split, comparator="placebo", setting=at)


def over_each(
    part_id: str,
    cell: Cell,
    others: Sequence[Cell],
    split: Split,
    band: Band,
    kept: npt.NDArray[np.bool_] | None = None,
    setting: Setting = NO_SETTING,
) -> list[Measured]:
    """A change over each placebo by one margin, as `final_over`; ids end in the kind of placebo."""
    kinds = [c.design.reward for c in others]
    names = [
        f"{part_id}-over-{k}{kinds[:i].count(k) + 1 if k in kinds[:i] else ''}" for i, k in enumerate(kinds)
    ]
    return [
        final_over(name, cell, c, split, band, kept, setting) for name, c in zip(names, others, strict=True)
    ]


def _final(cell: Cell, split: Split, *, lenient: bool) -> Floats:
    if split == "train":
        return final_train(cell)
    return cell.test_lenient if lenient else cell.test


@dataclass(frozen=True)
class Wins:
    """Pairs of which one member is first, and how often that is the condition: a sign test."""

    wins: int
    losses: int

    @property
    def differ(self) -> int:
        """Pairs in which one is ahead."""
        return self.wins + self.losses

    @property
    def estimate(self) -> float:
        """Fraction of those pairs; nan where there are none."""
        return self.wins / self.differ if self.differ else float("nan")

    def p_above(self, x: float) -> float:
        """Exact p-value of "fraction <= x"."""
        return Fraction(self.wins, self.differ).p_above(x) if self.differ else 1.0

    def p_below(self, x: float) -> float:
        """Exact p-value of "fraction >= x"."""
        return Fraction(self.wins, self.differ).p_below(x) if self.differ else 1.0

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""
        return Fraction(self.wins, self.differ).interval(alpha) if self.differ else (0.0, 1.0)


Compare = Callable[[Cell, Cell], Measured]
"""A component of a condition and one of its placebos."""


def gate(
    records: Records, part_id: str, cells: Sequence[Cell], compare: Compare, split: Split = "train"
) -> Gate | None:
    """That one of some conditions is shown to differ from its placebos, from the one that it exceeds least.

    None where none of them has a placebo.
    """
    arms = []
    for cell in cells:
        found = [compare(cell, placebo) for placebo in matched(records, cell, split)]
        if found:
            arms.append(max(found, key=lambda m: m.p_support))
    return Gate(part_id, tuple(arms)) if arms else None


def gains_gate(records: Records, cells: Sequence[Cell], split: Split) -> Gate | None:
    """That one of some conditions ends above its placebos: what learns nothing shows no difference."""
    above = Band(low=0.0)
    return gate(records, "gains", cells, lambda c, p: final_over("gains", c, p, split, above), split)


def gated(parts: Sequence[Component], gate: Gate | None, cell: Cell, **rest: Any) -> Found:
    """Components with what they need; where no placebo is there to show it, that is what is missing.

    Args:
        parts: Components.
        gate: What they need.
        cell: The condition that has no placebo, where there is none.
        rest: Other attributes of `Found`.
    """
    if gate is None:
        return Found(parts, no_placebo=(needed(cell),), **rest)
    return Found([*parts, gate], **rest)


def sooner(threshold: float, consecutive: int, until: float = float("inf")) -> Compare:
    """That runs reach a train Pass@1 before their placebos, by a horizon."""

    def compare(cell: Cell, placebo: Cell) -> Measured:
        pairs = match(placebo, cell)
        first, second = (t.upper for t in both_times(pairs, threshold, consecutive, until))
        setting = Setting(threshold=threshold, consecutive=consecutive, horizon=finite(until))
        return _won(cell, placebo, second < first, second > first, "time", setting)

    return compare


def reaching_more(
    threshold: float, error: float, kept: npt.NDArray[np.bool_] | None = None, below: float | None = None
) -> Compare:
    """That runs are shown to exceed a final train Pass@1 where their placebos are not.

    Args:
        threshold: That Pass@1.
        error: Error rate of the exact bound of each run.
        kept: Runs of the condition that count; all by default.
        below: Base Pass@1 of their queries, where that is what chose them.
    """

    def compare(cell: Cell, placebo: Cell) -> Measured:
        reached = [
            reaches(c.final_correct, c.final_samples, threshold, error).astype(np.float64)
            for c in (placebo, cell)
        ]
        counted = np.ones(cell.n) if kept is None else kept.astype(np.float64)
        at = dict(zip(cell.keys(), counted, strict=True))
        keys, both = table((placebo, cell), reached)
        rows = np.array([at[int(q), int(s)] > 0 for q, s in keys], dtype=np.bool_)
        won, lost = (both[rows, 1] > both[rows, 0]), (both[rows, 1] < both[rows, 0])
        at_setting = Setting(threshold=threshold, confidence=1 - error, base_below=below)
        return _won(cell, placebo, won, lost, "reach", at_setting)

    return compare


def _won(
    cell: Cell,
    placebo: Cell,
    won: npt.NDArray[np.bool_],
    lost: npt.NDArray[np.bool_],
    estimand: Quantity,
    setting: Setting,
) -> Measured:
    test = Wins(int(won.sum()), int(lost.sum()))
    return Measured(
        id="learns",
        kind="fraction",
        world=cell.world.name,
        conditions=(placebo.condition, cell.condition),
        test=test,
        band=Band(low=0.5),
        n=int(won.size),
        units="pairs",
        replicate=cell.replicate,
        counts={"successes": test.wins, "runs": test.differ, "pairs": int(won.size)},
        estimand=estimand,
        split="train",
        comparator="placebo",
        setting=against(placebo, cell, setting),
    )


def gains(records: Records, *worlds: str | None) -> tuple[Placebo, ...]:
    """Gains of every placebo condition of some worlds."""
    found: list[Placebo] = []
    for world in dict.fromkeys(w for w in worlds if w):
        cells = records.of(world)
        for name in placebo_conditions(records.designs(world)):
            if cells[name].n > 1:
                found += _gains(cells[name])
    return tuple(found)


def fraction(reading: str, cell: Cell, of: Fraction, setting: Setting) -> Placebo:
    """A fraction of a placebo's runs."""
    return _placebo(
        reading,
        cell,
        of.estimate,
        of.interval(TAIL),
        of.n,
        kind="fraction",
        setting=setting,
        successes=of.successes,
    )


def reached(cell: Cell, threshold: float, error: float) -> Placebo:
    """Placebo runs shown to exceed a final train Pass@1."""
    found = reaches(cell.final_correct, cell.final_samples, threshold, error)
    return fraction("reach", cell, Fraction(int(found.sum()), cell.n), Setting(threshold=threshold))


def _gains(cell: Cell) -> list[Placebo]:
    found = []
    if cell.has_base_train:
        found.append(_gain(cell, "train", final_train(cell), cell.train[:, 0]))
    if cell.has_test:
        found.append(_gain(cell, "test", cell.test, cell.test_base))
    return found


def _gain(cell: Cell, split: Split, end: Floats, base: Floats) -> Placebo:
    gain = paired_difference(end, base)
    return _placebo("gain", cell, gain.estimate, gain.interval(TAIL), gain.n, split=split)


def _placebo(
    reading: str,
    cell: Cell,
    estimate: float,
    interval: tuple[float, float],
    n: int,
    *,
    kind: Kind = "difference",
    compared: Cell | None = None,
    split: Split | None = None,
    setting: Setting = NO_SETTING,
    **values: Any,
) -> Placebo:
    return Placebo(
        reading=reading,
        condition=cell.condition,
        reward=cell.design.reward,
        estimate=finite(estimate),
        interval=bounded(interval),
        n=n,
        kind=kind,
        world=cell.world.name,
        compared=None if compared is None else compared.condition,
        split=split,
        setting=setting if compared is None else against(cell, compared),
        values=values,
    )


def excess(records: Records, parts: Sequence[Part]) -> tuple[Placebo, ...]:
    """How far the conditions of a verdict end from the placebo, where no component of it says so.

    Secondary and unadjusted; a comparison, for effects need not add up. Every condition that the parts read
    is compared once for each kind of reading. Ladders of more than two conditions give their first and last.
    Parts about several worlds give none.
    """
    read = {(p.world, p.conditions[-1], _reading(p)) for p in parts if p.comparator == "placebo"}
    found: dict[tuple[str, str, str], list[Placebo]] = {}
    for part in parts:
        cells, reading = records.of(part.world), _reading(part)
        ends = part.conditions if len(part.conditions) <= 2 else (part.conditions[0], part.conditions[-1])
        for name in ends:
            key = (part.world, name, reading)
            if name in cells and key not in found and key not in read:
                found[key] = _over(records, cells[name], reading)
    return tuple(item for own in found.values() for item in own)


def _reading(part: Part) -> Split | Literal["spread"]:
    """What a part is about: the spread of runs, or the final Pass@1 of a split."""
    return "spread" if part.kind == "spread" else (part.split or "test")


def _over(records: Records, cell: Cell, reading: Split | Literal["spread"]) -> list[Placebo]:
    found = []
    for placebo in matched(records, cell, "test" if reading == "test" else "train"):
        try:
            found.append(_spread(placebo, cell) if reading == "spread" else _above(placebo, cell, reading))
        except InputError:  # too few runs in common, or no test set
            continue
    return found


def _above(placebo: Cell, cell: Cell, split: Split) -> Placebo:
    values = [c.test if split == "test" else final_train(c) for c in (placebo, cell)]
    _, both = table((placebo, cell), values)
    if not np.isfinite(both).all():
        raise InputError(f"'{cell.condition}' has no {split} evaluation")
    found = paired_difference(both[:, 1], both[:, 0])
    ends = found.interval(TAIL)
    return _placebo(
        "excess", placebo, found.estimate, ends, found.n, compared=cell, split=split, unit=cell.unit
    )


def _spread(placebo: Cell, cell: Cell) -> Placebo:
    if not (cell.has_train and placebo.has_train):
        raise InputError(f"'{cell.condition}' has no training curve")
    keys, both = table((placebo, cell), (area(placebo), area(cell)))
    if len(keys) < FEWEST_SPREAD:
        raise InputError("too few runs in common")
    found = spread_ratio(both[:, 1], both[:, 0], keys[:, 0])
    low, high = found.interval(TAIL)
    ends = (max(low, 0.0), high)
    return _placebo(
        "spread", placebo, found.estimate, ends, found.n, kind="spread", compared=cell, unit=cell.unit
    )
