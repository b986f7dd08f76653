"""The raw points behind a verdict: one mark per run or pair, in a lane per query."""

import math
from typing import Any

from markupsafe import Markup

from analysis.reporting.bands import POINTS, closed
from analysis.reporting.svg import Frame, drawing, line, marker, rect, text, ticks

WIDTH, LANE = 430, 30
MOST_LANES = 24
"""Queries that still get a lane each."""


def reached(part: dict[str, Any], threshold: float) -> Markup:
    """Final train Pass@1 of every run; filled marks are runs whose lower bound exceeds the threshold."""
    points = part["points"]
    values = [c / n for c, n in zip(points["correct"], points["samples"], strict=True)]
    low = min([*values, threshold - 0.05])
    lanes = sorted(set(points["query"]))
    frame = _frame(len(lanes), (math.floor(low * 20) / 20, 1.0))
    parts = [_axis(frame, "final train Pass@1"), _vertical(frame, threshold, "threshold")]
    for lane, query in enumerate(lanes):
        parts.append(_name(frame, lane, query, part["world"], len(lanes)))
        own = [
            (v, r) for v, q, r in zip(values, points["query"], points["reached"], strict=True) if q == query
        ]
        for i, (value, ok) in enumerate(own):
            y = _jitter(frame, lane, i, len(own))
            parts.append(marker(frame.at_x(value), y, "circle", "dot few" if ok else "dot open", _size(own)))
    title = f"Final train Pass@1 of {len(values)} runs in {part['world']}; {sum(points['reached'])} reach it."
    return drawing(WIDTH, frame.bottom + 44, title, parts, "panel")


def differences(part: dict[str, Any]) -> Markup:
    """Final test Pass@1, many rollouts minus few, of every pair, with the margin shaded."""
    points = part["points"]
    values = [100 * (b - a) for a, b in zip(points["few"], points["many"], strict=True)]
    margin = 100 * part["band"][1]
    reach = max(*(abs(v) for v in values), margin * 1.2, 0.5)
    lanes = sorted(set(points["query"]))
    frame = _frame(len(lanes), (-reach, reach))
    left, right = frame.at_x(-margin), frame.at_x(margin)
    parts = [rect(left, frame.top, right - left, frame.height, "margin")]
    parts += [_axis(frame, "difference in final test Pass@1, points"), _vertical(frame, 0.0, "null")]
    for lane, query in enumerate(lanes):
        parts.append(_name(frame, lane, query, part["world"], len(lanes)))
        own = [v for v, q in zip(values, points["query"], strict=True) if q == query]
        for i, value in enumerate(own):
            parts.append(
                marker(frame.at_x(value), _jitter(frame, lane, i, len(own)), "circle", "dot many", _size(own))
            )
    mean = sum(values) / len(values)
    title = (
        f"Difference in final test Pass@1 of {len(values)} pairs in {part['world']}: mean {mean:+.2f} "
        "points, "
        f"margin {margin:.2f}."
    )
    return drawing(WIDTH, frame.bottom + 44, title, parts, "panel")


def values(part: dict[str, Any], scale: float, axis: str) -> Markup:
    """One value per run, pair or seed, with what supports the component shaded."""
    points = part["points"]
    found = [scale * v for v in points["value"]]
    band = [scale * v for v in closed(part)] if part["kind"] in POINTS else []
    low, high = min([*found, *band, 0.0]), max([*found, *band, 0.0])
    pad = 0.05 * (high - low) or 1.0
    lanes = sorted(set(points["query"]))
    lanes = lanes if len(lanes) <= MOST_LANES else [0]
    frame = _frame(len(lanes), (low - pad, high + pad))
    parts = []
    if band:
        left, right = frame.at_x(band[0]), frame.at_x(band[1])
        parts.append(rect(left, frame.top, right - left, frame.height, "margin"))
    parts += [_axis(frame, axis), _vertical(frame, 0.0, "null")]
    for lane, query in enumerate(lanes):
        parts.append(_name(frame, lane, query, part["world"], len(lanes)))
        own = [v for v, q in zip(found, points["query"], strict=True) if q == query or len(lanes) == 1]
        for i, value in enumerate(own):
            y = _jitter(frame, lane, i, len(own))
            parts.append(marker(frame.at_x(value), y, "circle", "dot many", _size(own)))
    title = f"{part['label']}: {len(found)} values in {part['world']}, mean {sum(found) / len(found):+.2f}."
    return drawing(WIDTH, frame.bottom + 44, title, parts, "panel")


def _frame(lanes: int, x: tuple[float, float]) -> Frame:
    height = LANE * lanes if lanes > 1 else 3 * LANE
    return Frame(84, 10, WIDTH - 104, height, x, (0.0, float(lanes)))


def _axis(frame: Frame, label: str) -> str:
    return frame.axes(ticks(*frame.x, 5), (), label)


def _vertical(frame: Frame, value: float, css: str) -> str:
    return line(frame.at_x(value), frame.top, frame.at_x(value), frame.bottom, css)


def _name(frame: Frame, lane: int, query: int, world: str, lanes: int) -> str:
    y = frame.top + frame.height * (lane + 0.5) / lanes + 4
    return text(frame.left - 8, y, f"query {query}" if lanes > 1 else world, "tick end")


def _jitter(frame: Frame, lane: int, index: int, count: int) -> float:
    """Spread the points of a lane over its height in golden-ratio steps, the same for the same input."""
    height = frame.height / frame.y[1]
    share = 0.5 if count == 1 else 0.15 + 0.7 * ((index * 0.6180339887) % 1.0)
    return frame.top + height * (lane + share)


def _size(own: list[Any]) -> float:
    return 4.5 if len(own) <= 40 else 2.2
