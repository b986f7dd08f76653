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
    in_force,
    lacking,
)
from banditrft.design import Design
from banditrft.study import Study
from banditrft.worlds import LLMWorld, LumpedWorld, SequenceWorld, WorldSettings

ALPHA = 0.05
MOST = 64
"""Largest number of seeds that is tried; a test of more has no least p-value that matters."""


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

    @property
    def least_p(self) -> tuple[float, float]:
        """Least p-values of "supported" and of "refuted" over all data."""
        return self.claim.least_p(self.queries, self.seeds)


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
        if _may(tested, i, alpha, one.least_p[0]):
            continue
        word = "supported" if _may(tested, i, alpha, min(one.least_p)) else "decided"
        more = range(one.seeds + 1, MOST + 1)
        grown = ((seeds, _with(tested, one.world, seeds)) for seeds in more)
        enough = next((s for s, of in grown if _may(of, i, alpha, of[i].least_p[0])), None)
        others = len({t.claim.id for t in tested if t.secondary == one.secondary}) - 1
        found[one.claim.id, one.world] = (
            f"'{one.claim.id}' in '{one.world}' cannot be {word} with {one.seeds} seeds, whatever the data: "
            f"the least p-value that {one.queries * one.seeds} runs can give is {one.least_p[0]:.2g}"
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
            others[t.claim.id] = min(others.get(t.claim.id, 1.0), *t.least_p)
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
    return lacking(claim, designs) is None


def queries_of(world: WorldSettings) -> int:
    """Number of training queries that a world's runs belong to."""
    if not isinstance(world, LLMWorld) or world.train_items is not None:
        return 1
    return len(world.queries.items) or world.queries.count
