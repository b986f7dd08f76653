"""Forest plots: closed form, simulated and language model on one axis, the margin shaded behind each row."""

import math
from dataclasses import dataclass, replace

from analysis.estimands import ESTIMANDS
from analysis.reporting.content.model import Document, PartData, VerdictData
from analysis.reporting.figures.svg import (
    Drawing,
    Figure,
    Frame,
    Value,
    drawing,
    line,
    marker,
    number,
    rect,
    short,
    slug,
    text,
    ticks,
)
from analysis.results import ALL

WIDTH, ROW, HEAD, FOOT = 380, 46, 6, 44
LOG_MARKS = (0.125, 0.25, 0.5, 0.71, 1, 1.41, 2, 2.83, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
DECADES = tuple(float(f"{m}e{k}") for k in range(-12, 12) for m in (1, 2, 5))
MOST_MARKS = 12
SHAPES = {"theory": "diamond", "sim": "circle", "llm": "square"}


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


def plot(
    rows: list[Row],
    title: str,
    axis: str,
    *,
    log: bool,
    scale: float = 1.0,
    null: float | None = None,
    limits: tuple[float, float] = (LOG_MARKS[0], LOG_MARKS[-1]),
) -> Figure:
    """Draw rows on one axis.

    Args:
        rows: From top to bottom.
        title: What they have in common.
        axis: Text of the axis.
        log: Whether the axis is logarithmic.
        scale: Turns values into the axis' unit (100 for points).
        null: The value of "no effect", on the axis and marked; None for none.
        limits: Furthest ends of a logarithmic axis; other than the usual ones, its marks are 1, 2 and 5.
    """
    ends = [v for r in rows for v in (r.low, r.high, r.estimate, *(r.band or ()))]
    known = [v * scale for v in ends if v is not None and v == v]
    usual = limits[0] == LOG_MARKS[0]
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


def closed(part: PartData) -> tuple[float, float]:
    """The band of a component with its open ends put where the interval ends, a little beyond."""
    of, (low, high) = ESTIMANDS[part["kind"]], part["band"]
    no_low, no_high = of.open
    seen = [v for v in (part["estimate"], *part["interval"]) if v is not None and v not in of.open]
    ends = [v for v, none in ((low, no_low), (high, no_high)) if v is not None and v != none]
    known = [*seen, *ends, 1.0 if of.log else 0.0]
    reach = 0.1 * (max(known) - min(known)) or 0.01
    bottom, top = min(known) - reach, max(known) + reach
    if of.log:
        bottom, top = 0.9 * min(known), 1.1 * max(known)
    return (
        bottom if low is None or low == no_low else low,
        top if high is None or high == no_high else high,
    )


def of_points(part: PartData) -> tuple[float, str]:
    """Factor and axis of a component's raw points, which are not always what it estimates."""
    if part["estimand"] == "dose" and part["units"] == "queries":
        return 100.0, "mean change of a query, points"
    if part["comparator"] == "noise" and part["estimand"] == "area":
        return 1.0, f"mean {part['split']} Pass@1 over the rounds"
    if part["kind"] == "spread":
        return 100.0, "points, {1} minus {0}".format(*part["conditions"])
    if part["kind"] == "location":
        return 100.0, "points, best place minus mean of all"
    if part["kind"] == "share":
        return 100.0, "mean gain of a seed, points"
    return ESTIMANDS[part["kind"]].factor, part["axis"]


def forests(document: Document) -> list[Figure]:
    """One plot per component of a claim, rows by world; fractions of runs stand in the cards alone."""
    groups: dict[tuple[str, str], list[tuple[VerdictData, PartData]]] = {}
    for verdict in document["verdicts"]:
        for part in verdict["parts"]:
            if verdict["world"] != ALL and part["kind"] != "fraction":
                groups.setdefault((verdict["claim"], part["id"]), []).append((verdict, part))
    return [_plot(document, claim, own) for (claim, _), own in groups.items()]


def _plot(document: Document, claim: str, own: list[tuple[VerdictData, PartData]]) -> Figure:
    first = own[0][1]
    rows = []
    for verdict, part in own:
        rows += [*_theory(document, claim, part), _measured(verdict, part)]
        rows += _neighbours(document, verdict, part)
    of, title = ESTIMANDS[first["kind"]], f"{claim}: {short(first['title'], 60)}"
    axes = {part["axis"] for _, part in own}
    axis = axes.pop() if len(axes) == 1 else of.axis
    return plot(rows, title, axis, log=of.log, scale=of.factor, null=of.null)


def _measured(verdict: VerdictData, part: PartData) -> Row:
    low, high = part["interval"]
    show = ESTIMANDS[part["kind"]].show
    value = f"{'–' if part['estimate'] is None else show(part['estimate'])} ({show(low)}, {show(high)})"
    return Row(part["world"], verdict["kind"], part["estimate"], low, high, closed(part), value)


def _neighbours(document: Document, verdict: VerdictData, part: PartData) -> list[Row]:
    """The same reading in another world: shown, not judged."""
    rows = []
    for other in part["secondary"]:
        if other["world"]:
            as_part = part.copy()
            as_part["world"], as_part["estimate"] = other["world"], other["estimate"]
            as_part["interval"] = other["interval"]
            measured = replace(_measured(verdict, as_part), label=f"{other['world']} (not judged)")
            rows += [*_theory(document, verdict["claim"], as_part), measured]
    return rows


def _theory(document: Document, claim: str, part: PartData) -> list[Row]:
    found = document["predictions"].get(f"{claim}:{part['world']}:{part['id']}")
    if found is None:
        return []
    band, show = closed(part), ESTIMANDS[part["kind"]].show
    label = f"closed form, {part['world']}"
    if not isinstance(found, dict):
        return [Row(label, "theory", found, found, found, band, show(found))]
    low, high = found["low"], found["high"]
    if low == high:
        return [Row(label, "theory", low, low, high, band, show(low))]
    return [Row(label, "theory", None, low, high, band, f"{show(low)} to {show(high)}")]


def card(verdict: VerdictData, part: PartData) -> Drawing:
    """The small picture of a card: a component's interval against its margin."""
    low, high = part["interval"]
    band = closed(part)
    row = Row(part["label"], verdict["kind"], part["estimate"], low, high, None, "")
    of = ESTIMANDS[part["kind"]]
    if of.strip and of.null is not None:
        return strip(row, band, (*of.strip, of.null), log=of.log)
    if of.log:
        seen = [v for v in (*band, low, high) if v]
        return strip(row, band, (0.8 * min(seen), 1.25 * max(seen), band[0]), log=True)
    reach = 1.6 * max(abs(v) for v in (*band, low or 0.0, high or 0.0, 1e-4))
    return strip(row, band, (-reach, reach, 0.0), log=False)
