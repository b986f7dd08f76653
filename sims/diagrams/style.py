"""How every figure looks: colours that colour-blind readers and grey printers tell apart, labelled axes.

Okabe and Ito's palette; a line also differs by marker and dash. Text is drawn as outlines, so a figure looks
the same everywhere; the bytes of the SVG depend on the table alone.
"""

import functools
import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1)),
    (0, (3, 1, 1, 1)),
    (0, (5, 1)),
    (0, (2, 2)),
    "-.",
    ":",
)
DIVERGING, RISING = "PuOr", "cividis"
THEORY: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 1.2}
SETTINGS: Any = {
    "svg.hashsalt": "banditrft",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "axes.grid": False,
}


def house(draw: Callable[[pl.DataFrame], Figure]) -> Callable[[pl.DataFrame], Figure]:
    """Draw in these settings, whatever the user's own are."""

    @functools.wraps(draw)
    def styled(table: pl.DataFrame) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(SETTINGS)
            return draw(table)

    return styled


def panels(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, Any]:
    """A figure of ``rows`` x ``columns`` axes (always a 2-d array), sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def line(axes: Axes, i: int, x: Any, y: Any, error: Any, label: str, **more: Any) -> None:
    """The i-th series of a plot, with 95% Monte-Carlo intervals (1.96 standard errors)."""
    look: dict[str, Any] = {"color": COLOURS[i % 8], "marker": MARKERS[i % 8], "linestyle": DASHES[i % 8]}
    axes.errorbar(
        x, y, yerr=1.96 * np.asarray(error), label=label, elinewidth=0.8, capsize=1.5, **(look | more)
    )


def heat(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], z_YX: NDArray[np.float64], **more: Any
) -> Any:
    """A map over two logarithmic or linear axes, one cell per grid point, edges halfway between them."""
    mesh = axes.pcolormesh(_edges(x), _edges(y), z_YX, **more)
    for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
        ticks(axis, values)
    axes.set_xlim(_edges(x)[0], _edges(x)[-1])
    axes.set_ylim(_edges(y)[0], _edges(y)[-1])
    return mesh


def ticks(axis: Axis, values: NDArray[np.float64], most: int = 5) -> None:
    """Mark grid points as plain numbers, on a logarithmic scale where they span a decade."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log" if _geometric(values) else "linear"})  # type: ignore[attr-defined]
    shown = values[:: -(-len(values) // most)]
    axis.set_major_locator(FixedLocator(shown.tolist()))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axis.set_minor_locator(NullLocator())


def _geometric(values: NDArray[np.float64]) -> bool:
    return bool(len(values) > 1 and values[0] > 0 and values[-1] / values[0] >= 10)


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(values) == 1:
        return np.array([0.5 * values[0], 1.5 * values[0]])
    logs = np.log(values) if _geometric(values) else np.asarray(values, float)
    middle = (logs[1:] + logs[:-1]) / 2
    edges = np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]])
    return np.asarray(np.exp(edges) if _geometric(values) else edges, np.float64)


def svg(figure: Figure) -> bytes:
    """A figure's SVG, the same bytes for the same figure: no date, fixed ids."""
    buffer = io.BytesIO()
    with mpl.rc_context(SETTINGS):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def png(figure: Figure, dots_per_inch: int = 110) -> bytes:
    """The same as a bitmap, for looking at."""
    buffer = io.BytesIO()
    with mpl.rc_context(SETTINGS):
        figure.savefig(buffer, format="png", dpi=dots_per_inch)
    return buffer.getvalue()
