"""Conditions read against the placebo: changes that need no information in the reward are not learning.

A condition is compared with its own placebos, those that differ from it least: of each kind of placebo,
random and yoked, under the same optimiser. What they still differ in is said. The comparison is pair by
pair, and has two forms: the final Pass@1, by the paired difference; and who is first at a threshold, or
gets there at all, by a sign test over the pairs that tell (McNemar's exact test). Neither draws a random
number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.claims.gains import Split, between
from analysis.claims.pairs import match
from analysis.claims.reading import Band, Gate, Measured
from analysis.claims.speed import both_times
from analysis.claims.worlds import Floats, final_train, table
from analysis.formats import points
from analysis.inference.fractions import Fraction, reaches
from analysis.inference.means import paired_difference
from analysis.loading.records import Cell, Records
from analysis.verdict import Placebo, Quantity, bounded
from banditrft.claims import placebo_conditions, rest

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


def caution(placebo: Cell, cell: Cell) -> str:
    """What a placebo differs in, as a sentence of its own; empty where the reward is all."""
    fields = differing(placebo, cell)
    return f" The placebo differs also in {', '.join(fields)}." if fields else ""


def needed(cell: Cell) -> str:
    """What is missing where a condition has no placebo."""
    optimizer = cell.design.optimizer
    under = "" if optimizer is None or optimizer == "adam" else f" and optimizer = '{optimizer}'"
    return (
        f"'{cell.condition}' in '{cell.world.name}' is not read against a placebo, for there is none: add a "
        f"condition with reward = 'random'{under}."
    )


def final_over(
    part_id: str,
    cell: Cell,
    placebo: Cell,
    split: Split,
    band: Band,
    kept: npt.NDArray[np.bool_] | None = None,
    *,
    lenient: bool = False,
) -> Measured:
    """Final Pass@1 of a condition minus that of its placebo, pair by pair.

    Args:
        part_id: Name inside the claim.
        cell: The condition.
        placebo: One of its placebos.
        split: What is measured.
        band: Where the difference must lie.
        kept: Runs of the condition that count; all by default.
        lenient: Whether the lenient grade is read.
    """
    keys, values = table((placebo, cell), [_final(c, split, lenient=lenient) for c in (placebo, cell)])
    if kept is not None:
        wanted = {key for key, keep in zip(cell.keys(), kept, strict=True) if keep}
        rows = np.array([(int(q), int(s)) in wanted for q, s in keys], dtype=np.bool_)
        keys, values = keys[rows], values[rows]
    grade = ", lenient grade" if lenient else ""
    label = f"Final {split} Pass@1, '{cell.condition}' minus '{placebo.condition}'{grade}"
    return between(
        part_id,
        label,
        (placebo, cell),
        keys,
        values,
        band,
        split=split,
        comparator="placebo",
        said=caution(placebo, cell),
    )


def over_each(
    part_id: str,
    cell: Cell,
    others: Sequence[Cell],
    split: Split,
    band: Band,
    kept: npt.NDArray[np.bool_] | None = None,
    *,
    lenient: bool = False,
) -> list[Measured]:
    """A change over each placebo by one margin, as `final_over`; ids end in the kind of placebo."""
    kinds = [c.design.reward for c in others]
    names = [
        f"{part_id}-over-{k}{kinds[:i].count(k) + 1 if k in kinds[:i] else ''}" for i, k in enumerate(kinds)
    ]
    return [
        final_over(name, cell, c, split, band, kept, lenient=lenient)
        for name, c in zip(names, others, strict=True)
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
    def told(self) -> int:
        """Pairs that tell."""
        return self.wins + self.losses

    @property
    def estimate(self) -> float:
        """Fraction of those pairs; nan where none tells."""
        return self.wins / self.told if self.told else float("nan")

    def p_above(self, x: float) -> float:
        """Exact p-value of "fraction <= x"."""
        return Fraction(self.wins, self.told).p_above(x) if self.told else 1.0

    def p_below(self, x: float) -> float:
        """Exact p-value of "fraction >= x"."""
        return Fraction(self.wins, self.told).p_below(x) if self.told else 1.0

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""
        return Fraction(self.wins, self.told).interval(alpha) if self.told else (0.0, 1.0)


Compare = Callable[[Cell, Cell], Measured]
"""A component of a condition and one of its placebos."""


def gate(
    records: Records, part_id: str, cells: Sequence[Cell], compare: Compare, split: Split = "train"
) -> Gate | None:
    """That one of some conditions is told from its placebos, from the one that it exceeds least.

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


def sooner(threshold: float, consecutive: int, until: float = float("inf")) -> Compare:
    """That runs reach a train Pass@1 before their placebos, by a horizon."""

    def compare(cell: Cell, placebo: Cell) -> Measured:
        pairs = match(placebo, cell)
        first, second = (t.upper for t in both_times(pairs, threshold, consecutive, until))
        label = f"Pairs in which '{cell.condition}' reaches train Pass@1 {threshold:g} before"
        return _won(cell, placebo, label, second < first, second > first, "time")

    return compare


def reaching_more(threshold: float, error: float, kept: npt.NDArray[np.bool_] | None = None) -> Compare:
    """That runs are shown to exceed a final train Pass@1 where their placebos are not.

    Args:
        threshold: That Pass@1.
        error: Error rate of the exact bound of each run.
        kept: Runs of the condition that count; all by default.
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
        label = f"Pairs in which '{cell.condition}' alone is shown to exceed train Pass@1 {threshold:g}, not"
        return _won(cell, placebo, label, won, lost, "reach")

    return compare


def _won(
    cell: Cell,
    placebo: Cell,
    label: str,
    won: npt.NDArray[np.bool_],
    lost: npt.NDArray[np.bool_],
    estimand: Quantity,
) -> Measured:
    test = Wins(int(won.sum()), int(lost.sum()))
    return Measured(
        id="learns",
        label=f"{label} '{placebo.condition}', of those that differ",
        kind="fraction",
        world=cell.world.name,
        conditions=(placebo.condition, cell.condition),
        test=test,
        band=Band(low=0.5),
        n=int(won.size),
        unit=f"pairs ({cell.replicate})",
        sentence=(
            "A run and its placebo have the same query and seed. Were the reward of no use, either would be "
            "ahead as often as the other: an exact sign test over the pairs in which one is ahead."
            f"{caution(placebo, cell)}"
        ),
        detail=lambda _: (
            f"The condition is ahead in {test.wins}, the placebo in {test.losses} of {won.size} pairs."
        ),
        counts={"successes": test.wins, "runs": test.told, "pairs": int(won.size)},
        estimand=estimand,
        split="train",
        comparator="placebo",
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


def failing(cell: Cell, failures: Fraction, horizon: float) -> Placebo:
    """Placebo runs that fail by a horizon."""
    return Placebo(
        label=f"Placebo runs that fail by round {horizon:g}",
        condition=cell.condition,
        estimate=failures.estimate,
        interval=failures.interval(0.025),
        n=failures.n,
        sentence=f"{_drawn(cell)} {failures.successes} of {failures.n} runs fail.",
        kind="fraction",
    )


def reached(cell: Cell, threshold: float, error: float) -> Placebo:
    """Placebo runs shown to exceed a final train Pass@1."""
    found = reaches(cell.final_correct, cell.final_samples, threshold, error)
    fraction = Fraction(int(found.sum()), cell.n)
    return Placebo(
        label=f"Placebo runs shown to exceed train Pass@1 {threshold:g}",
        condition=cell.condition,
        estimate=fraction.estimate,
        interval=fraction.interval(0.025),
        n=fraction.n,
        sentence=(
            f"{_drawn(cell)} {fraction.successes} of {fraction.n} runs do: so many need no information in "
            "the reward."
        ),
        kind="fraction",
    )


def _gains(cell: Cell) -> list[Placebo]:
    found = []
    if cell.has_base_train:
        found.append(_gain(cell, "train", final_train(cell), cell.train[:, 0]))
    if cell.has_test:
        found.append(_gain(cell, "test", cell.test, cell.test_base))
    return found


def _gain(cell: Cell, split: str, end: Floats, base: Floats) -> Placebo:
    gain = paired_difference(end, base)
    return Placebo(
        label=f"Placebo's gain in {split} Pass@1 over the base policy in '{cell.world.name}', points",
        condition=cell.condition,
        estimate=gain.estimate,
        interval=bounded(gain.interval(0.025)),
        n=gain.n,
        sentence=(
            f"{_drawn(cell)} {split} Pass@1 changes by {points(gain.estimate)} points: such a change "
            "needs no information in the reward."
        ),
    )


def _drawn(cell: Cell) -> str:
    """How the placebo's rewards came about."""
    if cell.design.reward == "random":
        return "With rewards drawn at random"
    return "With the rewards of its pair dealt out at random"
