"""Profile likelihoods of the fitted steps: how much worse other values explain the counts."""

import math
from typing import Any

import numpy as np

from analysis.fits.bandit import MOST_RUNS, BanditFit
from analysis.fits.bandit_query import LARGEST_SPREAD, QueryFit
from analysis.fits.bandit_records import counts_of_runs
from analysis.fits.bandit_surface import COARSEST, Model, Surface, surface
from analysis.fits.profile import cutoff
from analysis.loading.records import Records

PLACES = 17
BEYOND = 0.6
"""How far beyond its interval a profile is drawn, as a share of the interval's half on that side."""
FLAT = 3.0
"""How far it is drawn on a side without a limit, in log-step."""


def profiles(records: Records, fit: BanditFit) -> list[dict[str, Any]]:
    """Deviance of the step, other parameters fitted anew at each place; an entry per condition and query.

    Args:
        records: A study's records.
        fit: The bandit fitted to one of its worlds.
    """
    cells, found = records.of(fit.world), []
    for condition in fit.conditions:
        cell = cells[condition.condition]
        for query in condition.queries:
            counts = counts_of_runs(records, cell, query.query, MOST_RUNS)
            known = surface(Model.of(cell.world, counts, cell.base[query.query]))
            steps = _places(query, known)
            level = query.intervals["log_step"].level
            found.append(
                {
                    "condition": query.condition,
                    "query": query.query,
                    "gain": [math.exp(s) / query.learning_rate for s in steps],
                    "deviance": _deviance(query, known, steps),
                    "cutoff": cutoff(level, counts.n - 1 if counts.n > 1 else None),
                    "level": level,
                }
            )
    return found


def _places(fit: QueryFit, known: Surface) -> list[float]:
    centre, limits = fit.fit["log_step"], fit.intervals["log_step"]
    low = centre - FLAT if limits.low is None else limits.low - BEYOND * (centre - limits.low)
    high = centre + FLAT if limits.high is None else limits.high + BEYOND * (limits.high - centre)
    edges = float(known.log_step_J[0]), float(known.log_step_J[-1])
    around = np.linspace(max(low, edges[0]), min(high, edges[1]), PLACES)
    return sorted({*around.tolist(), centre})


def _deviance(fit: QueryFit, known: Surface, steps: list[float]) -> list[float]:
    """Twice the loss in log-likelihood at each step, walking outwards from the estimate."""
    from scipy.optimize import minimize

    single = len(fit.seeds) == 1
    bounds = [(float(known.base_I[0]), float(known.base_I[-1])), (COARSEST, LARGEST_SPREAD)]
    best = known.loss(fit.fit["base_log_odds"], fit.fit["log_step"], fit.fit["spread"])
    found: dict[float, float] = {}
    centre = steps.index(fit.fit["log_step"])
    for walk in (steps[centre:], steps[: centre + 1][::-1]):
        warm = np.array([fit.fit["base_log_odds"], fit.fit["spread"]])
        for step in walk:

            def loss(x: Any, at: float = step) -> float:
                return known.loss(float(x[0]), at, COARSEST if single else float(x[1]))

            ended = minimize(loss, warm, method="L-BFGS-B", bounds=bounds)
            warm = ended.x
            found[step] = max(0.0, 2.0 * (float(ended.fun) - best))
    return [found[step] for step in steps]
