"""The page: the document and its figures put into the templates. HTML is escaped everywhere.

Its policy lets a browser run the one script and the one style that stand in it, by their hashes, and fetch
nothing: text that came from records can neither run nor call.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.fits.transfer_result import NAMES
from analysis.formats import FORMATS
from analysis.reporting.figures.collect import Numbered
from analysis.reporting.figures.forests import card
from analysis.reporting.figures.palette import variables
from analysis.reporting.numbers import Shown

TEMPLATES = Path(__file__).parent / "templates"
KINDS = {"sim": "simulated", "llm": "language model"}
BETWEEN = {
    "worlds": "worlds",
    "paper": "paper and measurement",
    "size": "sizes in two worlds",
    "theory": "theory and measurement",
    "expectation": "expectation and measurement",
}
"""Kinds of disagreement, in words."""
READINGS = {
    "papers": "at the papers' horizon and margin",
    "ours": "at ours",
    "base": "against base",
    "placebo": "against the placebo",
}
"""Readings of a verdict, in words."""
OUTCOMES = {
    "failed": "Failed, not slow: four times the papers' horizon changes nothing.",
    "slow": "Slow, not failed: by four times the papers' horizon runs learn.",
}
"""What becomes of runs that fail by the papers' horizon."""
TITLES = {
    "summary": "Summary",
    "verdicts": "Verdicts",
    "disagreements": "Where the worlds, the papers and the theory disagree",
    "forest": "Theory, simulation and language model side by side",
    "curves": "Learning curves",
    "times": "Time to the threshold",
    "seeds": "Seed by seed",
    "paths": "Test against train",
    "components": "Where the variance comes from",
    "fits": "Fits, and what they foretell",
    "diagnosis": "Failure signatures",
    "raw": "The raw points",
    "placebo": "Placebo",
    "sensitivity": "Sensitivities",
    "methods": "Methods",
    "protocol": "Protocol, deviations and limits",
    "provenance": "Provenance",
}
"""Sections in the order of the page."""
ABOUT_CLAIMS = {"summary", "verdicts", "disagreements", "placebo", "sensitivity"}


def render(document: dict[str, Any], figures: list[Numbered]) -> str:
    """The whole page as one string."""
    style, script = _style(), _read("table.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            num=Shown(document),
            kinds=KINDS,
            readings=READINGS,
            outcomes=OUTCOMES,
            between=BETWEEN,
            quantities=NAMES,
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
            contents=_contents(document, figures),
            figures={name: [f for f in figures if f.section == name] for name in TITLES},
            learning=_learning(document, figures),
            expected=document.get("expected", {}),
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


def _contents(document: dict[str, Any], figures: list[Numbered]) -> list[tuple[str, str]]:
    """Sections that this report has: id and title."""
    drawn = {f.section for f in figures}
    held = {
        "disagreements": any(v["parts"] for v in document["verdicts"]),
        "paths": bool(document["paths"]),
        **{name: bool(document[name]) for name in ("components", "fits", "diagnosis")},
        "sensitivity": any(p["secondary"] for v in document["verdicts"] for p in v["parts"]),
    } | {name: name in drawn for name in ("forest", "curves", "times", "seeds", "raw")}
    return [
        (name, title)
        for name, title in TITLES.items()
        if held.get(name, True) and (document["claims"] or name not in ABOUT_CLAIMS)
    ]


def _signs(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Signs with one sentence for all the conditions that it holds of."""
    merged: dict[tuple[str, str, str], list[str]] = {}
    for sign in found:
        key = (sign["signature"], sign["found"], sign["sentence"])
        merged.setdefault(key, []).append(f"{sign['world']}, {sign['condition']}")
    names = ("signature", "found", "sentence")
    return [dict(zip(names, key, strict=True)) | {"where": where} for key, where in merged.items()]


def _learning(document: dict[str, Any], figures: list[Numbered]) -> list[dict[str, Any]]:
    """Learning curves by world and split."""
    drawn = [f for f in figures if f.section == "curves"]
    found = []
    for world in document["worlds"]:
        splits = [
            (f"{split.capitalize()} Pass@1", own)
            for split in ("train", "test")
            if (own := [f for f in drawn if f.group == f"{world['name']}:{split}"])
        ]
        predicted = any(b["theory"] for b in document["bands"] if b["world"] == world["name"])
        found.append({"world": world, "splits": splits, "predicted": predicted})
    return found
