"""SVG by hand: a frame with two scales, the marks that figures need, their colours, and a figure as files.

Colours are CSS classes of templates/figure.css, so figures follow dark mode and print; text is real text.
Output is a pure function of its input: no dates, no random ids. The hues are those of Okabe and Ito (2008),
darkened until text in them reaches a contrast of 4.5 on its ground: people who confuse red and green can
distinguish them, and so can a printer without colours. No figure says anything by colour alone: markers have
shapes, lines have dashes, words have signs.
"""

import csv
import io
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Characters that no XML file may hold."""


@dataclass(frozen=True)
class Frame:
    """A plotting area inside a drawing, in user units, with its data ranges.

    Attributes:
        left: Left edge.
        top: Upper edge.
        width: Width.
        height: Height.
        x: Data range of the horizontal axis.
        y: Data range of the vertical axis.
        log_x: Whether the horizontal axis is logarithmic.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float] = (0.0, 1.0)
    log_x: bool = False

    @property
    def right(self) -> float:
        """Right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.top + self.height

    def at_x(self, value: float) -> float:
        """Horizontal position of a value, clamped to the frame."""
        low, high = self.x
        if self.log_x:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        share = (value - low) / (high - low)
        return self.left + self.width * min(max(share, 0.0), 1.0)

    def at_y(self, value: float) -> float:
        """Vertical position of a value, clamped to the frame."""
        low, high = self.y
        share = (value - low) / (high - low)
        return self.bottom - self.height * min(max(share, 0.0), 1.0)

    def polyline(self, xs: Sequence[float], ys: Sequence[float], css: str) -> str:
        """A line through points, on a half-unit grid, straight stretches merged."""
        points = [(round(2 * self.at_x(x)), round(2 * self.at_y(y))) for x, y in zip(xs, ys, strict=True)]
        return f'<path class="{css}" d="{_path(points)}"/>'

    def steps(self, xs: Sequence[float], ys: Sequence[float], css: str) -> str:
        """A step function: the value ys[i] holds from xs[i] on, up to xs[-1]."""
        points: list[tuple[int, int]] = []
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            px, py = round(2 * self.at_x(x)), round(2 * self.at_y(y))
            if i:
                points.append((px, points[-1][1]))
            points.append((px, py))
        return f'<path class="{css}" d="{_path(points)}"/>'

    def ribbon(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], css: str) -> str:
        """A shaded band between two lines."""
        upper, lower = list(zip(xs, highs, strict=True)), list(zip(xs, lows, strict=True))
        points = [(round(2 * self.at_x(x)), round(2 * self.at_y(y))) for x, y in [*upper, *reversed(lower)]]
        return f'<path class="{css}" d="{_path(points)}z"/>'

    def band(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], css: str) -> str:
        """A shaded band between two step functions."""
        upper = [(x, y) for i, x in enumerate(xs) for y in ([highs[i - 1]] if i else []) + [highs[i]]]
        lower = [(x, y) for i, x in enumerate(xs) for y in ([lows[i - 1]] if i else []) + [lows[i]]]
        points = [(round(2 * self.at_x(x)), round(2 * self.at_y(y))) for x, y in [*upper, *reversed(lower)]]
        return f'<path class="{css}" d="{_path(points)}z"/>'

    def axes(
        self, ticks_x: Iterable[float], ticks_y: Iterable[float], label_x: str = "", label_y: str = ""
    ) -> str:
        """Grid lines, tick labels and axis titles."""
        parts = []
        for value in ticks_y:
            y = self.at_y(value)
            parts.append(line(self.left, y, self.right, y, "grid"))
            parts.append(text(self.left - 6, y + 4, number(value), "tick end"))
        for value in ticks_x:
            x = self.at_x(value)
            parts.append(line(x, self.bottom, x, self.bottom + 4, "axis"))
            parts.append(text(x, self.bottom + 17, number(value), "tick mid"))
        parts.append(line(self.left, self.bottom, self.right, self.bottom, "axis"))
        if label_x:
            parts.append(text((self.left + self.right) / 2, self.bottom + 33, label_x, "label mid"))
        if label_y:
            parts.append(text(self.left - 34, self.top - 10, label_y, "label"))
        return "".join(parts)


def _path(points: Sequence[tuple[int, int]]) -> str:
    """Path data in relative moves; points are in half units."""
    kept = [points[0]]
    for i in range(1, len(points)):
        if points[i] == kept[-1]:
            continue
        if i + 1 < len(points) and _straight(kept[-1], points[i], points[i + 1]):
            continue
        kept.append(points[i])
    data = [f"M{kept[0][0] / 2:g} {kept[0][1] / 2:g}"]
    for (a, b), (c, d) in itertools.pairwise(kept):
        dx, dy = f"{(c - a) / 2:g}", f"{(d - b) / 2:g}"
        data.append(f"h{dx}" if d == b else f"v{dy}" if c == a else f"l{dx} {dy}")
    return "".join(data)


def _straight(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[0] - a[0]) * (c[1] - b[1]) == (b[1] - a[1]) * (c[0] - b[0]) and (b[1] - a[1]) * (
        c[1] - b[1]
    ) >= 0


def number(value: float) -> str:
    """A tick label without needless digits."""
    return f"{value:g}".replace("-", "−")


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rect(x: float, y: float, width: float, height: float, css: str) -> str:
    """A rectangle."""
    return f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"/>'


def text(x: float, y: float, content: str, css: str) -> str:
    """A text, escaped."""
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{safe(content)}</text>'


def safe(content: str) -> Markup:
    """Any string as XML text."""
    return escape(CONTROL.sub("\ufffd", content))


def short(name: str, most: int) -> str:
    """A name cut to a number of characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def dots(at: Iterable[tuple[float, float]], css: str, *, upright: bool = False) -> str:
    """Many small marks as one path: round dots, or upright dashes."""
    data = "".join(f"M{x:.1f} {y - 3:.1f}v6" if upright else f"M{x:.1f} {y:.1f}h.01" for x, y in at)
    return f'<path class="{css}" d="{data}"/>' if data else ""


def marker(x: float, y: float, shape: str, css: str, size: float = 5.0) -> str:
    """A circle, diamond, square or triangle: the shape says what the colour says."""
    if shape == "circle":
        return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="{size * 0.9:.1f}"/>'
    if shape == "square":
        return rect(x - size * 0.8, y - size * 0.8, size * 1.6, size * 1.6, css)
    corners = {
        "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
        "triangle": ((0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
    }[shape]
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
    return f'<polygon class="{css}" points="{points}"/>'


@dataclass(frozen=True)
class Drawing:
    """A whole figure; inside a template it stands as inline SVG.

    Attributes:
        width: Of the view box, user units.
        height: Likewise.
        title: What a screen reader says.
        body: The marks.
        css: Further classes of the outer element.
    """

    width: float
    height: float
    title: str
    body: str
    css: str = ""

    def __html__(self) -> Markup:
        name = safe(self.title)
        return Markup(
            f'<svg class="figure {self.css}" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{name}"><title>{name}</title>{self.body}</svg>'
        )

    def standalone(self, style: str) -> str:
        """The same figure as a file of its own, with the style it needs."""
        name = safe(self.title)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="figure {self.css}" width="{self.width:g}" '
            f'height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}" role="img">'
            f"<title>{name}</title><style>{style}</style>"
            f'<rect class="paper" width="100%" height="100%"/>{self.body}</svg>\n'
        )


def drawing(width: float, height: float, title: str, parts: Iterable[str], css: str = "panel") -> Drawing:
    """Put marks together."""
    return Drawing(width, height, title, "".join(parts), css)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two values."""
    raw = (high - low) / max(count, 1)
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * m for m in (1, 2, 2.5, 5, 10) if scale * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    values = [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]
    return [v + 0.0 for v in values]


STYLE = Path(__file__).parent.parent / "templates" / "figure.css"
Value = str | float | int | bool | None
Rows = list[tuple[Value, ...]]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: What its files are called, before the number.
        caption: Text above it; also its caption in a paper.
        drawing: The picture.
        columns: Names of the data's columns.
        rows: What was drawn, in the unit of the axis.
        note: A second line under the caption.
    """

    name: str
    caption: str
    drawing: Drawing
    columns: tuple[str, ...]
    rows: Rows
    note: str = ""

    def svg(self) -> str:
        """The figure as a file of its own: light, or dark where the reader's screen is."""
        style = STYLE.read_text(encoding="utf-8")
        dark = f"@media (prefers-color-scheme: dark) {{ {resolved(style, dark=True)} }}"
        return self.drawing.standalone(f"{resolved(style, dark=False)} {dark}")

    def csv(self) -> str:
        """The data, a line per row."""
        return csv_text(self.columns, self.rows)


def csv_text(columns: Sequence[str], rows: Rows) -> str:
    """Rows as CSV: numbers in full, nothing for a missing one, no text that a spreadsheet would execute."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else value
    return repr(float(value)) if isinstance(value, float) else str(value)


def slug(*words: str) -> str:
    """Words as a file name: lower case, digits and dashes only, at most 60 characters."""
    return re.sub("[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:60].strip("-") or "figure"


PALETTE: dict[str, tuple[str, str]] = {
    "ink": ("#1c2126", "#e6e8ea"),
    "muted": ("#565f69", "#a9b3bc"),
    "line": ("#d9dee3", "#363d44"),
    "paper": ("#fdfdfb", "#14181b"),
    "panel": ("#ffffff", "#1b2024"),
    "accent": ("#0b6e63", "#59c9b9"),
    "yes": ("#0b6e63", "#59c9b9"),
    "no": ("#a8281c", "#ff8f80"),
    "open": ("#6b5a12", "#e0c45c"),
    "few": ("#0067a5", "#5db4ee"),
    "many": ("#b54708", "#ff9d4d"),
    "placebo": ("#626b74", "#9aa3ab"),
    "theory": ("#1c2126", "#f2f4f5"),
    "sim": ("#0067a5", "#5db4ee"),
    "llm": ("#8a2a7c", "#e39ad6"),
    "third": ("#0b6e63", "#59c9b9"),
    "fourth": ("#7a6200", "#e0c45c"),
    "shade": ("#dfebe8", "#24403d"),
}
"""Name -> (on light, on dark)."""
_VARIABLE = re.compile(r"var\(--([a-z]+)\)")


def variables(*, dark: bool) -> str:
    """The palette as CSS custom properties."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in PALETTE.items())


def resolved(css: str, *, dark: bool) -> str:
    """A style with the colours themselves, for programs that know no custom properties."""
    return _VARIABLE.sub(lambda found: PALETTE[found.group(1)][dark], css)
