"""A1: one query, one rollout and the raw {0, 1} reward bring train Pass@1 to 1.

A run reaches it when the exact one-sided lower bound of its *final* Pass@1 exceeds the threshold; never the
maximum over evaluations, which rises with the number of looks. The claim is about the fraction of runs that
reach it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.claims.finding import Finding, Group
from analysis.inference.binomials import Fraction, detectable_fraction, least_successes, lower_bound, reaches
from analysis.loading.records import Cell, Records
from analysis.verdict import Part, Placebo, Secondary, Verdict, decide
from banditrft.claims import ReachesOne, placebo_conditions, single_query_conditions


def find(records: Records, group: Group, claim: ReachesOne) -> Finding:
    """Judge A1 in one group of worlds."""
    designs = records.designs(group.train) if group.train else {}
    names = single_query_conditions(designs)
    if group.train is None or not names:
        wanted = "condition with one query, one rollout, the raw {0, 1} reward and Adam"
        why = f"no {wanted}" if group.train else "no lumped world, which A1 reads"
        return Finding(1.0, 1.0, False, lambda level, _, family: _absent(group, claim, why, level, family))
    cells = records.of(group.train)
    cell = cells[names[0]]
    others = [cells[n] for n in (*names[1:], *single_query_conditions(designs, "sgd"))]
    if group.kind == "sim" and group.test:
        others += [records.of(group.test)[n] for n in single_query_conditions(records.designs(group.test))]
    placebos = [cells[n] for n in placebo_conditions(designs)]
    fraction = count(cell, claim)
    p_support, p_refute = fraction.p_above(claim.fraction), fraction.p_below(claim.fraction)

    def build(level: float, adjusted: float | None, family: int) -> Verdict:
        part = _part(cell, others, fraction, claim, level)
        return Verdict(
            claim=claim.id,
            statement=claim.statement,
            kind=group.kind,
            world=group.name,
            verdict=part.verdict,
            summary=_summary(part, fraction, cell, claim),
            p=min(p_support, p_refute),
            p_adjusted=adjusted,
            level=level,
            family=family,
            parts=(part,),
            placebo=tuple(_placebo(c, claim) for c in placebos),
            notes=_notes(cell, claim),
        )

    return Finding(p_support, p_refute, True, build)


def count(cell: Cell, claim: ReachesOne) -> Fraction:
    """Runs of a condition that reach Pass@1 = 1 in the claim's sense."""
    return Fraction(int(_reached(cell, claim).sum()), cell.n)


def _part(cell: Cell, others: list[Cell], fraction: Fraction, claim: ReachesOne, level: float) -> Part:
    p_support, p_refute = fraction.p_above(claim.fraction), fraction.p_below(claim.fraction)
    bounds = (fraction.lower(level), fraction.upper(level))
    need = least_successes(fraction.n, claim.fraction, level)
    detectable = detectable_fraction(fraction.n, claim.fraction, level)
    samples = int(cell.final_samples.min())
    least = _least_correct(samples, claim)
    if need > fraction.n:
        detail = f"{fraction.n} runs cannot show a fraction above {claim.fraction:g} at this level."
    else:
        detail = (
            f"{need} of {fraction.n} runs would be enough; 80% power at a true fraction of {detectable:.2f}."
        )
    return Part(
        id="reach",
        label=f"Runs shown to exceed train Pass@1 {claim.pass_at_1:g}",
        kind="fraction",
        world=cell.world.name,
        conditions=(cell.condition,),
        verdict=decide(p_support, p_refute, level, level),
        estimate=fraction.estimate,
        interval=bounds,
        level=1 - level,
        refuting_interval=bounds,
        refuting_level=1 - level,
        band=(claim.fraction, 1.0),
        p_support=p_support,
        p_refute=p_refute,
        n=fraction.n,
        unit=f"runs ({cell.replicate})",
        detail=detail,
        sentence=(
            f"Each run is decided by one final evaluation, and Pass@1 = 1 is read as: at least {least} of "
            f"{samples} samples right put the exact one-sided {claim.confidence:.0%} lower bound above "
            f"{claim.pass_at_1:g}. The fraction of such runs gets exact one-sided bounds (Clopper-Pearson), "
            "because runs are independent and a run either is one or is not."
        ),
        counts={"reached": fraction.successes, "runs": fraction.n},
        secondary=tuple(_secondary(c, claim) for c in others),
        points=_points(cell, claim),
    )


def _points(cell: Cell, claim: ReachesOne) -> dict[str, list[Any]]:
    return {
        "query": cell.query.tolist(),
        "seed": cell.seed.tolist(),
        "correct": cell.final_correct.tolist(),
        "samples": cell.final_samples.tolist(),
        "reached": _reached(cell, claim).tolist(),
    }


def _secondary(cell: Cell, claim: ReachesOne) -> Secondary:
    fraction = count(cell, claim)
    label = f"{cell.condition} in '{cell.world.name}'"
    return Secondary(label, fraction.estimate, fraction.interval(0.025), 0.95, fraction.n)


def _placebo(cell: Cell, claim: ReachesOne) -> Placebo:
    fraction = count(cell, claim)
    return Placebo(
        label=f"Placebo runs shown to exceed train Pass@1 {claim.pass_at_1:g}",
        condition=cell.condition,
        estimate=fraction.estimate,
        interval=fraction.interval(0.025),
        n=fraction.n,
        sentence=(
            f"With rewards drawn at random {fraction.successes} of {fraction.n} runs do: so many need no "
            "information in the reward."
        ),
        kind="fraction",
    )


def _summary(part: Part, fraction: Fraction, cell: Cell, claim: ReachesOne) -> str:
    text = (
        f"{fraction.successes} of {fraction.n} runs are shown to exceed train Pass@1 {claim.pass_at_1:g} "
        f"within {cell.design.rounds} rounds"
    )
    low, high = part.interval
    if part.verdict == "supported":
        return f"{text}; the fraction is above {claim.fraction:g} (lower bound {low:.2f})."
    if part.verdict == "refuted":
        return f"{text}; the fraction is below {claim.fraction:g} (upper bound {high:.2f})."
    open_question = f"leave open whether more than {claim.fraction:g} do"
    return f"{text}; the bounds ({low:.2f}, {high:.2f}) {open_question}."


def _notes(cell: Cell, claim: ReachesOne) -> tuple[str, ...]:
    notes = []
    if len(cell.base) > 1:
        notes.append(f"For these {len(cell.base)} queries: seeds are replicates, queries are not.")
        notes.append(_by_query(cell, claim))
    if int(cell.final_samples.min()) != claim.samples:
        notes.append(
            f"The final evaluation used {int(cell.final_samples.min())} samples, the protocol says "
            f"{claim.samples}."
        )
    near = cell.final_correct / cell.final_samples >= claim.pass_at_1
    unsure = int(np.sum(near & ~_reached(cell, claim)))
    if unsure:
        notes.append(f"{unsure} more runs end at or above {claim.pass_at_1:g} without a bound above it.")
    return tuple(notes)


def _by_query(cell: Cell, claim: ReachesOne) -> str:
    """Runs that reach it, query by query, and where the others of a query end."""
    reached, ends, said = _reached(cell, claim), cell.final_correct / cell.final_samples, []
    for query in np.unique(cell.query):
        own = cell.query == query
        others = ends[own & ~reached]
        where = f" (the others end at {others.min():.2f} to {others.max():.2f})" if others.size else ""
        said.append(f"query {query} {int((own & reached).sum())} of {int(own.sum())}{where}")
    return f"Runs that exceed it, by query: {', '.join(said)}."


def _reached(cell: Cell, claim: ReachesOne) -> npt.NDArray[np.bool_]:
    return reaches(cell.final_correct, cell.final_samples, claim.pass_at_1, 1 - claim.confidence)


def _least_correct(samples: int, claim: ReachesOne) -> int:
    bounds = lower_bound(np.arange(samples + 1), samples, 1 - claim.confidence)
    return int(np.argmax(bounds > claim.pass_at_1)) if bounds[-1] > claim.pass_at_1 else samples + 1


def _absent(group: Group, claim: ReachesOne, why: str, level: float, family: int) -> Verdict:
    return Verdict(
        claim=claim.id,
        statement=claim.statement,
        kind=group.kind,
        world=group.name,
        verdict="undecided",
        summary=f"Not tested: the study has {why}.",
        p=None,
        p_adjusted=None,
        level=level,
        family=family,
        parts=(),
    )
