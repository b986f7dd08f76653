"""The page: the document and its figures put into the templates. HTML is escaped everywhere.

Its policy lets a browser run the one script and the one style that stand in it, by their hashes, and fetch
nothing: text that came from records can neither run nor call.
"""

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from analysis.estimands import ESTIMANDS, FORMATS
from analysis.fits.unseen import NAMES
from analysis.reporting.content.model import Document, Values
from analysis.reporting.figures.collect import Numbered, thresholds
from analysis.reporting.figures.forest import card
from analysis.reporting.figures.svg import variables
from analysis.reporting.wording import BETWEEN, KINDS, OUTCOMES, TITLES, readings

TEMPLATES = Path(__file__).parent / "templates"
ABOUT_CLAIMS = {"summary", "verdicts", "disagreements", "placebo", "sensitivity"}


def render(document: Document, figures: list[Numbered]) -> str:
    """The whole page as one string."""
    style, script = _style(), _read("table.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            num=Shown(document),
            kinds=KINDS,
            readings={c["id"]: readings(c) for c in document["claims"]},
            outcomes=OUTCOMES,
            units={kind: of.unit for kind, of in ESTIMANDS.items()},
            between=BETWEEN,
            quantities=NAMES,
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
            contents=_contents(document, figures),
            figures={name: [f for f in figures if f.section == name] for name in TITLES},
            learning=_learning(document, figures),
            timed=any(thresholds(document, world["name"]) for world in document["worlds"]),
            expected=document.get("expected", {}),
            ranged=any(
                isinstance(p, dict) and p["low"] < p["high"] for p in document["predictions"].values()
            ),
            signs=_signs(document["diagnosis"]),
            strips={
                (i, j): card(v, p)
                for i, v in enumerate(document["verdicts"])
                for j, p in enumerate(v["parts"])
            },
        )
    )


@cache
def _environment() -> jinja2.Environment:
    """The templates, compiled once a process."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= FORMATS
    return found


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _style() -> str:
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(dark=True)} }} }}"
    return f":root {{ {variables(dark=False)} }}\n{dark}\n{_read('style.css')}{_read('figure.css')}"


def _policy(style: str, script: str) -> str:
    """What the browser may do with the page."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _contents(document: Document, figures: list[Numbered]) -> list[tuple[str, str]]:
    """Sections that this report has: id and title."""
    drawn = {f.section for f in figures}
    held = {
        "disagreements": any(v["parts"] for v in document["verdicts"]),
        "paths": bool(document["paths"]),
        "components": bool(document["components"]),
        "fits": bool(document["fits"]),
        "diagnosis": bool(document["diagnosis"]),
        "sensitivity": any(p["secondary"] for v in document["verdicts"] for p in v["parts"]),
    } | {name: name in drawn for name in ("forest", "curves", "times", "seeds", "raw")}
    return [
        (name, title)
        for name, title in TITLES.items()
        if held.get(name, True) and (document["claims"] or name not in ABOUT_CLAIMS)
    ]


def _signs(found: list[Values]) -> list[Values]:
    """Signs with one sentence for all the conditions that it holds of."""
    merged: dict[tuple[str, str, str], list[str]] = {}
    for sign in found:
        key = (sign["signature"], sign["found"], sign["sentence"])
        merged.setdefault(key, []).append(f"{sign['world']}, {sign['condition']}")
    names = ("signature", "found", "sentence")
    return [dict(zip(names, key, strict=True)) | {"where": where} for key, where in merged.items()]


def _learning(document: Document, figures: list[Numbered]) -> list[Values]:
    """Learning curves by world and split: what all conditions share, then the panels of each."""
    found = []
    for world in document["worlds"]:
        splits = []
        for split in ("train", "test"):
            own = [f for f in figures if f.group == f"{world['name']}:{split}"]
            shown = [[f for f in own if f.section == section] for section in ("curves", "panels")]
            if any(shown):
                splits.append((f"{split.capitalize()} Pass@1", *shown))
        predicted = any(b["theory"] for b in document["bands"] if b["world"] == world["name"])
        found.append({"world": world, "splits": splits, "predicted": predicted})
    return found


def lookup(document: Any, path: str) -> Any:
    """The value at a path such as ``verdicts/0/parts/1/estimate``."""
    for key in path.split("/"):
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


class Shown:
    """Renders numbers of one document by their path, so that page and JSON cannot differ."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def __call__(self, path: str, kind: str) -> Markup:
        """The number at `path`, formatted as `kind`; an estimate that is not there is a dash."""
        value = lookup(self.document, path)
        full = "" if value is None else repr(value)
        shown = estimated(value, FORMATS[kind]) if path.endswith("/estimate") else FORMATS[kind](value)
        return Markup('<data value="{}" data-path="{}" data-kind="{}">{}</data>').format(
            full, path, kind, escape(shown)
        )


def estimated(value: float | None, form: Callable[[float | None], str]) -> str:
    """An estimate, which unlike the end of an interval is not unbounded where there is none."""
    return "–" if value is None else form(value)
