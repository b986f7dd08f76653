"""Type "reaches-one": one query, one rollout and the raw {0, 1} reward bring train Pass@1 to 1 (A1).

A run reaches it when the exact one-sided lower bound of its *final* Pass@1 exceeds the threshold; never the
maximum over evaluations, which rises with their number. The claim is about the fraction of runs that
reach it, and about runs that do where their placebo does not.
"""

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Found, Type, each
from analysis.claims.components import reaching
from analysis.claims.worlds import Group, UntestableError, first_worlds
from analysis.inference.fractions import Fraction, reaches
from analysis.loading.records import Cell, Records
from analysis.results import Note, Secondary
from banditrft.claims import ReachesOne, placebo_conditions, single_query_conditions


def read(records: Records, group: Group, claim: ReachesOne) -> Found:
    """The fraction of runs that reach it, and that they do so more often than their placebos."""
    if group.train is None:
        raise UntestableError("no lumped world")
    designs = records.designs(group.train)
    names = single_query_conditions(designs)
    if not names:
        raise UntestableError("no minimal condition")
    cells = records.of(group.train)
    cell = cells[names[0]]
    others = [cells[n] for n in (*names[1:], *single_query_conditions(designs, "sgd"))]
    if group.kind == "sim" and group.test:
        others += [records.of(group.test)[n] for n in single_query_conditions(records.designs(group.test))]
    error = 1 - claim.confidence
    part = reaching(cell, claim, extra=tuple(_elsewhere(c, claim) for c in others))
    learns = placebos.gate(records, "learns", [cell], placebos.reaching_more(claim.pass_at_1, error))
    placebo = [placebos.reached(cells[n], claim.pass_at_1, error) for n in placebo_conditions(designs)]
    return placebos.gated([part], learns, cell, cells=[cell], placebo=placebo, notes=_notes(cell, claim))


def _elsewhere(cell: Cell, claim: ReachesOne) -> Secondary:
    found = reaches(cell.final_correct, cell.final_samples, claim.pass_at_1, 1 - claim.confidence)
    fraction = Fraction(int(found.sum()), cell.n)
    where = {"condition": cell.condition, "where": cell.world.name}
    return Secondary("elsewhere", fraction.estimate, fraction.interval(0.025), 0.95, fraction.n, values=where)


def _notes(cell: Cell, claim: ReachesOne) -> list[Note]:
    reached = reaches(cell.final_correct, cell.final_samples, claim.pass_at_1, 1 - claim.confidence)
    ends = cell.final_correct / cell.final_samples
    notes = []
    if len(cell.base) > 1:
        queries = [_query(cell, q, reached, ends) for q in np.unique(cell.query)]
        notes.append(Note("by query", {"queries": queries}))
    samples = int(cell.final_samples.min())
    if samples != claim.samples:
        notes.append(Note("samples", {"used": samples, "asked": claim.samples}))
    unsure = int(np.sum((ends >= claim.pass_at_1) & ~reached))
    if unsure:
        notes.append(Note("at the threshold", {"runs": unsure, "threshold": claim.pass_at_1}))
    return notes


def _query(cell: Cell, query: int, reached: np.ndarray, ends: np.ndarray) -> dict[str, object]:
    own = cell.query == query
    left = ends[own & ~reached]
    return {
        "query": int(query),
        "reached": int((own & reached).sum()),
        "runs": int(own.sum()),
        "ends": [float(left.min()), float(left.max())] if left.size else None,
    }


TYPES = (Type(ReachesOne, read, first_worlds, judge=each),)
