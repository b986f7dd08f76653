"""The preregistered protocols of the claims: what is estimated, against which margin, decided by which test.

Data only, committed before the runs that count; `analysis.claims` holds the code that decides. A study names
claims by id, and the hash of the protocols in force stands in every run, so that a claim added or changed
after the data were seen can be told from one that was there before.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

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
from banditrft.claims.coverage import lacking
from banditrft.claims.paper_a import A1, A5
from banditrft.claims.protocols import (
    Claim,
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
    Trend,
    VarianceShare,
)
from banditrft.errors import InputError

__all__ = [
    "A1",
    "A5",
    "CLAIMS",
    "MINIMAL",
    "AtLeast",
    "Claim",
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
    "Trend",
    "VarianceShare",
    "claims_hash",
    "conditions",
    "contrasts",
    "get_claims",
    "lacking",
    "ladders",
    "placebo_conditions",
    "rest",
    "rollout_pairs",
    "single_query_conditions",
]

CLAIMS: dict[str, Claim] = {claim.id: claim for claim in (*paper_a.LEDGER, *paper_b.LEDGER)}


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
