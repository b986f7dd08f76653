"""The fitted bandit and its predictions as JSON values: estimates, intervals, residuals, profiles."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import chdtri

from analysis.fits.bandit import MOST_RUNS, BanditFit, ConditionFit
from analysis.fits.bandit_data import counts_of_runs
from analysis.fits.bandit_likelihood import Model, Surface, surface
from analysis.fits.bandit_query import QueryFit, step_profile
from analysis.fits.likelihood import cutoff
from analysis.fits.unseen import COMPARED, TransferRow, TransferTest
from analysis.loading.records import Records

CHANCE = 0.01
"""Probability of a larger sum of squared residuals, from chi-squared, below which a model does not fit."""
TWO_SIDED = 1.96
"""Standard errors that 95% of residuals stay within where the model holds."""


def fitted(fit: BanditFit) -> dict[str, Any]:
    """A world's fit, without the paths of single runs."""
    return {
        "world": fit.world,
        "sentence": " ".join([*_misfit(fit), fit.sentence]),
        "conditions": [_condition(c) for c in fit.conditions],
        "left_out": fit.left_out,
        "warnings": list(fit.warnings),
    }


def _misfit(fit: BanditFit) -> list[str]:
    """Whether the model holds, to be said before anything that is read off it."""
    if not fit.conditions:
        return []
    off = [c for c in fit.conditions if c.misfit * len(c.residuals) > chdtri(len(c.residuals), CHANCE)]
    values = [c.misfit for c in off or fit.conditions]
    span = f"{min(values):.2g} to {max(values):.2g}" if len(values) > 1 else f"{values[0]:.2g}"
    if not off:
        return [f"The residuals are what the model allows: mean squares of {span}, where 1 is expected."]
    return [
        f"The model does not fit {len(off)} of {len(fit.conditions)} conditions: mean squared residuals of "
        f"{span}, where 1 is expected and more than chance allows at {CHANCE:.0%}{_start(off)}. Gains, "
        "intervals and predictions are conditional on it."
    ]


def _start(off: list[ConditionFit]) -> str:
    """That all of some fits miss the first evaluation on the same side."""
    zs = sorted((c.residuals[0].z for c in off), key=abs)
    if abs(zs[0]) < TWO_SIDED or len({z > 0 for z in zs}) > 1:
        return ""
    side, ends = "above" if zs[0] > 0 else "below", f"{abs(zs[0]):.1f} to {abs(zs[-1]):.1f}"
    return f"; at the first evaluation the runs are {ends} standard errors {side} it"


def _condition(fit: ConditionFit) -> dict[str, Any]:
    return {
        "condition": fit.condition,
        "queries": [_query(q) for q in fit.queries],
        "gain": None if fit.gain is None else asdict(fit.gain),
        "known_gain": fit.known_gain,
        "transfer": None if fit.transfer is None else asdict(fit.transfer),
        "misfit": fit.misfit,
        "residuals": [asdict(r) for r in fit.residuals],
        "checks": [asdict(c) for c in fit.checks],
    }


def _query(fit: QueryFit) -> dict[str, Any]:
    parameters = {
        name: {"estimate": fit.fit[name], "interval": [found.low, found.high], "level": found.level}
        for name, found in fit.intervals.items()
    }
    return {
        "query": fit.query,
        "runs": len(fit.seeds),
        "likelihood": fit.source,
        "gain": fit.gain,
        "identified": fit.identified,
        "overdispersion": fit.overdispersion,
        "log_likelihood": fit.fit.log_likelihood,
        "parameters": parameters,
        "warnings": list(fit.warnings),
    }


def predicted(test: TransferTest) -> dict[str, Any]:
    """A world's predictions; how many of their intervals also hold "nothing changed" joins the sentence."""
    return asdict(test) | {"sentence": " ".join([test.sentence, *_unchanged(test.rows)])}


def _unchanged(rows: Sequence[TransferRow]) -> list[str]:
    """Intervals that hold the fitted condition's own value too, and which quantities "closer" counts."""
    known = [r for r in rows if r.unchanged is not None]
    if not known:
        return []
    by = {name: [r for r in known if r.fitted == name] for name in dict.fromkeys(r.fitted for r in known)}
    each = "; ".join(f"from {name} {_held(own)} of {len(own)}" for name, own in by.items())
    said = [
        f"Of the intervals {_held(known)} of {len(known)} also hold the fitted condition's own value, which "
        f"a design that changes nothing predicts ({each})."
    ]
    train = [r for r in known if r.quantity != "test"]
    counted = [r for r in train if r.quantity in COMPARED]
    if len(counted) < len(train):
        said.append(
            f"Closer counts the mean, the final value and the rounds ({_closer(counted)} of {len(counted)}); "
            f"with the spread of the rounds it is {_closer(train)} of {len(train)}."
        )
    return said


def _held(rows: Sequence[TransferRow]) -> int:
    return sum(r.unchanged is not None and r.low <= r.unchanged <= r.high for r in rows)


def _closer(rows: Sequence[TransferRow]) -> int:
    return sum(
        r.unchanged is not None and abs(r.observed - r.predicted) < abs(r.observed - r.unchanged)
        for r in rows
    )


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
                    "deviance": step_profile(known, counts, query).deviances(steps),
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
