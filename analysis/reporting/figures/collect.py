"""Every figure of a report, by section and in the order of the page, numbered and saved as SVG and CSV."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from analysis.curves.paths import PathTest
from analysis.loading.records import Records
from analysis.reporting.content import closed_forms
from analysis.reporting.content.curves import curve_of, final
from analysis.reporting.content.further import Further
from analysis.reporting.content.model import Document, SeedsData
from analysis.reporting.figures import curves, fits, points
from analysis.reporting.figures.forest import forests, of_points
from analysis.reporting.figures.svg import Figure
from banditrft.claims import placebo_conditions
from banditrft.files import write_bytes
from banditrft.names import visible

FOLDER, LISTED = "figures", "verdicts.json"
STEM = re.compile(r"\d{3,}-[a-z0-9-]+")


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


def collect(records: Records, document: Document, further: Further) -> list[Numbered]:
    """All figures.

    Args:
        records: Records of a study.
        document: The report as plain data.
        further: What was read apart from the claims, with its points.
    """
    found: list[tuple[str, str, Figure]] = [("forest", "", f) for f in forests(document)]
    found += _curves(records, document)
    parts = [(v, p) for v in document["verdicts"] for p in v["parts"]]
    found += [
        ("times", "", curves.times(v["claim"], p)) for v, p in parts if p["kind"] == "ratio" and p["points"]
    ]
    found += [("seeds", "", f) for f in _seeds(records, document)]
    found += [("paths", test.world, f) for test in further.paths for f in _paths(records, test)]
    kinds = {world["name"]: world["kind"] for world in document["worlds"]}
    found += [("fits", world, f) for world, f in _fits(further, kinds)]
    found += [("raw", "", f) for f in _raw(document)]
    return [Numbered(i, *item) for i, item in enumerate(found, 1)]


def _curves(records: Records, document: Document) -> list[tuple[str, str, Figure]]:
    """Of each world and split an overlay of all conditions, then a panel for each."""
    longest = max((len(e["rounds"]) for e in document["bands"]), default=1)
    most = curves.drawn(len(document["bands"]), longest)
    found = []
    for world in document["worlds"]:
        cells = records.of(world["name"])
        css = curves.styles(list(cells), placebo_conditions(records.designs(world["name"])))
        for split in ("train", "test"):
            own = [e for e in document["bands"] if (e["world"], e["split"]) == (world["name"], split)]
            if not own:
                continue
            runs = [curve_of(cells[e["condition"]], split)[1] for e in own]
            asked, closed = thresholds(document, world["name"]), [e["theory"] for e in own if e["theory"]]
            axes = curves.Axes.of(split, asked, *runs, *(c["values"] for c in closed))
            group = f"{world['name']}:{split}"
            if len(own) > 1:
                found.append(("curves", group, curves.overlay(own, runs, asked, css)))
            for entry, values in zip(own, runs, strict=True):
                name = entry["condition"]
                figure = curves.panel(entry, values, cells[name].keys(), axes, css[name], most)
                found.append(("panels" if len(own) > 1 else "curves", group, figure))
    return found


def thresholds(document: Document, world: str) -> list[float]:
    """Train Pass@1 that the hitting times of claims in a world are about."""
    parts = [p for v in document["verdicts"] for p in v["parts"] if p["world"] == world]
    asked = {p["setting"]["threshold"] for p in parts if p["estimand"] in ("time", "failures")}
    return sorted(asked - {None})


def _paths(records: Records, test: PathTest) -> list[Figure]:
    predicted = {name: closed_forms.curve(cell) for name, cell in records.of(test.world).items()}
    closed = {name: c for name, c in predicted.items() if c is not None and c.test is not None}
    return [curves.path(test, c, closed) for c in test.comparisons]


def _fits(further: Further, kinds: dict[str, str]) -> list[tuple[str, Figure]]:
    found: list[tuple[str, Figure]] = []
    for fit in further.fits:
        gains = fits.gains(fit, kinds[fit.world])
        own = [gains] if gains else []
        for test in (t for t in further.transfer if t.world == fit.world):
            own += fits.predictions(test, kinds[fit.world])
            own += [fits.forecast(curve) for curve in test.curves]
        own += fits.profiles(fit.world, further.profiles[fit.world])
        own += [fits.residuals(fit.world, condition) for condition in fit.conditions]
        found += [(fit.world, figure) for figure in own]
    return found


def _seeds(records: Records, document: Document) -> list[Figure]:
    groups: dict[tuple[str, str], list[SeedsData]] = {}
    for entry in document["seeds"]:
        groups.setdefault((entry["world"], entry["split"]), []).append(entry)
    return [
        points.seeds(
            world, split, entries, [final(records.of(world)[e["condition"]], split)[0] for e in entries]
        )
        for (world, split), entries in groups.items()
    ]


def _raw(document: Document) -> list[Figure]:
    figures = []
    for verdict in document["verdicts"]:
        for part in verdict["parts"]:
            where = f"{verdict['claim']}, {part['world']}: {part['label']}"
            if "correct" in part["points"]:
                figures.append(points.reached(where, part, part["setting"]["threshold"]))
            elif "value" in part["points"]:
                figures.append(points.values(where, part, *of_points(part)))
            elif part["kind"] == "difference" and part["points"]:
                figures.append(points.differences(where, part))
    return figures


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
