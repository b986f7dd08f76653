"""Which code decides which type of claim."""

from collections.abc import Callable
from typing import Any

from analysis.claims import (
    a1,
    a5,
    failure,
    hard_query,
    improves,
    no_gain,
    no_transfer,
    optimum,
    own,
    random_curves,
    stability,
    trend,
    variance_share,
)
from analysis.claims.finding import Finding, groups
from analysis.loading.records import Records
from banditrft import claims
from banditrft.claims import Claim

Finder = Callable[[Records, Any], list[Finding]]


def _by_group(find: Callable[..., Finding]) -> Finder:
    """A claim that reads each group of worlds on its own."""
    return lambda records, claim: [find(records, group, claim) for group in groups(records)]


FINDERS: dict[type, Finder] = {
    claims.ReachesOne: _by_group(a1.find),
    claims.MoreRollouts: _by_group(a5.find),
    claims.Improves: improves.find,
    claims.RandomCurves: random_curves.find,
    claims.LessStable: stability.find,
    claims.HardQuery: hard_query.find,
    claims.Fails: failure.find,
    claims.NoTransfer: no_transfer.find,
    claims.NoGain: no_gain.find,
    claims.Trend: trend.find,
    claims.Optimum: optimum.find,
    claims.VarianceShare: variance_share.find,
    claims.OwnClaim: own.find,
}


def find(records: Records, claim: Claim) -> list[Finding]:
    """A claim's findings, one per world or group of worlds, before Holm."""
    return FINDERS[type(claim)](records, claim)
