"""`banditrft difficulty --plot`: items by rising Pass@1, strict with intervals and lenient, as one SVG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from banditrft.cli.predict_plot import SETTINGS, TEST, TRAIN

if TYPE_CHECKING:
    from llm_runs.queries.difficulty import Table


BARS = 60
"""Most items whose intervals are drawn one by one; beyond, they run into a band."""


def draw(table: Table, path: Path) -> None:
    """Write the figure; its bytes depend on the table alone."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    found = zip(table.rows, table.intervals(), strict=True)
    order = sorted(found, key=lambda pair: (pair[0].correct_strict, pair[0].item))
    ranks = list(range(1, len(order) + 1))
    strict = [row.correct_strict / row.n for row, _ in order]
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        figure = Figure(figsize=(7.0, 3.2), layout="constrained")
        FigureCanvasSVG(figure)
        axis = figure.subplots()
        low, high = ([pair[1][end] for pair in order] for end in (0, 1))
        if len(order) <= BARS:
            axis.vlines(ranks, low, high, color=TRAIN, alpha=0.5, linewidth=1, label="Wilson 95%")
        else:
            axis.fill_between(ranks, low, high, color=TRAIN, alpha=0.25, linewidth=0, label="Wilson 95%")
        axis.plot(ranks, strict, ".", color=TRAIN, markersize=4, label="strict")
        lenient = [row.correct_lenient / row.n for row, _ in order]
        axis.plot(ranks, lenient, ".", color=TEST, markersize=2, label="lenient")
        axis.set(ylim=(-0.02, 1.02), xlabel="items by strict Pass@1", ylabel="base Pass@1")
        header = table.header
        axis.set_title(f"{header.model}, {header.task} ({header.split}), {header.samples} samples each")
        axis.legend(frameon=False, loc="upper left")
        figure.savefig(path, format="svg", metadata={"Date": None})
