"""The power of one component of a verdict as a function of seeds, with the spread that a pilot showed."""

import functools
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from analysis.claims.optimum import field_of
from analysis.claims.random_curves import area
from analysis.claims.test_set import differences
from analysis.claims.worlds import Floats, final_train, table
from analysis.inference.spread import pooled_variance
from analysis.loading import Cell, Records
from analysis.log_times import log_times
from analysis.power import approximate_power, binomial_power, boschloo_power, equivalence_power, t_power
from analysis.power_draws import argmax_power, ratio_power, spread_power
from analysis.verdict import Part, Word

SETS = 400
"""Drawn data sets behind one power: a Monte Carlo error of two points at .8."""
ENUMERATED = 80
"""Runs per condition up to which Boschloo's region is enumerated; beyond, the arcsine approximation."""
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


def component(records: Records, part: Part) -> Planned:
    """The power function of a component, by what its estimate is."""
    if part.estimate is None:
        return Planned(None, None, "The pilot gives no estimate.")
    read = _READERS.get(part.kind, _other)
    found = read(records, part, _units_per_seed(records, part))
    if found.power is None:
        return found
    return Planned(found.expects, functools.lru_cache(found.power), found.assumes, found.least)


def _units_per_seed(records: Records, part: Part) -> float:
    """Runs that one more seed adds: the queries of a language-model world."""
    cell = records.of(part.world).get(part.conditions[0])
    return 1.0 if cell is None else cell.n / np.unique(cell.seed).size


def _units(seeds: int, each: float) -> int:
    return max(round(seeds * each), 2)


def _sides(part: Part) -> tuple[float, float]:
    """Error rates of one side for "supported" and for "refuted"."""
    two_sided = part.kind == "ratio" and part.band[1] is not None
    share = 2 if two_sided else 1
    return (1 - part.level) / share, (1 - part.refuting_level) / share


def _difference(_: Records, part: Part, each: float) -> Planned:
    if not part.points or part.unit == "queries":
        return _other(_, part, each)
    values = differences(part)
    sd, (support, refute) = float(values.std(ddof=1)), _sides(part)
    low, high = part.band
    if low is not None and high is not None and not _is_span(part):
        if high <= 0:
            return Planned(None, None, "The comparator gained nothing in the pilot, which leaves no margin.")
        return Planned(
            "supported",
            lambda s: equivalence_power(high, 0.0, sd, _units(s, each), support),
            f"no difference, and the pilot's spread over {len(values)} units ({100 * sd:.2g} points)",
        )
    end, more = _one_end(part)
    distance = (float(values.mean()) - end) * (1 if more else -1)
    word: Word = "supported" if distance > 0 else "refuted"
    alpha = support if distance > 0 else refute
    return Planned(
        word,
        lambda s: t_power(abs(distance), sd, _units(s, each), alpha),
        f"the pilot's mean, {100 * abs(distance):.2g} points beyond the margin, and its spread "
        f"({100 * sd:.2g} points)",
    )


def _is_span(part: Part) -> bool:
    """Whether one end of the band is only where the estimate's range ends."""
    return part.band[0] == -1.0 or part.band[1] == 1.0


def _one_end(part: Part) -> tuple[float, bool]:
    low, high = part.band
    if low is not None and low > -1.0:
        return low, True
    return (0.0 if high is None else high), False


def _fraction(_: Records, part: Part, each: float) -> Planned:
    runs = int(part.counts["runs"])
    right = int(part.counts.get("successes", part.counts.get("reached", 0)))
    p, least = (right + 1) / (runs + 2), float(part.band[0] or 0.0)
    support, refute = _sides(part)
    assumes = f"a fraction of {p:.2f}, the pilot's {right} of {runs} drawn in by one run either way"
    if p > least:
        return Planned("supported", lambda s: binomial_power(p, least, _units(s, each), support), assumes)
    return Planned("refuted", lambda s: binomial_power(1 - p, 1 - least, _units(s, each), refute), assumes)


def _risk(_: Records, part: Part, each: float) -> Planned:
    a, b = ((part.counts[k] + 1) / (part.n + 2) for k in ("failed", "failed_without"))
    support, refute = _sides(part)
    high, low, alpha = (a, b, support) if a > b else (b, a, refute)

    def power(seeds: int) -> float:
        n = _units(seeds, each)
        if n <= ENUMERATED:
            return boschloo_power(high, low, n, alpha)
        gap = 2 * (math.asin(math.sqrt(high)) - math.asin(math.sqrt(low)))
        return float(ndtr(gap * math.sqrt(n / 2) + ndtri(alpha)))

    assumes = f"fractions of {a:.2f} and {b:.2f}, the pilot's drawn in by one run either way"
    return Planned("supported" if a > b else "refuted", power if a != b else None, assumes)


def _ratio(_: Records, part: Part, each: float) -> Planned:
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
    if both.sum() > 4 and slow.residual[both].std() > 0 and fast.residual[both].std() > 0:
        correlation = float(np.corrcoef(slow.residual[both], fast.residual[both])[0, 1])
    correlation = min(max(correlation, 0.0), LARGEST_CORRELATION)
    low, high = float(part.band[0] or 0.0), math.inf if part.band[1] is None else float(part.band[1])
    support, refute = _sides(part)
    true = float(part.estimate)
    inside = low < true < high
    alpha = support if inside else refute

    def power(seeds: int) -> float:
        n = _units(seeds, each)
        rng = np.random.default_rng([n, zlib.crc32(part.label.encode())])
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


def _spread(records: Records, part: Part, each: float) -> Planned:
    cells = records.of(part.world)
    if len(part.conditions) != 2:
        return _other(records, part, each)
    first, second = (cells[name] for name in part.conditions)
    on_test = "test Pass@1" in part.label
    keys, values = table((first, second), [c.test if on_test else area(c) for c in (first, second)])
    kept = np.isin(keys[:, 1], np.unique(part.points["seed"])) & np.isin(
        keys[:, 0], np.unique(part.points["query"])
    )
    values, query = values[kept], keys[kept, 0]
    sds = [math.sqrt(pooled_variance(values[:, i], query)) for i in (0, 1)]
    if not min(sds) > 0:
        return Planned(None, None, "One of the conditions has no spread in the pilot.")
    centred = np.stack([_within(values[:, i], query) for i in (0, 1)])
    correlation = min(abs(float(np.corrcoef(centred)[0, 1])), LARGEST_CORRELATION)
    true, margin = sds[1] / sds[0], float(part.band[0] or 0.0)
    support, refute = _sides(part)
    more = true > margin

    def power(seeds: int) -> float:
        n = max(_units(seeds, each), 3)
        rng = np.random.default_rng([n, zlib.crc32(part.label.encode())])
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


def _location(records: Records, part: Part, _each: float) -> Planned:
    cells: list[Cell] = [records.of(part.world)[name] for name in part.conditions]
    finals = [final_train(c) if " train" in part.label else c.test for c in cells]
    _, values = table(cells, finals)
    steps = [float(getattr(c.design, field_of(part.label))) for c in cells]
    low, high = (math.log2(float(e or 1.0)) for e in part.band)
    mean, covariance = values.mean(axis=0), np.cov(values.T)
    support, _ = _sides(part)
    inside = low < math.log2(float(part.estimate or 1.0)) < high

    def power(seeds: int) -> float:
        rng = np.random.default_rng([seeds, 1])
        return argmax_power(
            mean, covariance, np.log2(steps), (low, high), max(seeds, 2), support, sets=100, rng=rng
        )

    assumes = f"normal values with the pilot's means and covariance over {len(values)} seeds"
    return Planned("supported" if inside else None, power if inside else None, assumes)


def _other(_: Records, part: Part, each: float) -> Planned:
    """From the width of the pilot's own interval, taken to shrink as one over the root of the seeds."""
    inward = _INWARD.get(part.kind, _as_it_is)
    low, high = part.interval
    end, more = _one_end(part) if part.kind in ("difference", "slope") else (float(part.band[0] or 0.0), True)
    support, refute = _sides(part)
    try:
        ends = [inward(float(e)) for e in (low, high) if e is not None]
        at, border = inward(float(part.estimate or 0.0)), inward(end)
    except (ValueError, ZeroDivisionError):
        ends = []
        at = border = 0.0
    if len(ends) < 2 or not all(math.isfinite(e) for e in ends) or ends[0] == ends[1]:
        return Planned(None, None, "The pilot's interval is unbounded.")
    se = (ends[1] - ends[0]) / 2 / float(stdtrit(part.n - 1, part.level))
    known = max(round(part.n / each), 2)
    distance = (at - border) * (1 if more else -1)
    alpha = support if distance > 0 else refute
    word: Word = "supported" if distance > 0 else "refuted"
    return Planned(
        word,
        lambda s: approximate_power(abs(distance), se, known, max(s, 2), alpha),
        f"the pilot's estimate, and its interval shrinking as one over the root of the seeds ({known} now)",
    )


def _as_it_is(x: float) -> float:
    return x


_INWARD: dict[str, Callable[[float], float]] = {
    "spread": lambda x: -1 / x,
    "share": lambda x: math.log(x / (1 - x)),
}
"""Scales on which the intervals of these kinds are symmetric."""
_READERS: dict[str, Callable[[Records, Part, float], Planned]] = {
    "difference": _difference,
    "slope": _difference,
    "fraction": _fraction,
    "risk": _risk,
    "ratio": _ratio,
    "spread": _spread,
    "location": _location,
}
