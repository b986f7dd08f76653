"""A figure of the report: its drawing, its caption and the numbers drawn, to be saved as SVG and CSV."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.reporting.figures.palette import resolved
from analysis.reporting.figures.svg import Drawing

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
