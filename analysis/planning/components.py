"""The power of one component of a verdict as a function of seeds, with the spread that a pilot showed."""

import functools
from collections.abc import Callable

import numpy as np

from analysis.loading.records import Records
from analysis.planning.drawn import location, ratio, spread
from analysis.planning.known import difference, fraction, other, risk
from analysis.planning.planned import Planned
from analysis.verdict import Part


def component(records: Records, part: Part) -> Planned:
    """The power function of a component, by what its estimate is."""
    if (
        part.estimate is None and part.kind != "location"
    ):  # a place has none where all of its ladder may be best
        return Planned(None, None, "The pilot gives no estimate.")
    read = READERS.get(part.kind, other)
    found = read(records, part, _units_per_seed(records, part))
    if part.gate and found.expects == "refuted":  # a gate refutes nothing, it leaves the claim undecided
        return Planned(None, None, f"{found.assumes}; it will not be shown, which leaves the claim undecided")
    if found.power is None:
        return found
    return Planned(found.expects, functools.lru_cache(found.power), found.assumes, found.least)


def _units_per_seed(records: Records, part: Part) -> float:
    """Runs that one more seed adds: the queries of a language-model world."""
    cell = records.of(part.world).get(part.conditions[0])
    return 1.0 if cell is None else cell.n / np.unique(cell.seed).size


READERS: dict[str, Callable[[Records, Part, float], Planned]] = {
    "difference": difference,
    "slope": difference,
    "fraction": fraction,
    "risk": risk,
    "ratio": ratio,
    "spread": spread,
    "location": location,
}
"""By the kind of a component's estimate."""
