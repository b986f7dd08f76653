"""A table of counts in, a table of fitted models out, as plain numbers, and what it comes to."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from analysis.fits.bandit import fit_records
from analysis.fits.contest import best_forecast, contest, rows
from analysis.fits.curve_fit import Curve, CurveFit, check_curve, fit_curve, held_out
from analysis.fits.curves import CURVES, CurveModel
from analysis.fits.items import FAMILIES, MAIN, ablations
from analysis.fits.panel import panel_of
from analysis.fits.text import CLOSE
from analysis.inference.means import mean_of
from analysis.loading.records import Records
from banditrft.errors import InputError
from banditrft.progress import Board

Floats = npt.NDArray[np.float64]
LAST = 5
EARLY = 0.7
"""Share of the rounds that a conclusion is fitted to where nothing else is held out."""
FEW = 2
"""Jobs up to which other processes would take longer to start than to help."""
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
    past, later = _split(curve, entries, until)
    return [_row(fitted, later) for fitted in _fitted(past, models, profile=True)]


def fit_one(
    curve: Curve, models: Sequence[str], entries: int | None = None, until: int | None = None
) -> dict[str, Any]:
    """The rows of one curve, and what they come to: its name, "models" and "conclusion".

    Where nothing is held out, the conclusion is of a second fit to the first 70% of the rounds.

    Args:
        curve: Cells.
        models: Names of models.
        entries: How many rounds are fitted.
        until: First round, by its place, that is not scored.
    """
    chosen = [CURVES[name] for name in models]
    past, later = _split(curve, entries, until)
    fits = _fitted(past, chosen, profile=True)
    rows = [_row(fitted, later) for fitted in fits]
    if later is None and (cut := round(EARLY * np.unique(curve.rounds_N).size)) >= 2:
        past, later = curve.split(cut)
        try:
            check_curve(past, 1)
            fits = _fitted(past, chosen, profile=False)
        except InputError:
            later = None
    held = None if later is None or not later.answers else _held_out(fits, past, later)
    return {"name": curve.name, "models": rows, "conclusion": {"aic": best_by_aic(rows), "held_out": held}}


def _split(curve: Curve, entries: int | None, until: int | None) -> tuple[Curve, Curve | None]:
    """What is fitted, and what is scored."""
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
    return past, later


@dataclass(frozen=True)
class _Fitted:
    """A row's model: its forecast, and what the row says without it; no forecast where there is no fit."""

    row: dict[str, Any]
    predict: Callable[[Floats], Floats] | None


def _fitted(past: Curve, models: Sequence[CurveModel], *, profile: bool) -> list[_Fitted]:
    """All models on a curve, the reference last."""
    found = []
    for model in models:
        head = {"model": model.name, "source": model.source, "equation": model.sentence}
        try:
            fitted = fit_curve(model, past, profile=profile)
        except InputError as error:
            found.append(_Fitted(head | {"parameters": [], "warnings": [str(error)]} | NO_LIKELIHOOD, None))
            continue
        row = head | {
            "parameters": _parameters(fitted),
            "log_likelihood": fitted.fit.log_likelihood,
            "aic": fitted.fit.aic,
            "bic": fitted.fit.bic,
            "warnings": list(fitted.warnings),
        }
        found.append(_Fitted(row, fitted.predict))
    return [*found, _last(past)]


def _row(fitted: _Fitted, later: Curve | None) -> dict[str, Any]:
    if later is None or fitted.predict is None:
        return fitted.row | {"held_out_log_loss": None, "held_out_error": None}
    loss, error = held_out(fitted.predict, later)
    return fitted.row | {"held_out_log_loss": loss if math.isfinite(loss) else None, "held_out_error": error}


def best_by_aic(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The model of the least AIC, how much worse the next is, and which are as good; None without AIC."""
    known = sorted((row["aic"], row["model"]) for row in rows if row["aic"] is not None)
    if not known:
        return None
    least = known[0][0]
    return {
        "best": known[0][1],
        "next": known[1][1] if len(known) > 1 else None,
        "by": known[1][0] - least if len(known) > 1 else None,
        "not_distinguished_from": [name for aic, name in known[1:] if aic - least < CLOSE],
    }


def _held_out(fits: Sequence[_Fitted], past: Curve, later: Curve) -> dict[str, Any]:
    """The model of the least mean loss over runs, and which are not shown to be worse; runs are the units."""
    loss = {f.row["model"]: run_losses(f.predict, later) for f in fits if f.predict is not None}
    best, *others = sorted(loss, key=lambda name: float(loss[name].mean()))
    worse = {name: loss[name] - loss[best] for name in others}
    runs = int(loss[best].size)
    ends = {n: mean_of(d).interval(0.025) for n, d in worse.items()} if runs > 1 else {}
    following = others[0] if others else None
    low, high = ends.get(following or "", (None, None))
    return {
        "best": best,
        "next": following,
        "by": float(worse[following].mean()) if following else None,
        "low": low,
        "high": high,
        "not_distinguished_from": [n for n in others if n not in ends or ends[n][0] <= 0.0],
        "fitted": int(np.unique(past.rounds_N).size),
        "scored": int(np.unique(later.rounds_N).size),
        "units": f"{runs} run{'s' * (runs > 1)}",
    }


def run_losses(predict: Callable[[Floats], Floats], later: Curve) -> Floats:
    """Log-loss per answer of each run of a curve, (R,), nats.

    Args:
        predict: Rounds -> success probability.
        later: Cells that were not fitted.
    """
    p_N = predict(later.rounds_N)
    loss_N = -(later.correct_N * np.log(p_N) + (later.n_N - later.correct_N) * np.log1p(-p_N))
    run_N = np.zeros(p_N.size, np.int64) if later.run_N is None else later.run_N
    at_N = np.unique(run_N, return_inverse=True)[1]
    return np.asarray(np.bincount(at_N, loss_N) / np.bincount(at_N, later.n_N), dtype=np.float64)


def _parameters(fitted: CurveFit) -> list[dict[str, Any]]:
    meanings = [*(p.meaning for p in fitted.model.parameters), CORRELATION]
    return [
        {"name": name, "estimate": fitted.fit[name], "low": i.low, "high": i.high, "meaning": meaning}
        for name, i, meaning in zip(fitted.fit.names, fitted.intervals, meanings, strict=False)
    ]


def _last(past: Curve) -> _Fitted:
    rounds = np.unique(past.rounds_N)[-LAST:]
    here = past.where(past.rounds_N >= rounds[0])
    p = (here.correct_N.sum() + 0.5) / (here.answers + 1.0)
    head = {"model": f"mean of the last {LAST}", "source": "reference", "equation": "y = p"}
    found = {"name": "p", "estimate": float(p), "low": None, "high": None, "meaning": "success probability"}
    row = head | {"parameters": [found], "warnings": []} | NO_LIKELIHOOD
    return _Fitted(row, lambda t: np.full(t.shape, p))


def fit_table(
    table: pl.DataFrame,
    source: str,
    what: str,
    models: Sequence[str] | None = None,
    entries: int | None = None,
    until: int | None = None,
    *,
    ablations: bool = False,
    bandit: Records | None = None,
    workers: int = 1,
    progress: Callable[[str, int], Board] | None = None,
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
        bandit: Records whose worlds the bandit is fitted to besides.
        workers: Processes that share curves and worlds.
        progress: Makes what shows how far the fits are, from a title and their number.

    Returns:
        "what", "fits": for each condition or curve its name, its models and its conclusion, and with records
        "bandit", a sentence for each world. Numbers without a value are None.

    Raises:
        InputError: An unknown model, or data that cannot be fitted.
    """
    worlds = [] if bandit is None else list(bandit.worlds)
    jobs: list[tuple[str, Callable[[], Any]]] = []
    if bandit is not None:
        jobs += [(f"bandit, {world}", partial(_bandit, bandit, world)) for world in worlds]
    if what == "items":
        fits = _items(table, source, models, entries, until, with_ablations=ablations, progress=progress)
        made = together(jobs, workers, progress)
    else:
        if ablations:
            raise InputError("--ablations: are of item models")
        names = _known(models, list(CURVES))
        curves = curves_of(table, by_item=what == "curves")
        jobs += [(c.name, partial(fit_one, c, names, entries, until)) for c in curves]
        made = together(jobs, workers, progress)
        fits = made[len(worlds) :]
    found = {"what": what, "fits": plain(fits)}
    return found if bandit is None else found | {"bandit": made[: len(worlds)]}


def together(
    jobs: Sequence[tuple[str, Callable[[], Any]]],
    workers: int = 1,
    progress: Callable[[str, int], Board] | None = None,
) -> list[Any]:
    """Results of named jobs, in their order, computed by several processes where that pays.

    Args:
        jobs: Name, and what to call; processes need what can be pickled.
        workers: Processes.
        progress: Makes what shows how far they are, from a title and their number; a single job is not shown.
    """
    with ExitStack() as stack:
        shown = progress is not None and len(jobs) > 1
        board = stack.enter_context(progress("fits", len(jobs))) if progress and shown else None
        run: Callable[[Callable[[], Any]], Future[Any]] = _now
        if workers > 1 and len(jobs) > FEW:
            pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"))
            stack.callback(pool.shutdown, cancel_futures=True)
            run = pool.submit
        results = []
        for name, job in jobs:
            results.append(run(job))
            if board:
                results[-1].add_done_callback(partial(_show, board, name))
        return [result.result() for result in results]


def _now(job: Callable[[], Any]) -> Future[Any]:
    """A job done at once."""
    done: Future[Any] = Future()
    done.set_result(job())
    return done


def _show(board: Board, name: str, done: Future[Any]) -> None:
    if not done.cancelled():
        board.finish(name, failed=done.exception() is not None)


def _bandit(records: Records, world: str) -> dict[str, Any]:
    """The bandit fitted to a world's designs, in a sentence; why not where it cannot be."""
    try:
        fitted = fit_records(records, world, replicate=False)
    except InputError as error:
        return {"world": world, "sentence": str(error), "warnings": [], "left_out": {}}
    about = {"warnings": list(fitted.warnings), "left_out": fitted.left_out}
    return {"world": world, "sentence": fitted.sentence} | about


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
    progress: Callable[[str, int], Board] | None,
) -> list[dict[str, Any]]:
    families = {name: FAMILIES[name] for name in _known(models, list(FAMILIES))}
    main = MAIN if MAIN in families else list(families)[-1]
    variants = tuple(ablations().values()) if with_ablations else ()
    parts = list(table.group_by(["condition"], maintain_order=True))
    panels = [panel_of(part, f"{source}, condition {condition!r}") for (condition,), part in parts]
    found, size = [], sum(map(len, families.values())) + len(variants)
    with progress("models", len(parts) * size) if progress else nullcontext() as board:
        for ((condition,), _), panel in zip(parts, panels, strict=True):
            done = None if board is None else partial(board.finish, failed=False)
            result = contest(panel, families, entries, until, main, variants, done=done)
            scored = {
                "entries": result.entries,
                "until": result.until,
                "cells": result.cells,
                "main": result.main,
                "oracle": result.oracle,
            }
            of = rows(result)
            conclusion = {"aic": best_by_aic(of), "held_out": best_forecast(result)}
            found.append({"name": str(condition), **scored, "models": of, "conclusion": conclusion})
    return found


def _known(models: Sequence[str] | None, names: Sequence[str]) -> Sequence[str]:
    if unknown := [name for name in models or () if name not in names]:
        raise InputError(f"--models: must be among {', '.join(names)}, got {', '.join(unknown)}")
    return names if models is None else [name for name in names if name in models]
