"""Sections of summary.md beside the claims: summaries, paths, variances, fits, failure signatures."""

from typing import Any

from analysis.fits.transfer_result import NAMES
from analysis.formats import fraction, p_value, percent, points, position, ratio
from analysis.reporting.markdown import escaped, table

MISSING = "–"


def beside(document: dict[str, Any]) -> list[str]:
    """Blocks of Markdown; a section without content has none."""
    blocks = []
    if document["summaries"]:
        blocks += _section("Conditions in figures", [[_summaries(document["summaries"])]])
    blocks += _section("Test against train", [_paths(p) for p in document["paths"]])
    if document["components"]:
        blocks += _section("Where the variance comes from", [[_components(document["components"])]])
    blocks += _section("Fits, and what they foretell", [_fit(document, f) for f in document["fits"]])
    if document["diagnosis"]:
        blocks += _section("Failure signatures", [[_signs(document["diagnosis"])]])
    return blocks


def _section(title: str, groups: list[list[str]]) -> list[str]:
    return [f"## {title}", *(block for group in groups for block in group)] if groups else []


def _summaries(found: list[dict[str, Any]]) -> str:
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


def _paths(test: dict[str, Any]) -> list[str]:
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


def _components(found: list[dict[str, Any]]) -> str:
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


def _fit(document: dict[str, Any], fit: dict[str, Any]) -> list[str]:
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
        blocks.append(f"Fit here, predict there. {escaped(test['sentence'])}")
        if test["rows"]:
            blocks.append(_foretold(test["rows"]))
    if fit["warnings"]:
        blocks += ["What limits these fits:", "\n".join(f"- {escaped(w)}" for w in fit["warnings"])]
    return blocks


def _foretold(found: list[dict[str, Any]]) -> str:
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


def _signs(found: list[dict[str, Any]]) -> str:
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
