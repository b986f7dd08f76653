"""One claim in one world as a conjunction of components, and the same claim over all worlds of a kind.

Supported when every component is, each at the full level (intersection-union); refuted when one component
is, at the level divided by the number of those that can refute, and what it needs holds. Over several
worlds the components of all of them are one such conjunction: a reading, no evidence beyond the worlds' own
verdicts, though Holm's procedure counts it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from analysis.claims.worlds import NAMES, Group, Kind
from analysis.inference.multiplicity import bonferroni
from analysis.loading.records import Cell, Records
from analysis.results import ALL, Note, Part, Placebo, Word, together
from analysis.verdict import Readings, Verdict
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
class Found:
    """What a type of claim measures in one group of worlds.

    Attributes:
        parts: Components.
        cells: The conditions behind them.
        missing: Why others could not be measured.
        placebo: What the placebo does.
        notes: Limits.
        no_placebo: What could not be read for want of a placebo.
        stricter: Components as this project reads them, where the papers' margin or horizon is another: they
            replace those of the same id, or are further ones.
        late: Whether the stricter reading is a later horizon of a failure, by which slow runs learn.
        name: What the verdict is filed under, where that is not the group.
    """

    parts: Sequence[Component]
    cells: Sequence[Cell] = ()
    missing: Sequence[Note] = ()
    placebo: Sequence[Placebo] = ()
    notes: Sequence[Note] = ()
    no_placebo: Sequence[Note] = ()
    stricter: Sequence[Component] = ()
    late: bool = False
    name: str | None = None


@dataclass(frozen=True)
class Case:
    """A claim in one group of worlds, or over all of a kind.

    Attributes:
        claim: The claim.
        kind: "sim" or "llm".
        name: World, or `ALL`.
        found: What could be measured.
    """

    claim: Claim
    kind: Kind
    name: str
    found: Found

    @property
    def lacks(self) -> tuple[Note, ...]:
        """Why components are missing."""
        return (*self.found.missing, *self.found.no_placebo)

    @property
    def wanted(self) -> int:
        """Components that could refute the claim, those that are missing with them."""
        return _wanted(self.found.parts, self.lacks)

    @property
    def p_support(self) -> float:
        """p-value against "the claim is false here"; 1 while a component is missing."""
        known = self.found.parts and not self.lacks
        return max(c.p_support for c in self.found.parts) if known else 1.0

    @property
    def p_refute(self) -> float:
        """p-value against "the claim is true here", corrected for its components."""
        shown = {(c.world, c.id): c.p_support for c in self.found.parts}
        each = (
            max(bonferroni(c.p_refute, self.wanted), shown.get((c.world, c.needs), 1.0) if c.needs else 0.0)
            for c in self.found.parts
        )
        return min(each, default=1.0)

    def parts(self, level: float) -> tuple[Part, ...]:
        """The components read at the verdict's level."""
        return tuple(c.part(level, level / self.wanted) for c in self.found.parts)

    def ours(self, level: float) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """The stricter components at the verdict's level, and the whole conjunction with them."""
        others = {(c.world, c.id): c for c in self.found.stricter}
        new = set(others)
        whole = [others.pop((c.world, c.id), c) for c in self.found.parts] + list(others.values())
        refuting = level / _wanted(whole, self.lacks)
        read = tuple(c.part(level, refuting) for c in whole)
        return tuple(p for p in read if (p.world, p.id) in new), read


def _wanted(components: Sequence[Component], lacks: Sequence[Note]) -> int:
    return max(sum(not c.gate for c in components) + len(lacks), 1)


@dataclass(frozen=True)
class Finding:
    """A claim in one group of worlds before Holm.

    Attributes:
        p_support: p-value against "the claim is false".
        p_refute: p-value against "the claim is true", corrected within the claim.
        testable: Whether the study holds the conditions at all; if not, it is no member of the family.
        build: (level, adjusted p, family size) -> verdict.
    """

    p_support: float
    p_refute: float
    testable: bool
    build: Callable[[float, float | None, int], Verdict]


def finding(case: Case) -> Finding:
    """A conjunction for the judge."""

    def build(level: float, adjusted: float | None, family: int) -> Verdict:
        parts = case.parts(level)
        word = together(parts, whole=not case.lacks)
        return verdict(case, parts, word, level, adjusted, family)

    return Finding(case.p_support, case.p_refute, bool(case.found.parts), build)


def verdict(
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
    if case.found.late and readings and readings.papers == "supported":
        later: dict[Word, Literal["failed", "slow"]] = {"supported": "failed", "refuted": "slow"}
        outcome = later.get(readings.ours)
    derived = case.name == ALL
    if derived:  # their points stand in the worlds' own verdicts
        parts = tuple(replace(p, points={}) for p in parts)
        stricter = tuple(replace(p, points={}) for p in stricter)
    smaller = min(case.p_support, case.p_refute) if p is None else p
    return Verdict(
        claim=case.claim.id,
        statement=case.claim.statement,
        kind=case.kind,
        world=case.name,
        verdict=word,
        p=smaller if parts else None,
        p_adjusted=adjusted,
        level=level,
        family=family,
        parts=parts,
        placebo=tuple(case.found.placebo),
        missing=case.lacks,
        notes=tuple(case.found.notes),
        readings=readings,
        stricter=stricter,
        outcome=outcome,
        derived=derived,
    )


def _against(case: Case, parts: Sequence[Part], *comparators: str) -> Word | None:
    """The word of the components with these comparators alone."""
    own = [replace(p, needs=None) for p in parts if p.comparator in comparators]
    lacks = bool(case.found.no_placebo) and "placebo" in comparators
    return together(own, whole=not lacks) if own or lacks else None


def over_all(cases: Sequence[Case]) -> Case:
    """All worlds' components as one conjunction."""
    found = Found(
        parts=[c for case in cases for c in case.found.parts],
        missing=[_of(case, why) for case in cases for why in case.found.missing],
        no_placebo=[_of(case, why) for case in cases for why in case.found.no_placebo],
        stricter=[c for case in cases for c in case.found.stricter],
        late=any(case.found.late for case in cases),
    )
    return Case(cases[0].claim, cases[0].kind, ALL, found)


def _of(case: Case, why: Note) -> Note:
    return Note(why.name, why.values | {"in_world": case.name})


def each(cases: Sequence[Case]) -> list[Finding]:
    """One finding per group of worlds."""
    return [finding(case) for case in cases]


def conjunction(cases: Sequence[Case]) -> list[Finding]:
    """One finding per group of worlds, and one over all where several were tested."""
    whole = [over_all(cases)] if sum(bool(c.found.parts) for c in cases) > 1 else []
    return each([*cases, *whole])


def absent(claim: Claim, kind: Kind, why: Note) -> Case:
    """A claim that the study cannot test in a kind of world."""
    return Case(claim, kind, NAMES[kind], Found((), missing=(why,)))


def _tables_alone(_records: Records, _kind: Kind, _claim: Any) -> list[Group]:
    return []


@dataclass(frozen=True)
class Type:
    """How a type of claim is judged: select the worlds, measure in each, put the findings together.

    Attributes:
        claim: The type.
        read: Selects conditions, measures them and sets the bands.
        groups: The worlds that a claim of the ledgers reads, of one kind. A table's claim reads every world
            that it names, so that a type of tables alone has none.
        nothing: Why there are no such worlds of a kind; None where another kind may have them.
        judge: From cases to findings.
    """

    claim: type[Claim]
    read: Callable[[Records, Group, Any], Found]
    groups: Callable[[Records, Kind, Any], list[Group]] = _tables_alone
    nothing: str | None = None
    judge: Callable[[Sequence[Case]], list[Finding]] = conjunction
