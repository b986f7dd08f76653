"""Figures as files beside the page: SVG for a paper, CSV for whoever wants to draw them again."""

import json
import re
from pathlib import Path

from analysis.reporting.figures.collect import Numbered
from banditrft.files import write_bytes
from banditrft.names import visible

FOLDER, LISTED = "figures", "verdicts.json"
STEM = re.compile(r"\d{3,}-[a-z0-9-]+")


def save_figures(folder: Path, figures: list[Numbered]) -> None:
    """Write figures/NNN-name.svg and .csv; files of an earlier report in the same folder that are no more go.

    Args:
        folder: The report's folder.
        figures: What to write.
    """
    own = folder / FOLDER
    own.mkdir(exist_ok=True)
    stale = _earlier(folder) - {f.stem for f in figures}
    for f in figures:
        write_bytes(own / f"{f.stem}.svg", visible(f.figure.svg()).encode())
        write_bytes(own / f"{f.stem}.csv", visible(f.figure.csv()).encode())
    for stem in stale:
        for ending in ("svg", "csv"):
            (own / f"{stem}.{ending}").unlink(missing_ok=True)


def _earlier(folder: Path) -> set[str]:
    """Names that the report before this one listed."""
    try:
        listed = json.loads((folder / LISTED).read_text(encoding="utf-8"))["figures"]
        return {item["file"] for item in listed if STEM.fullmatch(item["file"])}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
