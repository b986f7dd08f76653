"""Forest plots: closed form, simulated and language model on one axis, the margin shaded behind each row."""

import math
from dataclasses import dataclass

from markupsafe import Markup

from analysis.reporting.svg import Frame, drawing, line, marker, number, rect, text, ticks

WIDTH, ROW, HEAD, FOOT = 380, 46, 6, 44
LOG_MARKS = (0.125, 0.25, 0.5, 0.71, 1, 1.41, 2, 2.83, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
MOST_MARKS = 12


@dataclass(frozen=True)
class Row:
    """One row: an estimate with its interval, or a predicted value or range.

    Attributes:
        label: What it is.
        source: "theory", "sim" or "llm".
        estimate: Point, None where there is none.
        low: Lower end, None if unbounded.
        high: Upper end, None if unbounded.
        band: Margin shaded behind the row.
        value: Text at the right edge.
    """

    label: str
    source: str
    estimate: float | None
    low: float | None
    high: float | None
    band: tuple[float, float]
    value: str


SHAPES = {"theory": "diamond", "sim": "circle", "llm": "square"}


def plot(rows: list[Row], title: str, axis: str, *, log: bool, scale: float = 1.0) -> Markup:
    """Draw rows on one axis; `scale` turns values into the axis' unit (100 for points)."""
    known = [
        v * scale for r in rows for v in (r.low, r.high, r.estimate, *r.band) if v is not None and v == v
    ]
    null = 1.0 if log else 0.0
    low, high = min([*known, null]), max([*known, null])
    if log:
        low, high = max(low, LOG_MARKS[0]) / 1.12, min(high, LOG_MARKS[-1]) * 1.12
        marks = [m for m in LOG_MARKS if low <= m <= high]
        marks = marks[:: 1 + len(marks) // MOST_MARKS]
    else:
        pad = 0.08 * (high - low) or 1.0
        low, high = low - pad, high + pad
        marks = ticks(low, high, 4)
    height = HEAD + ROW * len(rows) + FOOT
    frame = Frame(12, HEAD, WIDTH - 24, ROW * len(rows), (low, high), log_x=log)
    parts = []
    for i, row in enumerate(rows):
        left, right = frame.at_x(row.band[0] * scale), frame.at_x(row.band[1] * scale)
        parts.append(rect(left, HEAD + ROW * i + 19, right - left, 24, "margin"))
        parts.append(
            line(frame.at_x(null), HEAD + ROW * i + 19, frame.at_x(null), HEAD + ROW * i + 43, "null")
        )
        parts += _row(frame, row, HEAD + ROW * i, scale)
    parts.append(line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"))
    for m in marks:
        parts.append(line(frame.at_x(m), frame.bottom, frame.at_x(m), frame.bottom + 4, "axis"))
        parts.append(text(frame.at_x(m), frame.bottom + 17, number(m), "tick mid"))
    parts.append(text((frame.left + frame.right) / 2, frame.bottom + 34, axis, "label mid"))
    said = "; ".join(f"{r.label}: {r.value}" for r in rows)
    return drawing(WIDTH, height, f"{title}. {said}.", parts, "panel")


def _row(frame: Frame, row: Row, top: float, scale: float) -> list[str]:
    y = top + 31
    parts = [
        text(frame.left, top + 13, row.label, "name"),
        text(frame.right, top + 13, row.value, "tick end num"),
    ]
    left = frame.left if row.low is None else frame.at_x(row.low * scale)
    right = frame.right if row.high is None else frame.at_x(row.high * scale)
    if right > left:
        parts.append(line(left, y, right, y, f"whisker {row.source}"))
    if row.estimate is not None and math.isfinite(row.estimate):
        parts.append(marker(frame.at_x(row.estimate * scale), y, SHAPES[row.source], f"dot {row.source}", 6))
    return parts


def strip(row: Row, span: tuple[float, float, float], *, log: bool) -> Markup:
    """One row as a small picture for a card: interval over the shaded band; span is low, high, null."""
    frame = Frame(4, 4, 292, 26, span[:2], log_x=log)
    left, right = frame.at_x(row.band[0]), frame.at_x(row.band[1])
    low = frame.left if row.low is None else frame.at_x(row.low)
    high = frame.right if row.high is None else frame.at_x(row.high)
    parts = [
        rect(left, frame.top, right - left, frame.height, "margin"),
        line(frame.at_x(span[2]), frame.top, frame.at_x(span[2]), frame.bottom, "null"),
        line(low, 17, high, 17, f"whisker {row.source}"),
    ]
    if row.estimate is not None:
        parts.append(marker(frame.at_x(row.estimate), 17, SHAPES[row.source], f"dot {row.source}", 6))
    return drawing(300, 34, f"{row.label}: interval against the band", parts, "strip")
