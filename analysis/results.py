"""What a claim's tests find, as data: components, neighbouring readings, placebos, notes; no sentences.

Numbers without a value (an unbounded interval, an estimate that is not there) are None, so that all of it is
plain JSON. `analysis.wording` says it in English, and nothing reads a meaning back out of that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from analysis.estimands import Kind
from banditrft.brief import Brief

Word = Literal["supported", "refuted", "undecided"]
Split = Literal["train", "test"]
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
Units = Literal["runs", "pairs", "runs per condition", "seeds", "queries"]
"""What is replicated."""
Interval = tuple[float | None, float | None]
Values = dict[str, Any]
"""Numbers and names by name, plain JSON."""
ALL = "all worlds"
"""The world of a verdict that is about all of a kind together."""


def finite(x: float) -> float | None:
    """The number, or None where JSON has none (infinite or not a number)."""
    return float(x) if math.isfinite(x) else None


def bounded(interval: tuple[float, float]) -> Interval:
    """An interval with None for an end that is not bounded."""
    return finite(interval[0]), finite(interval[1])


@dataclass(frozen=True)
class Setting:
    """What a component is read at; None or empty where it has no part in it.

    Attributes:
        field: Design field along which its conditions lie.
        steps: Its value at each condition.
        rollouts: Group sizes compared, few and many.
        optimizer: The one it is about, where a claim has components for several.
        matched: Whether the step sizes of its conditions are matched.
        threshold: Pass@1 that counts.
        consecutive: Evaluations in a row that must be at or above it.
        confidence: Level of the bound by which a single run is shown to exceed it.
        horizon: Round by which it is read.
        progress: Mean train Pass@1 at which runs are compared.
        evaluations: Evaluations of each run's curve.
        base_below: Only queries of a smaller base Pass@1.
        grade: Which grade of the test answers is read.
        placebo: Reward map of the placebo it is compared with.
        differs: Fields in which that placebo is another design.
    """

    field: str | None = None
    steps: tuple[float, ...] = ()
    rollouts: tuple[int, int] | None = None
    optimizer: str | None = None
    matched: bool = False
    threshold: float | None = None
    consecutive: int | None = None
    confidence: float | None = None
    horizon: float | None = None
    progress: float | None = None
    evaluations: int | None = None
    base_below: float | None = None
    grade: Literal["strict", "lenient"] = "strict"
    placebo: str | None = None
    differs: tuple[str, ...] = ()


NO_SETTING = Setting()


@dataclass(frozen=True)
class Note:
    """A limit, or why something could not be read: what it is, and what belongs into its sentence.

    Attributes:
        name: A key of `analysis.wording.notes.NOTES`.
        values: What the sentence names.
    """

    name: str
    values: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Secondary:
    """A sensitivity or a neighbouring estimate: two-sided, unadjusted; decides nothing.

    Attributes:
        reading: A key of `analysis.wording.readings.SECONDARY`.
        estimate: In the unit of its kind.
        interval: Two-sided.
        level: Its confidence.
        n: Units of replication.
        kind: What the estimate is; None for that of its component, "rounds" for a number of rounds.
        world: Set where it is the primary reading in another world, which the forest plot shows as well.
        values: What its label names.
    """

    reading: str
    estimate: float | None
    interval: Interval
    level: float
    n: int
    kind: Kind | Literal["rounds"] | None = None
    world: str | None = None
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Part(Brief):
    """One component of a claim.

    Attributes:
        id: Name inside the claim.
        kind: What the estimate is.
        world: World it reads.
        conditions: Conditions compared, A then B, or the one that is read.
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
        units: What one unit is.
        replicate: What distinguishes units, "seed" or "query, seed".
        counts: Events behind the estimate, by label.
        secondary: Sensitivities.
        points: The raw data, one entry per run or pair.
        two_sided: Whether `interval` is two-sided at `level`; otherwise its ends are two one-sided bounds.
        estimand: What it is about.
        split: Evaluations that it reads; None where they are no evaluations of a split.
        comparator: What it is compared with.
        needs: Id of the component of the same world without which this one refutes nothing.
        gate: Whether it is such a condition: it can leave a claim undecided and never refutes one.
        setting: What it is read at.
        worlds: The worlds behind `world`, where it reads several.
        facts: Achieved power, detectable effects, tests of fit: what else its description names.
    """

    id: str
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
    units: Units
    replicate: str | None = None
    counts: dict[str, float] = field(default_factory=dict)
    secondary: tuple[Secondary, ...] = ()
    points: dict[str, list[Any]] = field(default_factory=dict)
    two_sided: bool = False
    estimand: Quantity = "final"
    split: Split | None = None
    comparator: Comparator = "condition"
    needs: str | None = None
    gate: bool = False
    setting: Setting = NO_SETTING
    worlds: tuple[str, ...] = ()
    facts: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Placebo:
    """A reading of the runs whose rewards were drawn at random, or of how far a condition exceeds it.

    Attributes:
        reading: A key of `analysis.wording.readings.PLACEBO`.
        condition: The placebo condition.
        reward: Its reward map.
        estimate: In the unit of its kind.
        interval: Two-sided 95%; unadjusted, decides nothing.
        n: Units of replication.
        kind: What the estimate is.
        world: World it reads; None where its component's is meant.
        compared: The condition whose excess over the placebo it is; None for the placebo alone.
        split: Evaluations that it reads.
        setting: What it is read at.
        values: What its sentence names.
    """

    reading: str
    condition: str
    reward: str
    estimate: float | None
    interval: Interval
    n: int
    kind: Kind = "difference"
    world: str | None = None
    compared: str | None = None
    split: Split | None = None
    setting: Setting = NO_SETTING
    values: Values = field(default_factory=dict)


def decide(p_support: float, p_refute: float, alpha: float, refuting_alpha: float) -> Word:
    """Supported if p_support <= alpha; refuted if p_refute <= refuting_alpha; else undecided."""
    if p_support <= alpha:
        return "supported"
    return "refuted" if p_refute <= refuting_alpha else "undecided"


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


def _counts(part: Part, held: set[tuple[str, str]]) -> bool:
    """Whether what a component needs holds."""
    return part.needs is None or (part.world, part.needs) in held
