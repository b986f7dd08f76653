"""The preregistered protocols of the claims: what is estimated, against which margin, decided by which test.

Data only, committed before the runs that count; `analysis.claims` holds the code that decides. A study names
claims by id, and the hash of the protocols in force stands in every run, so that a claim added or changed
after the data were seen can be told from one that was there before.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from banditrft.design import Design
from banditrft.errors import InputError


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
    """

    id: str
    statement: str
    source: str
    numbers: str
    estimand: str
    test: str
    decision: str


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


@dataclass(frozen=True)
class MoreRollouts(Claim):
    """A claim about what more rollouts per query do to speed and to the test set.

    Attributes:
        rollouts: Group sizes compared, (few, many).
        pass_at_1: Train Pass@1 that counts as converged.
        consecutive: Consecutive evaluations that must be at or above it.
        sensitivity: Other thresholds, reported beside the primary one.
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


A1 = ReachesOne(
    id="A1",
    statement="One query, one rollout and the raw {0, 1} reward bring train Pass@1 to 1.",
    source="arXiv 2601.14599",
    numbers="Pass@1 = 1.0 on every model",
    estimand="fraction of runs whose final train Pass@1 is shown to exceed .95 by 512 samples",
    test="Clopper-Pearson, one-sided 95%, per run and over runs",
    decision="supported if the fraction's lower bound exceeds .5, refuted if its upper bound is below .5",
)
A5 = MoreRollouts(
    id="A5",
    statement="Four rollouts instead of one converge in about half the rounds under Adam and hardly faster "
    "under SGD, at no gain in test Pass@1.",
    source="arXiv 2601.14599",
    numbers="about 200 rounds against 100",
    estimand="ratio of hitting times T(G=1)/T(G=4) of train Pass@1 >= .90 at two consecutive evaluations, "
    "under Adam and under SGD; difference in final test Pass@1",
    test="permutation log-rank on right-censored times, inverted for the ratio; TOST for the test set",
    decision="supported if all three parts are; refuted if one part is, at its corrected level",
)
CLAIMS: dict[str, Claim] = {claim.id: claim for claim in (A1, A5)}


def get_claims(ids: Sequence[str]) -> tuple[Claim, ...]:
    """Protocols by id.

    Raises:
        InputError: An id is not in the ledger.
    """
    unknown = [i for i in ids if i not in CLAIMS]
    if unknown:
        raise InputError(f"claims: known are {', '.join(CLAIMS)}, got {', '.join(unknown)}")
    return tuple(CLAIMS[i] for i in ids)


def claims_hash(ids: Sequence[str]) -> str:
    """Hash of the protocols in force, 16 hex digits, independent of the order of ids."""
    text = json.dumps([asdict(c) for c in get_claims(sorted(ids))], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def single_query_conditions(designs: Mapping[str, Design], optimizer: str = "adam") -> list[str]:
    """Names of the conditions that are the minimal bandit: one query, one rollout, the raw {0, 1} reward."""
    return [n for n, d in designs.items() if _minimal(d, 1) and d.optimizer == optimizer]


def rollout_pairs(
    designs: Mapping[str, Design], rollouts: tuple[int, int], optimizer: str
) -> list[tuple[str, str]]:
    """Pairs of conditions (few, many) that differ in nothing but the number of rollouts.

    Args:
        designs: Condition name -> design, as resolved in one world.
        rollouts: The two group sizes.
        optimizer: Only conditions under this optimiser.
    """
    few, many = rollouts
    return [
        (a, b)
        for a, design_a in designs.items()
        for b, design_b in designs.items()
        if _minimal(design_a, few)
        and design_a.optimizer == optimizer
        and design_b == design_a.model_copy(update={"rollouts": many})
    ]


def placebo_conditions(designs: Mapping[str, Design]) -> list[str]:
    """Names of the conditions whose rewards are random."""
    return [n for n, d in designs.items() if d.reward == "random"]


def _minimal(design: Design, rollouts: int) -> bool:
    wanted = {"batch_size": 1, "rollouts": rollouts, "signal": "raw", "reward": "zero-one"}
    return all(getattr(design, field) == value for field, value in wanted.items())
