"""The power of one component of a verdict as a function of seeds, with the spread that a pilot showed.

One function per kind of estimate turns the component into a `Planned`; `component` picks it. They stand
apart from `analysis.planning.seeds`, which puts components together into claims.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr, ndtri, stdtrit

from analysis.claims.test_set import differences
from analysis.claims.worlds import Floats, final_train, table
from analysis.estimands import ESTIMANDS
from analysis.inference.means import ROUNDING, lowered
from analysis.inference.resampling import of_data
from analysis.inference.spread import pooled_variance
from analysis.loading.records import Cell, Records
from analysis.planning.power import (
    approximate_power,
    argmax_power,
    binomial_power,
    boschloo_power,
    equivalence_power,
    ratio_power,
    spread_power,
    t_power,
)
from analysis.results import Part, Word

ENUMERATED = 80
"""Runs per condition up to which Boschloo's region is enumerated; beyond, the arcsine approximation."""
SETS = 400
"""Drawn data sets behind one power: a Monte Carlo error of two points at .8."""
LARGEST_CORRELATION = 0.95


@dataclass(frozen=True)
class Planned:
    """What a component is expected to be and its chance of that, by seeds.

    Attributes:
        expects: None where the pilot lies on the border, or no power is known.
        power: Seeds -> power.
        least: Fewest seeds that the test takes.
        assumes: What is taken for true.
    """

    expects: Word | None
    power: Callable[[int], float] | None
    assumes: str
    least: int = 2


def units(seeds: int, each: float) -> int:
    """Runs that this many seeds make, at least 2."""
    return max(round(seeds * each), 2)


def sides(part: Part) -> tuple[float, float]:
    """Error rates of one side for "supported" and for "refuted"."""
    share = 2 if part.two_sided else 1
    return (1 - part.level) / share, (1 - part.refuting_level) / share


def one_end(part: Part) -> tuple[float, bool]:
    """The end of a one-sided band, and whether the claim says more than it."""
    low, high = part.band
    if low is not None and low > ESTIMANDS[part.kind].span[0]:
        return low, True
    return (0.0 if high is None else high), False


def is_span(part: Part) -> bool:
    """Whether one end of the band is only where the estimate's range ends."""
    return any(e in ESTIMANDS[part.kind].span for e in part.band)


@dataclass(frozen=True)
class LogTimes:
    """Log-normal law of one condition's times.

    Attributes:
        sd: Standard deviation of log time within a query.
        centre: Median over queries of the centre of log time.
        residual: (N,) log time less its query's centre, NaN for a censored run.
    """

    sd: float
    centre: float
    residual: Floats


def log_times(after: list[float], by: list[float | None], query: list[int]) -> LogTimes | None:
    """Maximum likelihood for interval- and right-censored log-normal times, a centre per query.

    Args:
        after: (N,) last evaluation before each hit, or the censoring round.
        by: (N,) evaluation of the hit, None for a run without one.
        query: (N,) query of each run.

    Returns:
        None where fewer than three runs, or fewer than there are queries, hit.
    """
    low = np.log(np.maximum(np.asarray(after, dtype=np.float64), 1e-9))
    high = np.log([math.inf if t is None else t for t in by])
    hit, names = np.isfinite(high), np.unique(query)
    if hit.sum() < max(3, names.size):
        return None
    at = np.searchsorted(names, query)
    middle = np.where(hit, np.log((np.asarray(after) + np.exp(np.where(hit, high, 0.0))) / 2), low)

    def loss(x: Floats) -> float:
        centre, sd = x[:-1][at], math.exp(x[-1])
        a, b = (low - centre) / sd, (high - centre) / sd
        inside = np.log(np.maximum(ndtr(b) - ndtr(a), 1e-300))
        return -float(np.where(hit, inside, log_ndtr(-a)).sum())

    start = [float(middle[at == i].mean()) for i in range(names.size)]
    found = minimize(loss, [*start, math.log(max(float(middle.std()), 0.05))], method="Nelder-Mead")
    centres = found.x[:-1]
    residual = np.where(hit, middle - centres[at], np.nan)
    return LogTimes(math.exp(float(found.x[-1])), float(np.median(centres)), residual)


def difference(records: Records, part: Part, each: float) -> Planned:
    """A difference or slope with a value per unit: equivalence inside a band, a t test beyond one end."""
    if not part.points or part.units == "queries":
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


def ratio(_: Records, part: Part, each: float) -> Planned:
    """A ratio of hitting times: the permutation log-rank test on log-normal times."""
    points = part.points
    groups = [
        log_times(points[f"{name}_after"], points[f"{name}_by"], points["query"]) for name in ("few", "many")
    ]
    if any(g is None for g in groups) or part.estimate is None:
        return Planned(None, None, "Too few pilot runs reach the threshold.")
    slow, fast = (g for g in groups if g is not None)
    sd = math.sqrt((slow.sd**2 + fast.sd**2) / 2)
    both = np.isfinite(slow.residual) & np.isfinite(fast.residual)
    correlation = 0.0
    if both.sum() > 4 and min(g.residual[both].std() for g in (slow, fast)) > ROUNDING:
        correlation = float(np.corrcoef(slow.residual[both], fast.residual[both])[0, 1])
    correlation = min(max(correlation, 0.0), LARGEST_CORRELATION)
    low, high = float(part.band[0] or 0.0), math.inf if part.band[1] is None else float(part.band[1])
    support, refute = sides(part)
    true = float(part.estimate)
    inside = low < true < high
    alpha = support if inside else refute

    def power(seeds: int) -> float:
        n = units(seeds, each)
        rng = of_data(n, true, low, high, sd, correlation)
        law = {
            "median": math.exp(slow.centre),
            "horizon": part.counts["horizon"],
            "step": part.counts["step"],
        }
        if inside:
            return ratio_power(true, (low, high), sd, correlation, n, alpha, sets=SETS, rng=rng, **law)[1]
        if true >= high:
            return ratio_power(true, (high, math.inf), sd, correlation, n, alpha, sets=SETS, rng=rng, **law)[
                0
            ]
        law["median"] /= true  # the other condition is the slower one
        turned = (1 / low, math.inf)
        return ratio_power(1 / true, turned, sd, correlation, n, alpha, sets=SETS, rng=rng, **law)[0]

    return Planned(
        "supported" if inside else "refuted",
        power,
        f"the pilot's ratio {true:.2f}, log-normal times of standard deviation {sd:.2g} and correlation "
        f"{correlation:.2f}",
    )


def spread(records: Records, part: Part, each: float) -> Planned:
    """A ratio of spreads: the paired Brown-Forsythe test on normal values."""
    if len(part.conditions) != 2:
        return other(records, part, each)
    values = np.stack([part.points["first"], part.points["second"]], axis=1)
    query = np.asarray(part.points["query"])
    sds = [math.sqrt(pooled_variance(values[:, i], query)) for i in (0, 1)]
    if not min(sds) > 0:
        return Planned(None, None, "One of the conditions has no spread in the pilot.")
    centred = np.stack([_within(values[:, i], query) for i in (0, 1)])
    correlation = min(abs(float(np.corrcoef(centred)[0, 1])), LARGEST_CORRELATION)
    true, margin = sds[1] / sds[0], float(part.band[0] or 0.0)
    support, refute = sides(part)
    more = true > margin

    def power(seeds: int) -> float:
        n = max(units(seeds, each), 3)
        rng = of_data(n, true, margin, correlation)
        ends = (true, margin, support) if more else (1 / true, 1 / margin, refute)
        return spread_power(ends[0], ends[1], correlation, n, ends[2], sets=SETS, rng=rng)

    return Planned(
        "supported" if more else "refuted",
        power,
        f"normal values with the pilot's SD ratio {true:.2f} and correlation {correlation:.2f}",
        least=3,
    )


def _within(values: Floats, query: Floats) -> Floats:
    found = values.astype(np.float64)
    for q in np.unique(query):
        found[query == q] -= values[query == q].mean()
    return found


def location(records: Records, part: Part, _each: float) -> Planned:
    """A maximum's position: the verdict's own reading of normal values."""
    cells: list[Cell] = [records.of(part.world)[name] for name in part.conditions]
    finals = [final_train(c) if part.split == "train" else c.test for c in cells]
    _, values = table(cells, finals)
    steps = part.setting.steps
    low, high = (math.log2(float(e or 1.0)) for e in part.band)
    mean, covariance = values.mean(axis=0), np.cov(values.T)
    support, _ = sides(part)
    best = part.estimate or steps[int(np.argmax(mean))]
    inside = low <= math.log2(float(best)) <= high

    def power(seeds: int) -> float:
        rng = of_data(seeds, mean, covariance, low, high)
        return argmax_power(
            mean, covariance, np.log2(steps), (low, high), max(seeds, 2), support, sets=100, rng=rng
        )

    assumes = f"normal values with the pilot's means and covariance over {len(values)} seeds"
    return Planned("supported" if inside else None, power if inside else None, assumes)


def component(records: Records, part: Part) -> Planned:
    """The power function of a component, by what its estimate is."""
    if (
        part.estimate is None and part.kind != "location"
    ):  # a place has none where all of its ladder may be best
        return Planned(None, None, "The pilot gives no estimate.")
    read = READERS.get(part.kind, other)
    found = read(records, part, _units_per_seed(records, part))
    if part.gate and found.expects == "refuted":  # a gate refutes nothing, it leaves the claim undecided
        return Planned(None, None, f"{found.assumes}; it will not be shown, which leaves the claim undecided")
    if found.power is None:
        return found
    return Planned(found.expects, functools.lru_cache(found.power), found.assumes, found.least)


def _units_per_seed(records: Records, part: Part) -> float:
    """Runs that one more seed adds: the queries of a language-model world."""
    cell = records.of(part.world).get(part.conditions[0])
    return 1.0 if cell is None else cell.n / np.unique(cell.seed).size


READERS: dict[str, Callable[[Records, Part, float], Planned]] = {
    "difference": difference,
    "slope": difference,
    "fraction": fraction,
    "risk": risk,
    "ratio": ratio,
    "spread": spread,
    "location": location,
}
"""By the kind of a component's estimate."""
