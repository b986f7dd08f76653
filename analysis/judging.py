"""From records to verdicts: every claim in every group of worlds, corrected over all of them."""

from dataclasses import replace

from analysis.claims import find
from analysis.claims.cases import Finding
from analysis.claims.placebos import excess
from analysis.claims.test_set import with_test_error
from analysis.inference.multiplicity import Adjusted, benjamini_hochberg, holm
from analysis.loading.records import Records
from analysis.results import Note
from analysis.verdict import Verdict
from banditrft.claims import Claim, in_force

ALPHA = 0.05


def verdicts(records: Records, alpha: float = ALPHA) -> list[Verdict]:
    """Verdicts on the study's claims, one per claim and group of worlds, claim by claim.

    The primary family is every claim x group that the study can test; a claim is decided at the level at
    which Holm's procedure reads it, so its interval and its adjusted p-value agree. Claims that a study
    calls secondary are a family of their own, by Benjamini and Hochberg.

    Args:
        records: Records of a study.
        alpha: Family-wise error rate, and false discovery rate of the secondary claims.
    """
    findings = [(claim, f) for claim in in_force(records.study) for f in find(records, claim)]
    families = (
        ([f for claim, f in findings if f.testable and not claim.secondary], holm),
        ([f for claim, f in findings if f.testable and claim.secondary], benjamini_hochberg),
    )
    after: dict[int, tuple[Adjusted, int]] = {}
    for members, procedure in families:
        adjusted = procedure([min(f.p_support, f.p_refute) for f in members], alpha)
        after |= {id(f): (a, len(members)) for f, a in zip(members, adjusted, strict=True)}
    results = []
    for claim, finding in findings:
        members = families[int(claim.secondary)][0]
        if finding.testable:
            found, size = after[id(finding)]
            verdict = finding.build(found.level, found.p, size)
        else:
            verdict = finding.build(alpha, None, len(members))
        results.append(_placed(records, claim, verdict))
    return results


def testable(records: Records) -> list[tuple[Claim, Finding]]:
    """Claims of the study with what they would be decided by, in every group of worlds that can test them."""
    found = [(claim, f) for claim in in_force(records.study) for f in find(records, claim)]
    return [(claim, f) for claim, f in found if f.testable]


def _placed(records: Records, claim: Claim, verdict: Verdict) -> Verdict:
    """A verdict with its placebo, its family and whether it was registered before the runs."""
    late = sum(claim.id not in info.get("claims", ()) for info in records.infos.values())
    read = with_test_error(records, verdict)
    unregistered = Note("post hoc", {"late": late, "runs": len(records.infos)})
    return replace(
        read,
        placebo=(*verdict.placebo, *excess(records, verdict.parts)),
        notes=(*read.notes, unregistered) if late else read.notes,
        secondary=claim.secondary,
        post_hoc=bool(late),
    )
