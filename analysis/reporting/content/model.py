"""What a report says, as types: the content that report.html, summary.md and verdicts.json are all made from.

A `Document` is verdicts.json: plain JSON values, None where a number is unbounded or not known. Whoever
renders it computes nothing anew, so the three cannot differ.
"""

from typing import Any, Literal, NotRequired, TypedDict

from analysis.estimands import Kind

Word = Literal["supported", "refuted", "undecided"]
Interval = list[float | None]
"""Lower and upper end; None is unbounded."""
Values = dict[str, Any]
"""A result of another room as its dataclass says, in JSON values."""


class SecondaryData(TypedDict):
    """A sensitivity of a component: two-sided, unadjusted; decides nothing."""

    reading: str
    label: str
    kind: str
    estimate: float | None
    interval: Interval
    level: float
    n: int
    world: str | None
    values: dict[str, Any]


class PartData(TypedDict):
    """One component of a claim in one world; `analysis.results.Part` says what each value is."""

    id: str
    label: str
    kind: Kind
    world: str
    conditions: list[str]
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
    units: str
    unit: str
    detail: str
    sentence: str
    title: str
    axis: str
    setting: dict[str, Any]
    worlds: list[str]
    facts: dict[str, Any]
    counts: dict[str, float]
    secondary: list[SecondaryData]
    points: dict[str, list[Any]]
    two_sided: bool
    estimand: str
    split: str | None
    comparator: str
    gate: bool


class PlaceboData(TypedDict):
    """A reading of a placebo, or of how far a condition exceeds it."""

    reading: str
    label: str
    condition: str
    reward: str
    estimate: float | None
    interval: Interval
    n: int
    sentence: str
    kind: Kind
    world: str | None
    compared: str | None
    split: str | None
    setting: dict[str, Any]
    values: dict[str, Any]


class VerdictData(TypedDict):
    """A claim in one world; `analysis.verdict.Verdict` says what each value is."""

    claim: str
    statement: str
    kind: str
    world: str
    verdict: Word
    summary: str
    p: float | None
    p_adjusted: float | None
    level: float
    family: int
    n: int
    parts: list[PartData]
    placebo: list[PlaceboData]
    notes: list[str]
    secondary: bool
    post_hoc: bool
    readings: dict[str, Word | None] | None
    stricter: list[PartData]
    outcome: Literal["failed", "slow"] | None
    derived: bool


class ClaimData(TypedDict):
    """A protocol in force.

    Attributes:
        id: Name.
        statement: What is claimed.
        source: Where it is claimed.
        own: Whether the study states it itself; otherwise it stands in the ledger of the papers' claims.
    """

    id: str
    statement: str
    source: str
    numbers: str
    estimand: str
    test: str
    decision: str
    version: int
    own: bool


class WorldData(TypedDict):
    """A world with records.

    Attributes:
        name: Name in the study.
        kind: "sim" or "llm".
        imported: Whether its runs are another tool's.
        describes: What it is, a sentence.
        conditions: Runs of each condition.
        rounds: Length of each condition's runs, where it is known.
        pool: Queries that a language model trains on in batches; None where it trains on one.
        base: Base Pass@1 by query.
        learning: Optimizer and step of each condition, in words.
    """

    name: str
    kind: str
    imported: bool
    describes: str
    conditions: dict[str, int]
    rounds: dict[str, int]
    pool: int | str | None
    base: dict[str, float]
    learning: dict[str, str]


class ClosedCurve(TypedDict):
    """A closed form's mean learning curve."""

    rounds: list[float]
    values: list[float]
    method: str


class BandData(TypedDict):
    """Mean Pass@1 of a condition's runs (E evaluations) with its simultaneous band; None without one."""

    world: str
    condition: str
    split: str
    n: int
    rounds: list[float]
    mean: list[float]
    low: list[float] | None
    high: list[float] | None
    holds: list[bool] | None
    level: float | None
    method: str
    theory: ClosedCurve | None


class SeedsData(TypedDict):
    """Where a condition's runs end; the SD is within queries, None for single runs."""

    world: str
    split: str
    condition: str
    n: int
    mean: float
    sd: float | None
    evaluation_sd: float


class Range(TypedDict):
    """Both ends of what a closed form says; equal where the settings fix it."""

    low: float
    high: float


Prediction = Range | float | None
"""What a closed form says about a component."""


class Disagreement(TypedDict):
    """Two sources that contradict each other; `kind` is a key of `wording.BETWEEN`."""

    kind: str
    claim: str
    worlds: list[str]
    sentence: str
    theory: str


class Used(TypedDict):
    """A method and what it was used for."""

    what: str
    where: str


class Paragraph(TypedDict):
    """A paragraph of the methods: sentences, then methods with their uses."""

    title: str
    text: list[str]
    used: list[Used]


class Provenance(TypedDict):
    """Hashes, seeds, versions, times in seconds, and the command that makes the records again."""

    study_hash: str
    claims_hash: str
    root_seed: int
    folders: int
    runs: int
    seeds: dict[str, int]
    versions: dict[str, str]
    commits: list[str]
    finished: str | None
    seconds: float | None
    wall_s: float | None
    command: str | None
    text: str


class FigureData(TypedDict):
    """A figure: its number, section and caption, and the name of its files in figures/."""

    number: int
    section: str
    caption: str
    file: str


class Supplement(TypedDict):
    """What is read from the records apart from the claims.

    Attributes:
        summaries: `analysis.curves` summaries of conditions.
        paths: Test against train Pass@1, by world.
        components: Variances taken apart.
        fits: The fitted bandit, by world, with profile likelihoods.
        transfer: What fits predict of other conditions, by world.
        diagnosis: Failure signatures.
        absent: What is not shown and why, a sentence each.
    """

    summaries: list[Values]
    paths: list[Values]
    components: list[Values]
    fits: list[Values]
    transfer: list[Values]
    diagnosis: list[Values]
    absent: list[str]


class Document(Supplement):
    """The whole report.

    Attributes:
        schema: Version of these keys.
        study: Name.
        alpha: Error rate of the families.
        family: Size of the primary family.
        predictions: Closed forms by "claim:world:component".
        expected: Verdicts that the study's author expected, by claim or "claim/world".
        deviations: What differs from what was registered, a sentence each.
        cautions: Limits that stand at the head of the page.
        limits: What the verdicts do not say, a sentence or two each.
        assumptions: What the tests take for granted, likewise.
        figures: Set once the figures are drawn.
    """

    schema: int
    study: str
    alpha: float
    family: int
    verdicts: list[VerdictData]
    predictions: dict[str, Prediction]
    claims: list[ClaimData]
    worlds: list[WorldData]
    bands: list[BandData]
    seeds: list[SeedsData]
    expected: NotRequired[dict[str, str]]
    deviations: list[str]
    cautions: list[str]
    limits: list[str]
    assumptions: list[str]
    disagreements: list[Disagreement]
    methods: list[Paragraph]
    provenance: Provenance
    figures: NotRequired[list[FigureData]]
