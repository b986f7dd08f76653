"""What a verdict is: an interval read against a band, and everything a reader needs to object to it.

Numbers without a value (an unbounded interval, a claim that was not testable) are None, so that a verdict
is plain JSON. Nothing here decides; the claims' modules do.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from analysis.estimands import Kind
from banditrft.brief import Brief
from banditrft.claims import PROTOCOL

Word = Literal["supported", "refuted", "undecided"]
Quantity = Literal[
    "final",
    "reach",
    "time",
    "failures",
    "area",
    "drawdown",
    "level",
    "slope",
    "dose",
    "place",
    "variance share",
]
"""What a component is about: final Pass@1; whether a run reaches 1; when it reaches a threshold, or that it
fails to; the area under a curve; how far a run falls after its maximum; where runs stand at equal progress;
a slope over rounds or a ladder; a slope over base log-odds; where a ladder is best; a share of variance."""
Comparator = Literal["base", "level", "placebo", "condition", "worlds", "noise"]
"""What it is compared with: the base policy, a fixed level, the placebo, another condition, other worlds, or
evaluation noise (for a drawdown: a run that never falls)."""
Interval = tuple[float | None, float | None]
ALL = "all worlds"
"""The world of a verdict that is about all of a kind together."""


def finite(x: float) -> float | None:
    """The number, or None where JSON has none (infinite or not a number)."""
    return float(x) if math.isfinite(x) else None


def bounded(interval: tuple[float, float]) -> Interval:
    """An interval with None for an end that is not bounded."""
    return finite(interval[0]), finite(interval[1])


@dataclass(frozen=True)
class Secondary:
    """A sensitivity or a neighbouring estimate: two-sided, unadjusted, beside the primary; decides nothing.

    `world` is set where it is the primary reading in another world, which the forest plot shows as well.
    """

    label: str
    estimate: float | None
    interval: Interval
    level: float
    n: int
    world: str | None = None


@dataclass(frozen=True, repr=False)
class Part(Brief):
    """One component of a claim.

    Attributes:
        id: Name inside the claim.
        label: What it states, for people.
        kind: What the estimate is.
        world: World it reads.
        conditions: Conditions compared, A then B, or the one looked at.
        verdict: The component's own verdict.
        estimate: In the unit of its kind; a difference in probability (0.02 is two points).
        interval: Two-sided or both one-sided bounds, as `two_sided` says; read for "supported".
        level: Confidence of `interval`, of each bound where it is one-sided.
        refuting_interval: The wider interval read for "refuted" (a conjunction pays for its parts).
        refuting_level: Its confidence.
        band: Where the interval must lie for "supported".
        p_support: p-value against "the component is false".
        p_refute: p-value against "the component is true", before any correction.
        n: Units of replication.
        unit: What one unit is.
        detail: Achieved power or detectable effect.
        sentence: The test and why it, then what it says.
        counts: Events behind the estimate, by label.
        secondary: Sensitivities.
        points: The raw data, one entry per run or pair.
        two_sided: Whether `interval` is two-sided at `level`; otherwise its ends are two one-sided bounds.
        estimand: What it is about.
        split: Evaluations that it reads, "train" or "test"; None where they are no evaluations of a split.
        comparator: What it is compared with.
        needs: Id of the component of the same world without which this one refutes nothing.
        gate: Whether it is such a condition: it can leave a claim undecided and never refutes one.
    """

    id: str
    label: str
    kind: Kind
    world: str
    conditions: tuple[str, ...]
    verdict: Word
    estimate: float | None
    interval: Interval
    level: float
    refuting_interval: Interval
    refuting_level: float
    band: Interval
    p_support: float
    p_refute: float
    n: int
    unit: str
    detail: str
    sentence: str
    counts: dict[str, float] = field(default_factory=dict)
    secondary: tuple[Secondary, ...] = ()
    points: dict[str, list[Any]] = field(default_factory=dict)
    two_sided: bool = False
    estimand: Quantity = "final"
    split: Literal["train", "test"] | None = None
    comparator: Comparator = "condition"
    needs: str | None = None
    gate: bool = False


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


@dataclass(frozen=True)
class Placebo:
    """A reading of the runs whose rewards were drawn at random, or of how far a condition exceeds it.

    Attributes:
        label: What it states.
        condition: The placebo condition.
        estimate: In the unit of its kind.
        interval: Two-sided 95%; unadjusted, decides nothing.
        n: Units of replication.
        sentence: What it says, for people.
        kind: What the estimate is.
        world: World it reads; None where the label says it.
        compared: The condition whose excess over the placebo it is; None for the placebo alone.
    """

    label: str
    condition: str
    estimate: float | None
    interval: Interval
    n: int
    sentence: str
    kind: Kind = "difference"
    world: str | None = None
    compared: str | None = None


@dataclass(frozen=True, repr=False)
class Verdict(Brief):
    """A claim in one world.

    Attributes:
        claim: Id in the ledger.
        statement: What the paper says.
        kind: "sim" or "llm".
        world: Name of the world, or of the model.
        verdict: supported, refuted or undecided.
        summary: One sentence.
        p: Smaller of the p-values that would decide it, before correction; None if it was not tested.
        p_adjusted: After Holm over the primary verdicts of the report, or after Benjamini and Hochberg over
            the secondary ones.
        level: Error rate at which the procedure reads its intervals.
        family: Number of verdicts in the family.
        parts: Components; the claim is their conjunction.
        placebo: What the placebo does.
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
    summary: str
    p: float | None
    p_adjusted: float | None
    level: float
    family: int
    parts: tuple[Part, ...]
    placebo: tuple[Placebo, ...] = ()
    notes: tuple[str, ...] = ()
    secondary: bool = False
    post_hoc: bool = False
    readings: Readings | None = None
    stricter: tuple[Part, ...] = ()
    outcome: Literal["failed", "slow"] | None = None
    derived: bool = False
    protocol: int = PROTOCOL

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; label, estimate, interval and n are the deciding component's.

        A verdict over several worlds has no one estimate: they are null, and n is the smallest component's.
        "decided_by" names the component in either case, with its world where the label alone would not.
        """
        head = deciding(self.parts, self.verdict)
        known = _head(head, self.world) if head else dict.fromkeys(HEAD)
        if self.parts and not head:
            known["label"] = MISSING
        smallest = min((p.n for p in self.parts), default=0)
        shown = dict.fromkeys(HEAD) if self.world == ALL else known
        n = head.n if head and self.world != ALL else smallest
        return asdict(self) | {"decided_by": known} | shown | {"n": n}


HEAD = ("label", "estimate", "interval", "n")
"""What is told of the component that decides."""
MISSING = "none of those measured"
"""What decides where all that was measured holds and a component is missing."""


def deciding(parts: Sequence[Part], word: Word) -> Part | None:
    """The component that a verdict hangs on; None where none has its word: what is missing decides then.

    Supported: the one with the largest p-value, in a world where all hold. Refuted: the refuting one with the
    smallest p-value. Undecided: the first undecided one.
    """
    held = {(p.world, p.id) for p in parts if p.verdict == "supported"}
    own = [p for p in parts if p.verdict == word and (word != "refuted" or _counts(p, held))]
    if not own:
        return None
    if word == "supported":
        broken = {p.world for p in parts if p.verdict != word}
        return max([p for p in own if p.world not in broken] or own, key=lambda p: p.p_support)
    return min(own, key=lambda p: p.p_refute) if word == "refuted" else own[0]


def _head(part: Part, world: str) -> dict[str, Any]:
    told = {name: getattr(part, name) for name in HEAD}
    if world == ALL and f"'{part.world}'" not in part.label:
        return told | {"label": f"{part.label}, '{part.world}'"}
    return told


def together(parts: Sequence[Part], *, whole: bool = True) -> Word:
    """The word of a conjunction: refuted if a component is and what it needs holds; supported if all are.

    Args:
        parts: Components.
        whole: Whether none is missing.
    """
    held = {(p.world, p.id) for p in parts if p.verdict == "supported"}
    if any(p.verdict == "refuted" and _counts(p, held) for p in parts):
        return "refuted"
    return "supported" if whole and all(p.verdict == "supported" for p in parts) else "undecided"


def _counts(part: Part, held: set[tuple[str, str]]) -> bool:
    """Whether what a component needs holds."""
    return part.needs is None or (part.world, part.needs) in held


def decide(p_support: float, p_refute: float, alpha: float, refuting_alpha: float) -> Word:
    """The word that follows from two p-values; both cannot be small unless the data contradict themselves."""
    if p_support <= alpha:
        return "supported"
    return "refuted" if p_refute <= refuting_alpha else "undecided"
