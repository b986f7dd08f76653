"""Figures over rounds: learning curves, times to a threshold, and test against train Pass@1."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from analysis.curves.paths import PathComparison, PathPoints, PathTest
from analysis.formats import pass_rate, ratio
from analysis.inference.times import Survival, at_risk, kaplan_meier, median_time
from analysis.reporting.content.closed_forms import Curve
from analysis.reporting.content.model import BandData, PartData
from analysis.reporting.figures.svg import (
    Figure,
    Frame,
    Rows,
    dots,
    drawing,
    line,
    marker,
    number,
    short,
    slug,
    text,
    ticks,
)

Floats = npt.NDArray[np.float64]
WIDTH, HEIGHT = 360, 250
OVERLAY_WIDTH, OVERLAY_HEIGHT, LEGEND_ROW = 400, 262, 19
MOST_SEEDS, FEWEST_SEEDS, POINTS = 200, 12, 150_000
"""Runs drawn in one panel, at most and at least, and points of single runs in all panels together."""
MANY = 40
"""Runs above which they are drawn fainter."""
HUES = ("few", "many", "llm", "fourth", "third")
"""Colours of conditions, in the order of the study; after the last they begin again with another dash."""
MOST_BANDS = 3
"""Conditions of an overlay up to which their bands are shown."""
DASHES = ("", "dashed", "dotted", "long")
TIMES_WIDTH, TIMES_HEIGHT = 380, 342
PATH_WIDTH, PATH_HEIGHT = 380, 330
MOST_POINTS = 400
"""Points of single runs drawn per condition."""
PAIR = (("few", "circle"), ("many", "square"))
Means = list[tuple[float, float, float]]


@dataclass(frozen=True)
class Axes:
    """What the panels of one world and split have in common.

    Attributes:
        low: Least Pass@1 of the axis.
        high: Largest Pass@1 of the axis.
        thresholds: Pass@1 that claims' hitting times are about, drawn dotted.
    """

    low: float
    high: float
    thresholds: tuple[float, ...] = ()

    @classmethod
    def of(cls, split: str, thresholds: Sequence[float], *seen: ArrayLike) -> Self:
        """The whole scale for train Pass@1; for test Pass@1 what is seen, with a little room."""
        if split == "train":
            return cls(0.0, 1.0, tuple(thresholds))
        low, high = (float(end([end(values) for values in seen])) for end in (np.min, np.max))
        pad = max(0.05 * (high - low), 0.005)
        return cls(max(0.0, low - pad), min(1.0, high + pad))

    def drawn(self, frame: Frame, last: float) -> list[str]:
        """Grid, ticks and thresholds."""
        whole = (self.low, self.high) == (0.0, 1.0)
        marks = (0, 0.25, 0.5, 0.75, 1) if whole else ticks(self.low, self.high, 4)
        parts = [frame.axes(ticks(0, last, 4), marks, "round")]
        for threshold in self.thresholds:
            y = frame.at_y(threshold)
            parts.append(line(frame.left, y, frame.right, y, "threshold"))
            parts.append(text(frame.right, y - 4, f"{threshold:g}", "tick end"))
        return parts


def drawn(panels: int, evaluations: int) -> int:
    """How many runs a panel draws, so that the page stays small whatever the study's size."""
    return int(np.clip(POINTS // max(panels * evaluations, 1), FEWEST_SEEDS, MOST_SEEDS))


def chosen(n: int, most: int) -> npt.NDArray[np.int64]:
    """Rows that are drawn: evenly spaced in the order of (query, seed), whatever their outcome."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def overlay(
    entries: Sequence[BandData], runs: Sequence[Floats], thresholds: Sequence[float], css: dict[str, str]
) -> Figure:
    """All conditions of a world on one pair of axes: mean curves, with bands where they are few.

    A condition with too few runs for a band shows its runs as thin lines.

    Args:
        entries: Items under "bands" of the document, of one world and split.
        runs: Pass@1 of each condition's runs, (N, E).
        thresholds: Train Pass@1 that claims' hitting times are about.
        css: Class of each condition's lines.
    """
    banded = len(entries) <= MOST_BANDS
    seen: list[ArrayLike] = []
    for entry, values_NE in zip(entries, runs, strict=True):
        seen += [entry["mean"], *([values_NE] if entry["low"] is None else [])]
        seen += [edge for edge in (entry["low"], entry["high"]) if edge and banded]
    axes = Axes.of(entries[0]["split"], thresholds, *seen)
    first, last = entries[0], max(e["rounds"][-1] for e in entries)
    foot = LEGEND_ROW * len(entries)
    frame = Frame(44, 18, OVERLAY_WIDTH - 58, OVERLAY_HEIGHT - 68, (0.0, last), (axes.low, axes.high))
    parts = axes.drawn(frame, last)
    for entry, values_NE in zip(entries, runs, strict=True):
        own = css[entry["condition"]]
        if entry["low"] is None or entry["high"] is None:
            parts += [frame.polyline(entry["rounds"], v, f"seed {own}") for v in values_NE.tolist()]
        elif banded:
            parts.append(frame.ribbon(entry["rounds"], entry["low"], entry["high"], f"band pale {own}"))
    parts += [frame.polyline(e["rounds"], e["mean"], f"mean thin {css[e['condition']]}") for e in entries]
    parts.append(text(frame.right, OVERLAY_HEIGHT - 6, "mean at the end", "tick end"))
    for row, entry in enumerate(entries):
        y = OVERLAY_HEIGHT + 12 + LEGEND_ROW * row
        parts += [
            line(12, y - 4, 38, y - 4, f"mean thin {css[entry['condition']]}"),
            text(46, y, short(entry["condition"], 40), "key"),
            text(frame.right, y, pass_rate(entry["mean"][-1]), "tick end num"),
        ]
    caption = f"{first['split'].capitalize()} Pass@1 in {first['world']}"
    said = "; ".join(f"{e['condition']} ends at {e['mean'][-1]:.2f}" for e in entries)
    return Figure(
        slug("curves", first["split"], first["world"]),
        caption,
        drawing(OVERLAY_WIDTH, OVERLAY_HEIGHT + foot + 4, f"{caption}, mean curves: {said}.", parts),
        ("condition", "round", "mean", "low", "high"),
        [
            (e["condition"], *values)
            for e in entries
            for values in zip(e["rounds"], e["mean"], *_band_of(e), strict=True)
        ],
    )


def styles(conditions: Sequence[str], placebos: Container[str]) -> dict[str, str]:
    """Colour and dash of each condition of a world; placebos are grey."""
    found: dict[str, str] = {}
    for name in conditions:
        grey = name in placebos
        rank = sum((other in placebos) is grey for other in found)
        hue, dash = ("placebo", rank + 1) if grey else (HUES[rank % len(HUES)], rank // len(HUES))
        found[name] = f"{hue} {DASHES[dash % len(DASHES)]}".strip()
    return found


def panel(
    entry: BandData, values_NE: Floats, keys: list[tuple[int, int]], axes: Axes, css: str, most: int
) -> Figure:
    """One condition's Pass@1 against rounds: runs thin, their mean with its band, the closed form dashed.

    Args:
        entry: Its item under "bands" of the document.
        values_NE: Pass@1 of each run at its rounds.
        keys: Query and seed of each run.
        axes: What the panels of its world have in common.
        css: Class that colours it.
        most: Runs to draw.
    """
    rounds, last = entry["rounds"], entry["rounds"][-1]
    kept = chosen(entry["n"], most)
    frame = Frame(44, 34, WIDTH - 58, HEIGHT - 84, (0.0, last), (axes.low, axes.high))
    count = f"{entry['n']} runs" if entry["n"] > 1 else "1 run"
    shown = count if kept.size == entry["n"] else f"{kept.size} of {count} drawn"
    parts = [
        text(10, 15, short(entry["condition"], 32), "name"),
        text(WIDTH - 14, 15, shown, "tick end"),
        *axes.drawn(frame, last),
    ]
    hue = css.split()[0]
    weight = "seed faint" if kept.size > MANY else "seed"
    parts += [frame.polyline(rounds, values, f"{weight} {hue}") for values in values_NE[kept].tolist()]
    if entry["low"] and entry["high"] and entry["holds"]:
        parts.append(frame.ribbon(rounds, entry["low"], entry["high"], f"band pale {hue}"))
        parts += [
            frame.ribbon(rounds[a:b], entry["low"][a:b], entry["high"][a:b], f"band {hue}")
            for a, b in stretches(entry["holds"])
        ]
    parts += [frame.polyline(rounds, entry["mean"], f"mean {name}{hue}") for name in ("halo ", "")]
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


def _band_of(entry: BandData) -> tuple[Sequence[float | None], Sequence[float | None]]:
    """Both edges of a band, None at every round where there is none."""
    absent = [None] * len(entry["rounds"])
    return entry["low"] or absent, entry["high"] or absent


def stretches(flags: list[bool]) -> list[tuple[int, int]]:
    """Runs of True of at least two, as half-open ranges."""
    edges = [i for i in range(len(flags) + 1) if (i < len(flags) and flags[i]) != (i > 0 and flags[i - 1])]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def _said(entry: BandData) -> str:
    """The curve in words, for those who cannot see it."""
    low, high = _band_of(entry)
    said = [
        f"{entry['mean'][i]:.2f} at round {entry['rounds'][i]:g}"
        + ("" if low[i] is None else f" (band {low[i]:.2f} to {high[i]:.2f})")
        for i in sorted({0, len(entry["mean"]) // 2, len(entry["mean"]) - 1})
    ]
    theory = entry["theory"]
    closed = f" The closed form ({theory['method']}) ends at {theory['values'][-1]:.2f}." if theory else ""
    return f"Mean {', '.join(said)}.{closed}"


def _rows(entry: BandData, values_KE: npt.NDArray[np.float64]) -> Rows:
    theory = entry["theory"]
    known = dict(zip(theory["rounds"], theory["values"], strict=True)) if theory else {}
    absent = [None] * len(entry["rounds"])
    return [
        (at, mean, low, high, holds, known.get(at), *values)
        for at, mean, low, high, holds, values in zip(
            entry["rounds"],
            entry["mean"],
            *_band_of(entry),
            entry["holds"] or absent,
            values_KE.T.tolist(),
            strict=True,
        )
    ]


def times(claim: str, part: PartData) -> Figure:
    """The figure behind a ratio component (its `points` and `counts`)."""
    horizon, points = part["counts"]["horizon"], part["points"]
    frame = Frame(44, 34, TIMES_WIDTH - 60, TIMES_HEIGHT - 182, (0.0, horizon))
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
        y = frame.bottom + 91 + 36 * row
        parts.append(line(10, y - 22, 36, y - 22, f"mean step {css}"))
        parts.append(text(44, y - 18, short(name, 40), "key"))
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
        drawing(TIMES_WIDTH, TIMES_HEIGHT, f"Kaplan-Meier in {part['world']}. {'; '.join(said)}.", parts),
        ("condition", "round", "share_reached", "low", "high", "at_risk"),
        rows,
        f"ratio {ratio(part['estimate'])} ({ratio(low)} to {ratio(high)}), seen every "
        f"{part['counts']['step']:g} rounds",
    )


def _share(curve: Survival, horizon: float) -> tuple[list[float], list[float], float]:
    """Times, share of runs past the threshold from each on, and the half-width of its band."""
    share = [0.0, *(1 - curve.survival).tolist()]
    return [0.0, *curve.time.tolist(), horizon], [*share, share[-1]], curve.band()


def path(test: PathTest, comparison: PathComparison, closed: dict[str, Curve]) -> Figure:
    """Two conditions of a world.

    Args:
        test: The world's paths.
        comparison: Which two.
        closed: Closed forms with a test curve, by condition.
    """
    points = {p.condition: p for p in test.points}
    pair = [points[name] for name in comparison.conditions]
    means = [mean_path(p) for p in pair]
    forms = [closed[name] for name in comparison.conditions if name in closed]
    seen = [y for own in means for _, _, y in own] + [y for p in pair for y in p.test]
    seen += [y for form in forms for y in form.test or []]
    pad = 0.05 * (max(seen) - min(seen)) or 0.02
    span = (max(0.0, min(seen) - pad), min(1.0, max(seen) + pad))
    frame = Frame(50, 60, PATH_WIDTH - 66, PATH_HEIGHT - 112, (0.0, 1.0), span)
    parts = [
        frame.axes((0, 0.25, 0.5, 0.75, 1), ticks(*span, 4), "train Pass@1"),
        text(10, frame.top - 10, "test Pass@1", "label"),
    ]
    for (css, _), own in zip(PAIR, pair, strict=True):
        rows = chosen(len(own.train), MOST_POINTS)
        parts.append(
            dots([(frame.at_x(own.train[i]), frame.at_y(own.test[i])) for i in rows], f"dots pale {css}")
        )
    for (css, shape), path, own, y in zip(PAIR, means, pair, (12, 30), strict=True):
        dashed = "mean dashed" if shape == "square" else "mean"
        xs, ys = [x for _, x, _ in path], [v for _, _, v in path]
        parts.append(frame.polyline(xs, ys, f"{dashed} {css}"))
        parts += [
            marker(frame.at_x(a), frame.at_y(b), shape, f"dot {css}", 4.5)
            for a, b in zip(xs, ys, strict=True)
        ]
        parts += [
            line(10, y, 34, y, f"{dashed} {css}"),
            marker(22, y, shape, f"dot {css}", 4.5),
            text(42, y + 4, short(own.condition, 44), "name"),
        ]
    parts += [frame.polyline(form.train, form.test or [], "forecast") for form in forms]
    caption = f"{comparison.conditions[1]} against {comparison.conditions[0]} in {test.world}"
    return Figure(
        slug("path", test.world, comparison.conditions[1]),
        caption,
        drawing(
            PATH_WIDTH,
            PATH_HEIGHT,
            f"Test against train Pass@1, {caption}. {_paths_said(means, pair)}",
            parts,
        ),
        ("condition", "query", "seed", "round", "train_pass_at_1", "test_pass_at_1"),
        _path_rows(pair),
        comparison.sentence,
    )


def mean_path(points: PathPoints) -> Means:
    """Round, mean train and mean test Pass@1 over the runs of a condition."""
    rounds = np.asarray(points.round)
    train, test = np.asarray(points.train), np.asarray(points.test)
    return [
        (float(at), float(train[rounds == at].mean()), float(test[rounds == at].mean()))
        for at in np.unique(rounds)
    ]


def _paths_said(means: list[Means], pair: list[PathPoints]) -> str:
    return " ".join(
        f"{own.condition} goes from train {path[0][1]:.2f} and test {path[0][2]:.3f} to train "
        f"{path[-1][1]:.2f} and test {path[-1][2]:.3f} at round {number(path[-1][0])}."
        for own, path in zip(pair, means, strict=True)
    )


def _path_rows(pair: list[PathPoints]) -> Rows:
    return [
        (p.condition, *values)
        for p in pair
        for values in zip(p.query, p.seed, p.round, p.train, p.test, strict=True)
    ]
