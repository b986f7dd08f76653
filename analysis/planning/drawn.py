"""Components whose power is the share of drawn data sets that the test itself rejects."""

import math

import numpy as np

from analysis.claims.optimum import field_of
from analysis.claims.worlds import Floats, final_train, table
from analysis.inference.resampling import of_data
from analysis.inference.spread import pooled_variance
from analysis.loading.records import Cell, Records
from analysis.planning.known import other
from analysis.planning.log_times import log_times
from analysis.planning.planned import Planned, sides, units
from analysis.planning.power_draws import argmax_power, ratio_power, spread_power
from analysis.verdict import Part

SETS = 400
"""Drawn data sets behind one power: a Monte Carlo error of two points at .8."""
LARGEST_CORRELATION = 0.95


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
    if both.sum() > 4 and slow.residual[both].std() > 0 and fast.residual[both].std() > 0:
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
    steps = [float(getattr(c.design, field_of(part.label))) for c in cells]
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
