"""Curve models side by side: every model of the registry fitted to one curve, as rows of plain numbers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from analysis.fits.curve_fit import Curve, CurveFit, check_curve, fit_curve, held_out
from analysis.fits.curves import CurveModel
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
    for key, rows in total.sort(*keys, "seed", "round").group_by(keys, maintain_order=True):
        counts = (rows[name].to_numpy() for name in ("n", "correct", "seed"))
        found.append(Curve(", ".join(str(k) for k in key), rows["round"].to_numpy(), *counts))
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
