"""A table of fitted models in words: one line per condition, and all of it as Markdown."""

from collections.abc import Sequence
from typing import Any

CLOSE = 2.0
"""Difference in AIC below which models are not distinguished (Burnham and Anderson 2002, section 2.6)."""
COLUMNS = ("condition", "best by AIC", "by", "best held out", "by, nats per answer")


def conclusions(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """What the fits of `fit_table` come to, a row of `COLUMNS` for each condition or curve."""
    return [_conclusion(fit["name"], fit["conclusion"]) for fit in found["fits"]]


def _conclusion(name: str, value: dict[str, Any]) -> tuple[str, ...]:
    aic, later = value["aic"], value["held_out"]
    cells = [name, *(("-", "") if aic is None else (_best(aic), _margin(aic["by"], 1)))]
    if later is None:
        return (*cells, "-", "")
    margin = _margin(later["by"], 5)
    if later["low"] is not None:
        margin = f"{margin} [{later['low']:.5f}, {later['high']:.5f}]"
    return (*cells, _best(later), margin)


def _best(of: dict[str, Any]) -> str:
    """The best model, or those that it is not distinguished from."""
    others = of["not_distinguished_from"]
    if not others:
        return str(of["best"])
    more = others[0] if len(others) == 1 else f"{len(others)} others"
    return f"{of['best']} or {more}"


def _margin(by: float | None, digits: int) -> str:
    return "" if by is None else f"{by:.{digits}f}"


def remarks(found: dict[str, Any]) -> list[str]:
    """How the rows of `conclusions` are meant, a sentence each."""
    said = [
        "AIC is of all fitted evaluations, each counted as independent; models within "
        f'{CLOSE:g} of the best are not distinguished ("or").'
    ]
    scored = {
        (c["fitted"], c["scored"], c["units"]): None
        for fit in found["fits"]
        if (c := fit["conclusion"]["held_out"])
    }
    for fitted, number, units in scored:
        said.append(
            f"Held out: fitted to the first {fitted} entries, scored on the next {number} by log-loss; "
            f"models whose 95% interval of the difference to the best, over {units}, holds 0 are not "
            "distinguished."
            if number
            else f"Held out: cross-validation inside the {fitted} fitted entries, which gives no interval."
        )
    return said


def markdown(found: dict[str, Any]) -> str:
    """The conclusions, then a table per condition or curve, with parameters and warnings."""
    lines = [
        f"# Fits to {_text(found['source'])}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    lines += [f"| {' | '.join(map(_text, row))} |" for row in conclusions(found)]
    lines += ["", *remarks(found), ""]
    if found["forecast"] is not None:
        last = "the end" if found["until"] is None else f"entry {found['until'] - 1}"
        lines += [f"Fitted: the first {found['forecast']} entries. Scored: the rest, to {last}.", ""]
    for fit in found["fits"]:
        lines += [f"## {_text(fit['name'])}", ""]
        lines += _item_lines(fit) if found["what"] == "items" else _curve_lines(fit)
    for bandit in found.get("bandit", ()):
        lines += [f"## Bandit model, {_text(bandit['world'])}", "", _text(bandit["sentence"]), ""]
        lines += [f"- {_text(warning)}" for warning in bandit["warnings"]]
        lines += [f"- {_text(name)} is left out: {_text(why)}" for name, why in bandit["left_out"].items()]
        lines += [""] * bool(bandit["warnings"] or bandit["left_out"])
    return "\n".join(lines)


DIFFERENCE = (
    "Losses are nats per answer. Difference: the forecast of the model in bold minus this one (of a "
    "mechanism: of the walk minus this one), so that below 0 the former is better; items are clusters."
)
UNITS = (
    "Intervals are profile likelihoods. Their units are runs, however many evaluations each has; where there "
    "is one run they are its evaluations, and the intervals are of that run alone."
)
CRITERIA = ("log-likelihood", "df", "AIC", "BIC")


def _item_lines(fit: dict[str, Any]) -> list[str]:
    heads = ("model", "chosen", "cross-validation", "forecast", "difference, 95% interval", *CRITERIA)
    lines = [DIFFERENCE, "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in fit["models"]:
        gap, folds = row["comparison"], row["cross_validation"]
        name = f"**{row['model']}**" if row["model"] == fit["main"] else row["model"]
        log_likelihood, aic, bic = _likelihood(row)
        cells = [
            name,
            "yes" if row["chosen"] else "",
            _number(sum(folds) / len(folds) if folds else None, 4),
            _number(row["log_loss"], 4),
            "" if gap is None else _compared(gap),
            log_likelihood,
            "-" if row["df"] is None else str(row["df"]),
            aic,
            bic,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if fit["oracle"] is not None:
        lines += ["", f"A constant per item fitted to the scored entries themselves: {fit['oracle']:.4f}."]
    return [*lines, "", *_parameter_lines(fit["models"])]


def _curve_lines(fit: dict[str, Any]) -> list[str]:
    lines = [
        UNITS,
        "",
        "| model | equation | log-likelihood | AIC | BIC | held-out log-loss | held-out error |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in fit["models"]:
        scores = [_number(row["held_out_log_loss"], 5), _number(row["held_out_error"], 4)]
        lines.append(f"| {' | '.join([row['model'], row['equation'], *_likelihood(row), *scores])} |")
    return [*lines, "", *_parameter_lines(fit["models"])]


def _parameter_lines(models: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["| model | parameter | estimate | 95% interval | meaning |", "|---|---|---|---|---|"]
    for row in models:
        for p in row["parameters"]:
            interval = f"{_number(p['low'], 4)} to {_number(p['high'], 4)}"
            shown = interval if (p["low"], p["high"]) != (None, None) else "-"
            cells = [row["model"], p["name"], _number(p["estimate"], 4), shown, p["meaning"]]
            lines.append(f"| {' | '.join(cells)} |")
    warned = [f"- {row['model']}: {_text(warning)}" for row in models for warning in row["warnings"]]
    return [*lines, "", *warned, *([""] if warned else [])]


def _likelihood(row: dict[str, Any]) -> list[str]:
    return [_number(row[name], 1) for name in ("log_likelihood", "aic", "bic")]


def _compared(gap: dict[str, Any]) -> str:
    """A difference with its interval, which one item has not."""
    ends = "no interval" if gap["low"] is None else f"{_signed(gap['low'])}, {_signed(gap['high'])}"
    return f"{_signed(gap['difference'])} ({ends})"


def _signed(value: float) -> str:
    return f"{round(value, 4) + 0.0:.4f}"


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if abs(value) >= 10.0**-digits or value == 0 else f"{value:.2e}"


def _text(value: str) -> str:
    """Text of the data inside Markdown."""
    for mark in ("\\", "|", "`", "<", "*", "_", "["):
        value = value.replace(mark, f"\\{mark}")
    return " ".join(value.split())
