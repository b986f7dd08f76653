"""Learning curves: runs thin, their mean with its simultaneous band, the closed form dashed."""

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.reporting.figures.figure import Figure, Rows, slug
from analysis.reporting.figures.svg import Frame, drawing, line, short, text, ticks

WIDTH, HEIGHT = 360, 250
MOST_SEEDS, FEWEST_SEEDS, POINTS = 200, 12, 150_000
"""Runs drawn in one panel, at most and at least, and points of single runs in all panels together."""
MANY = 40
"""Runs above which they are drawn fainter."""


def drawn(panels: int, evaluations: int) -> int:
    """How many runs a panel draws, so that the page stays small whatever the study's size."""
    return int(np.clip(POINTS // max(panels * evaluations, 1), FEWEST_SEEDS, MOST_SEEDS))


def chosen(n: int, most: int) -> npt.NDArray[np.int64]:
    """Rows that are drawn: evenly spaced in the order of (query, seed), whatever their outcome."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def panel(
    entry: dict[str, Any],
    rounds_E: npt.NDArray[np.float64],
    values_NE: npt.NDArray[np.float64],
    keys: list[tuple[int, int]],
    *,
    threshold: float | None,
    css: str,
    most: int,
) -> Figure:
    """One condition's Pass@1 against rounds.

    Args:
        entry: Its item under "bands" of the document.
        rounds_E: Rounds of the evaluations.
        values_NE: Pass@1 of each run at them.
        keys: Query and seed of each run.
        threshold: Pass@1 of the hitting time, drawn dotted; None draws none.
        css: Class that colours it.
        most: Runs to draw.
    """
    rounds, last = rounds_E.tolist(), float(rounds_E[-1])
    kept = chosen(entry["n"], most)
    frame = Frame(44, 34, WIDTH - 58, HEIGHT - 84, (0.0, last))
    count = f"{entry['n']} runs" if entry["n"] > 1 else "1 run"
    shown = count if kept.size == entry["n"] else f"{kept.size} of {count} drawn"
    parts = [
        text(10, 15, short(entry["condition"], 32), "name"),
        text(WIDTH - 14, 15, shown, "tick end"),
        frame.axes(ticks(0, last, 4), (0, 0.25, 0.5, 0.75, 1), "round", ""),
    ]
    if threshold is not None:
        y = frame.at_y(threshold)
        parts.append(line(frame.left, y, frame.right, y, "threshold"))
    weight = "seed faint" if kept.size > MANY else "seed"
    parts += [frame.polyline(rounds, values, f"{weight} {css}") for values in values_NE[kept].tolist()]
    if entry["low"] is not None:
        parts.append(frame.ribbon(rounds, entry["low"], entry["high"], f"band pale {css}"))
        parts += [
            frame.ribbon(rounds[a:b], entry["low"][a:b], entry["high"][a:b], f"band {css}")
            for a, b in stretches(entry["holds"])
        ]
    parts += [frame.polyline(rounds, entry["mean"], f"mean {name}{css}") for name in ("halo ", "")]
    theory = entry["theory"]
    if theory is not None:
        parts.append(frame.polyline(theory["rounds"], theory["values"], "forecast"))
    caption = f"{entry['split'].capitalize()} Pass@1 of {entry['condition']} in {entry['world']}"
    return Figure(
        slug("curve", entry["split"], entry["world"], entry["condition"]),
        caption,
        drawing(WIDTH, HEIGHT, f"{caption}: {shown}. {_said(entry)}", parts),
        (
            *("round", "mean", "low", "high", "band_holds", "closed_form"),
            *(f"query_{query}_seed_{seed}" for query, seed in (keys[row] for row in kept.tolist())),
        ),
        _rows(entry, values_NE[kept]),
    )


def stretches(flags: list[bool]) -> list[tuple[int, int]]:
    """Runs of True of at least two, as half-open ranges."""
    edges = [i for i in range(len(flags) + 1) if (i < len(flags) and flags[i]) != (i > 0 and flags[i - 1])]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def _said(entry: dict[str, Any]) -> str:
    """The curve in words, for those who cannot see it."""
    middle, mean = len(entry["mean"]) // 2, entry["mean"]
    said = [
        f"{mean[i]:.2f} at round {entry['rounds'][i]:g}"
        + (f" (band {entry['low'][i]:.2f} to {entry['high'][i]:.2f})" if entry["low"] is not None else "")
        for i in sorted({0, middle, len(mean) - 1})
    ]
    theory = entry["theory"]
    closed = f" The closed form ({theory['method']}) ends at {theory['values'][-1]:.2f}." if theory else ""
    return f"Mean {', '.join(said)}.{closed}"


def _rows(entry: dict[str, Any], values_KE: npt.NDArray[np.float64]) -> Rows:
    theory = entry["theory"]
    known = dict(zip(theory["rounds"], theory["values"], strict=True)) if theory else {}
    absent = [None] * len(entry["rounds"])
    return [
        (at, mean, low, high, holds, known.get(at), *values)
        for at, mean, low, high, holds, values in zip(
            entry["rounds"],
            entry["mean"],
            entry["low"] or absent,
            entry["high"] or absent,
            entry["holds"] or absent,
            values_KE.T.tolist(),
            strict=True,
        )
    ]
