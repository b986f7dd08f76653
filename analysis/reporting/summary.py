"""summary.md: the report as a page of Markdown, for a repository or a paper's appendix.

Rendered from the same data as verdicts.json; raw points and curves stay there and in figures/.
"""

from collections.abc import Callable
from typing import Any

from analysis.formats import FORMATS, p_value, pass_rate
from analysis.reporting.beside import beside
from analysis.reporting.content.confidence import confidence
from analysis.reporting.markdown import code, escaped, table
from analysis.reporting.numbers import estimated
from analysis.reporting.page import BETWEEN, OUTCOMES, READINGS

NO_CLAIMS = "This study names no claims."
Interval = list[float | None]


def summary(document: dict[str, Any]) -> str:
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
    for verdict in document["verdicts"]:
        blocks += _verdict(verdict)
    blocks += _disagreements(document["disagreements"])
    blocks += _curves(document["bands"]) + _seeds(document["seeds"]) + beside(document)
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


def _origin(origin: dict[str, Any]) -> str:
    return (
        f"Regenerate: {code(origin['command'] or 'unknown')}. Source "
        f"{escaped(', '.join(origin['commits']) or 'unknown')}; study {origin['study_hash']}, protocols "
        f"{origin['claims_hash']}, root seed {origin['root_seed']}; {origin['runs']} runs in "
        f"{origin['folders']} folders."
    )


def _verdict(verdict: dict[str, Any]) -> list[str]:
    blocks = [
        f"## {verdict['claim']}, {escaped(verdict['world'])}: {verdict['verdict']}",
        escaped(verdict["statement"]),
    ]
    if verdict["readings"]:
        told = [f"{READINGS[name]} {word}" for name, word in verdict["readings"].items() if word]
        blocks.append(f"Readings: {', '.join(told)}.")
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
        blocks.append(table(("beside it, unadjusted", "estimate", "95% two-sided", "n"), rows))
    blocks += [
        f"Placebo “{escaped(item['condition'])}”. {escaped(item['label'])}: {escaped(item['sentence'])}"
        for item in verdict["placebo"]
    ]
    return blocks + [f"Note. {escaped(note)}" for note in verdict["notes"]]


def _part(part: dict[str, Any]) -> tuple[str, ...]:
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


def _other(part: dict[str, Any], item: dict[str, Any]) -> tuple[str, ...]:
    form = FORMATS["rounds" if "rounds saved" in item["label"] else part["kind"]]
    label = escaped(f"{part['id']}: {item['label']}")
    return label, estimated(item["estimate"], form), _interval(item["interval"], form), str(item["n"])


def _interval(ends: Interval, form: Callable[[float | None], str]) -> str:
    return f"{form(ends[0])} to {form(ends[1])}"


def _disagreements(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return []
    rows = [(d["claim"], BETWEEN[d["kind"]], escaped(d["sentence"]), escaped(d["theory"])) for d in found]
    header = ("claim", "between", "what differs", "what the closed form says")
    return ["## Where the worlds, the papers and the theory disagree", table(header, rows)]


def _curves(bands: list[dict[str, Any]]) -> list[str]:
    rows = [
        (
            escaped(b["world"]),
            escaped(b["condition"]),
            b["split"],
            str(b["n"]),
            pass_rate(b["mean"][0]),
            pass_rate(b["mean"][-1]),
            "–" if b["low"] is None else f"{pass_rate(b['low'][-1])} to {pass_rate(b['high'][-1])}",
            "–" if b["theory"] is None else pass_rate(b["theory"]["values"][-1]),
        )
        for b in bands
    ]
    header = ("world", "condition", "split", "runs", "first", "last", "band there", "closed form")
    return ["## Learning curves: mean Pass@1", table(header, rows)]


def _seeds(seeds: list[dict[str, Any]]) -> list[str]:
    rows = [
        (
            *(escaped(s["world"]), escaped(s["condition"]), s["split"], str(s["n"])),
            *(pass_rate(s["mean"]), pass_rate(s["sd"]), pass_rate(s["evaluation_sd"])),
        )
        for s in seeds
    ]
    header = ("world", "condition", "split", "runs", "mean final", "SD over seeds", "SD of evaluation")
    return ["## Seed by seed", table(header, rows)]


def _methods(methods: list[dict[str, Any]]) -> list[str]:
    blocks = ["## Methods"]
    for paragraph in methods:
        blocks.append(f"**{escaped(paragraph['title'])}.** {escaped(' '.join(paragraph['text']))}".strip())
        blocks += _bullets([f"{item['what']} ({item['where']})" for item in paragraph["used"]])
    return blocks


def _bullets(lines: list[str]) -> list[str]:
    return ["\n".join(f"- {escaped(line)}" for line in lines)] if lines else []


def _figures(figures: list[dict[str, Any]]) -> list[str]:
    links = (
        f"- {f['number']}. {escaped(f['caption'])}: [SVG](figures/{f['file']}.svg), "
        f"[data](figures/{f['file']}.csv)"
        for f in figures
    )
    return ["\n".join(links)] if figures else []
