"""What a fit foretold, as plain values, with what its sentence alone would leave out."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from analysis.fits.transfer_result import COMPARED, TransferRow, TransferTest


def foretold(test: TransferTest) -> dict[str, Any]:
    """A world's predictions; how many of their intervals also hold "nothing changed" joins the sentence."""
    return asdict(test) | {"sentence": " ".join([test.sentence, *_unchanged(test.rows)])}


def _unchanged(rows: Sequence[TransferRow]) -> list[str]:
    """Intervals that hold the fitted condition's own value too, and which quantities "closer" counts."""
    known = [r for r in rows if r.unchanged is not None]
    if not known:
        return []
    by = {name: [r for r in known if r.fitted == name] for name in dict.fromkeys(r.fitted for r in known)}
    each = "; ".join(f"from {name} {_held(own)} of {len(own)}" for name, own in by.items())
    said = [
        f"Of the intervals {_held(known)} of {len(known)} also hold the fitted condition's own value, which "
        f"a design that changes nothing predicts ({each})."
    ]
    train = [r for r in known if r.quantity != "test"]
    counted = [r for r in train if r.quantity in COMPARED]
    if len(counted) < len(train):
        said.append(
            f"Closer counts the mean, the final value and the rounds ({_closer(counted)} of {len(counted)}); "
            f"with the spread of the rounds it is {_closer(train)} of {len(train)}."
        )
    return said


def _held(rows: Sequence[TransferRow]) -> int:
    return sum(r.unchanged is not None and r.low <= r.unchanged <= r.high for r in rows)


def _closer(rows: Sequence[TransferRow]) -> int:
    return sum(
        r.unchanged is not None and abs(r.observed - r.predicted) < abs(r.observed - r.unchanged)
        for r in rows
    )
