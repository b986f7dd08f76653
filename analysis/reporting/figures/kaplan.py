"""Kaplan-Meier curves of two conditions: share of runs past the threshold, band, numbers still at risk."""

from typing import Any

import numpy as np

from analysis.formats import ratio
from analysis.inference.survival import Survival, at_risk, kaplan_meier, median_time
from analysis.reporting.figures.figure import Figure, Rows, slug
from analysis.reporting.figures.svg import Frame, drawing, line, text, ticks

WIDTH, HEIGHT = 380, 306


def panel(claim: str, part: dict[str, Any]) -> Figure:
    """The figure behind a ratio component (its `points` and `counts`)."""
    horizon, points = part["counts"]["horizon"], part["points"]
    frame = Frame(44, 34, WIDTH - 60, HEIGHT - 146, (0.0, horizon))
    marks = ticks(0, horizon, 5)
    parts = [
        text(10, 15, "share of runs that have reached the threshold", "label"),
        frame.axes(marks, (0, 0.25, 0.5, 0.75, 1), "round"),
        text(10, frame.bottom + 55, "runs not there yet", "label"),
    ]
    said: list[str] = []
    rows: Rows = []
    for row, (side, css) in enumerate((("few", "few"), ("many", "many"))):
        by = np.array([np.inf if t is None else t for t in points[f"{side}_by"]])
        hit = np.isfinite(by)
        time = np.where(hit, by, horizon)
        curve = kaplan_meier(time, hit)
        name = part["conditions"][row]
        xs, share, half = _share(curve, horizon)
        lows, highs = [max(0.0, s - half) for s in share], [min(1.0, s + half) for s in share]
        parts += [
            frame.band(xs, lows, highs, f"band {css}"),
            frame.steps(xs, share, f"mean step {css}"),
        ]
        rows += [
            (name, *values, int(at))
            for *values, at in zip(xs, share, lows, highs, at_risk(time, np.array(xs)), strict=True)
        ]
        y = frame.bottom + 73 + 18 * row
        parts.append(line(10, y - 4, 26, y - 4, f"mean step {css}"))
        counts = at_risk(time, np.array(marks))
        parts += [
            text(frame.at_x(m), y, str(int(c)), "tick mid num") for m, c in zip(marks, counts, strict=True)
        ]
        middle = median_time(curve)
        text_middle = (
            f"median {middle:g} rounds" if np.isfinite(middle) else f"median beyond round {horizon:g}"
        )
        said.append(f"{name}: {int(hit.sum())} of {hit.size} runs by round {horizon:g}, {text_middle}")
    low, high = part["interval"]
    return Figure(
        slug("reached", claim, part["world"], part["id"]),
        f"{claim}, {part['world']}: {part['conditions'][0]} over {part['conditions'][1]}",
        drawing(WIDTH, HEIGHT, f"Kaplan-Meier in {part['world']}. {'; '.join(said)}.", parts),
        ("condition", "round", "share_reached", "low", "high", "at_risk"),
        rows,
        f"ratio {ratio(part['estimate'])} ({ratio(low)} to {ratio(high)}), seen every "
        f"{part['counts']['step']:g} rounds",
    )


def _share(curve: Survival, horizon: float) -> tuple[list[float], list[float], float]:
    """Times, share of runs past the threshold from each on, and the half-width of its band."""
    share = [0.0, *(1 - curve.survival).tolist()]
    return [0.0, *curve.time.tolist(), horizon], [*share, share[-1]], curve.band()
