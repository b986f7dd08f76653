"""The failure signatures of papers A and B, and those that compare conditions.

Those of a single condition are in `analysis.diagnosis.single`, those of the tables of rounds in
`analysis.diagnosis.rounds`.
"""

import math
from collections.abc import Mapping, Sequence

from analysis.claims.random_curves import area
from analysis.claims.worlds import final_train, table
from analysis.diagnosis.look import Look, joined, number, points
from analysis.diagnosis.single import MARGIN
from analysis.inference.equivalence import paired_difference, welch_difference
from analysis.inference.spread import spread_ratio
from analysis.loading.records import Cell
from banditrft.claims import ladders
from banditrft.claims.conditions import rest
from banditrft.design import GROUP_SIGNALS
from banditrft.worlds import ImportedWorld

LARGE = 1.5
"""Ratio of spreads that is large."""
SIGNATURES: Mapping[str, str] = {
    "train plateau below 1": "train Pass@1 learns, then stays below .95: noise, KL or too hard a query",
    "test falls while train rises": "test Pass@1 falls by more than 2 points: too hard a query",
    "flat test curve": "test Pass@1 stays within 2 points while train rises: no transfer",
    "zero improvement": "train Pass@1 rises by less than 5 points from a base below .05",
    "large spread under an advantage": "the spread over seeds is over 1.5 times that of the raw reward",
    "batch ceiling": "the largest batch brings less than 2 points more than the next",
    "zero-signal groups": "more than half of the groups give no learning signal",
    "inert clip": "the clip of the policy ratio is never active",
}
"""Name -> what it says."""


def unstable(cells: Mapping[str, Cell]) -> list[Look]:
    """Conditions with an advantage against those with the raw reward that are the same otherwise."""
    free = {"signal", "signal_ddof", "signal_eps"}
    name, found = "large spread under an advantage", []
    for cell in (c for c in cells.values() if c.design.signal in GROUP_SIGNALS):
        plain = [
            c
            for c in cells.values()
            if c.design.signal == "raw" and rest(c.design, free) == rest(cell.design, free)
        ]
        if plain:
            found.append(_spread(name, cell, plain[0]))
        else:
            why = "no condition differs from it in the raw reward alone"
            found.append(Look(name, cell.world.name, cell.condition, why_open=why))
    return found


def _spread(name: str, cell: Cell, plain: Cell) -> Look:
    where = (name, cell.world.name, joined((cell.condition, plain.condition)))
    if not (cell.has_train and plain.has_train):
        return Look(*where, why_open="the records hold no training curve")
    keys, areas = table([cell, plain], [area(cell), area(plain)])
    if len(keys) < 3:
        return Look(*where, why_open=f"{len(keys)} runs in common; a spread needs three")
    ratio = spread_ratio(areas[:, 0], areas[:, 1], keys[:, 0], margins=(LARGE,))
    if not math.isfinite(ratio.estimate):
        return Look(*where, why_open=f"the runs of '{plain.condition}' do not differ at all")
    low, high = ratio.interval(0.025)
    times = f"{ratio.estimate:.2f} [{low:.2f}, {high:.2f}] times that of '{plain.condition}'"
    return Look(
        *where,
        p_present=ratio.p_above(LARGE),
        p_absent=ratio.p_below(LARGE),
        evidence={"ratio": number(ratio), "n": len(keys)},
        said=f"the spread of the area under the training curve is {times}",
        present="the advantage makes training unstable",
        absent=f"less than {LARGE:g}",
    )


def ceiling(cells: Mapping[str, Cell]) -> list[Look]:
    """The two largest batch sizes of each family of conditions that differ in nothing else."""
    known = {n: c for n, c in cells.items() if "batch_size" not in c.unknown}
    families = ladders({n: c.design for n, c in known.items()}, (), {"batch_size"}, lambda d: d.batch_size)
    return [_ceiling([known[n] for n in names[-2:]]) for names in families if len(names) > 1]


def _ceiling(cells: Sequence[Cell]) -> Look:
    few, many = cells
    where = ("batch ceiling", few.world.name, joined((few.condition, many.condition)))
    tested = few.has_test and many.has_test
    if min(few.n, many.n) < 2:
        return Look(*where, why_open="one run, and the run is the unit")
    if not tested and not (few.has_train and many.has_train):
        return Look(*where, why_open="the records hold neither test evaluations nor a training curve")
    values = [c.test if tested else final_train(c) for c in cells]
    keys, both = table(cells, values)
    paired = not isinstance(few.world, ImportedWorld) and len(keys) > 1
    gain = paired_difference(both[:, 1], both[:, 0]) if paired else welch_difference(values[1], values[0])
    sizes = f"{few.design.batch_size} to {many.design.batch_size} queries per round"
    said = f"from {sizes} final {'test' if tested else 'train'} Pass@1 changes by {points(gain)}"
    return Look(
        *where,
        p_present=gain.p_below(MARGIN),
        p_absent=gain.p_above(MARGIN),
        evidence={"gain": number(gain), "n": gain.n},
        said=said,
        present=f"less than {100 * MARGIN:g} points",
        absent=f"more than {100 * MARGIN:g} points",
    )
