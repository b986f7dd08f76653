"""The fitted bandit and what it foretells, as plain values: estimates with intervals, residuals, checks."""

from dataclasses import asdict
from typing import Any

from analysis.fits.bandit import BanditFit, ConditionFit
from analysis.fits.bandit_query import QueryFit


def fitted(fit: BanditFit) -> dict[str, Any]:
    """A world's fit, without the paths of single runs."""
    return {
        "world": fit.world,
        "sentence": fit.sentence,
        "conditions": [_condition(c) for c in fit.conditions],
        "left_out": fit.left_out,
        "warnings": list(fit.warnings),
    }


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
