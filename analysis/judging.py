"""From records to verdicts: every primary claim in every group of worlds, Holm over all of them."""

from analysis.claims.registry import find
from analysis.loading import Records
from analysis.multiplicity import holm
from analysis.verdict import Verdict
from banditrft.claims import get_claims

ALPHA = 0.05


def verdicts(records: Records, alpha: float = ALPHA) -> list[Verdict]:
    """Verdicts on the study's claims, one per claim and group of worlds, claim by claim.

    The family is every claim x group that the study can test; a claim is decided at the level at which
    Holm's procedure reads it, so its interval and its adjusted p-value agree.

    Args:
        records: Records of a study.
        alpha: Family-wise error rate.
    """
    findings = [f for claim in get_claims(records.study["claims"]) for f in find(records, claim)]
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
