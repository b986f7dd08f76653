"""The fitted bandit and what it foretells, as plain values: estimates with intervals, residuals, checks."""

from dataclasses import asdict
from typing import Any

from scipy.special import chdtri

from analysis.fits.bandit import BanditFit, ConditionFit
from analysis.fits.bandit_query import QueryFit

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
