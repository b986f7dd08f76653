"""Components whose power function is known, or taken from the width of the pilot's own interval."""

import math

from scipy.special import ndtr, ndtri, stdtrit

from analysis.claims.test_set import differences
from analysis.estimands import ESTIMANDS
from analysis.inference.means import lowered
from analysis.loading.records import Records
from analysis.planning.planned import Planned, is_span, one_end, sides, units
from analysis.planning.power import (
    approximate_power,
    binomial_power,
    boschloo_power,
    equivalence_power,
    t_power,
)
from analysis.verdict import Part, Word

ENUMERATED = 80
"""Runs per condition up to which Boschloo's region is enumerated; beyond, the arcsine approximation."""


def difference(records: Records, part: Part, each: float) -> Planned:
    """A difference or slope with a value per unit: equivalence inside a band, a t test beyond one end."""
    if not part.points or part.unit == "queries":
        return other(records, part, each)
    values = differences(part)
    sd, (support, refute) = float(values.std(ddof=1)), sides(part)
    low, high = part.band
    if low is not None and high is not None and not is_span(part):
        if high <= 0:
            return Planned(None, None, "The comparator gained nothing in the pilot, which leaves no margin.")
        return Planned(
            "supported",
            lambda s: equivalence_power(high, 0.0, sd, units(s, each), support),
            f"no difference, and the pilot's spread over {len(values)} units ({100 * sd:.2g} points)",
        )
    end, more = one_end(part)
    distance = (float(values.mean()) - end) * (1 if more else -1)
    word: Word = "supported" if distance > 0 else "refuted"
    alpha = support if distance > 0 else refute
    return Planned(
        word,
        lambda s: t_power(abs(distance), sd, units(s, each), alpha),
        f"the pilot's mean, {100 * abs(distance):.2g} points beyond the margin, and its spread "
        f"({100 * sd:.2g} points)",
    )


def fraction(_: Records, part: Part, each: float) -> Planned:
    """A fraction of runs: the exact binomial test."""
    runs = int(part.counts["runs"])
    right = int(part.counts.get("successes", part.counts.get("reached", 0)))
    p, least = (right + 1) / (runs + 2), float(part.band[0] or 0.0)
    support, refute = sides(part)
    assumes = f"a fraction of {p:.2f}, the pilot's {right} of {runs} drawn in by one run either way"
    if p > least:
        return Planned("supported", lambda s: binomial_power(p, least, units(s, each), support), assumes)
    return Planned("refuted", lambda s: binomial_power(1 - p, 1 - least, units(s, each), refute), assumes)


def risk(_: Records, part: Part, each: float) -> Planned:
    """A difference of fractions: Boschloo's test."""
    a, b = ((part.counts[k] + 1) / (part.n + 2) for k in ("failed", "failed_without"))
    support, refute = sides(part)
    high, low, alpha = (a, b, support) if a > b else (b, a, refute)

    def power(seeds: int) -> float:
        n = units(seeds, each)
        if n <= ENUMERATED:
            return boschloo_power(high, low, n, alpha)
        gap = 2 * (math.asin(math.sqrt(high)) - math.asin(math.sqrt(low)))
        return float(ndtr(gap * math.sqrt(n / 2) + ndtri(alpha)))

    assumes = f"fractions of {a:.2f} and {b:.2f}, the pilot's drawn in by one run either way"
    return Planned("supported" if a > b else "refuted", power if a != b else None, assumes)


def other(_: Records, part: Part, each: float) -> Planned:
    """From the width of the pilot's own interval, taken to shrink as one over the root of the seeds."""
    of = ESTIMANDS[part.kind]
    low, high = part.interval
    end, more = one_end(part) if of.unit else (float(part.band[0] or 0.0), True)
    support, refute = sides(part)
    try:
        ends = [of.inward(float(e)) for e in (low, high) if e is not None]
        at, border = of.inward(float(part.estimate or 0.0)), of.inward(end)
    except (ValueError, ZeroDivisionError):
        ends = []
        at = border = 0.0
    if len(ends) < 2 or not all(math.isfinite(e) for e in ends) or ends[0] == ends[1]:
        return Planned(None, None, "The pilot's interval is unbounded.")
    se = (ends[1] - ends[0]) / 2 / float(-stdtrit(part.n - 1, lowered(1 - part.level, part.n - 1)))
    known = max(round(part.n / each), 2)
    distance = (at - border) * (1 if more else -1)
    alpha = support if distance > 0 else refute
    word: Word = "supported" if distance > 0 else "refuted"
    return Planned(
        word,
        lambda s: approximate_power(abs(distance), se, known, max(s, 2), alpha),
        f"the pilot's estimate, and its interval shrinking as one over the root of the seeds ({known} now)",
    )
