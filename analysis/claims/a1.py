"""A1: one query, one rollout and the raw {0, 1} reward bring train Pass@1 to 1.

A run reaches it when the exact one-sided lower bound of its *final* Pass@1 exceeds the threshold; never the
maximum over evaluations, which rises with the number of looks. The claim is about the fraction of runs that
reach it, and about runs that do where their placebo does not.
"""

import numpy as np

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, finding
from analysis.claims.finding import Finding, Group
from analysis.claims.fractions import reaching
from analysis.claims.worlds import few_queries
from analysis.inference.fractions import Fraction, reaches
from analysis.loading.records import Cell, Records
from analysis.verdict import Secondary
from banditrft.claims import ReachesOne, placebo_conditions, single_query_conditions


def find(records: Records, group: Group, claim: ReachesOne) -> Finding:
    """Judge A1 in one group of worlds."""
    designs = records.designs(group.train) if group.train else {}
    names = single_query_conditions(designs)
    if group.train is None or not names:
        wanted = "no condition with one query, one rollout, the raw {0, 1} reward and Adam."
        why = wanted if group.train else "no lumped world, which A1 reads."
        return finding(claim, Case(group.kind, group.name, (), (why,)))
    cells = records.of(group.train)
    cell = cells[names[0]]
    others = [cells[n] for n in (*names[1:], *single_query_conditions(designs, "sgd"))]
    if group.kind == "sim" and group.test:
        others += [records.of(group.test)[n] for n in single_query_conditions(records.designs(group.test))]
    error = 1 - claim.confidence
    parts: list[Component] = [reaching(cell, claim, beside=tuple(_beside(c, claim) for c in others))]
    learns = placebos.gate(records, "learns", [cell], placebos.reaching_more(claim.pass_at_1, error))
    if learns:
        parts.append(learns)
    case = Case(
        group.kind,
        group.name,
        tuple(parts),
        placebo=tuple(
            placebos.reached(cells[n], claim.pass_at_1, error) for n in placebo_conditions(designs)
        ),
        notes=_notes(cell, claim),
        no_placebo=() if learns else (placebos.needed(cell),),
    )
    return finding(claim, case)


def count(cell: Cell, claim: ReachesOne) -> Fraction:
    """Runs of a condition that reach Pass@1 = 1 in the claim's sense."""
    found = reaches(cell.final_correct, cell.final_samples, claim.pass_at_1, 1 - claim.confidence)
    return Fraction(int(found.sum()), cell.n)


def _beside(cell: Cell, claim: ReachesOne) -> Secondary:
    fraction = count(cell, claim)
    label = f"{cell.condition} in '{cell.world.name}'"
    return Secondary(label, fraction.estimate, fraction.interval(0.025), 0.95, fraction.n)


def _notes(cell: Cell, claim: ReachesOne) -> tuple[str, ...]:
    reached = reaches(cell.final_correct, cell.final_samples, claim.pass_at_1, 1 - claim.confidence)
    ends = cell.final_correct / cell.final_samples
    notes = [*few_queries([cell])]
    if notes:
        said = []
        for query in np.unique(cell.query):
            own = cell.query == query
            left = ends[own & ~reached]
            where = f" (the others end at {left.min():.2f} to {left.max():.2f})" if left.size else ""
            said.append(f"query {query} {int((own & reached).sum())} of {int(own.sum())}{where}")
        notes.append(f"Runs that exceed it, by query: {', '.join(said)}.")
    samples = int(cell.final_samples.min())
    if samples != claim.samples:
        notes.append(f"The final evaluation used {samples} samples, the protocol says {claim.samples}.")
    unsure = int(np.sum((ends >= claim.pass_at_1) & ~reached))
    if unsure:
        notes.append(f"{unsure} more runs end at or above {claim.pass_at_1:g} without a bound above it.")
    return tuple(notes)
