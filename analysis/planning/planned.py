"""What a component is planned as, and how its part of a verdict is read: units, sides, the band's end."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.estimands import ESTIMANDS
from analysis.verdict import Part, Word


@dataclass(frozen=True)
class Planned:
    """What a component is expected to be and its chance of that, by seeds.

    Attributes:
        expects: None where the pilot lies on the border, or no power is known.
        power: Seeds -> power.
        least: Fewest seeds that the test takes.
        assumes: What is taken for true.
    """

    expects: Word | None
    power: Callable[[int], float] | None
    assumes: str
    least: int = 2


def units(seeds: int, each: float) -> int:
    """Runs that this many seeds make, at least 2."""
    return max(round(seeds * each), 2)


def sides(part: Part) -> tuple[float, float]:
    """Error rates of one side for "supported" and for "refuted"."""
    share = 2 if part.two_sided else 1
    return (1 - part.level) / share, (1 - part.refuting_level) / share


def one_end(part: Part) -> tuple[float, bool]:
    """The end of a one-sided band, and whether the claim says more than it."""
    low, high = part.band
    if low is not None and low > ESTIMANDS[part.kind].span[0]:
        return low, True
    return (0.0 if high is None else high), False


def is_span(part: Part) -> bool:
    """Whether one end of the band is only where the estimate's range ends."""
    return any(e in ESTIMANDS[part.kind].span for e in part.band)
