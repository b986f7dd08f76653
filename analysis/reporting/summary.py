"""summary.md: the report as a page of Markdown, for a repository or a paper's appendix.

Rendered from the same data as verdicts.json; raw points and curves stay there and in figures/. Text from
records stays text in every Markdown renderer.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from analysis.estimands import FORMATS
from analysis.fits.unseen import NAMES
from analysis.formats import fraction, p_value, pass_rate, percent, points, position, ratio
from analysis.reporting.content.model import (
    BandData,
    Disagreement,
    Document,
    FigureData,
    Interval,
    Paragraph,
    PartData,
    PlaceboData,
    Provenance,
    SecondaryData,
    SeedsData,
    Values,
    VerdictData,
)
from analysis.reporting.page import estimated
from analysis.reporting.wording import BETWEEN, OUTCOMES, TITLES, confidence, readings

NO_CLAIMS = "This study names no claims."
MISSING = "–"
SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def summary(document: Document) -> str:
    """The document of :func:`analysis.reporting.content.document.document` as Markdown."""
    blocks = [f"# Study '{escaped(document['study'])}'", _origin(document["provenance"])]
    if document["claims"]:
        rows = [
            (v["claim"], escaped(v["world"]), f"**{v['verdict']}**", escaped(v["summary"]))
            for v in document["verdicts"]
        ]
        blocks.append(table(("claim", "world", "verdict", "in one sentence"), rows))
    else:
        blocks.append(NO_CLAIMS)
    own = {c["id"]: readings(c) for c in document["claims"]}
    for verdict in document["verdicts"]:
        blocks += _verdict(verdict, own[verdict["claim"]])
    blocks += _disagreements(document["disagreements"])
    blocks += _curves(document["bands"]) + _seeds(document["seeds"]) + others(document)
    blocks += _methods(document["methods"])
    blocks += ["## Assumptions", *_bullets(document["assumptions"])]
    if document["absent"]:
        blocks += ["## Not shown, and why", *_bullets(document["absent"])]
    blocks += [
        "## Deviations and limits",
        *_bullets(document["deviations"] or ["No deviation from the protocols."]),
    ]
    blocks += [*_bullets(document["limits"]), "## Figures", *_figures(document["figures"])]
    return "\n\n".join(blocks) + "\n"


def _origin(origin: Provenance) -> str:
    return (
        f"Regenerate: {code(origin['command'] or 'unknown')}. Source "
        f"{escaped(', '.join(origin['commits']) or 'unknown')}; study {origin['study_hash']}, protocols "
        f"{origin['claims_hash']}, root seed {origin['root_seed']}; {origin['runs']} runs in "
        f"{origin['folders']} folders."
    )


def _verdict(verdict: VerdictData, named: dict[str, str]) -> list[str]:
    blocks = [
        f"## {verdict['claim']}, {escaped(verdict['world'])}: {verdict['verdict']}",
        escaped(verdict["statement"]),
    ]
    if verdict["readings"]:
        words = [
            f"{named[name]} {word}" for name, word in verdict["readings"].items() if word and name in named
        ]
        if words:
            blocks.append(f"Readings: {', '.join(words)}.")
    if verdict["derived"]:
        blocks.append("It sums up the verdicts of single worlds: a reading, no evidence of its own.")
    if verdict["outcome"]:
        blocks.append(OUTCOMES[verdict["outcome"]])
    header = ("part", "verdict", "estimate", "interval", "level", "supported inside", "p", "n")
    if verdict["parts"]:
        blocks.append(table(header, map(_part, verdict["parts"])))
    if verdict["stricter"]:
        blocks.append(table(("as we read it", *header[1:]), map(_part, verdict["stricter"])))
    for part in verdict["parts"]:
        blocks.append(f"{escaped(part['label'])}. {escaped(part['sentence'])} {escaped(part['detail'])}")
    rows = [_other(part, item) for part in verdict["parts"] for item in part["secondary"]]
    if rows:
        blocks.append(table(("other readings, unadjusted", "estimate", "95% two-sided", "n"), rows))
    if verdict["placebo"]:
        titles = ("reading of a placebo, unadjusted", "placebo", "estimate", "95% two-sided", "runs")
        blocks.append(table(titles, map(_placebo, verdict["placebo"])))
    return blocks + [f"Note. {escaped(note)}" for note in verdict["notes"]]


def _part(part: PartData) -> tuple[str, ...]:
    form = FORMATS[part["kind"]]
    return (
        escaped(part["label"]),
        part["verdict"],
        estimated(part["estimate"], form),
        _interval(part["interval"], form),
        confidence(part),
        _interval(part["band"], form),
        p_value(min(part["p_support"], part["p_refute"])),
        f"{part['n']} ({part['unit']})",
    )


def _other(part: PartData, item: SecondaryData) -> tuple[str, ...]:
    form = FORMATS[item["kind"]]
    label = escaped(f"{part['id']}: {item['label']}")
    return label, estimated(item["estimate"], form), _interval(item["interval"], form), str(item["n"])


def _placebo(item: PlaceboData) -> tuple[str, ...]:
    form = FORMATS[item["kind"]]
    estimate, interval = estimated(item["estimate"], form), _interval(item["interval"], form)
    return escaped(item["label"]), escaped(item["condition"]), estimate, interval, str(item["n"])


def _interval(ends: Interval, form: Callable[[float | None], str]) -> str:
    return f"{form(ends[0])} to {form(ends[1])}"


def _disagreements(found: list[Disagreement]) -> list[str]:
    if not found:
        return []
    rows = [(d["claim"], BETWEEN[d["kind"]], escaped(d["sentence"]), escaped(d["theory"])) for d in found]
    header = ("claim", "between", "what differs", "what the closed form says")
    return [f"## {TITLES['disagreements']}", table(header, rows)]


def _curves(bands: list[BandData]) -> list[str]:
    rows = [
        (
            escaped(b["world"]),
            escaped(b["condition"]),
            b["split"],
            str(b["n"]),
            pass_rate(b["mean"][0]),
            pass_rate(b["mean"][-1]),
            MISSING if not (b["low"] and b["high"]) else _between([b["low"][-1], b["high"][-1]], pass_rate),
            "–" if b["theory"] is None else pass_rate(b["theory"]["values"][-1]),
        )
        for b in bands
    ]
    header = ("world", "condition", "split", "runs", "first", "last", "band there", "closed form")
    return ["## Learning curves: mean Pass@1", table(header, rows)]


def _seeds(seeds: list[SeedsData]) -> list[str]:
    rows = [
        (
            *(escaped(s["world"]), escaped(s["condition"]), s["split"], str(s["n"])),
            *(pass_rate(s["mean"]), pass_rate(s["sd"]), pass_rate(s["evaluation_sd"])),
        )
        for s in seeds
    ]
    header = ("world", "condition", "split", "runs", "mean final", "SD over seeds", "SD of evaluation")
    return [f"## {TITLES['seeds']}", table(header, rows)]


def _methods(methods: list[Paragraph]) -> list[str]:
    blocks = [f"## {TITLES['methods']}"]
    for paragraph in methods:
        blocks.append(f"**{escaped(paragraph['title'])}.** {escaped(' '.join(paragraph['text']))}".strip())
        blocks += _bullets([f"{item['what']} ({item['where']})" for item in paragraph["used"]])
    return blocks


def _bullets(lines: list[str]) -> list[str]:
    return ["\n".join(f"- {escaped(line)}" for line in lines)] if lines else []


def _figures(figures: list[FigureData]) -> list[str]:
    links = (
        f"- {f['number']}. {escaped(f['caption'])}: [SVG](figures/{f['file']}.svg), "
        f"[data](figures/{f['file']}.csv)"
        for f in figures
    )
    return ["\n".join(links)] if figures else []


def others(document: Document) -> list[str]:
    """Blocks of Markdown; a section without content has none."""
    blocks = []
    if document["summaries"]:
        blocks += _section("Conditions in numbers", [[_summaries(document["summaries"])]])
    blocks += _section(TITLES["paths"], [_paths(p) for p in document["paths"]])
    if document["components"]:
        blocks += _section(TITLES["components"], [[_components(document["components"])]])
    blocks += _section(TITLES["fits"], [_fit(document, f) for f in document["fits"]])
    if document["diagnosis"]:
        blocks += _section(TITLES["diagnosis"], [[_signs(document["diagnosis"])]])
    return blocks


def _section(title: str, groups: list[list[str]]) -> list[str]:
    return [f"## {title}", *(block for group in groups for block in group)] if groups else []


def _summaries(found: list[Values]) -> str:
    forms = {"area": fraction, "crossing": position, "final": fraction, "improvement": fraction}
    rows = [
        (
            escaped(f"{s['world']}, {s['condition']}"),
            *(
                MISSING
                if s[name] is None
                else f"{form(s[name]['estimate'])} ({_between(s[name]['interval'], form)})"
                for name, form in forms.items()
            ),
        )
        for s in found
    ]
    header = (
        "world, condition",
        "mean train Pass@1 over the rounds",
        "round at which the mean reaches .9",
        "interquartile mean of the final Pass@1",
        "P(a run ends above one of the first condition), unpaired",
    )
    return table(header, rows)


def _paths(test: Values) -> list[str]:
    rows = [
        (
            escaped(c["conditions"][1]),
            c["said"],
            "one path" if c["one_path"] else "not one path",
            MISSING if c["estimate"] is None else points(c["estimate"]),
            MISSING if c["estimate"] is None else _between(c["interval"], points),
            percent(c["level"]),
            p_value(c["p"]),
            str(c["n"]),
        )
        for c in test["comparisons"]
    ]
    if not rows:
        return [f"**{escaped(test['world'])}.** {escaped(test['sentence'])}"]
    first = escaped(test["comparisons"][0]["conditions"][0])
    header = (
        f"against '{first}'",
        "found",
        "by theory",
        "points",
        "interval",
        "level",
        "adjusted p",
        "pairs",
    )
    return [f"**{escaped(test['world'])}.** {escaped(test['method'])}", table(header, rows)]


def _components(found: list[Values]) -> str:
    rows = [
        (
            escaped(f"{c['world']}, {c['condition']}" if c["condition"] else c["world"]),
            escaped(c["what"]),
            ", ".join(f"{s['name']} {_share(s['share'])}" for s in c["components"]),
            _share(c["estimate"]),
            MISSING if None in c["interval"] else _between(c["interval"], _share),
            f"{c['n']} {escaped(c['unit'])}",
        )
        for c in found
    ]
    return table(
        ("world, condition", "quantity", "sources", "share of the queries or worlds", "interval", "n"), rows
    )


def _fit(document: Document, fit: Values) -> list[str]:
    blocks = [f"**{escaped(fit['world'])}.** {escaped(fit['sentence'])}"]
    rows = [
        (
            escaped(c["condition"]),
            str(len(c["queries"])),
            MISSING if c["gain"] is None else position(c["gain"]["median"]),
            MISSING if c["gain"] is None else _between([c["gain"]["low"], c["gain"]["high"]], position),
            MISSING if c["transfer"] is None else ratio(c["transfer"]["slope"]),
            ratio(c["misfit"]),
        )
        for c in fit["conditions"]
    ]
    header = ("condition", "queries", "gain", "interval", "test per train log-odds", "mean square residual")
    if rows:
        blocks.append(table(header, rows))
    for test in (t for t in document["transfer"] if t["world"] == fit["world"]):
        blocks.append(f"Predicted from the fit. {escaped(test['sentence'])}")
        if test["rows"]:
            blocks.append(_predicted(test["rows"]))
    if fit["warnings"]:
        blocks += ["What limits these fits:", "\n".join(f"- {escaped(w)}" for w in fit["warnings"])]
    return blocks


def _predicted(found: list[Values]) -> str:
    rows = [
        (
            escaped(r["condition"]),
            NAMES[r["quantity"]],
            MISSING if r["predicted"] is None else position(r["predicted"]),
            MISSING if r["predicted"] is None else _between([r["low"], r["high"]], position),
            position(r["observed"]),
            {True: "inside", False: "outside", None: MISSING}[r["inside"]],
            MISSING if r["unchanged"] is None else position(r["unchanged"]),
            str(r["n"]),
        )
        for r in found
    ]
    header = (
        "condition",
        "quantity",
        "predicted",
        "95% interval",
        "observed",
        "",
        "if nothing changed",
        "runs",
    )
    return table(header, rows)


def _signs(found: list[Values]) -> str:
    rows = [
        (
            escaped(s["signature"]),
            escaped(f"{s['world']}, {s['condition']}"),
            s["found"],
            escaped(s["sentence"]),
        )
        for s in found
    ]
    return table(("signature", "world, condition", "found", "evidence"), rows)


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0%}"


def _between(ends: list[float | None], form: Any) -> str:
    return f"{form(ends[0])} to {form(ends[1])}"


def escaped(text: str) -> str:
    """Text without Markdown or HTML of its own, on one line."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", plain)


def code(text: str) -> str:
    """Text as a code span, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " if "`" in text else ""
    return f"{fence}{pad}{' '.join(text.split())}{pad}{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown already."""
    lines = [tuple(header), tuple("---" for _ in header), *map(tuple, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
