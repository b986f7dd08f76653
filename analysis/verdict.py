"""A verdict: a claim's word in one world, and everything a reader needs to object to it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from analysis import wording
from analysis.results import Note, Part, Placebo, Word, deciding
from banditrft.brief import Brief
from banditrft.claims import PROTOCOL


@dataclass(frozen=True)
class Readings:
    """One claim in four readings.

    Attributes:
        papers: At the papers' horizon and margin: the verdict.
        ours: At this project's, where they differ; elsewhere the same word.
        base: The components against the base policy or a fixed level, alone; None for a claim without them.
        placebo: The components against the placebo, alone; None for a claim without them.
    """

    papers: Word
    ours: Word
    base: Word | None = None
    placebo: Word | None = None


@dataclass(frozen=True, repr=False)
class Verdict(Brief):
    """A claim in one world.

    Attributes:
        claim: Id in the ledger.
        statement: What the paper says.
        kind: "sim" or "llm".
        world: Name of the world, or of the model.
        verdict: supported, refuted or undecided.
        p: Smaller of the p-values that would decide it, before correction; None if it was not tested.
        p_adjusted: After Holm over the primary verdicts of the report, or after Benjamini and Hochberg over
            the secondary ones.
        level: Error rate at which the procedure reads its intervals.
        family: Number of verdicts in the family.
        parts: Components; the claim is their conjunction.
        placebo: What the placebo does.
        missing: Why components could not be measured.
        notes: Limits that belong to this verdict.
        secondary: Whether it stands in the secondary family, of a study's own choice.
        post_hoc: Whether runs that it reads were made before it was registered.
        readings: The verdict and its neighbours; None where the claim was not tested.
        stricter: Components as this project reads them, where the papers' horizon or margin is another.
        outcome: Of a claim of failure that is supported: "failed" or, if runs learn later, "slow".
        derived: Whether it only sums up the verdicts of single worlds: a reading, no evidence of its own.
        protocol: Version of the protocol that decided it.
    """

    claim: str
    statement: str
    kind: Literal["sim", "llm"]
    world: str
    verdict: Word
    p: float | None
    p_adjusted: float | None
    level: float
    family: int
    parts: tuple[Part, ...]
    placebo: tuple[Placebo, ...] = ()
    missing: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()
    secondary: bool = False
    post_hoc: bool = False
    readings: Readings | None = None
    stricter: tuple[Part, ...] = ()
    outcome: Literal["failed", "slow"] | None = None
    derived: bool = False
    protocol: int = PROTOCOL

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        return wording.summary(self.parts, self.missing, whole=self.derived)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with words; label, estimate, interval and n are the deciding component's.

        A verdict over several worlds has no one estimate: they are null, and n is the smallest component's.
        "decided_by" names the component in either case, with its world where there are several.
        """
        found = asdict(self)
        shown = (*self.missing, *self.notes) if self.parts else self.notes
        found |= {
            "summary": self.summary,
            "notes": [wording.note(n) for n in shown],
            "placebo": [d | wording.placebo(x) for x, d in zip(self.placebo, found["placebo"], strict=True)],
            "parts": [_part(p, d) for p, d in zip(self.parts, found["parts"], strict=True)],
            "stricter": [_part(p, d) for p, d in zip(self.stricter, found["stricter"], strict=True)],
        }
        return found | self._head()

    def _head(self) -> dict[str, Any]:
        """What decides."""
        head = deciding(self.parts, self.verdict)
        named: dict[str, Any] = dict.fromkeys(("label", "estimate", "interval", "n"))
        known: dict[str, Any] = dict(named)
        which: dict[str, str | None] = {"id": None, "kind": None}
        if head:
            label = wording.label(head, named=self.derived)
            known = {"label": label, "estimate": head.estimate, "interval": head.interval, "n": head.n}
            which = {"id": head.id, "kind": head.kind}
        elif self.parts:
            known["label"] = wording.MISSING
        shown = named if self.derived else known
        smallest = min((p.n for p in self.parts), default=0)
        return {"decided_by": known | which, **shown, "n": head.n if head and not self.derived else smallest}


def _part(part: Part, plain: dict[str, Any]) -> dict[str, Any]:
    """A component's plain values with its words."""
    plain["secondary"] = [
        s | {"label": wording.secondary(own), "kind": own.kind or part.kind}
        for own, s in zip(part.secondary, plain["secondary"], strict=True)
    ]
    return plain | wording.part(part)
