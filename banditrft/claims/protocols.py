"""The types of claims: what each preregisters, what it lacks in a study, the least p-value of its test.

`analysis.claims` has their tests, by type.

The ledgers of the papers and the tables of a study (`banditrft.claims.own`) are values of the same types.
They differ in how conditions are found: a ledger's claim by the fields of designs, a table's by what it
names.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from banditrft.claims.conditions import (
    MINIMAL,
    Fields,
    conditions,
    contrasts,
    describe,
    ladders,
    rollout_pairs,
    single_query_conditions,
)
from banditrft.design import Design

PROTOCOL = 2
"""Version of the protocols. 1 read gains against the base policy alone, at this project's margins; 2 reads
gains and falls against the placebo too, claims of no difference only where something is learned, and every
claim at the papers' own horizon and margin (docs/claims.md)."""

Split = Literal["train", "test"]
FEWEST_IN_SPREAD = 3
"""Seeds of a query that make a spread."""
TABLED = {"tabled": True}
"""Marks a setting of tables alone: no part of the protocols of the ledgers, nor of their hash."""
ADAM: Fields = (*MINIMAL, ("optimizer", "adam"))
"""The minimal bandit under Adam."""


def _no_condition(designs: Mapping[str, Design], where: Fields) -> str | None:
    return None if conditions(designs, where) else f"no condition with {describe(where)}"


def _no_pair(designs: Mapping[str, Design], where: Fields, changed: Fields) -> str | None:
    found = contrasts(designs, where, changed)
    return None if found else f"no pair that differs only in {describe(changed)}"


def _least_p_of_spread(queries: int, seeds: int, permuted_below: int) -> float:
    """Sign changes of deviations from medians: of an odd number one is 0, whose sign changes nothing."""
    if seeds < FEWEST_IN_SPREAD:
        return 1.0
    runs = queries * seeds
    return 2.0 ** -(runs - queries * (seeds % 2)) if runs < permuted_below else 0.0


def _least_p_of_failures(all_fail: float, none_fails: float, runs: int) -> tuple[float, float]:
    """Least p-values of a fraction of failures that must also exceed that of a condition that learns.

    Boschloo's test has 4^-N where all of A fail and none of B does, for (p (1 - p))^N is largest at p = 1/2.
    That B learns, without which the comparison neither supports nor refutes, is a sign test of N pairs.
    """
    apart, learns = 4.0**-runs, 2.0**-runs
    return max(all_fail, apart, learns), min(1.0, 2 * none_fails, max(2 * apart, learns))


@dataclass(frozen=True)
class Named:
    """What a study's table says of its claim apart from the protocol.

    Attributes:
        settings: The table, complete.
        conditions: What it names: A, then B where there is one; or its one ladder.
        worlds: Worlds that it is read in; all where there are none.
        secondary: Whether Benjamini and Hochberg's procedure corrects it, instead of Holm's.
    """

    settings: dict[str, Any]
    conditions: tuple[Any, ...]
    worlds: tuple[str, ...] = ()
    secondary: bool = False


@dataclass(frozen=True)
class Claim:
    """One statement of the papers and how it would be settled.

    Attributes:
        id: Name in the ledger, such as "A1".
        statement: What the paper says.
        source: Where it says so.
        numbers: The figures it gives.
        estimand: The quantity estimated.
        test: The test, named.
        decision: How the interval becomes a verdict.
        version: Version of the protocol.
        own: The study's table that states it; None for a claim of the ledgers.
    """

    id: str
    statement: str
    source: str
    numbers: str
    estimand: str
    test: str
    decision: str
    version: int = dataclasses.field(default=PROTOCOL, kw_only=True)
    own: Named | None = dataclasses.field(default=None, kw_only=True, metadata=TABLED)

    @property
    def secondary(self) -> bool:
        """Whether it stands outside Holm's family."""
        return self.own is not None and self.own.secondary

    @property
    def settings(self) -> dict[str, Any]:
        """The study's table that states it; empty for a claim of the ledgers."""
        return {} if self.own is None else self.own.settings

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """What a claim of the ledgers does not find among the conditions of one world; None for nothing.

        Args:
            designs: Condition name -> design, as resolved in that world.
        """
        return None

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """Least p-values of "supported" and of "refuted" over all data that a study can give.

        Here those of Student's t, which has none above 0 from two runs on. A type with an exact test has its
        own, or `banditrft lint` is silent where no data can decide it. A conjunction is supported with the
        largest of its parts' and refuted, by Bonferroni, with the smallest.

        Args:
            queries: Training queries that the runs belong to.
            seeds: Seeds of each.
        """
        return (0.0, 0.0) if queries * seeds > 1 else (1.0, 1.0)

    def protocol(self) -> dict[str, Any]:
        """What is preregistered, as plain values: the hash of the protocols is one of these."""
        if self.own is not None:
            shared = {f.name: getattr(self, f.name) for f in fields(Claim) if f.name != "own"}
            return shared | {"settings": self.own.settings, "secondary": self.own.secondary}
        left_out = {f.name for f in fields(self) if f.metadata.get("tabled")}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


@dataclass(frozen=True)
class ReachesOne(Claim):
    """A claim that single runs reach Pass@1 = 1.

    Attributes:
        pass_at_1: A run reaches it when the one-sided lower bound of its final Pass@1 exceeds this.
        confidence: Level of every one-sided bound.
        samples: Samples of the final evaluation.
        fraction: The claim holds when more than this fraction of runs reaches it.
    """

    pass_at_1: float = 0.95
    confidence: float = 0.95
    samples: int = 512
    fraction: float = 0.5

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        found = single_query_conditions(designs)
        return None if found else "no condition with one rollout, raw reward and adam"

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """As `Claim.least_p`."""
        runs = queries * seeds
        return self.fraction**runs, (1 - self.fraction) ** runs


@dataclass(frozen=True)
class MoreRollouts(Claim):
    """A claim about what more rollouts per query do to speed and to the test set.

    Attributes:
        rollouts: Group sizes compared, (few, many).
        pass_at_1: Train Pass@1 that counts as converged.
        consecutive: Consecutive evaluations that must be at or above it.
        sensitivity: Other thresholds, reported as sensitivities.
        speed_band: The ratio T(few)/T(many) under Adam must lie inside.
        sgd_band: The same under SGD.
        margin_points: Equivalence margin of test Pass@1, in points of probability.
        margin_share: The margin is at most this share of the gain of the condition with few rollouts.
        level: Two-sided level of the intervals of hitting-time ratios.
    """

    rollouts: tuple[int, int] = (1, 4)
    pass_at_1: float = 0.90
    consecutive: int = 2
    sensitivity: tuple[float, ...] = (0.95, 0.99)
    speed_band: tuple[float, float] = (math.sqrt(2), 2 * math.sqrt(2))
    sgd_band: tuple[float, float] = (1 / math.sqrt(2), math.sqrt(2))
    margin_points: float = 0.02
    margin_share: float = 0.2
    level: float = 0.95

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`: one optimiser is enough."""
        few, many = self.rollouts
        found = any(rollout_pairs(designs, self.rollouts, optimizer) for optimizer in ("adam", "sgd"))
        return None if found else f"no pair of conditions that differ only in rollouts ({few} and {many})"

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """As `Claim.least_p`; its ratios are read on two sides, a t test may refute it."""
        return min(1.0, 2 * 2.0 ** -(queries * seeds)), 0.0


@dataclass(frozen=True)
class Improves(Claim):
    """A claim that training raises Pass@1 above the base policy's.

    Attributes:
        where: Designs it is about.
        single_query: Whether the world must have one training query.
        splits: Splits that must rise, "train" or "test".
        lenient: Whether the test gain must also hold by the lenient grade.
        margin: Gains up to this many points of probability count as none.
    """

    where: Fields = ADAM
    single_query: bool = True
    splits: tuple[str, ...] = ("test",)
    lenient: bool = True
    margin: float = 0.02

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        return _no_condition(designs, self.where)


@dataclass(frozen=True)
class RandomCurves(Claim):
    """A claim that runs which differ in the seed alone differ by more than evaluation noise.

    Attributes:
        where: Designs it is about.
        ratio: Least ratio of the SD over seeds to the SD of an evaluation; sqrt 2 is where the seeds' own
            variance equals the evaluation's.
    """

    where: Fields = ADAM
    ratio: float = math.sqrt(2)

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        return _no_condition(designs, self.where)


@dataclass(frozen=True)
class LessStable(Claim):
    """A claim that a change makes training less stable and brings nothing on the test set.

    Attributes:
        where: Designs without the change.
        plain: The change, under Adam.
        matched: The change under SGD with its step size matched.
        base_above: Only queries of a larger base Pass@1.
        ratio: SD ratio beyond which training is less stable.
        progress: Mean train Pass@1 at which runs are compared at equal progress.
        margin_points: Equivalence margin of test Pass@1.
        permutation_below: Units below which labels are permuted instead of a t test.
    """

    where: Fields = ()
    plain: Fields = ()
    matched: Fields = ()
    base_above: float = 0.1
    ratio: float = 1.0
    progress: float = 0.5
    margin_points: float = 0.02
    permutation_below: int = 10

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        pairs = [
            contrasts(designs, (*self.where, ("optimizer", optimizer)), changed)
            for optimizer, changed in (("adam", self.plain), ("sgd", self.matched))
        ]
        return None if all(pairs) else "not both pairs, plain under adam and step-size-matched under sgd"

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """As `Claim.least_p`."""
        return _least_p_of_spread(queries, seeds, self.permutation_below), 0.0


@dataclass(frozen=True)
class HardQuery(Claim):
    """A claim that very hard queries are learned while the test set falls below base.

    Attributes:
        where: Designs it is about.
        base_below: Queries of a smaller base Pass@1 are hard.
        pass_at_1: As in `ReachesOne`.
        confidence: As in `ReachesOne`.
        fraction: As in `ReachesOne`.
    """

    where: Fields = ADAM
    base_below: float = 0.05
    pass_at_1: float = 0.95
    confidence: float = 0.95
    fraction: float = 0.5

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        return _no_condition(designs, self.where)

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """As `Claim.least_p`."""
        return self.fraction ** (queries * seeds), 0.0


@dataclass(frozen=True)
class Fails(Claim):
    """A claim that a change makes training fail by the papers' horizon; a later one is read too.

    Attributes:
        where: Designs without the change.
        changed: The change.
        pass_at_1: Train Pass@1 whose two consecutive evaluations are a success.
        consecutive: Consecutive evaluations at or above it.
        late: The second horizon, in multiples of the first; runs end there.
        fraction: More than this fraction of runs must fail.
        horizon: Of a table: last round that is read; None is the end of the runs.
    """

    where: Fields = MINIMAL
    changed: Fields = (("reward", "minus-one-zero"),)
    pass_at_1: float = 0.90
    consecutive: int = 2
    late: int = 4
    fraction: float = 0.5
    horizon: int | None = dataclasses.field(default=None, kw_only=True, metadata=TABLED)

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        return _no_pair(designs, self.where, self.changed)

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """As `Claim.least_p`."""
        runs = queries * seeds
        all_fail, none_fails = self.fraction**runs, (1 - self.fraction) ** runs
        if self.own is not None and len(self.own.conditions) == 1:
            return all_fail, none_fails
        return _least_p_of_failures(all_fail, none_fails, runs)


@dataclass(frozen=True)
class NoTransfer(Claim):
    """A claim that one of several models learns its query and does not generalise.

    Attributes:
        where: Designs it is about.
        margin: A test curve is flat when its slope times the run's length stays within this many points.
        pass_at_1: As in `ReachesOne`.
        confidence: As in `ReachesOne`.
        fraction: As in `ReachesOne`.
    """

    where: Fields = ADAM
    margin: float = 0.02
    pass_at_1: float = 0.95
    confidence: float = 0.95
    fraction: float = 0.5

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        return _no_condition(designs, self.where)

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """As `Claim.least_p`."""
        return self.fraction ** (queries * seeds), 0.0


@dataclass(frozen=True)
class NoGain(Claim):
    """A claim that a change adds little to, or is as good on, the test set.

    Attributes:
        where: Designs without the change.
        changed: The change.
        margin_points: Equivalence margin of test Pass@1, the papers' own.
        stricter: This project's margin, where it is another; read too.
        two_sided: Whether a loss beyond the margin refutes it as a gain does.
        keep_group: Whether the statistics' population must have the size of the group it stands for.
        split: Of a table: evaluations that are compared.
    """

    where: Fields = ()
    changed: Fields = ()
    margin_points: float = 0.02
    stricter: float | None = None
    two_sided: bool = False
    keep_group: bool = False
    split: Split = dataclasses.field(default="test", kw_only=True, metadata=TABLED)

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        return _no_pair(designs, self.where, self.changed)


@dataclass(frozen=True)
class Trend(Claim):
    """A claim that more of something adds little.

    Attributes:
        where: Designs it is about.
        field: Field that grows.
        free: Fields that may differ along.
        margin: Equivalence margin per doubling, in points of probability, the papers' own.
        stricter: This project's margin, where it is another; read too.
        fewest: Values that make a trend.
        split: Of a table: evaluations that are read.
        two_sided: Of a table: whether a loss beyond the margin refutes it as a gain does.
    """

    where: Fields = ()
    field: str = "rollouts"
    free: tuple[str, ...] = ()
    margin: float = 0.02 / 3
    stricter: float | None = None
    fewest: int = 3
    split: Split = dataclasses.field(default="test", kw_only=True, metadata=TABLED)
    two_sided: bool = dataclasses.field(default=False, kw_only=True, metadata=TABLED)

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        families = ladders(designs, self.where, {self.field}, lambda d: float(getattr(d, self.field)))
        enough = bool(families) and len(families[0]) >= self.fewest
        return None if enough else f"no {self.fewest} conditions that differ only in {self.field}"


@dataclass(frozen=True)
class Optimum(Claim):
    """A claim that an interior value is best: a batch size at a fixed number of rollouts per round.

    Attributes:
        where: Designs it is about.
        budget: Queries times rollouts per round.
        batch_size: Where the optimum is claimed to be.
        factor: How far from it the optimum may lie, as a factor.
        fewest: Cells that make a curve.
        field: Of a table: the design field that its conditions differ in.
        at: Of a table: the value that is claimed to be best.
        split: Of a table: evaluations that are read.
    """

    where: Fields = ()
    budget: int = 256
    batch_size: int = 32
    factor: float = 2.0
    fewest: int = 5
    field: str = dataclasses.field(default="batch_size", kw_only=True, metadata=TABLED)
    at: float | None = dataclasses.field(default=None, kw_only=True, metadata=TABLED)
    split: Split = dataclasses.field(default="test", kw_only=True, metadata=TABLED)

    @property
    def best(self) -> float:
        """Where the optimum is claimed to be."""
        return float(self.batch_size) if self.at is None else self.at

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        wanted = (designs[n] for n in conditions(designs, self.where))
        spending = sum(d.batch_size * d.rollouts == self.budget for d in wanted)
        return None if spending >= self.fewest else f"no {self.fewest} splits of {self.budget} rollouts"


@dataclass(frozen=True)
class VarianceShare(Claim):
    """A claim that worlds differ more than designs do.

    Attributes:
        where: Designs it is about.
        share: Least share of the world in the sum of the two variances.
    """

    where: Fields = (("reward", ("zero-one", "minus-one-zero", "minus-one-one", "graded", "noisy")),)
    share: float = 0.5

    def lacks(self, designs: Mapping[str, Design]) -> str | None:
        """As `Claim.lacks`."""
        return None if len(conditions(designs, self.where)) > 1 else "no two conditions"


@dataclass(frozen=True)
class Speedup(Claim):
    """A table's claim that A reaches a train Pass@1 in fewer rounds than B.

    Attributes:
        pass_at_1: Train Pass@1 that counts.
        consecutive: Consecutive evaluations at or above it.
        horizon: Last round that is read; None is the end of the runs.
        margin: Least ratio of times, B's over A's.
    """

    pass_at_1: float = 0.90
    consecutive: int = 2
    horizon: int | None = None
    margin: float = 1.0

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """As `Claim.least_p`."""
        least = 2.0 ** -(queries * seeds)
        return least, least


@dataclass(frozen=True)
class SpreadRatio(Claim):
    """A table's claim that A differs more from seed to seed than B.

    Attributes:
        margin: Least ratio of their spreads.
        split: The area under the training curve, or the final test Pass@1.
        permutation_below: Pairs below which signs are changed instead of a t test.
    """

    margin: float = 1.0
    split: Split = "train"
    permutation_below: int = 10

    def least_p(self, queries: int, seeds: int) -> tuple[float, float]:
        """As `Claim.least_p`."""
        least = _least_p_of_spread(queries, seeds, self.permutation_below)
        return least, least


@dataclass(frozen=True)
class Decline(Claim):
    """A table's claim that A ends below the base policy and below every placebo.

    Attributes:
        margin: By more than this, in probability.
        split: Evaluations that are compared.
    """

    margin: float = 0.0
    split: Split = "test"
