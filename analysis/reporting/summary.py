"""summary.md: the verdicts as a page of Markdown tables, for a repository or a paper's appendix.

Rendered from the same data as verdicts.json; raw points stay there.
"""

from collections.abc import Callable
from typing import Any

from analysis.formats import FORMATS, p_value, percent

NO_CLAIMS = "This study names no claims."


def summary(document: dict[str, Any]) -> str:
    """The document of :func:`analysis.reporting.document.document` as Markdown."""
    origin = document["provenance"]
    blocks = [
        f"# Study '{document['study']}'",
        f"Regenerate: `{origin['command']}`. Source {', '.join(origin['commits']) or 'unknown'}; study "
        f"{origin['study_hash']}, protocols {origin['claims_hash']}, root seed {origin['root_seed']}; "
        f"{origin['runs']} runs in {origin['folders']} folders.",
        _table(("claim", "world", "verdict", "in one sentence"), map(_verdict, document["verdicts"]))
        if document["claims"]
        else NO_CLAIMS,
    ]
    for verdict in document["verdicts"]:
        blocks += [f"## {verdict['claim']}, {verdict['world']}: {verdict['verdict']}", verdict["statement"]]
        header = ("part", "verdict", "estimate", "interval", "level", "supported inside", "p", "n")
        blocks.append(_table(header, map(_part, verdict["parts"])))
        rows = [_other(part, item) for part in verdict["parts"] for item in part["secondary"]]
        if rows:
            blocks.append(_table(("beside it, unadjusted", "estimate", "interval", "n"), rows))
        blocks += [f"Placebo. {item['label']}: {item['sentence']}" for item in verdict["placebo"]]
        blocks += [f"Note. {note}" for note in verdict["notes"]]
    blocks += ["## Deviations and limits", *(f"- {line}" for line in _remarks(document))]
    return "\n\n".join(blocks) + "\n"


def _remarks(document: dict[str, Any]) -> list[str]:
    return [*(document["deviations"] or ["No deviation from the protocols."]), *document["limits"]]


def _verdict(verdict: dict[str, Any]) -> tuple[str, ...]:
    return verdict["claim"], verdict["world"], f"**{verdict['verdict']}**", verdict["summary"]


def _part(part: dict[str, Any]) -> tuple[str, ...]:
    form = FORMATS[part["kind"]]
    return (
        part["label"],
        part["verdict"],
        form(part["estimate"]),
        _interval(part["interval"], form),
        percent(part["level"]),
        _interval(part["band"], form),
        p_value(min(part["p_support"], part["p_refute"])),
        f"{part['n']} ({part['unit']})",
    )


def _other(part: dict[str, Any], item: dict[str, Any]) -> tuple[str, ...]:
    form = FORMATS["rounds" if "rounds saved" in item["label"] else part["kind"]]
    label = f"{part['id']}: {item['label']}"
    return label, form(item["estimate"]), _interval(item["interval"], form), str(item["n"])


def _interval(ends: list[float | None], form: Callable[[float | None], str]) -> str:
    return f"{form(ends[0])} to {form(ends[1])}"


def _table(header: tuple[str, ...], rows: Any) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
