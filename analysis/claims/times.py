"""A ratio of right-censored hitting times, the first condition's over the second's, and sensitivities."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.claims.reading import Band, Measured, OneSided
from analysis.claims.worlds import Pairs
from analysis.inference.means import paired_difference
from analysis.inference.ratio import RatioTest, ratio_test
from analysis.inference.resampling import FEWEST_RESAMPLED, of_data
from analysis.inference.times import HittingTimes, hitting_times, median_ratio, restricted_mean
from analysis.results import Interval, Secondary, Setting, Values, bounded, finite
from banditrft.claims import MoreRollouts

CONVENTION = 0.95
Times = tuple[HittingTimes, HittingTimes]


def component(
    part_id: str,
    pairs: Pairs,
    times: Times,
    test: RatioTest,
    band: Band,
    setting: Setting,
    needs: str,
    extra: tuple[Secondary, ...] = (),
) -> Measured:
    """The ratio of two conditions' times against a band, which says how its bounds are read.

    Args:
        part_id: Name inside the claim.
        pairs: The two conditions, that of the numerator first.
        times: Their hitting times.
        test: The ratio's test.
        band: Where it must lie.
        setting: What it is read at.
        needs: The gate without which a ratio of times says nothing.
        extra: Its sensitivities.
    """
    few, many = times
    least = test.smallest_p * (2 if band.two_sided else 1)

    def at(level: float) -> Values:
        found: Values = {"least_p": least, "queries": len(pairs.first.base)}
        return found | _power(test.interval(level), level, band) if band.two_sided else found

    return Measured(
        id=part_id,
        kind="ratio",
        world=pairs.first.world.name,
        conditions=(pairs.first.condition, pairs.second.condition),
        test=test if band.two_sided else OneSided(test),
        band=band,
        n=pairs.n,
        units="pairs",
        replicate=pairs.first.replicate,
        counts={
            "reached_few": int(few.hit.sum()),
            "reached_many": int(many.hit.sum()),
            "runs": pairs.n,
            "horizon": few.horizon,
            "step": max(few.step, many.step),
        },
        secondary=extra,
        points=points(pairs, times),
        estimand="time",
        split="train",
        needs=needs,
        setting=setting,
        at=at,
    )


def _power(ends: tuple[float, float], level: float, band: Band) -> Values:
    """Power for a true ratio in the band's middle, from the interval's width; none without bounds."""
    low, high = ends
    if low <= 0 or not math.isfinite(high):
        return {}
    z = float(ndtri(1 - level / 2))
    se = math.log(high / low) / (2 * z)
    half = math.log(band.high / band.low) / 2
    power = max(0.0, 2 * float(ndtr(half / se - z)) - 1)
    return {"centre": math.sqrt(band.low * band.high), "power": power}


def sensitivities(
    pairs: Pairs, times: Times, claim: MoreRollouts, neighbours: Sequence[Pairs]
) -> tuple[Secondary, ...]:
    """The same comparison at other thresholds, by other summaries, and in neighbouring worlds."""

    def ratio(reading: str, of: Times, who: Pairs, world: str | None = None, **values: Any) -> Secondary:
        test = ratio_test(*of, strata_N=who.query)
        interval = bounded(test.interval(1 - CONVENTION))
        estimate = None if _says_nothing(interval) else finite(test.estimate)
        return Secondary(reading, estimate, interval, CONVENTION, test.pairs, world=world, values=values)

    extra = []
    for threshold in claim.sensitivity:
        of = both_times(pairs, threshold, claim.consecutive)
        few, many = (int(t.hit.sum()) for t in of)
        extra.append(ratio("threshold", of, pairs, threshold=threshold, few=few, many=many, runs=pairs.n))
    upper = tuple(_upper_end(t) for t in times)
    extra.append(ratio("rounded up", (upper[0], upper[1]), pairs))
    for other in neighbours:
        of, where = both_times(other, claim.pass_at_1, claim.consecutive), other.first.world.name
        extra.append(ratio("world", of, other, where, where=where))
    if pairs.n >= FEWEST_RESAMPLED:
        extra.append(_medians(times, pairs))
    if pairs.n > 1:
        extra.append(_restricted(times))
    return tuple(extra)


def both_times(pairs: Pairs, threshold: float, consecutive: int, until: float = math.inf) -> Times:
    """Hitting times of the two conditions up to the horizon they share, or `until` where that is earlier."""
    horizon = min(pairs.first.rounds[-1], pairs.second.rounds[-1], until)
    few, many = (
        hitting_times(cell.rounds, cell.train[rows], threshold, consecutive=consecutive, horizon=horizon)
        for cell, rows in ((pairs.first, pairs.rows_first), (pairs.second, pairs.rows_second))
    )
    return few, many


def points(pairs: Pairs, times: Times) -> dict[str, list[Any]]:
    """The pairs' hitting times, each as the evaluations before it and of it."""
    few, many = times
    return {
        "query": pairs.query.tolist(),
        "seed": pairs.seed.tolist(),
        "few_after": few.lower.tolist(),
        "few_by": [finite(t) for t in few.upper],
        "many_after": many.lower.tolist(),
        "many_by": [finite(t) for t in many.upper],
    }


def _says_nothing(interval: Interval) -> bool:
    """Whether every ratio is in the interval: its estimate would be a tie of a few runs."""
    return interval in ((0.0, None), (None, None))


def _upper_end(times: HittingTimes) -> HittingTimes:
    return HittingTimes(np.where(times.hit, times.upper, times.lower), times.upper, times.horizon, times.step)


def _medians(times: Times, pairs: Pairs) -> Secondary:
    """Ratio of median times, hits placed at random inside their steps."""
    rng = of_data(*(ends for t in times for ends in (t.lower, t.upper)), pairs.query)
    slow, fast = (t.drawn(rng).upper for t in times)
    estimate, low, high = median_ratio(slow, fast, pairs.query, level=CONVENTION, rng=rng)
    return Secondary("medians", finite(estimate), bounded((low, high)), CONVENTION, pairs.n)


def _restricted(times: Times) -> Secondary:
    """Difference of restricted mean rounds, the same pairs, a paired t interval."""
    few, many = times
    means = [restricted_mean(t.time, t.hit, t.horizon) for t in times]
    horizon = min(few.horizon, many.horizon)
    difference = paired_difference(np.minimum(few.time, horizon), np.minimum(many.time, horizon))
    interval = bounded(difference.interval((1 - CONVENTION) / 2))
    said = {"horizon": float(horizon), "few": float(means[0]), "many": float(means[1])}
    return Secondary(
        "rounds saved", difference.estimate, interval, CONVENTION, difference.n, kind="rounds", values=said
    )
