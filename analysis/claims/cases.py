"""One claim in one world as a conjunction of components, and the same claim over all worlds of a kind.

Supported when every component is, each at the full level (intersection-union); refuted when one component
is, at the level divided by their number. Over several worlds the components of all of them are one such
conjunction; each world also has its verdict, and Holm's procedure runs over all verdicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from analysis.claims.finding import Finding
from analysis.formats import FORMATS
from analysis.inference.multiplicity import bonferroni
from analysis.verdict import ALL, Part, Placebo, Verdict, Word
from banditrft.claims import Claim


class Component(Protocol):
    """Anything that can be read at a level."""

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
    """

    kind: Literal["sim", "llm"]
    name: str
    components: tuple[Component, ...]
    missing: tuple[str, ...] = ()
    placebo: tuple[Placebo, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def wanted(self) -> int:
        """Components that the claim asks for."""
        return len(self.components) + len(self.missing)

    @property
    def p_support(self) -> float:
        """p-value against "the claim is false here"; 1 while a component is missing."""
        known = self.components and not self.missing
        return max(c.p_support for c in self.components) if known else 1.0

    @property
    def p_refute(self) -> float:
        """p-value against "the claim is true here", corrected for its components."""
        return bonferroni(min((c.p_refute for c in self.components), default=1.0), self.wanted)


def finding(claim: Claim, case: Case) -> Finding:
    """A conjunction for the judge."""

    def build(level: float, adjusted: float | None, family: int) -> Verdict:
        parts = tuple(c.part(level, level / case.wanted) for c in case.components)
        word = _word(parts, not case.missing)
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
) -> Verdict:
    """Put a verdict together; `p` overrides the conjunction's."""
    if case.name == ALL:
        parts = tuple(replace(p, points={}) for p in parts)  # they stand in the worlds' own verdicts
    smaller = min(case.p_support, case.p_refute) if p is None else p
    return Verdict(
        claim=claim.id,
        statement=claim.statement,
        kind=case.kind,
        world=case.name,
        verdict=word,
        summary=_over_worlds(parts) if case.name == ALL else _summary(parts, case.missing),
        p=smaller if parts else None,
        p_adjusted=adjusted,
        level=level,
        family=family,
        parts=parts,
        placebo=case.placebo,
        notes=(*case.missing, *case.notes) if parts else case.notes,
    )


def over_all(cases: Sequence[Case]) -> Case:
    """All worlds' components as one conjunction."""
    return Case(
        kind=cases[0].kind,
        name=ALL,
        components=tuple(c for case in cases for c in case.components),
        missing=tuple(f"{case.name}: {why}" for case in cases for why in case.missing),
    )


def findings(claim: Claim, cases: Sequence[Case]) -> list[Finding]:
    """One finding per world, and one over all where several were tested."""
    whole = [over_all(cases)] if sum(bool(c.components) for c in cases) > 1 else []
    return [finding(claim, case) for case in (*cases, *whole)]


def absent(kind: Literal["sim", "llm"], why: str) -> Case:
    """A claim that the study cannot test."""
    return Case(kind, "simulated" if kind == "sim" else "language models", (), (why,))


def _word(parts: Sequence[Part], whole: bool) -> Word:
    if any(p.verdict == "refuted" for p in parts):
        return "refuted"
    return "supported" if whole and all(p.verdict == "supported" for p in parts) else "undecided"


def _summary(parts: Sequence[Part], missing: Sequence[str]) -> str:
    if not parts:
        return "Not tested: " + " ".join(missing)
    return "; ".join(f"{p.label}: {_value(p)} ({p.verdict})" for p in parts) + "."


def _over_worlds(parts: Sequence[Part]) -> str:
    by_world: dict[str, list[Part]] = {}
    for part in parts:
        by_world.setdefault(part.world, []).append(part)
    words = {world: _word(own, True) for world, own in by_world.items()}
    said = [
        f"{word} in {', '.join(names)}"
        for word in ("supported", "refuted", "undecided")
        if (names := [w for w, found in words.items() if found == word])
    ]
    return f"{'; '.join(said)}."[:1].upper() + f"{'; '.join(said)}."[1:]


def _value(part: Part) -> str:
    if part.estimate is None:
        return "cannot be estimated"
    unit = " points" if part.kind in ("difference", "slope", "risk") else ""
    return f"{FORMATS[part.kind](part.estimate)}{unit}"
