"""The report's own words: titles, labels, and how an interval is called. Claims speak for themselves."""

from analysis.formats import percent
from analysis.reporting.content.model import ClaimData, PartData

KINDS = {"sim": "simulated", "llm": "language model"}
BETWEEN = {
    "worlds": "worlds",
    "paper": "paper and measurement",
    "claim": "claim and measurement",
    "size": "sizes in two worlds",
    "theory": "theory and measurement",
    "expectation": "expectation and measurement",
}
"""Kinds of disagreement, in words."""
OUTCOMES = {
    "failed": "Failed, not slow: four times the papers' horizon changes nothing.",
    "slow": "Slow, not failed: by four times the papers' horizon runs learn.",
}
"""What becomes of runs that fail by the papers' horizon."""
TITLES = {
    "summary": "Summary",
    "verdicts": "Verdicts",
    "disagreements": "Disagreements between claims, worlds and theory",
    "forest": "Estimates against their margins",
    "curves": "Learning curves",
    "times": "Time to the threshold",
    "seeds": "Seed by seed",
    "paths": "Test against train",
    "components": "Where the variance comes from",
    "fits": "Fits, and what they predict",
    "diagnosis": "Failure signatures",
    "raw": "The raw points",
    "placebo": "Placebo",
    "sensitivity": "Sensitivities",
    "methods": "Methods",
    "protocol": "Protocol, deviations and limits",
    "provenance": "Provenance",
}
"""Sections in the order of the page."""


def readings(claim: ClaimData) -> dict[str, str]:
    """Readings of a verdict, in words; only the papers' claims have a horizon and margin of ours as well."""
    ours = {} if claim["own"] else {"papers": "at the papers' horizon and margin", "ours": "at ours"}
    return ours | {"base": "against the base policy", "placebo": "against the placebo"}


def confidence(part: PartData) -> str:
    """Confidence of a component's interval as people read it, such as "95% two-sided"."""
    return f"{percent(part['level'])} {'two-sided' if part['two_sided'] else 'one-sided each'}"
