"""The page: figures from the document and the curves, put into the template. HTML is escaped everywhere."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.loading import Cell, Records
from analysis.reporting import curves, dots, kaplan
from analysis.reporting.forest import Row, plot, strip
from analysis.reporting.numbers import FORMATS, Shown, points, ratio

TEMPLATES = Path(__file__).parent / "templates"
KIND = {"sim": "simulated", "llm": "language model"}
FOREST = {
    "speed-adam": ("Speed-up under Adam", "rounds at G = 1 over rounds at G = 4"),
    "speed-sgd": ("Speed-up under SGD", "rounds at G = 1 over rounds at G = 4"),
    "test": ("Change in final test Pass@1", "points, G = 4 minus G = 1"),
}


def render(records: Records, document: dict[str, Any]) -> str:
    """The whole page as one string."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FORMATS
    return environment.get_template("report.html.j2").render(
        document=document,
        num=Shown(document),
        kinds=KIND,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        forests=_forests(document),
        learning=_learning(records, document),
        survival=[(v, p, kaplan.panel(p)) for v, p in _parts(document) if p["kind"] == "ratio"],
        raw=_raw(document),
        strips={
            (i, j): _strip(v, p) for i, v in enumerate(document["verdicts"]) for j, p in enumerate(v["parts"])
        },
    )


def _parts(document: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(v, p) for v in document["verdicts"] for p in v["parts"]]


def _forests(document: dict[str, Any]) -> list[tuple[str, Markup]]:
    figures = []
    for part_id, (title, axis) in FOREST.items():
        rows = []
        for verdict, part in _parts(document):
            if part["id"] == part_id:
                rows += [*_theory_row(document, part), _measured_row(verdict, part)]
                rows += _neighbour_rows(document, verdict, part)
        if rows:
            log = part_id != "test"
            figures.append((title, plot(rows, title, axis, log=log, scale=1.0 if log else 100.0)))
    return figures


def _measured_row(verdict: dict[str, Any], part: dict[str, Any]) -> Row:
    low, high = part["interval"]
    show = ratio if part["kind"] == "ratio" else points
    value = f"{'–' if part['estimate'] is None else show(part['estimate'])} ({show(low)}, {show(high)})"
    return Row(part["world"], verdict["kind"], part["estimate"], low, high, tuple(part["band"]), value)


def _strip(verdict: dict[str, Any], part: dict[str, Any]) -> Markup:
    low, high = part["interval"]
    row = Row(part["label"], verdict["kind"], part["estimate"], low, high, tuple(part["band"]), "")
    ranges = {"fraction": (0.0, 1.0, 0.5), "ratio": (0.45, 4.4, 1.0)}
    if part["kind"] in ranges:
        return strip(row, ranges[part["kind"]], log=part["kind"] == "ratio")
    reach = 1.6 * max(abs(v) for v in (*part["band"], low or 0.0, high or 0.0, 1e-4))
    return strip(row, (-reach, reach, 0.0), log=False)


def _neighbour_rows(document: dict[str, Any], verdict: dict[str, Any], part: dict[str, Any]) -> list[Row]:
    """The same reading in another world: shown, not judged."""
    rows = []
    for other in part["secondary"]:
        if other["world"]:
            as_part = {**part, **{k: other[k] for k in ("world", "estimate", "interval")}}
            measured = replace(_measured_row(verdict, as_part), label=f"{other['world']} (not judged)")
            rows += [*_theory_row(document, as_part), measured]
    return rows


def _theory_row(document: dict[str, Any], part: dict[str, Any]) -> list[Row]:
    found = document["predictions"].get(f"{part['world']}:{part['id']}")
    if found is None:
        return []
    band = tuple(part["band"])
    label = f"closed form, {part['world']}"
    if part["kind"] == "difference":
        return [Row(label, "theory", found, found, found, band, points(found))]
    low, high = found["low"], found["high"]
    if low == high:
        return [Row(label, "theory", low, low, high, band, ratio(low))]
    return [Row(label, "theory", None, low, high, band, f"{ratio(low)} to {ratio(high)}")]


def _learning(records: Records, document: dict[str, Any]) -> list[dict[str, Any]]:
    threshold = next((c["pass_at_1"] for c in document["claims"] if "consecutive" in c), 0.95)
    found = []
    for world in document["worlds"]:
        cells = records.of(world["name"])
        panels = [curves.panel(cell, threshold, _css(cell)) for cell in cells.values()]
        found.append(
            {
                "world": world,
                "panels": [figure for figure, _ in panels],
                "predicted": any(known for _, known in panels),
                "threshold": threshold,
            }
        )
    return found


def _css(cell: Cell) -> str:
    if cell.design.reward == "random":
        return "placebo"
    return "few" if cell.design.rollouts == 1 else "many"


def _raw(document: dict[str, Any]) -> list[tuple[str, Markup]]:
    thresholds = {c["id"]: c.get("pass_at_1") for c in document["claims"]}
    figures = []
    for verdict, part in _parts(document):
        where = f"{verdict['claim']}, {part['world']}: {part['label']}"
        if part["kind"] == "fraction":
            figures.append((where, dots.reached(part, thresholds[verdict["claim"]])))
        elif part["kind"] == "difference":
            figures.append((where, dots.differences(part)))
    return figures
