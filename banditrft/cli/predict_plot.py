"""`banditrft predict --plot`: Pass@1 with its spread over seeds, and the law of the hitting time, as one SVG.

The bytes depend on the numbers alone: no date, fixed ids, text as outlines.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETTINGS: Any = {"svg.hashsalt": "banditrft", "svg.fonttype": "path", "font.size": 9}
TRAIN, TEST, TARGET = "#0072B2", "#D55E00", "#555555"
WIDTH, HEIGHT = 8.0, 2.6
MOST_BARS = 200
NEGLIGIBLE = 1e-3


@dataclass(frozen=True)
class Panel:
    """One design.

    Attributes:
        title: World and condition; empty for a single design.
        curve: "round", "pass_at_1" and, where known, "low", "high", "test_pass_at_1".
        hitting_cdf: P(T <= t), t = 0, 1, ...; None where the spread is unknown.
    """

    title: str
    curve: dict[str, list[float]]
    hitting_cdf: list[float] | None


def draw(panels: list[Panel], target: float, path: Path) -> None:
    """Write one row per design: curve on the left, hitting time on the right.

    Args:
        panels: Designs; none writes an empty figure.
        target: Pass@1 that counts as converged.
        path: The SVG file.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        rows = max(len(panels), 1)
        figure = Figure(figsize=(WIDTH, HEIGHT * rows), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(rows, 2, squeeze=False)
        for (left, right), panel in zip(axes, panels, strict=False):
            _curve(left, panel, target)
            _times(right, panel, target)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _curve(axis: Any, panel: Panel, target: float) -> None:
    curve = panel.curve
    axis.plot(curve["round"], curve["pass_at_1"], color=TRAIN, label="training query")
    if "low" in curve:
        axis.fill_between(
            curve["round"],
            curve["low"],
            curve["high"],
            color=TRAIN,
            alpha=0.2,
            linewidth=0,
            label="5% to 95% of seeds",
        )
    if "test_pass_at_1" in curve:
        axis.plot(curve["round"], curve["test_pass_at_1"], color=TEST, linestyle="--", label="test set")
    axis.axhline(target, color=TARGET, linewidth=0.8, linestyle=":")
    axis.set(xlabel="round", ylabel="Pass@1", ylim=(0.0, 1.02), title=panel.title)
    axis.legend(loc="lower right", frameon=False)


def _times(axis: Any, panel: Panel, target: float) -> None:
    axis.set(xlabel=f"rounds to Pass@1 {target:g}", ylabel="probability")
    cdf = panel.hitting_cdf
    if cdf is None:
        axis.text(0.5, 0.5, "no law of the hitting time", ha="center", va="center", transform=axis.transAxes)
        return
    first = max(next(t for t, value in enumerate(cdf) if value > NEGLIGIBLE) - 1, 0)
    last = next((t for t, value in enumerate(cdf) if value >= 1.0 - NEGLIGIBLE), len(cdf) - 1)
    width = max(1, -(-(last - first) // MOST_BARS))
    starts = list(range(first, max(last, first + 1), width))
    ends = [min(t + width, len(cdf) - 1) for t in starts]
    bars = [cdf[end] - cdf[start] for start, end in zip(starts, ends, strict=True)]
    axis.bar([t + 0.5 * (width + 1) for t in starts], bars, width=width, color=TRAIN, linewidth=0)
    if width > 1:
        axis.set_ylabel(f"probability per {width} rounds")
