"""The preregistered protocols of the claims: what is estimated, against which margin, decided by which test.

Data only, committed before the runs that count; `analysis.claims` holds the code that decides. A study names
claims of the ledger by id and may state its own, by type (`banditrft.claims.own`). The hash of the protocols
in force stands in every run, so that a claim added or changed after the data were seen can be distinguished
from one that was there before.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from banditrft.claims import paper_a, paper_b
from banditrft.claims.conditions import (
    MINIMAL,
    AtLeast,
    Fields,
    conditions,
    contrasts,
    ladders,
    placebo_conditions,
    rest,
    rollout_pairs,
    single_query_conditions,
)
from banditrft.claims.own import own_claim, own_claims, parse_own
from banditrft.claims.paper_a import A1, A5
from banditrft.claims.protocols import (
    PROTOCOL,
    Claim,
    Decline,
    Fails,
    HardQuery,
    Improves,
    LessStable,
    MoreRollouts,
    NoGain,
    NoTransfer,
    Optimum,
    RandomCurves,
    ReachesOne,
    Speedup,
    SpreadRatio,
    Trend,
    VarianceShare,
)
from banditrft.design import Design
from banditrft.errors import InputError

__all__ = [
    "A1",
    "A5",
    "CLAIMS",
    "MINIMAL",
    "PROTOCOL",
    "AtLeast",
    "Claim",
    "Decline",
    "Fails",
    "Fields",
    "HardQuery",
    "Improves",
    "LessStable",
    "MoreRollouts",
    "NoGain",
    "NoTransfer",
    "Optimum",
    "RandomCurves",
    "ReachesOne",
    "Speedup",
    "SpreadRatio",
    "Trend",
    "VarianceShare",
    "claims_hash",
    "conditions",
    "contrasts",
    "get_claims",
    "in_force",
    "lacking",
    "ladders",
    "own_claims",
    "placebo_conditions",
    "rest",
    "rollout_pairs",
    "single_query_conditions",
]

CLAIMS: dict[str, Claim] = {claim.id: claim for claim in (*paper_a.LEDGER, *paper_b.LEDGER)}


def get_claims(claims: Sequence[str | Claim]) -> tuple[Claim, ...]:
    """Protocols: those of the ledger by id, a study's own as they are.

    Raises:
        InputError: An id is not in the ledger.
    """
    unknown = [c for c in claims if isinstance(c, str) and c not in CLAIMS]
    if unknown:
        raise InputError(f"claims: known are {', '.join(CLAIMS)}, got {', '.join(unknown)}")
    return tuple(CLAIMS[c] if isinstance(c, str) else c for c in claims)


def in_force(study: Mapping[str, Any]) -> tuple[Claim, ...]:
    """Claims of a study.json: the ledger's that it names, then its own.

    Raises:
        InputError: An id is not in the ledger, or a claim of its own is not one.
    """
    own = (own_claim(parse_own(table, "own_claims")) for table in study.get("own_claims", ()))
    return (*get_claims(study["claims"]), *own)


def lacking(claim: Claim, designs: Mapping[str, Design]) -> str | None:
    """What a claim does not find among the conditions of one world, said before anything is spent.

    Args:
        claim: A protocol; a study's own claims were checked against its conditions when it was read.
        designs: Condition name -> design, as resolved in that world.

    Returns:
        None where it lacks nothing.
    """
    return None if claim.own is not None else claim.lacks(designs)


def claims_hash(claims: Sequence[str | Claim]) -> str:
    """Hash of the protocols in force, 16 hex digits, independent of their order."""
    ordered = sorted(get_claims(claims), key=lambda claim: claim.id)
    text = json.dumps([c.protocol() for c in ordered], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
