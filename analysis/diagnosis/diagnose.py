"""From records to signs: every check that the records allow, Holm's correction over all tests, ranked."""

from collections.abc import Iterator, Sequence
from typing import Literal

from analysis.diagnosis.signatures import (
    OF_ONE,
    SIGNATURES,
    Check,
    Found,
    Sign,
    ceiling,
    inert_clip,
    of_items,
    of_runs,
    read_rounds,
    unstable,
    zero_signal,
)
from analysis.inference.multiplicity import holm
from analysis.loading.records import Records
from banditrft.errors import InputError

ALPHA = 0.05
SMALLEST = 1e-12
"""Smallest p-value that is shown."""


def diagnose(
    records: Records,
    signatures: Sequence[str] = (),
    *,
    unit: Literal["runs", "items"] = "runs",
    alpha: float = ALPHA,
) -> list[Sign]:
    """Test for the papers' failure signatures in every condition; what is present comes first.

    All tests of a call are one family under Holm's correction; a single test is not corrected, and says so.

    Args:
        records: Records of a study.
        signatures: Names to test for; all of `SIGNATURES` by default.
        unit: What replicates: runs, or the items of a single run, for which the findings then hold.
        alpha: Family-wise error rate.

    Raises:
        InputError: An unknown signature, or items where they cannot be the unit.
    """
    for name in signatures:
        if name not in SIGNATURES:
            raise InputError(f"signature: must be one of {', '.join(SIGNATURES)}, got {name!r}")
    wanted = set(signatures or SIGNATURES)
    checks = [check for check in _checks(records, unit) if check.signature in wanted]
    tested = [check for check in checks if check.tested]
    adjusted = dict(zip(map(id, tested), holm([check.p for check in tested], alpha), strict=True))
    signs = []
    for check in checks:
        if check.tested:
            after = adjusted[id(check)]
            signs.append(_sign(check, after.p, after.rejected, len(tested)))
        else:
            signs.append(_untested(check))
    return sorted(signs, key=_rank)


def _rank(sign: Sign) -> tuple[int, float]:
    """What is present first, the surest on top; then what a test left open, what is absent, and the rest."""
    tested = "p_adjusted" in sign.evidence
    order = {"present": 0, "cannot tell": 1 if tested else 3, "absent": 2, "note": 4}
    return order[sign.found], sign.evidence.get("p_adjusted", 0.0)


def _checks(records: Records, unit: str) -> Iterator[Check]:
    rounds = read_rounds(records)
    for world in records.worlds:
        cells = records.of(world)
        for cell in cells.values():
            measures = of_items(records, cell) if unit == "items" else of_runs(cell)
            for signature in OF_ONE:
                yield signature(measures)
            own = rounds.get((world, cell.condition))
            yield zero_signal(cell, own)
            yield inert_clip(cell, own)
        yield from unstable(cells)
        yield from ceiling(cells)


def _sign(check: Check, adjusted: float, rejected: bool, family: int) -> Sign:
    evidence = check.evidence | {
        "margins": [{"part": p.name, "threshold": p.threshold, "margin": p.margin} for p in check.parts],
        "p_present": check.p_present,
        "p_absent": check.p_absent,
        "p_adjusted": adjusted,
        "tests": family,
    }
    how = f"Holm over {family} tests" if family > 1 else "one test, not corrected"
    found: Found = "cannot tell"
    meaning = "neither shown nor excluded"
    if rejected and check.p_present <= check.p_absent:
        found, meaning = "present", check.present
    elif rejected:
        found, meaning = "absent", check.absent
    away = ", ".join(part.sentence for part in check.parts)
    sentence = _capital(f"{check.said}: {meaning} ({away}; {how}, adjusted p {_small(adjusted)}).")
    return Sign(check.signature, check.world, check.condition, found, evidence, sentence)


def _untested(check: Check) -> Sign:
    found: Found = "note" if check.note else "cannot tell"
    said = check.note or f"cannot tell: {check.why_open}"
    return Sign(check.signature, check.world, check.condition, found, check.evidence, _capital(f"{said}."))


def _small(p: float) -> str:
    return f"{p:.2g}" if p >= SMALLEST else f"< {SMALLEST:g}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
