"""Claims that no data can decide at a study's number of seeds, said before it runs.

Exact tests of few runs have a least p-value: N pairs have 2^N sign changes, and N runs that all fail have the
probability margin^N. Where it lies above the level that Holm's procedure could ever read a claim at, the
claim stays undecided whatever happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.inference.multiplicity import benjamini_hochberg, holm
from banditrft.claims import (
    Claim,
    Fails,
    HardQuery,
    LessStable,
    MoreRollouts,
    NoTransfer,
    ReachesOne,
    Speedup,
    SpreadRatio,
    in_force,
    lacking,
    rollout_pairs,
    single_query_conditions,
)
from banditrft.design import Design
from banditrft.study import Study
from banditrft.worlds import LLMWorld, LumpedWorld, SequenceWorld, WorldSettings

ALPHA = 0.05
MOST = 64
"""Largest number of seeds that is tried; a test of more has no least p-value that matters."""
FEWEST = 3
"""Pairs of a query that make a spread."""


@dataclass(frozen=True)
class Asked:
    """A claim in a world, with the runs behind it.

    Attributes:
        claim: Protocol.
        world: Name of the world.
        queries: Training queries that the runs belong to.
        seeds: Seeds of each.
    """

    claim: Claim
    world: str
    queries: int
    seeds: int

    @property
    def secondary(self) -> bool:
        """Whether Benjamini and Hochberg's procedure corrects it."""
        return self.claim.secondary


def least_p(of: Asked) -> tuple[float, float]:
    """Least p-values of "supported" and of "refuted" over all data; 0 where a test has none above 0.

    Student's t has none from two runs on. A conjunction is supported with the largest of its parts' and
    refuted, by Bonferroni, with the smallest.
    """
    claim, runs = of.claim, of.queries * of.seeds
    if isinstance(claim, Speedup):
        return 2.0**-runs, 2.0**-runs
    if isinstance(claim, SpreadRatio):
        least = _spread(of.queries, of.seeds, claim.permutation_below)
        return least, least
    if isinstance(claim, ReachesOne):
        return claim.fraction**runs, (1 - claim.fraction) ** runs
    if isinstance(claim, MoreRollouts):
        return min(1.0, 2 * 2.0**-runs), 0.0  # its ratios are read on two sides; a t test may refute it
    if isinstance(claim, LessStable):
        return _spread(of.queries, of.seeds, claim.permutation_below), 0.0
    if isinstance(claim, HardQuery | NoTransfer):
        return claim.fraction**runs, 0.0
    if isinstance(claim, Fails):
        all_fail, none_fails = claim.fraction**runs, (1 - claim.fraction) ** runs
        alone = claim.own is not None and len(claim.own.conditions) == 1
        return (all_fail, none_fails) if alone else _failures(all_fail, none_fails, runs)
    return (0.0, 0.0) if runs > 1 else (1.0, 1.0)


def _spread(queries: int, seeds: int, permuted_below: int) -> float:
    """Sign changes of deviations from medians: of an odd number one is 0, whose sign changes nothing."""
    if seeds < FEWEST:
        return 1.0
    runs = queries * seeds
    return 2.0 ** -(runs - queries * (seeds % 2)) if runs < permuted_below else 0.0


def _failures(all_fail: float, none_fails: float, runs: int) -> tuple[float, float]:
    """Least p-values of a fraction of failures that must also exceed that of a condition that learns.

    Boschloo's test has 4^-N where all of A fail and none of B does, for (p (1 - p))^N is largest at p = 1/2.
    That B learns, without which the comparison neither supports nor refutes, is a sign test of N pairs.
    """
    apart, learns = 4.0**-runs, 2.0**-runs
    return max(all_fail, apart, learns), min(1.0, 2 * none_fails, max(2 * apart, learns))


def warnings(study: Study, alpha: float = ALPHA) -> list[str]:
    """One line for each claim of a study that its number of seeds leaves undecided, or unsupported."""
    claims = in_force({"claims": study.claims, "own_claims": [c.settings for c in study.own_claims]})
    tested = [t for claim in claims for t in _tested(study, claim)]
    return [f"claims: {said}" for said in unattainable(tested, alpha).values()]


def unattainable(tested: Sequence[Asked], alpha: float = ALPHA) -> dict[tuple[str, str], str]:
    """Why claims cannot be decided, or not supported, by claim and world; those that can are left out.

    Args:
        tested: Claims in worlds, all that a report would judge: they are corrected together.
        alpha: Family-wise error rate, and false discovery rate of secondary claims.
    """
    found = {}
    for i, one in enumerate(tested):
        if _may(tested, i, alpha, least_p(one)[0]):
            continue
        word = "supported" if _may(tested, i, alpha, min(least_p(one))) else "decided"
        more = range(one.seeds + 1, MOST + 1)
        grown = ((seeds, _with(tested, one.world, seeds)) for seeds in more)
        enough = next((s for s, of in grown if _may(of, i, alpha, least_p(of[i])[0])), None)
        others = len({t.claim.id for t in tested if t.secondary == one.secondary}) - 1
        found[one.claim.id, one.world] = (
            f"'{one.claim.id}' in '{one.world}' cannot be {word} with {one.seeds} seeds, whatever the data: "
            f"the least p-value that {one.queries * one.seeds} runs can give is {least_p(one)[0]:.2g}"
            + (f", corrected for {others} other claims" if others else "")
            + (f"; {enough} seeds are the fewest that can" if enough else "")
        )
    return found


def _may(tested: Sequence[Asked], i: int, alpha: float, p: float) -> bool:
    """Whether one claim is decided at its p-value where all other data are as clear as they can be.

    Another claim counts once, in the world that suits it best: how many worlds judge it, the data tell.
    """
    others: dict[str, float] = {}
    for t in tested:
        if t.claim.id != tested[i].claim.id and t.secondary == tested[i].secondary:
            others[t.claim.id] = min(others.get(t.claim.id, 1.0), *least_p(t))
    procedure = benjamini_hochberg if tested[i].secondary else holm
    return procedure([p, *others.values()], alpha)[0].rejected


def _with(tested: Sequence[Asked], world: str, seeds: int) -> list[Asked]:
    return [replace(t, seeds=seeds) if t.world == world else t for t in tested]


def _tested(study: Study, claim: Claim) -> list[Asked]:
    """The worlds that can test a claim, each on its own."""
    return [
        Asked(claim, w.name, queries_of(w), w.seeds)
        for w in study.worlds()
        if _testable(claim, w, study.designs(w.name))
    ]


def _testable(claim: Claim, world: WorldSettings, designs: Mapping[str, Design]) -> bool:
    if claim.own is not None:
        on_test = getattr(claim, "split", "train") == "test"
        named = not claim.own.worlds or world.name in claim.own.worlds
        return named and not (on_test and isinstance(world, LumpedWorld | SequenceWorld))
    if isinstance(claim, ReachesOne):
        return bool(single_query_conditions(designs))
    if isinstance(claim, MoreRollouts):
        return any(rollout_pairs(designs, claim.rollouts, optimizer) for optimizer in ("adam", "sgd"))
    return lacking(claim, designs) is None


def queries_of(world: WorldSettings) -> int:
    """Number of training queries that a world's runs belong to."""
    if not isinstance(world, LLMWorld) or world.train_items is not None:
        return 1
    return len(world.queries.items) or world.queries.count
