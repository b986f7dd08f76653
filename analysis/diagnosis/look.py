"""One look for a signature: two p-values, what would be said, and the sign it becomes after correction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Found = Literal["present", "absent", "cannot tell"]


@dataclass(frozen=True)
class Sign:
    """A signature in one condition.

    Attributes:
        signature: Its name, a key of `SIGNATURES`.
        world: World of the condition.
        condition: The condition, or the conditions compared.
        found: "present" and "absent" are both shown by a test; anything else is "cannot tell".
        evidence: Numbers behind it: estimates with 95% intervals, n, the p-values, the adjusted one and the
            number of looks it is corrected for.
        sentence: What was found, in one sentence.
    """

    signature: str
    world: str
    condition: str
    found: Found
    evidence: dict[str, Any]
    sentence: str


@dataclass(frozen=True)
class Look:
    """A signature in one condition before correction.

    Attributes:
        signature: Its name.
        world: World of the condition.
        condition: The condition, or the conditions compared.
        p_present: p-value of "the signature is not there".
        p_absent: p-value of "the signature is there".
        evidence: Numbers behind it.
        said: What was measured.
        present: What it means if the signature is there.
        absent: What it means if it is not.
        why_open: Why no test is possible; empty where there is one.
        fact: The answer where it follows from the settings, without a test.
    """

    signature: str
    world: str
    condition: str
    p_present: float = 1.0
    p_absent: float = 1.0
    evidence: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    present: str = ""
    absent: str = ""
    why_open: str = ""
    fact: Found | None = None

    @property
    def tested(self) -> bool:
        """Whether it is a member of the family that is corrected."""
        return self.fact is None and not self.why_open

    @property
    def p(self) -> float:
        """The smaller p-value; the two hypotheses are never both true."""
        return min(self.p_present, self.p_absent)


class Test(Protocol):
    """An estimate with one-sided bounds."""

    @property
    def estimate(self) -> float:
        """Point estimate."""

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""


def number(test: Test) -> dict[str, float | None]:
    """An estimate and its 95% interval as JSON values; None where there is no bound."""
    low, high = test.interval(0.025)
    values = {"estimate": test.estimate, "low": low, "high": high}
    return {k: float(v) if abs(v) < float("inf") else None for k, v in values.items()}


def either(*p_values: float) -> float:
    """p-value of a union from those of its parts (Bonferroni)."""
    return min(1.0, len(p_values) * min(p_values))


def points(test: Test) -> str:
    """A change in points of Pass@1 with its 95% interval."""
    low, high = test.interval(0.025)
    if low == float("-inf"):
        return f"{100 * test.estimate:+.1f} points in all alike"
    return f"{100 * test.estimate:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def joined(names: Sequence[str]) -> str:
    """Conditions of a comparison."""
    return " | ".join(names)
