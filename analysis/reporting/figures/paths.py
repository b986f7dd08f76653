"""Test against train Pass@1 of two conditions: runs as faint dots, mean paths, the closed form dashed."""

import numpy as np

from analysis.curves.paths import PathComparison, PathPoints, PathTest
from analysis.reporting.content.forecasts import Curve
from analysis.reporting.figures.curves import chosen
from analysis.reporting.figures.figure import Figure, Rows, slug
from analysis.reporting.figures.svg import Frame, dots, drawing, line, marker, number, short, text, ticks

WIDTH, HEIGHT = 380, 330
MOST = 400
"""Points of single runs drawn per condition."""
LOOKS = (("few", "circle"), ("many", "square"))
Path = list[tuple[float, float, float]]


def panel(test: PathTest, comparison: PathComparison, closed: dict[str, Curve]) -> Figure:
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
    seen = [y for path in means for _, _, y in path] + [y for p in pair for y in p.test]
    seen += [y for form in forms for y in form.test or []]
    pad = 0.05 * (max(seen) - min(seen)) or 0.02
    span = (max(0.0, min(seen) - pad), min(1.0, max(seen) + pad))
    frame = Frame(50, 60, WIDTH - 66, HEIGHT - 112, (0.0, 1.0), span)
    parts = [
        frame.axes((0, 0.25, 0.5, 0.75, 1), ticks(*span, 4), "train Pass@1"),
        text(10, frame.top - 10, "test Pass@1", "label"),
    ]
    for (css, _), own in zip(LOOKS, pair, strict=True):
        rows = chosen(len(own.train), MOST)
        parts.append(
            dots([(frame.at_x(own.train[i]), frame.at_y(own.test[i])) for i in rows], f"dots pale {css}")
        )
    for (css, shape), path, own, y in zip(LOOKS, means, pair, (12, 30), strict=True):
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
        drawing(WIDTH, HEIGHT, f"Test against train Pass@1, {caption}. {_said(means, pair)}", parts),
        ("condition", "query", "seed", "round", "train_pass_at_1", "test_pass_at_1"),
        _rows(pair),
        comparison.sentence,
    )


def mean_path(points: PathPoints) -> Path:
    """Round, mean train and mean test Pass@1 over the runs of a condition."""
    rounds = np.asarray(points.round)
    train, test = np.asarray(points.train), np.asarray(points.test)
    return [
        (float(at), float(train[rounds == at].mean()), float(test[rounds == at].mean()))
        for at in np.unique(rounds)
    ]


def _said(means: list[Path], pair: list[PathPoints]) -> str:
    return " ".join(
        f"{own.condition} goes from train {path[0][1]:.2f} and test {path[0][2]:.3f} to train "
        f"{path[-1][1]:.2f} and test {path[-1][2]:.3f} at round {number(path[-1][0])}."
        for own, path in zip(pair, means, strict=True)
    )


def _rows(pair: list[PathPoints]) -> Rows:
    return [
        (p.condition, *values)
        for p in pair
        for values in zip(p.query, p.seed, p.round, p.train, p.test, strict=True)
    ]
