"""Seeds that each claim of a study needs, read off a pilot: one figure per component and one per verdict.

A pilot says how results spread; the truth that a test is to detect is the claim's own where the claim is an
equivalence (no difference), and the pilot's estimate otherwise, which is a guess from few runs. Levels are
those of the first step of Holm's procedure, the strictest. A verdict of several components is sure to be
reached with probability 1 - sum(1 - power), whatever their dependence; one component is enough to refute.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from analysis import wording
from analysis.judging import ALPHA, testable
from analysis.loading.records import Records
from analysis.planning.attainable import Asked, unattainable
from analysis.planning.components import Planned, component
from analysis.planning.power import TARGET, needed
from analysis.results import Part, Word
from analysis.verdict import Verdict

MOST = 1024
"""Seeds beyond which the answer is "more"."""


@dataclass(frozen=True)
class PartPlan:
    """One component.

    Attributes:
        part: Its id.
        label: What it states.
        expects: "supported" or "refuted": what the pilot says the component will be; None where it lies on
            the border or has no power function.
        power: At the study's own seeds; None likewise.
        seeds: For a power of .8; None where that takes more than `MOST`, or is not known.
        assumes: What the figure takes for true.
    """

    part: str
    label: str
    expects: Word | None
    power: float | None
    seeds: int | None
    assumes: str


@dataclass(frozen=True)
class ClaimPlan:
    """One claim in one world.

    Attributes:
        claim: Id.
        world: World or model.
        statement: The claim.
        expects: The verdict that the pilot points to; None where it points to none.
        level: Error rate of the verdict.
        planned: Seeds of the study.
        power: Chance of that verdict with them, at least.
        seeds: Seeds for a power of .8, at most; None as for a component.
        parts: Components.
        impossible: Why no data can decide or support the claim at these seeds; None where some can.
    """

    claim: str
    world: str
    statement: str
    expects: Word | None
    level: float
    planned: int
    power: float | None
    seeds: int | None
    parts: tuple[PartPlan, ...]
    impossible: str | None = None


def plan(records: Records, seeds: Mapping[str, int], alpha: float = ALPHA) -> list[ClaimPlan]:
    """Power and needed seeds of every claim that the pilot can test.

    Args:
        records: The pilot.
        seeds: World -> seeds of the study (per query, in a language-model world of single queries).
        alpha: Family-wise error rate.
    """
    found = testable(records)
    primary = sum(not c.secondary for c, _ in found)
    plans, tested = [], []
    for claim, finding in found:
        level = alpha / max(len(found) - primary if claim.secondary else primary, 1)
        verdict = finding.build(level, None, len(found))
        if not verdict.derived:
            plans.append(_plan(records, verdict, seeds))
            tested.append(Asked(claim, verdict.world, _queries(records, verdict), plans[-1].planned))
    why = unattainable(tested, alpha)
    return [replace(p, impossible=why.get((p.claim, p.world))) for p in plans]


def _queries(records: Records, verdict: Verdict) -> int:
    """Training queries that the runs of a verdict's components belong to, the fewest."""
    cells = [records.of(p.world).get(p.conditions[0]) for p in verdict.parts]
    return min((np.unique(c.query).size for c in cells if c is not None), default=1)


def _plan(records: Records, verdict: Verdict, seeds: Mapping[str, int]) -> ClaimPlan:
    parts = [(part, component(records, part)) for part in verdict.parts]
    own = [_seeds(p, seeds) for p, _ in parts]
    shown = tuple(
        PartPlan(
            part.id,
            wording.label(part),
            c.expects,
            None if c.power is None else c.power(n),
            None if c.power is None else needed(c.power, TARGET, c.least, MOST),
            c.assumes,
        )
        for (part, c), n in zip(parts, own, strict=True)
    )
    expects, power = _together([c for _, c in parts])
    planned = min(own)
    return ClaimPlan(
        claim=verdict.claim,
        world=verdict.world,
        statement=verdict.statement,
        expects=expects,
        level=verdict.level,
        planned=planned,
        power=None if power is None else power(planned),
        seeds=None if power is None else needed(power, TARGET, max(c.least for _, c in parts), MOST),
        parts=shown,
    )


def _together(parts: list[Planned]) -> tuple[Word | None, Callable[[int], float] | None]:
    """The verdict that the components point to, and the chance of it, at least."""
    refuting = [c.power for c in parts if c.expects == "refuted" and c.power is not None]
    if refuting:
        return "refuted", lambda n: max(power(n) for power in refuting)
    known = [c.power for c in parts if c.power is not None]
    if not parts or len(known) < len(parts):
        return None, None
    return "supported", lambda n: max(0.0, 1 - sum(1 - power(n) for power in known))


def _seeds(part: Part, seeds: Mapping[str, int]) -> int:
    """Seeds of the worlds that a component reads, the fewest."""
    names = [w for w in part.worlds or (part.world,) if w in seeds]
    return min((seeds[w] for w in names), default=min(seeds.values()))


def rounded(value: float | None) -> float | None:
    """A power with three decimals; a drawn one of 1 has only not failed yet."""
    return None if value is None or not math.isfinite(value) else min(round(float(value), 3), 0.999)
