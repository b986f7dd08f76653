"""Kaplan-Meier curves of two conditions: share of runs past the threshold, band, numbers still at risk."""

from typing import Any

import numpy as np
from markupsafe import Markup

from analysis.reporting.svg import Frame, drawing, line, text, ticks
from analysis.survival import Survival, at_risk, kaplan_meier, median_time

WIDTH, HEIGHT = 430, 306


def panel(part: dict[str, Any]) -> Markup:
    """The figure behind a ratio component (its `points` and `counts`)."""
    horizon, points = part["counts"]["horizon"], part["points"]
    frame = Frame(44, 34, WIDTH - 60, HEIGHT - 146, (0.0, horizon))
    marks = ticks(0, horizon, 5)
    parts = [
        text(10, 15, "share of runs that have reached the threshold", "label"),
        frame.axes(marks, (0, 0.25, 0.5, 0.75, 1), "round"),
        text(10, frame.bottom + 55, "runs not there yet", "label"),
    ]
    said = []
    for row, (side, css) in enumerate((("few", "few"), ("many", "many"))):
        by = np.array([np.inf if t is None else t for t in points[f"{side}_by"]])
        hit = np.isfinite(by)
        time = np.where(hit, by, horizon)
        curve = kaplan_meier(time, hit)
        parts += _curve(frame, curve, horizon, css)
        name = part["conditions"][row]
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
    title = f"Kaplan-Meier in {part['world']}. {'; '.join(said)}."
    return drawing(WIDTH, HEIGHT, title, parts, "panel")


def _curve(frame: Frame, curve: Survival, horizon: float, css: str) -> list[str]:
    xs = [0.0, *curve.time.tolist(), horizon]
    share = [0.0, *(1 - curve.survival).tolist()]
    share.append(share[-1])
    half = curve.band()
    lows, highs = [max(0.0, s - half) for s in share], [min(1.0, s + half) for s in share]
    return [frame.band(xs, lows, highs, f"band {css}"), frame.steps(xs, share, f"mean step {css}")]
