"""How the kinds of estimates are drawn: unit, axis, and margins whose open ends reach what is seen."""

from typing import Any

POINTS = ("difference", "slope", "risk")
"""Kinds that are shown in points of probability."""
LOG = ("ratio", "spread", "location")
"""Kinds that are drawn on a logarithmic axis."""
OPEN = {"difference": (-1.0, 1.0), "slope": (-1.0, 1.0), "risk": (-1.0, 1.0), "spread": (0.0, None)}
"""Ends of a band that say nothing."""


def scale(kind: str) -> float:
    """Factor from the estimate to the unit it is drawn in."""
    return 100.0 if kind in POINTS else 1.0


def closed(part: dict[str, Any]) -> tuple[float, float]:
    """The band of a component with its open ends put where the interval ends, a little beyond."""
    low, high = part["band"]
    no_low, no_high = OPEN.get(part["kind"], (None, None))
    seen = [v for v in (part["estimate"], *part["interval"]) if v is not None and v not in (no_low, no_high)]
    ends = [v for v, none in ((low, no_low), (high, no_high)) if v is not None and v != none]
    known = [*seen, *ends, 1.0 if part["kind"] in LOG else 0.0]
    reach = 0.1 * (max(known) - min(known)) or 0.01
    bottom, top = min(known) - reach, max(known) + reach
    if part["kind"] in LOG:
        bottom, top = 0.9 * min(known), 1.1 * max(known)
    return (
        bottom if low is None or low == no_low else low,
        top if high is None or high == no_high else high,
    )
