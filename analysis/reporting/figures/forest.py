"""Forest plots: closed form, simulated and language model on one axis, the margin shaded behind each row."""

import math
from dataclasses import dataclass

from analysis.reporting.figures.figure import Figure, Value, slug
from analysis.reporting.figures.svg import (
    Drawing,
    Frame,
    drawing,
    line,
    marker,
    number,
    rect,
    short,
    text,
    ticks,
)

WIDTH, ROW, HEAD, FOOT = 380, 46, 6, 44
LOG_MARKS = (0.125, 0.25, 0.5, 0.71, 1, 1.41, 2, 2.83, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
DECADES = tuple(float(f"{m}e{k}") for k in range(-12, 12) for m in (1, 2, 5))
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
        band: Margin shaded behind the row, None for none.
        value: Text at the right edge.
    """

    label: str
    source: str
    estimate: float | None
    low: float | None
    high: float | None
    band: tuple[float, float] | None
    value: str


SHAPES = {"theory": "diamond", "sim": "circle", "llm": "square"}


def plot(
    rows: list[Row],
    title: str,
    axis: str,
    *,
    log: bool,
    scale: float = 1.0,
    zero: bool = True,
    limits: tuple[float, float] = (LOG_MARKS[0], LOG_MARKS[-1]),
) -> Figure:
    """Draw rows on one axis.

    Args:
        rows: From top to bottom.
        title: What they have in common.
        axis: Text of the axis.
        log: Whether the axis is logarithmic.
        scale: Turns values into the axis' unit (100 for points).
        zero: Whether "no effect" (0, or a ratio of 1) is on the axis and marked.
        limits: Furthest ends of a logarithmic axis; other than the usual ones, its marks are 1, 2 and 5.
    """
    ends = [v for r in rows for v in (r.low, r.high, r.estimate, *(r.band or ()))]
    known = [v * scale for v in ends if v is not None and v == v]
    usual = limits[0] == LOG_MARKS[0]
    null = (1.0 if log else 0.0) if zero and usual else None
    known += [] if null is None else [null]
    low, high = min(known), max(known)
    if log:
        low, high = max(low, limits[0]) / 1.12, min(high, limits[1]) * 1.12
        marks = [m for m in (LOG_MARKS if usual else DECADES) if low <= m <= high]
        marks = marks[:: 1 + len(marks) // MOST_MARKS]
    else:
        pad = 0.08 * (high - low) or 1.0
        low, high = low - pad, high + pad
        marks = ticks(low, high, 4)
    height = HEAD + ROW * len(rows) + FOOT
    frame = Frame(12, HEAD, WIDTH - 24, ROW * len(rows), (low, high), log_x=log)
    parts = []
    for i, row in enumerate(rows):
        top = HEAD + ROW * i + 19
        if row.band is not None:
            left, right = frame.at_x(row.band[0] * scale), frame.at_x(row.band[1] * scale)
            parts.append(rect(left, top, right - left, 24, "margin"))
        if null is not None:
            parts.append(line(frame.at_x(null), top, frame.at_x(null), top + 24, "null"))
        parts += _row(frame, row, HEAD + ROW * i, scale)
    parts.append(line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"))
    for m in marks:
        parts.append(line(frame.at_x(m), frame.bottom, frame.at_x(m), frame.bottom + 4, "axis"))
        parts.append(text(frame.at_x(m), frame.bottom + 17, number(m), "tick mid"))
    parts.append(text((frame.left + frame.right) / 2, frame.bottom + 34, axis, "label mid"))
    said = "; ".join(f"{r.label}: {r.value}" for r in rows)
    return Figure(
        slug("forest", title),
        title,
        drawing(WIDTH, height, f"{title}, {axis}. {said}.", parts),
        ("row", "source", "estimate", "low", "high", "margin_low", "margin_high"),
        [_row_of(r, scale) for r in rows],
    )


def _row_of(row: Row, scale: float) -> tuple[Value, ...]:
    """A row of the figure's data, in the unit of the axis."""
    values = (row.estimate, row.low, row.high, *(row.band or (None, None)))
    return row.label, row.source, *(None if v is None else v * scale for v in values)


def _row(frame: Frame, row: Row, top: float, scale: float) -> list[str]:
    y = top + 31
    parts = [
        text(frame.left, top + 13, short(row.label, 34), "name"),
        text(frame.right, top + 13, row.value, "tick end num"),
    ]
    left = frame.left if row.low is None else frame.at_x(row.low * scale)
    right = frame.right if row.high is None else frame.at_x(row.high * scale)
    if right > left:
        parts.append(line(left, y, right, y, f"whisker {row.source}"))
    if row.estimate is not None and math.isfinite(row.estimate):
        parts.append(marker(frame.at_x(row.estimate * scale), y, SHAPES[row.source], f"dot {row.source}", 6))
    return parts


def strip(row: Row, band: tuple[float, float], span: tuple[float, float, float], *, log: bool) -> Drawing:
    """One row as a small picture for a card: interval over the shaded band; span is low, high, null."""
    frame = Frame(4, 4, 292, 26, span[:2], log_x=log)
    left, right = frame.at_x(band[0]), frame.at_x(band[1])
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
