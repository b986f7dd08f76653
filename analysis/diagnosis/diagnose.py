"""From records to signs: every look that the records allow, Holm's correction over all of them."""

from collections.abc import Iterator, Sequence
from typing import Literal

from analysis.diagnosis.signatures import (
    OF_ONE,
    SIGNATURES,
    Found,
    Look,
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
"""Smallest p-value that is told from 0."""


def diagnose(
    records: Records,
    signatures: Sequence[str] = (),
    *,
    unit: Literal["runs", "items"] = "runs",
    alpha: float = ALPHA,
) -> list[Sign]:
    """Look for the papers' failure signatures in every condition.

    All looks of a call are one family under Holm's correction; a single look is not corrected, and says so.

    Args:
        records: Records of a study.
        signatures: Names to look for; all of `SIGNATURES` by default.
        unit: What replicates: runs, or the items of a single run, for which the findings then hold.
        alpha: Family-wise error rate.

    Raises:
        InputError: An unknown signature, or items where they cannot be the unit.
    """
    for name in signatures:
        if name not in SIGNATURES:
            raise InputError(f"signature: must be one of {', '.join(SIGNATURES)}, got {name!r}")
    wanted = set(signatures or SIGNATURES)
    looks = [look for look in _looks(records, unit) if look.signature in wanted]
    tested = [look for look in looks if look.tested]
    adjusted = dict(zip(map(id, tested), holm([look.p for look in tested], alpha), strict=True))
    signs = []
    for look in looks:
        if look.tested:
            after = adjusted[id(look)]
            signs.append(_sign(look, after.p, after.rejected, len(tested)))
        else:
            signs.append(_untested(look))
    return signs


def _looks(records: Records, unit: str) -> Iterator[Look]:
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


def _sign(look: Look, adjusted: float, rejected: bool, family: int) -> Sign:
    evidence = look.evidence | {
        "p_present": look.p_present,
        "p_absent": look.p_absent,
        "p_adjusted": adjusted,
        "looks": family,
    }
    how = f"Holm over {family} looks" if family > 1 else "a single look, not corrected"
    found: Found = "cannot tell"
    meaning = "neither shown nor excluded"
    if rejected and look.p_present <= look.p_absent:
        found, meaning = "present", look.present
    elif rejected:
        found, meaning = "absent", look.absent
    sentence = _capital(f"{look.said}: {meaning} ({how}, adjusted p {_small(adjusted)}).")
    return Sign(look.signature, look.world, look.condition, found, evidence, sentence)


def _untested(look: Look) -> Sign:
    found = look.fact or "cannot tell"
    said = {"present": look.present, "absent": look.absent}.get(found, f"cannot tell: {look.why_open}")
    return Sign(look.signature, look.world, look.condition, found, look.evidence, _capital(f"{said}."))


def _small(p: float) -> str:
    return f"{p:.2g}" if p >= SMALLEST else f"< {SMALLEST:g}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
