"""From records to verdicts: every primary claim in every group of worlds, Holm over all of them."""

from collections.abc import Callable
from typing import Any

from analysis.claims import a1, a5
from analysis.claims.finding import Finding, Group, groups
from analysis.loading import Records
from analysis.multiplicity import holm
from analysis.verdict import Verdict
from banditrft.claims import MoreRollouts, ReachesOne, get_claims

ALPHA = 0.05
FINDERS: dict[type, Callable[[Records, Group, Any], Finding]] = {ReachesOne: a1.find, MoreRollouts: a5.find}


def verdicts(records: Records, alpha: float = ALPHA) -> list[Verdict]:
    """Verdicts on the study's claims, one per claim and group of worlds, claim by claim.

    The family is every claim x group that the study can test; a claim is decided at the level at which
    Holm's procedure reads it, so its interval and its adjusted p-value agree.

    Args:
        records: Records of a study.
        alpha: Family-wise error rate.
    """
    findings = [
        FINDERS[type(claim)](records, group, claim)
        for claim in get_claims(records.study["claims"])
        for group in groups(records)
    ]
    tested = [f for f in findings if f.testable]
    adjusted = iter(holm([min(f.p_support, f.p_refute) for f in tested], alpha))
    results = []
    for finding in findings:
        if finding.testable:
            after = next(adjusted)
            results.append(finding.build(after.level, after.p, len(tested)))
        else:
            results.append(finding.build(alpha, None, len(tested)))
    return results
