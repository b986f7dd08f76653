"""What a transfer test finds: predicted and observed quantities and curves, and what they add up to."""

from collections.abc import Sequence
from dataclasses import dataclass

NAMES: dict[str, str] = {
    "area": "mean train Pass@1 over the rounds",
    "final": "final train Pass@1",
    "rounds": "mean rounds to train Pass@1 of .9",
    "seed_sd": "standard deviation of these rounds over seeds",
    "test": "final test Pass@1",
}
"""Quantities that are predicted."""
COMPARED = ("area", "final", "rounds")
"""Those that are held against the fitted condition's own value."""


@dataclass(frozen=True)
class TransferRow:
    """One quantity of one condition, predicted and observed.

    Attributes:
        world: The condition's world.
        condition: Name in the study.
        fitted: Condition that the prediction comes from.
        quantity: "area", "final", "rounds", "seed_sd" or "test".
        predicted: Median of the drawn sets.
        low: 2.5% quantile.
        high: 97.5% quantile.
        observed: Of the condition's runs.
        unchanged: The same quantity of the fitted condition: what "the design changes nothing" predicts;
            None where the queries are others.
        z: (observed - mean)/standard deviation of the drawn sets; None where they do not differ.
        inside: Whether the observed value lies in the interval.
        n: Runs of the condition.
        sentence: In words.
    """

    world: str
    condition: str
    fitted: str
    quantity: str
    predicted: float
    low: float
    high: float
    observed: float
    unchanged: float | None
    z: float | None
    inside: bool
    n: int
    sentence: str


@dataclass(frozen=True)
class CurveForecast:
    """Mean train curve of a condition, predicted and observed.

    Attributes:
        world: The condition's world.
        condition: Name in the study.
        rounds: Of the evaluations.
        predicted: Mean of the drawn sets.
        low: Lower edge of the simultaneous 95% band.
        high: Upper edge.
        observed: Mean of the runs.
        inside: Whether the whole observed curve lies in the band.
    """

    world: str
    condition: str
    rounds: tuple[float, ...]
    predicted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    observed: tuple[float, ...]
    inside: bool


@dataclass(frozen=True)
class TransferTest:
    """Predictions of a world's conditions from its minimal one.

    Attributes:
        world: Name of the fitted world.
        fitted: Conditions that were fitted, one per optimiser at most.
        rows: Predicted and observed quantities.
        curves: Predicted and observed mean curves.
        left_out: Conditions that were not predicted, with the reason.
        covered: Share of rows whose observed value lies in its interval; None without rows.
        closer: Share of rows (area, final, rounds) in which the prediction lies closer to the observed value
            than the fitted condition's own value does; None without such rows.
        sentence: In words.
        geometry: How a language model was taken to move, "shared" or "arms"; None in a simulated world.
    """

    world: str
    fitted: tuple[str, ...]
    rows: tuple[TransferRow, ...]
    curves: tuple[CurveForecast, ...]
    left_out: dict[str, str]
    covered: float | None
    closer: float | None
    sentence: str
    geometry: str | None = None


def summary(
    starts: dict[str, str], rows: Sequence[TransferRow], curves: Sequence[CurveForecast], closer: float | None
) -> str:
    """What the rows and curves say together.

    Args:
        starts: Optimiser -> condition that was fitted.
        rows: Predicted and observed quantities.
        curves: Predicted and observed mean curves.
        closer: Share of train quantities closer to the prediction than to the fitted condition's value.
    """
    if not rows:
        return "No other condition lies inside the closed forms, so nothing was predicted."
    inside, whole = sum(bool(r.inside) for r in rows), sum(c.inside for c in curves)
    text = (
        f"Fitted to {' and '.join(starts.values())}, the bandit predicted {len(curves)} other conditions: "
        f"{inside} of {len(rows)} observed quantities lie in their 95% intervals and {whole} of "
        f"{len(curves)} mean curves in their simultaneous bands"
    )
    if closer is None:
        return f"{text}."
    return (
        f"{text}; in {closer:.0%} of the train means, final values and rounds it was closer than the "
        "fitted condition's value."
    )


def share_covered(rows: Sequence[TransferRow]) -> float | None:
    """Share of rows whose observed value lies in its interval; None without rows."""
    return sum(row.inside for row in rows) / len(rows) if rows else None


def share_closer(rows: Sequence[TransferRow]) -> float | None:
    """Share of train quantities that the prediction is closer to than the fitted condition's value is."""
    found = [
        abs(row.observed - row.predicted) < abs(row.observed - row.unchanged)
        for row in rows
        if row.unchanged is not None and row.quantity in COMPARED
    ]
    return sum(found) / len(found) if found else None
