"""Learning curves: every run thin, their mean, the closed form dashed, the threshold dotted."""

from markupsafe import Markup

from analysis.loading import Cell
from analysis.reporting import forecasts
from analysis.reporting.svg import Frame, drawing, line, text, ticks

WIDTH, HEIGHT = 360, 250


def panel(cell: Cell, threshold: float, css: str) -> tuple[Markup, bool]:
    """One condition's train Pass@1 against rounds, and whether a closed form is overlaid."""
    last = float(cell.rounds[-1])
    frame = Frame(44, 34, WIDTH - 58, HEIGHT - 84, (0.0, last))
    mean = cell.train.mean(axis=0)
    many = "faint" if cell.n > 100 else "thin"
    parts = [
        text(10, 15, cell.condition, "name"),
        text(WIDTH - 14, 15, f"{cell.n} runs", "tick end"),
        frame.axes(ticks(0, last, 4), (0, 0.25, 0.5, 0.75, 1), "round", ""),
        line(frame.left, frame.at_y(threshold), frame.right, frame.at_y(threshold), "threshold"),
    ]
    rounds = cell.rounds.tolist()
    parts += [frame.polyline(rounds, values, f"seed {many} {css}") for values in cell.train.tolist()]
    predicted = forecasts.curve(cell)
    parts.append(frame.polyline(rounds, mean.tolist(), f"mean halo {css}"))
    parts.append(frame.polyline(rounds, mean.tolist(), f"mean {css}"))
    said = ""
    if predicted is not None:
        parts.append(frame.polyline(predicted.rounds, predicted.train, "theory"))
        said = f" The closed form ({predicted.method}) ends at {predicted.train[-1]:.2f}."
    title = (
        f"Train Pass@1 of {cell.condition} in {cell.world.name}: {cell.n} runs, mean {mean[0]:.2f} at "
        "round 0, "
        f"{mean[len(mean) // 2]:.2f} at round {cell.rounds[len(mean) // 2]:g}, {mean[-1]:.2f} at round "
        f"{last:g}.{said}"
    )
    return drawing(WIDTH, HEIGHT, title, parts, "panel"), predicted is not None
