"""Where every run ended: a lane per condition, a mark per run, the mean, and the SD beside it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.reporting.figures.curves import chosen
from analysis.reporting.figures.figure import Figure, slug
from analysis.reporting.figures.svg import Frame, dots, drawing, line, marker, short, text, ticks

WIDTH, LANE, HEAD, FOOT = 380, 46, 8, 44
FEW, MOST = 40, 400
"""Runs of a lane that are drawn as separate marks, and that are drawn at all."""


def panel(
    world: str, split: str, entries: list[dict[str, Any]], values: list[npt.NDArray[np.float64]]
) -> Figure:
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
    height = LANE * len(entries)
    frame = Frame(12, HEAD, WIDTH - 24, height, (max(0.0, low - pad), min(1.0, high + pad)))
    parts = [frame.axes(ticks(*frame.x, 4), (), f"final {split} Pass@1")]
    said = []
    for lane, (entry, own) in enumerate(zip(entries, values, strict=True)):
        top = HEAD + LANE * lane
        spread = "one run per query" if entry["sd"] is None else f"SD {entry['sd']:.3f}"
        parts += [
            text(frame.left, top + 13, short(entry["condition"], 30), "name"),
            text(frame.right, top + 13, f"{entry['mean']:.3f}, {spread}", "tick end num"),
            _marks(frame, top, own),
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


def _marks(frame: Frame, top: float, own: npt.NDArray[np.float64]) -> str:
    kept = own[chosen(own.size, MOST)].tolist()
    at = [(frame.at_x(v), top + 22 + 18 * ((i * 0.6180339887) % 1.0)) for i, v in enumerate(kept)]
    if len(at) > FEW:
        return dots(at, "dots few")
    return "".join(marker(x, y, "circle", "dot few", 3.6) for x, y in at)
