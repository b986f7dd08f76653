"""What each kind of test takes for granted; only kinds that were used are listed."""

from typing import Any

ALWAYS = (
    "Runs of a condition are independent: their random numbers are keyed by seed and query, and no two runs "
    "of a condition share both."
)
BY_KIND = {
    "fraction": "Fractions of runs: a run either does it or not, with one probability per condition; over "
    "several queries this is the mean over these queries.",
    "ratio": "Ratios of times: one factor stretches the whole distribution of times; the two runs of a pair "
    "are exchangeable once the factor is taken out; runs are censored only at the horizon.",
    "difference": "Differences of Pass@1: the mean difference over runs is close to normal, which one run "
    "far from the others would spoil where there are few.",
    "slope": "Slopes: the units' own slopes have a mean that is close to normal; a straight line is a "
    "summary, not a law.",
    "spread": "Ratios of spread: the two distributions have one shape, so that mean absolute deviations and "
    "SDs have the same ratio; samples of an evaluation are independent.",
    "risk": "Differences of risk: the runs of the two conditions are independent; common random streams make "
    "the test careful.",
    "location": "Location of an optimum: the differences between conditions have means over runs that are "
    "close to normal; a quadratic may narrow nothing, only widen what holds without a curve.",
    "share": "Shares of variance: for these worlds and conditions; another choice of either gives another "
    "share.",
}


def assumptions(document: dict[str, Any]) -> list[str]:
    """Assumptions behind the verdicts of a report."""
    kinds = dict.fromkeys(p["kind"] for v in document["verdicts"] for p in v["parts"])
    return [ALWAYS, *(BY_KIND[kind] for kind in kinds if kind in BY_KIND)]
