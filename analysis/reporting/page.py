"""The page: figures from the document and the curves, put into the template. HTML is escaped everywhere."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.formats import FORMATS, points, ratio
from analysis.loading import Cell, Records
from analysis.reporting import curves, dots, kaplan
from analysis.reporting.bands import LOG, closed, scale
from analysis.reporting.forest import Row, plot, strip
from analysis.reporting.numbers import Shown
from analysis.verdict import ALL

TEMPLATES = Path(__file__).parent / "templates"
KIND = {"sim": "simulated", "llm": "language model"}
FOREST = {
    "speed-adam": ("Speed-up under Adam", "rounds at G = 1 over rounds at G = 4"),
    "speed-sgd": ("Speed-up under SGD", "rounds at G = 1 over rounds at G = 4"),
    "test": ("Change in final test Pass@1", "points, G = 4 minus G = 1"),
    "gain-train": ("Gain in train Pass@1", "points over the base policy"),
    "gain-test": ("Gain in test Pass@1", "points over the base policy"),
    "spread-train": ("Spread of training curves", "SD over seeds / SD of an evaluation"),
    "spread-test": ("Spread of test gains", "SD over seeds / SD of an evaluation"),
    "spread-adam": ("Spread of training under Adam", "changed over plain"),
    "spread-matched": ("Spread of training under matched SGD", "changed over plain"),
    "no-gain": ("Change in final test Pass@1", "points, changed minus plain"),
    "fall": ("Change of test Pass@1 on hard queries", "points over the base policy"),
    "dose": ("Dose-response", "points per unit of base log-odds"),
    "risk-early": ("Failures by the horizon", "points of runs, changed minus plain"),
    "risk-late": ("Failures by the later horizon", "points of runs, changed minus plain"),
    "flat": ("Slope of test Pass@1", "points over the run"),
    "behind": ("Other worlds' slope minus this one's", "points over the run"),
    "no-better": ("Change in final test Pass@1", "points, changed minus plain"),
    "no-worse": ("Change in final test Pass@1", "points, changed minus plain"),
    "trend": ("Trend of final test Pass@1", "points per doubling"),
    "location": ("Best batch size", "queries per round"),
    "over-few": ("Claimed split against fewest queries", "points of test Pass@1"),
    "over-many": ("Claimed split against most queries", "points of test Pass@1"),
    "share": ("Worlds against designs", "share of the two variances"),
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
        rows, kind = [], "ratio"
        for verdict, part in _parts(document):
            if part["id"] == part_id and verdict["world"] != ALL:
                kind = part["kind"]
                rows += [*_theory_row(document, part), _measured_row(verdict, part)]
                rows += _neighbour_rows(document, verdict, part)
        if rows:
            figures.append((title, plot(rows, title, axis, log=kind in LOG, scale=scale(kind))))
    return figures


def _measured_row(verdict: dict[str, Any], part: dict[str, Any]) -> Row:
    low, high = part["interval"]
    show = FORMATS[part["kind"]]
    value = f"{'–' if part['estimate'] is None else show(part['estimate'])} ({show(low)}, {show(high)})"
    return Row(part["world"], verdict["kind"], part["estimate"], low, high, closed(part), value)


def _strip(verdict: dict[str, Any], part: dict[str, Any]) -> Markup:
    low, high = part["interval"]
    band = closed(part)
    row = Row(part["label"], verdict["kind"], part["estimate"], low, high, band, "")
    ranges = {"fraction": (0.0, 1.0, 0.5), "ratio": (0.45, 4.4, 1.0), "share": (0.0, 1.0, 0.5)}
    if part["kind"] in ranges:
        return strip(row, ranges[part["kind"]], log=part["kind"] == "ratio")
    if part["kind"] in LOG:
        seen = [v for v in (*band, low, high) if v]
        return strip(row, (0.8 * min(seen), 1.25 * max(seen), band[0]), log=True)
    reach = 1.6 * max(abs(v) for v in (*band, low or 0.0, high or 0.0, 1e-4))
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
    band = closed(part)
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
        if "correct" in part["points"]:
            figures.append((where, dots.reached(part, thresholds[verdict["claim"]])))
        elif "value" in part["points"]:
            axis = FOREST.get(part["id"], ("", "value"))[1]
            figures.append((where, dots.values(part, scale(part["kind"]), axis)))
        elif part["kind"] == "difference" and part["points"]:
            figures.append((where, dots.differences(part)))
    return figures
