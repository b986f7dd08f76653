"""A table of counts in, a table of fitted models out: as plain numbers, and as Markdown."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from analysis.fits.contest import contest, rows
from analysis.fits.curve_fit import Curve, CurveFit, check_curve, fit_curve, held_out
from analysis.fits.curves import CURVES, CurveModel
from analysis.fits.items import FAMILIES, MAIN, ablations
from analysis.fits.panel import panel_of
from banditrft.errors import InputError

LAST = 5
CORRELATION = "correlation of the answers of one cell, there for the others' intervals: has none"
NO_LIKELIHOOD: dict[str, float | None] = dict.fromkeys(("log_likelihood", "aic", "bic"))


def curves_of(table: pl.DataFrame, *, by_item: bool) -> list[Curve]:
    """The learning curves of a table of counts, each run (condition, seed) having cells of its own.

    Args:
        table: Columns of `analysis.loading.counts.COUNTS`, one split.
        by_item: A curve for each condition and item; otherwise one for each condition, its items summed.
    """
    keys = ["condition", *(["item"] if by_item else [])]
    total = table.group_by(*keys, "seed", "round").agg(pl.col("n").sum(), pl.col("correct").sum())
    found = []
    for key, part in total.sort(*keys, "seed", "round").group_by(keys, maintain_order=True):
        counts = (part[name].to_numpy() for name in ("n", "correct", "seed"))
        found.append(Curve(", ".join(str(k) for k in key), part["round"].to_numpy(), *counts))
    return found


def curve_rows(
    curve: Curve, models: Sequence[CurveModel], entries: int | None = None, until: int | None = None
) -> list[dict[str, Any]]:
    """Fit models to a curve's first rounds and score them on the later ones.

    Args:
        curve: Cells.
        models: Which models; one with more parameters than there are rounds gets a row that says so.
        entries: How many rounds are fitted; all by default, and then nothing is scored.
        until: First round, by its place, that is not scored; the end by default.

    Returns:
        One row per model, and one for the mean of the last five rounds: a forecast without a likelihood.

    Raises:
        InputError: Too few rounds for anything, nothing left to score, or every answer was right, or wrong.
    """
    rounds = np.unique(curve.rounds_N)
    stop = rounds.size if until is None else until
    if entries is not None and not 2 <= entries < stop <= rounds.size:
        raise InputError(
            f"{curve.name}: must leave 2 or more rounds to fit and 1 or more to score of {rounds.size}, "
            f"got {entries} and until {stop}"
        )
    past, later = (curve, None) if entries is None else curve.split(entries)
    if later is not None:
        later = later.where(later.rounds_N <= rounds[stop - 1])
    check_curve(past, 1)
    return [*(_row(model, past, later) for model in models), _last(past, later)]


def _row(model: CurveModel, past: Curve, later: Curve | None) -> dict[str, Any]:
    head = {"model": model.name, "source": model.source, "equation": model.sentence}
    try:
        fitted = fit_curve(model, past)
    except InputError as error:
        return head | {"parameters": [], "warnings": [str(error)]} | NO_LIKELIHOOD | _scores(None, None)
    return head | {
        "parameters": _parameters(fitted),
        "log_likelihood": fitted.fit.log_likelihood,
        "aic": fitted.fit.aic,
        "bic": fitted.fit.bic,
        "warnings": list(fitted.warnings),
        **_scores(*(held_out(fitted.predict, later) if later is not None else (None, None))),
    }


def _parameters(fitted: CurveFit) -> list[dict[str, Any]]:
    meanings = [*(p.meaning for p in fitted.model.parameters), CORRELATION]
    return [
        {"name": name, "estimate": fitted.fit[name], "low": i.low, "high": i.high, "meaning": meaning}
        for name, i, meaning in zip(fitted.fit.names, fitted.intervals, meanings, strict=False)
    ]


def _last(past: Curve, later: Curve | None) -> dict[str, Any]:
    rounds = np.unique(past.rounds_N)[-LAST:]
    here = past.where(past.rounds_N >= rounds[0])
    p = (here.correct_N.sum() + 0.5) / (here.answers + 1.0)
    scores = held_out(lambda t: np.full(t.shape, p), later) if later is not None else (None, None)
    head = {"model": f"mean of the last {LAST}", "source": "reference", "equation": "y = p"}
    found = {"name": "p", "estimate": float(p), "low": None, "high": None, "meaning": "success probability"}
    return head | {"parameters": [found], "warnings": []} | NO_LIKELIHOOD | _scores(*scores)


def _scores(loss: float | None, error: float | None) -> dict[str, float | None]:
    kept = loss if loss is None or math.isfinite(loss) else None
    return {"held_out_log_loss": kept, "held_out_error": error}


def fit_table(
    table: pl.DataFrame,
    source: str,
    what: str,
    models: Sequence[str] | None = None,
    entries: int | None = None,
    until: int | None = None,
    *,
    ablations: bool = False,
    each: Callable[[Sequence[Curve]], Iterable[Curve]] = iter,
) -> dict[str, Any]:
    """Fit the models of a kind to a table of counts.

    Args:
        table: Columns of `analysis.loading.counts.COUNTS`, one split.
        source: What it is called in errors.
        what: "items" (all items of a condition together), "curves" (each item for itself) or "mean" (the
            items of a condition summed).
        models: Names of families (items) or curve models; all by default.
        entries: How many entries are fitted; all by default, and then nothing is scored.
        until: First entry that is not scored; the end by default.
        ablations: For items, also the walk with each mechanism switched on and off.
        each: Goes through the curves, in order; one that tells how far it is may be given.

    Returns:
        "what", and "fits": for each condition or curve its name and its models. Numbers without a value are
        None.

    Raises:
        InputError: An unknown model, or data that cannot be fitted.
    """
    if what == "items":
        fits = _items(table, source, models, entries, until, with_ablations=ablations)
    else:
        if ablations:
            raise InputError("--ablations: are of item models")
        chosen = [CURVES[name] for name in _known(models, list(CURVES))]
        fits = [
            {"name": curve.name, "models": curve_rows(curve, chosen, entries, until)}
            for curve in each(curves_of(table, by_item=what == "curves"))
        ]
    return {"what": what, "fits": plain(fits)}


def plain(value: Any) -> Any:
    """The same lists and objects with None for every number that JSON has not, infinite ones and NaN."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _items(
    table: pl.DataFrame,
    source: str,
    models: Sequence[str] | None,
    entries: int | None,
    until: int | None,
    *,
    with_ablations: bool,
) -> list[dict[str, Any]]:
    families = {name: FAMILIES[name] for name in _known(models, list(FAMILIES))}
    main = MAIN if MAIN in families else list(families)[-1]
    variants = tuple(ablations().values()) if with_ablations else ()
    found = []
    for (condition,), part in table.group_by(["condition"], maintain_order=True):
        result = contest(
            panel_of(part, f"{source}, condition {condition!r}"), families, entries, until, main, variants
        )
        scored = {
            "entries": result.entries,
            "until": result.until,
            "cells": result.cells,
            "main": result.main,
            "oracle": result.oracle,
        }
        found.append({"name": str(condition), **scored, "models": rows(result)})
    return found


def _known(models: Sequence[str] | None, names: Sequence[str]) -> Sequence[str]:
    if unknown := [name for name in models or () if name not in names]:
        raise InputError(f"--models: must be among {', '.join(names)}, got {', '.join(unknown)}")
    return names if models is None else [name for name in names if name in models]


def markdown(found: dict[str, Any]) -> str:
    """What `banditrft fit` prints: a table per condition or curve, parameters and warnings below it."""
    lines = [f"# Fits to {_text(found['source'])}", ""]
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
