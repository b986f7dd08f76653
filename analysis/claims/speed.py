"""Component "faster by a factor": ratio of right-censored hitting times, T(few) / T(many rollouts)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.claims.pairs import Pairs
from analysis.inference.means import paired_difference
from analysis.inference.ratio import RatioTest, ratio_test
from analysis.inference.resampling import FEWEST_RESAMPLED, of_data
from analysis.inference.times import (
    HittingTimes,
    hitting_times,
    median_ratio,
    restricted_mean,
)
from analysis.verdict import Interval, Part, Secondary, bounded, decide, finite
from banditrft.claims import MoreRollouts

CONVENTION = 0.95


@dataclass(frozen=True)
class Speed:
    """A ratio component before its level is known."""

    id: str
    label: str
    pairs: Pairs
    band: tuple[float, float]
    claim: MoreRollouts
    times: tuple[HittingTimes, HittingTimes]
    test: RatioTest
    extra: tuple[Secondary, ...]
    needs: str
    gate: ClassVar[bool] = False

    @property
    def world(self) -> str:
        """World that it reads."""
        return self.pairs.few.world.name

    @property
    def p_support(self) -> float:
        """p-value against "the ratio lies outside the band"."""
        return self.test.p_inside(*self.band)

    @property
    def p_refute(self) -> float:
        """p-value against "the ratio lies inside the band"."""
        return self.test.p_outside(*self.band)

    def part(self, level: float, refuting_level: float) -> Part:
        """The component read at the given error rates."""
        few, many = self.times
        low, high = self.test.interval(level)
        return Part(
            id=self.id,
            label=self.label,
            kind="ratio",
            world=self.world,
            conditions=(self.pairs.few.condition, self.pairs.many.condition),
            verdict=decide(self.p_support, self.p_refute, level, refuting_level),
            estimate=finite(self.test.estimate),
            interval=bounded((low, high)),
            level=1 - level,
            refuting_interval=bounded(self.test.interval(refuting_level)),
            refuting_level=1 - refuting_level,
            band=bounded(self.band),
            p_support=self.p_support,
            p_refute=self.p_refute,
            n=self.pairs.n,
            unit=self.pairs.unit,
            detail=_power(low, high, level, self.band, self.test.smallest_p),
            sentence=_sentence(self.claim, few, self.pairs),
            counts={
                "reached_few": int(few.hit.sum()),
                "reached_many": int(many.hit.sum()),
                "runs": self.pairs.n,
                "horizon": few.horizon,
                "step": max(few.step, many.step),
            },
            secondary=self.extra,
            points=points(self.pairs, self.times),
            two_sided=True,
            estimand="time",
            split="train",
            needs=self.needs,
        )


def measure(
    part_id: str,
    label: str,
    pairs: Pairs,
    band: tuple[float, float],
    claim: MoreRollouts,
    neighbours: list[tuple[str, Pairs]],
    needs: str,
) -> Speed:
    """Test the ratio at the claim's threshold, with its sensitivities.

    Args:
        part_id: Name inside the claim.
        label: What the component states.
        pairs: The two conditions, few rollouts first.
        band: Band that the interval is compared with.
        claim: Protocol.
        neighbours: The same comparison in other worlds, by label.
        needs: The gate without which a ratio of times says nothing.
    """
    times = both_times(pairs, claim.pass_at_1, claim.consecutive)

    def ratio(
        of: tuple[HittingTimes, HittingTimes], who: Pairs, margins: tuple[float, ...] = ()
    ) -> RatioTest:
        return ratio_test(*of, strata_N=who.query, margins=margins)

    def secondary(name: str, test: RatioTest, world: str | None = None) -> Secondary:
        interval = bounded(test.interval(1 - CONVENTION))
        estimate = None if _says_nothing(interval) else finite(test.estimate)
        return Secondary(name, estimate, interval, CONVENTION, test.pairs, world)

    extra = []
    for threshold in claim.sensitivity:
        of = both_times(pairs, threshold, claim.consecutive)
        hits = f"{int(of[0].hit.sum())} and {int(of[1].hit.sum())} of {pairs.n} runs get there"
        extra.append(secondary(f"ratio at train Pass@1 ≥ {threshold:g}; {hits}", ratio(of, pairs)))
    upper = tuple(_upper_end(t) for t in times)
    extra.append(secondary("ratio of times rounded up to the grid", ratio((upper[0], upper[1]), pairs)))
    for name, other in neighbours:
        of = both_times(other, claim.pass_at_1, claim.consecutive)
        extra.append(secondary(f"ratio in {name}", ratio(of, other), other.few.world.name))
    if pairs.n >= FEWEST_RESAMPLED:
        extra.append(_medians(times, pairs))
    if pairs.n > 1:
        extra.append(_restricted(times))
    return Speed(part_id, label, pairs, band, claim, times, ratio(times, pairs, band), tuple(extra), needs)


def both_times(
    pairs: Pairs, threshold: float, consecutive: int, until: float = math.inf
) -> tuple[HittingTimes, HittingTimes]:
    """Hitting times of the two conditions up to the horizon they share, or `until` where that is earlier."""
    horizon = min(pairs.few.rounds[-1], pairs.many.rounds[-1], until)
    few, many = (
        hitting_times(cell.rounds, cell.train[rows], threshold, consecutive=consecutive, horizon=horizon)
        for cell, rows in ((pairs.few, pairs.rows_few), (pairs.many, pairs.rows_many))
    )
    return few, many


def points(pairs: Pairs, times: tuple[HittingTimes, HittingTimes]) -> dict[str, list[Any]]:
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
    """Whether every ratio is in the interval: an estimate beside it would be a tie of a few runs."""
    return interval in ((0.0, None), (None, None))


def _upper_end(times: HittingTimes) -> HittingTimes:
    return HittingTimes(np.where(times.hit, times.upper, times.lower), times.upper, times.horizon, times.step)


def _medians(times: tuple[HittingTimes, HittingTimes], pairs: Pairs) -> Secondary:
    """Ratio of median times, hits placed at random inside their steps."""
    rng = of_data(*(ends for t in times for ends in (t.lower, t.upper)), pairs.query)
    slow, fast = (t.drawn(rng).upper for t in times)
    estimate, low, high = median_ratio(slow, fast, pairs.query, level=CONVENTION, rng=rng)
    return Secondary(
        "ratio of median times (bootstrap)", finite(estimate), bounded((low, high)), CONVENTION, pairs.n
    )


def _restricted(times: tuple[HittingTimes, HittingTimes]) -> Secondary:
    """Difference of restricted mean rounds, the same pairs, a paired t interval."""
    few, many = times
    means = [restricted_mean(t.time, t.hit, t.horizon) for t in times]
    horizon = min(few.horizon, many.horizon)
    difference = paired_difference(np.minimum(few.time, horizon), np.minimum(many.time, horizon))
    interval = bounded(difference.interval((1 - CONVENTION) / 2))
    label = f"rounds saved up to round {horizon:g} (restricted means {means[0]:.1f} and {means[1]:.1f})"
    return Secondary(label, difference.estimate, interval, CONVENTION, difference.n)


def _power(low: float, high: float, level: float, band: tuple[float, float], smallest: float) -> str:
    if 2 * smallest > level:
        return (
            f"This many pairs cannot decide: the least two-sided p-value they can give is {2 * smallest:.3g}."
        )
    if low <= 0 or not math.isfinite(high):
        return "The interval is unbounded: too few runs reach the threshold in both conditions."
    z = float(ndtri(1 - level / 2))
    se = math.log(high / low) / (2 * z)
    centre = math.sqrt(band[0] * band[1])
    half = math.log(band[1] / band[0]) / 2
    power = max(0.0, 2 * float(ndtr(half / se - z)) - 1)
    return (
        f"At this spread a true ratio of {centre:.2g} would be shown to lie in the band, power {power:.2f}."
    )


def _sentence(claim: MoreRollouts, few: HittingTimes, pairs: Pairs) -> str:
    queries = f" within each of {len(pairs.few.base)} queries" if len(pairs.few.base) > 1 else ""
    return (
        f"Hitting time: first of {claim.consecutive} consecutive evaluations with train Pass@1 ≥ "
        f"{claim.pass_at_1:g}, "
        f"seen every {few.step:g} rounds and right-censored at round {few.horizon:g}; the ratio "
        "inverts a permutation "
        f"log-rank test with risk sets{queries or ' of all runs'} that swaps labels inside pairs of "
        "runs, because both "
        f"conditions met the same random streams."
    )
