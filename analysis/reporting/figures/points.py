"""Figures without a time axis: the raw points behind a verdict, and where every run ended."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.estimands import ESTIMANDS
from analysis.reporting.content.model import PartData, SeedsData
from analysis.reporting.figures.curves import chosen
from analysis.reporting.figures.forest import closed
from analysis.reporting.figures.svg import (
    Drawing,
    Figure,
    Frame,
    dots,
    drawing,
    line,
    marker,
    rect,
    short,
    slug,
    text,
    ticks,
)

WIDTH, LANE = 380, 30
MOST_LANES = 24
"""Queries that still get a lane each."""
FEW = 40
"""Points of a lane that are drawn as separate marks."""
MOST = 1000
"""Points of a lane that are drawn; the file has them all."""
Points = dict[str, list[Any]]
SEED_LANE, HEAD, FOOT = 46, 8, 44
MOST_SEEDS = 400
"""Runs of a lane that are drawn."""


def reached(where: str, part: PartData, threshold: float) -> Figure:
    """Final train Pass@1 of every run; a ring or dash is a run without a bound above the threshold."""
    points = part["points"]
    values = [c / n for c, n in zip(points["correct"], points["samples"], strict=True)]
    low = min([*values, threshold - 0.05])
    lanes = _lanes(points["query"])
    frame = _frame(len(lanes), (math.floor(low * 20) / 20, 1.0))
    parts = [_axis(frame, "final train Pass@1"), _vertical(frame, threshold, "threshold")]
    for lane, query in enumerate(lanes):
        rows = _rows(points["query"], query, len(lanes))
        parts.append(_name(frame, lane, query, part["world"], len(lanes)))
        for ok, css in ((True, "few"), (False, "few open")):
            own = [values[i] for i in rows if points["reached"][i] is ok]
            parts.append(_marks(frame, lane, own, css))
    title = f"Final train Pass@1 of {len(values)} runs in {part['world']}; {sum(points['reached'])} reach it."
    return _figure(where, part, drawing(WIDTH, frame.bottom + 44, title, parts), points | {"value": values})


def differences(where: str, part: PartData) -> Figure:
    """Final test Pass@1, many rollouts minus few, of every pair, with the margin shaded."""
    points = part["points"]
    found = [100 * (b - a) for a, b in zip(points["few"], points["many"], strict=True)]
    margin = 100 * (part["band"][1] or 0.0)
    reach = max(*(abs(v) for v in found), margin * 1.2, 0.5)
    lanes = _lanes(points["query"])
    frame = _frame(len(lanes), (-reach, reach))
    parts = [
        _margin(frame, -margin, margin),
        _axis(frame, "difference in final test Pass@1, points"),
        _vertical(frame, 0.0, "null"),
        *_laned(frame, lanes, points["query"], found, part["world"]),
    ]
    title = (
        f"Difference in final test Pass@1 of {len(found)} pairs in {part['world']}: mean {_mean(found)} "
        f"points, margin {margin:.2f}."
    )
    picture = drawing(WIDTH, frame.bottom + 44, title, parts)
    return _figure(where, part, picture, points | {"difference_points": found})


def values(where: str, part: PartData, scale: float, axis: str) -> Figure:
    """One value per run, pair or seed, with what supports the component shaded."""
    points = part["points"]
    found = [scale * v for v in points["value"]]
    band = [scale * v for v in closed(part)] if ESTIMANDS[part["kind"]].unit else []
    low, high = min([*found, *band, 0.0]), max([*found, *band, 0.0])
    pad = 0.05 * (high - low) or 1.0
    lanes = _lanes(points["query"])
    frame = _frame(len(lanes), (low - pad, high + pad))
    parts = [
        _margin(frame, band[0], band[1]) if band else "",
        _axis(frame, axis),
        _vertical(frame, 0.0, "null"),
        *_laned(frame, lanes, points["query"], found, part["world"]),
    ]
    title = f"{part['label']}: {len(found)} values in {part['world']}, mean {_mean(found)} ({axis})."
    return _figure(where, part, drawing(WIDTH, frame.bottom + 44, title, parts), points)


def _figure(where: str, part: PartData, picture: Drawing, points: Points) -> Figure:
    """Put a figure together; columns are the points' own."""
    rows = list(itertools.zip_longest(*points.values()))
    return Figure(slug("points", where, part["id"]), where, picture, tuple(points), rows)


def _mean(found: list[float]) -> str:
    return f"{sum(found) / len(found):+.2f}".replace("-", "−")


def _lanes(queries: Sequence[int]) -> list[int]:
    found = sorted(set(queries))
    return found if len(found) <= MOST_LANES else [0]


def _rows(queries: Sequence[int], query: int, lanes: int) -> list[int]:
    return [i for i, q in enumerate(queries) if q == query or lanes == 1]


def _laned(
    frame: Frame, lanes: list[int], queries: Sequence[int], found: list[float], world: str
) -> list[str]:
    parts = []
    for lane, query in enumerate(lanes):
        rows = _rows(queries, query, len(lanes))
        parts.append(_name(frame, lane, query, world, len(lanes)))
        parts.append(_marks(frame, lane, [found[i] for i in rows], "many"))
    return parts


def _marks(frame: Frame, lane: int, own: list[float], css: str) -> str:
    """Marks of a lane, spread over its height in golden-ratio steps: the same for the same input."""
    height = frame.height / frame.y[1]
    stride = 1 + max(len(own) - 1, 0) // MOST
    at = [
        (
            frame.at_x(value),
            frame.top + height * (lane + (0.5 if len(own) == 1 else 0.15 + 0.7 * ((i * 0.6180339887) % 1.0))),
        )
        for i, value in enumerate(own[::stride])
    ]
    if len(at) > FEW:
        return dots(at, f"dots {css.replace('open', 'upright')}", upright="open" in css)
    return "".join(marker(x, y, "circle", f"dot {css}", 4.5) for x, y in at)


def _frame(lanes: int, x: tuple[float, float]) -> Frame:
    height = LANE * lanes if lanes > 1 else 3 * LANE
    return Frame(84, 10, WIDTH - 104, height, x, (0.0, float(lanes)))


def _axis(frame: Frame, label: str) -> str:
    return frame.axes(ticks(*frame.x, 5), (), label)


def _margin(frame: Frame, low: float, high: float) -> str:
    left, right = frame.at_x(low), frame.at_x(high)
    return rect(left, frame.top, right - left, frame.height, "margin")


def _vertical(frame: Frame, value: float, css: str) -> str:
    return line(frame.at_x(value), frame.top, frame.at_x(value), frame.bottom, css)


def _name(frame: Frame, lane: int, query: int, world: str, lanes: int) -> str:
    y = frame.top + frame.height * (lane + 0.5) / lanes + 4
    return text(frame.left - 8, y, short(f"query {query}" if lanes > 1 else world, 12), "tick end")


def seeds(world: str, split: str, entries: list[SeedsData], values: list[npt.NDArray[np.float64]]) -> Figure:
    """Final Pass@1 of the runs of a world's conditions.

    Args:
        world: Its name.
        split: "train" or "test".
        entries: Items under "seeds" of the document, one per condition.
        values: Final Pass@1 of their runs.
    """
    everything = np.concatenate(values)
    low, high = float(everything.min()), float(everything.max())
    pad = 0.06 * (high - low) or 0.02
    height = SEED_LANE * len(entries)
    frame = Frame(12, HEAD, WIDTH - 24, height, (max(0.0, low - pad), min(1.0, high + pad)))
    parts = [frame.axes(ticks(*frame.x, 4), (), f"final {split} Pass@1")]
    said = []
    for lane, (entry, own) in enumerate(zip(entries, values, strict=True)):
        top = HEAD + SEED_LANE * lane
        spread = "one run per query" if entry["sd"] is None else f"SD {entry['sd']:.3f}"
        parts += [
            text(frame.left, top + 13, short(entry["condition"], 30), "name"),
            text(frame.right, top + 13, f"{entry['mean']:.3f}, {spread}", "tick end num"),
            _seed_marks(frame, top, own),
            line(frame.at_x(entry["mean"]), top + 19, frame.at_x(entry["mean"]), top + 43, "summary"),
        ]
        said.append(
            f"{entry['condition']}: {entry['n']} runs, mean {entry['mean']:.3f}, {spread}, "
            f"{entry['evaluation_sd']:.3f} by evaluation alone"
        )
    caption = f"Final {split} Pass@1 of every run in {world}"
    return Figure(
        slug("seeds", split, world),
        caption,
        drawing(WIDTH, HEAD + height + FOOT, f"{caption}. {'; '.join(said)}.", parts),
        ("condition", f"final_{split}_pass_at_1"),
        [(e["condition"], v) for e, own in zip(entries, values, strict=True) for v in own.tolist()],
    )


def _seed_marks(frame: Frame, top: float, own: npt.NDArray[np.float64]) -> str:
    kept = own[chosen(own.size, MOST_SEEDS)].tolist()
    at = [(frame.at_x(v), top + 22 + 18 * ((i * 0.6180339887) % 1.0)) for i, v in enumerate(kept)]
    if len(at) > FEW:
        return dots(at, "dots few")
    return "".join(marker(x, y, "circle", "dot few", 3.6) for x, y in at)
