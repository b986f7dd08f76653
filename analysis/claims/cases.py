"""One claim in one world as a conjunction of components, and the same claim over all worlds of a kind.

Supported when every component is, each at the full level (intersection-union); refuted when one component
is, at the level divided by the number of those that can refute, and what it needs holds. Over several
worlds the components of all of them are one such conjunction: a reading, no evidence beyond the worlds' own
verdicts, though Holm's procedure counts it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, Protocol

from analysis.claims.finding import Finding
from analysis.estimands import ESTIMANDS
from analysis.inference.multiplicity import bonferroni
from analysis.verdict import ALL, Part, Placebo, Readings, Verdict, Word, together
from banditrft.claims import Claim


class Component(Protocol):
    """Anything that can be read at a level; the attributes are those of `Part`."""

    @property
    def id(self) -> str:
        """Name inside the claim."""

    @property
    def world(self) -> str:
        """World that it reads."""

    @property
    def needs(self) -> str | None:
        """Component of the same world without which this one refutes nothing."""

    @property
    def gate(self) -> bool:
        """Whether it is such a condition."""

    @property
    def p_support(self) -> float:
        """p-value against "the component is false"."""

    @property
    def p_refute(self) -> float:
        """p-value against "the component is true"."""

    def part(self, level: float, refuting_level: float) -> Part:
        """The component read at the given error rates."""


@dataclass(frozen=True)
class Case:
    """A claim in one world, or over all of a kind.

    Attributes:
        kind: "sim" or "llm".
        name: World, or `ALL`.
        components: What could be measured.
        missing: Why others could not, one sentence each.
        placebo: What the placebo does.
        notes: Limits of this verdict.
        no_placebo: What could not be read for want of a placebo, one sentence each.
        stricter: Components as this project reads them, where the papers' margin or horizon is another: they
            replace those of the same id, or are further ones.
        late: Whether the stricter reading is a later horizon of a failure, which tells "slow" from "failed".
    """

    kind: Literal["sim", "llm"]
    name: str
    components: tuple[Component, ...]
    missing: tuple[str, ...] = ()
    placebo: tuple[Placebo, ...] = ()
    notes: tuple[str, ...] = ()
    no_placebo: tuple[str, ...] = ()
    stricter: tuple[Component, ...] = ()
    late: bool = False

    @property
    def lacks(self) -> tuple[str, ...]:
        """Why components are missing."""
        return (*self.missing, *self.no_placebo)

    @property
    def wanted(self) -> int:
        """Components that could refute the claim, those that are missing with them."""
        return _wanted(self.components, self.lacks)

    @property
    def p_support(self) -> float:
        """p-value against "the claim is false here"; 1 while a component is missing."""
        known = self.components and not self.lacks
        return max(c.p_support for c in self.components) if known else 1.0

    @property
    def p_refute(self) -> float:
        """p-value against "the claim is true here", corrected for its components."""
        shown = {(c.world, c.id): c.p_support for c in self.components}
        each = (
            max(bonferroni(c.p_refute, self.wanted), shown.get((c.world, c.needs), 1.0) if c.needs else 0.0)
            for c in self.components
        )
        return min(each, default=1.0)

    def parts(self, level: float) -> tuple[Part, ...]:
        """The components read at the verdict's level."""
        return tuple(c.part(level, level / self.wanted) for c in self.components)

    def ours(self, level: float) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """The stricter components at the verdict's level, and the whole conjunction with them."""
        others = {(c.world, c.id): c for c in self.stricter}
        whole = [others.pop((c.world, c.id), c) for c in self.components] + list(others.values())
        refuting = level / _wanted(whole, self.lacks)
        new = {(c.world, c.id) for c in self.stricter}
        read = tuple(c.part(level, refuting) for c in whole)
        return tuple(p for p in read if (p.world, p.id) in new), read


def _wanted(components: Sequence[Component], lacks: Sequence[str]) -> int:
    return max(sum(not c.gate for c in components) + len(lacks), 1)


def finding(claim: Claim, case: Case) -> Finding:
    """A conjunction for the judge."""

    def build(level: float, adjusted: float | None, family: int) -> Verdict:
        parts = case.parts(level)
        word = together(parts, whole=not case.lacks)
        return verdict(claim, case, parts, word, level, adjusted, family)

    return Finding(case.p_support, case.p_refute, bool(case.components), build)


def verdict(
    claim: Claim,
    case: Case,
    parts: tuple[Part, ...],
    word: Word,
    level: float,
    adjusted: float | None,
    family: int,
    p: float | None = None,
    readings: Readings | None = None,
) -> Verdict:
    """Put a verdict together; `p` and `readings` override the conjunction's."""
    stricter, whole = case.ours(level)
    if readings is None and parts:
        ours = together(whole, whole=not case.lacks) if stricter else word
        readings = Readings(
            word, ours, _against(case, parts, "base", "level"), _against(case, parts, "placebo")
        )
    outcome: Literal["failed", "slow"] | None = None
    if case.late and readings and readings.papers == "supported":
        later: dict[Word, Literal["failed", "slow"]] = {"supported": "failed", "refuted": "slow"}
        outcome = later.get(readings.ours)
    if case.name == ALL:  # their points stand in the worlds' own verdicts
        parts = tuple(replace(p, points={}) for p in parts)
        stricter = tuple(replace(p, points={}) for p in stricter)
    smaller = min(case.p_support, case.p_refute) if p is None else p
    return Verdict(
        claim=claim.id,
        statement=claim.statement,
        kind=case.kind,
        world=case.name,
        verdict=word,
        summary=_over_worlds(parts) if case.name == ALL else _summary(parts, case.lacks),
        p=smaller if parts else None,
        p_adjusted=adjusted,
        level=level,
        family=family,
        parts=parts,
        placebo=case.placebo,
        notes=(*case.lacks, *case.notes) if parts else case.notes,
        readings=readings,
        stricter=stricter,
        outcome=outcome,
        derived=case.name == ALL,
    )


def _against(case: Case, parts: Sequence[Part], *comparators: str) -> Word | None:
    """The word of the components with these comparators alone."""
    own = [replace(p, needs=None) for p in parts if p.comparator in comparators]
    lacks = bool(case.no_placebo) and "placebo" in comparators
    return together(own, whole=not lacks) if own or lacks else None


def over_all(cases: Sequence[Case]) -> Case:
    """All worlds' components as one conjunction."""
    return Case(
        kind=cases[0].kind,
        name=ALL,
        components=tuple(c for case in cases for c in case.components),
        missing=tuple(f"{case.name}: {why}" for case in cases for why in case.missing),
        no_placebo=tuple(f"{case.name}: {why}" for case in cases for why in case.no_placebo),
        stricter=tuple(c for case in cases for c in case.stricter),
        late=any(case.late for case in cases),
    )


def findings(claim: Claim, cases: Sequence[Case]) -> list[Finding]:
    """One finding per world, and one over all where several were tested."""
    whole = [over_all(cases)] if sum(bool(c.components) for c in cases) > 1 else []
    return [finding(claim, case) for case in (*cases, *whole)]


def absent(kind: Literal["sim", "llm"], why: str) -> Case:
    """A claim that the study cannot test."""
    return Case(kind, "simulated" if kind == "sim" else "language models", (), (why,))


def _summary(parts: Sequence[Part], missing: Sequence[str]) -> str:
    if not parts:
        return "Not tested: " + " ".join(missing)
    return "; ".join(f"{p.label}: {_value(p)} ({p.verdict})" for p in parts) + "."


def _over_worlds(parts: Sequence[Part]) -> str:
    ordered = sorted(parts, key=lambda p: list(dict.fromkeys(q.world for q in parts)).index(p.world))
    words = {world: together(list(own)) for world, own in groupby(ordered, key=lambda p: p.world)}
    said = [
        f"{word} in {', '.join(names)}"
        for word in ("supported", "refuted", "undecided")
        if (names := [w for w, found in words.items() if found == word])
    ]
    return f"{'; '.join(said)}."[:1].upper() + f"{'; '.join(said)}."[1:]


def _value(part: Part) -> str:
    if part.estimate is None:
        return "cannot be estimated"
    return ESTIMANDS[part.kind].said(part.estimate)
