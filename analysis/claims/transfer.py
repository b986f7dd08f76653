"""Component "no gain in test Pass@1": paired equivalence of the final test Pass@1, many rollouts minus few.

A gain beyond the margin refutes it. A loss beyond the margin leaves it undecided: "no gain" then holds as a
phrase, but the protocol preregisters equivalence, and a worse test set is not what the claim says. Where few
rollouts themselves gain nothing there is no margin, and the part is undecided whatever the difference.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analysis.claims.pairs import Pairs
from analysis.claims.reading import skewed
from analysis.estimands import FORMATS
from analysis.inference.means import Difference, margin, paired_difference
from analysis.verdict import Part, Secondary, bounded, decide
from banditrft.claims import MoreRollouts


@dataclass(frozen=True)
class Transfer:
    """An equivalence component before its level is known."""

    label: str
    pairs: Pairs
    claim: MoreRollouts
    difference: Difference
    gain: Difference
    margin: float
    extra: tuple[Secondary, ...]
    id: ClassVar[str] = "test"
    needs: ClassVar[str | None] = "gains"
    gate: ClassVar[bool] = False

    @property
    def world(self) -> str:
        """World that it reads."""
        return self.pairs.few.world.name

    @property
    def p_support(self) -> float:
        """p-value against "the difference lies outside the margin"."""
        return self.difference.p_inside(self.margin) if self.margin > 0 else 1.0

    @property
    def p_refute(self) -> float:
        """p-value against "there is no gain beyond the margin"."""
        return self.difference.p_above(self.margin) if self.margin > 0 else 1.0

    def part(self, level: float, refuting_level: float) -> Part:
        """The component read at the given error rates."""
        few, many = self.pairs.few, self.pairs.many
        values = (few.test[self.pairs.rows_few], many.test[self.pairs.rows_many])
        detectable = self.difference.detectable_margin(level)
        return Part(
            id=self.id,
            label=self.label,
            kind="difference",
            world=self.world,
            conditions=(few.condition, many.condition),
            verdict=decide(self.p_support, self.p_refute, level, refuting_level),
            estimate=self.difference.estimate,
            interval=bounded(self.difference.interval(level)),
            level=1 - level,
            refuting_interval=bounded(self.difference.interval(refuting_level)),
            refuting_level=1 - refuting_level,
            band=(0.0 - self.margin, self.margin),
            p_support=self.p_support,
            p_refute=self.p_refute,
            n=self.pairs.n,
            unit=self.pairs.unit,
            detail=(
                f"At this spread {self.pairs.n} pairs show equivalence within {100 * detectable:.2g} "
                "points with 80% "
                f"power; the margin is {100 * self.margin:.2g}.{skewed(self.difference)}"
            ),
            sentence=(
                "Two one-sided paired t tests (both one-sided bounds inside the margin), because "
                "items are not "
                "replicates and runs are paired; the margin is the smaller of "
                f"{100 * self.claim.margin_points:g} points "
                f"and {self.claim.margin_share:.0%} of what '{few.condition}' itself gained over the base "
                f"policy ({FORMATS['difference'](self.gain.estimate)} points)."
            ),
            counts={
                "gain_few": self.gain.estimate,
                "margin": self.margin,
                "test_base": float(few.test_base[self.pairs.rows_few].mean()),
                "test_few": float(values[0].mean()),
                "test_many": float(values[1].mean()),
            },
            secondary=self.extra,
            points={
                "query": self.pairs.query.tolist(),
                "seed": self.pairs.seed.tolist(),
                "few": values[0].tolist(),
                "many": values[1].tolist(),
            },
            split="test",
            needs=self.needs,
        )


def measure(label: str, pairs: Pairs, claim: MoreRollouts, neighbours: list[tuple[str, Pairs]]) -> Transfer:
    """Test the final difference; `neighbours` are the same comparison elsewhere, by label."""
    few, many = pairs.few, pairs.many
    gain = paired_difference(few.test[pairs.rows_few], few.test_base[pairs.rows_few])
    extra = []
    lenient = (few.test_lenient[pairs.rows_few], many.test_lenient[pairs.rows_many])
    strict = (few.test[pairs.rows_few], many.test[pairs.rows_many])
    differs = any(not np.array_equal(a, b) for a, b in zip(lenient, strict, strict=True))
    if differs and all(np.isfinite(v).all() for v in lenient):
        extra.append(
            _secondary("test difference, lenient grade, points", paired_difference(lenient[1], lenient[0]))
        )
    for name, other in neighbours:
        extra.append(_secondary(f"test difference, {name}, points", difference(other)))
    for cell, rows in ((few, pairs.rows_few), (many, pairs.rows_many)):
        own = paired_difference(cell.test[rows], cell.test_base[rows])
        extra.append(_secondary(f"gain of '{cell.condition}' over the base policy, points", own))
    width = margin(claim.margin_points, claim.margin_share, gain.estimate)
    return Transfer(label, pairs, claim, difference(pairs), gain, width, tuple(extra))


def difference(pairs: Pairs) -> Difference:
    """Final test Pass@1 of many rollouts minus few, pair by pair."""
    return paired_difference(pairs.many.test[pairs.rows_many], pairs.few.test[pairs.rows_few])


def _secondary(label: str, found: Difference) -> Secondary:
    return Secondary(label, found.estimate, bounded(found.interval(0.025)), 0.95, found.n)


def notes(part: Transfer) -> tuple[str, ...]:
    """What an equivalence must not hide: a shown gain or loss, and a margin that is none."""
    found = []
    low, high = part.difference.interval(0.025)
    if high < 0:
        found.append(
            "Test Pass@1 is lower with many rollouts than with few (95% interval below 0): there is no gain, "
            "but what the protocol asks for is equivalence."
        )
    if low > 0:
        within = "lies within" if high < part.margin else "is not shown to lie within"
        found.append(
            "Test Pass@1 is higher with many rollouts than with few (95% interval above 0, "
            f"{_points((low, high))} points): a gain is shown. It {within} the margin of "
            f"{100 * part.margin:.2g} points, which is what the protocol means by no gain."
        )
    if part.gain.estimate <= 0:
        found.append(
            f"'{part.pairs.few.condition}' changed by {_points((part.gain.estimate,))} points on the test "
            f"set (95% interval {_points(part.gain.interval(0.025))}), so {part.claim.margin_share:.0%} "
            "of its gain leaves no margin: whatever the difference, this component could be neither "
            "supported nor refuted here."
        )
    elif part.margin < part.claim.margin_points:
        found.append(
            f"The margin is {part.claim.margin_share:.0%} of an estimated gain and is taken as known: the "
            f"gain's own 95% interval is {_points(part.gain.interval(0.025))} points."
        )
    return tuple(found)


def _points(ends: tuple[float, ...]) -> str:
    return " to ".join(f"{100 * end:+.2f}".replace("-", "−") for end in ends)
