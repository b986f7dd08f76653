"""Every figure of a report, by section and in the order of the page, numbered and saved as SVG and CSV."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.curves.paths import PathTest
from analysis.loading.records import Cell, Records
from analysis.reporting.content import closed_forms
from analysis.reporting.content.curves import curve_of, final
from analysis.reporting.content.further import Further
from analysis.reporting.figures import curves, fits, points
from analysis.reporting.figures.forest import forests, of_points
from analysis.reporting.figures.svg import Figure
from banditrft.design import PLACEBOS
from banditrft.files import write_bytes
from banditrft.names import visible

HITTING = 0.95
"""Threshold drawn where no claim sets one."""


@dataclass(frozen=True)
class Numbered:
    """A figure with its place on the page.

    Attributes:
        number: From 1.
        section: Section of the page.
        group: What it stands with inside the section.
        figure: The figure.
    """

    number: int
    section: str
    group: str
    figure: Figure

    @property
    def stem(self) -> str:
        """Name of its files, without the ending."""
        return f"{self.number:03d}-{self.figure.name}"


def collect(records: Records, document: dict[str, Any], beside: Further) -> list[Numbered]:
    """All figures.

    Args:
        records: Records of a study.
        document: The report as plain data.
        beside: Paths and whatever else the document holds without its points.
    """
    found: list[tuple[str, str, Figure]] = [("forest", "", f) for f in forests(document)]
    found += [("curves", world, f) for world, f in _curves(records, document)]
    parts = [(v, p) for v in document["verdicts"] for p in v["parts"]]
    found += [
        ("times", "", curves.times(v["claim"], p)) for v, p in parts if p["kind"] == "ratio" and p["points"]
    ]
    found += [("seeds", "", f) for f in _seeds(records, document)]
    found += [("paths", test.world, f) for test in beside.paths for f in _paths(records, test)]
    kinds = {world["name"]: world["kind"] for world in document["worlds"]}
    found += [("fits", world, f) for world, f in _fits(beside, kinds)]
    found += [("raw", "", f) for f in _raw(document)]
    return [Numbered(i, *item) for i, item in enumerate(found, 1)]


def _curves(records: Records, document: dict[str, Any]) -> list[tuple[str, Figure]]:
    threshold = next((c["pass_at_1"] for c in document["claims"] if "consecutive" in c), HITTING)
    entries, worlds = document["bands"], [w["name"] for w in document["worlds"]]
    longest = max((len(e["rounds"]) for e in entries), default=1)
    most = curves.drawn(len(entries), longest)
    found = []
    for entry in sorted(entries, key=lambda e: (worlds.index(e["world"]), e["split"] == "test")):
        cell = records.of(entry["world"])[entry["condition"]]
        rounds, values = curve_of(cell, entry["split"])
        figure = curves.panel(
            entry,
            rounds,
            values,
            cell.keys(),
            threshold=threshold if entry["split"] == "train" else None,
            css=_css(cell),
            most=most,
        )
        found.append((f"{entry['world']}:{entry['split']}", figure))
    return found


def _css(cell: Cell) -> str:
    if cell.design.reward in PLACEBOS:
        return "placebo"
    return "few" if cell.design.rollouts == 1 else "many"


def _paths(records: Records, test: PathTest) -> list[Figure]:
    predicted = {name: closed_forms.curve(cell) for name, cell in records.of(test.world).items()}
    closed = {name: c for name, c in predicted.items() if c is not None and c.test is not None}
    return [curves.path(test, c, closed) for c in test.comparisons]


def _fits(beside: Further, kinds: dict[str, str]) -> list[tuple[str, Figure]]:
    found: list[tuple[str, Figure]] = []
    for fit in beside.fits:
        gains = fits.gains(fit, kinds[fit.world])
        own = [gains] if gains else []
        for test in (t for t in beside.transfer if t.world == fit.world):
            own += fits.foretold(test, kinds[fit.world])
            own += [fits.forecast(curve) for curve in test.curves]
        own += fits.profiles(fit.world, beside.profiles[fit.world])
        own += [fits.residuals(fit.world, condition) for condition in fit.conditions]
        found += [(fit.world, figure) for figure in own]
    return found


def _seeds(records: Records, document: dict[str, Any]) -> list[Figure]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in document["seeds"]:
        groups.setdefault((entry["world"], entry["split"]), []).append(entry)
    return [
        points.seeds(
            world, split, entries, [final(records.of(world)[e["condition"]], split)[0] for e in entries]
        )
        for (world, split), entries in groups.items()
    ]


def _raw(document: dict[str, Any]) -> list[Figure]:
    thresholds = {c["id"]: c.get("pass_at_1") for c in document["claims"]}
    figures = []
    for verdict in document["verdicts"]:
        for part in verdict["parts"]:
            where = f"{verdict['claim']}, {part['world']}: {part['label']}"
            if "correct" in part["points"]:
                figures.append(points.reached(where, part, thresholds[verdict["claim"]]))
            elif "value" in part["points"]:
                figures.append(points.values(where, part, *of_points(part)))
            elif part["kind"] == "difference" and part["points"]:
                figures.append(points.differences(where, part))
    return figures


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
