"""What is read from the records apart from the claims, as results and as JSON values: curves, paths, fits."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import chdtri

from analysis.curves.components import Decomposition, components
from analysis.curves.conditions import Summary, summaries
from analysis.curves.paths import PathComparison, PathTest, path_independence
from analysis.diagnosis import Sign, diagnose
from analysis.fits.bandit import MOST_RUNS, BanditFit, ConditionFit, fit_records
from analysis.fits.bandit_data import counts_of_runs
from analysis.fits.bandit_likelihood import Model, Surface, surface
from analysis.fits.bandit_query import QueryFit, step_profile
from analysis.fits.likelihood import cutoff
from analysis.fits.unseen import COMPARED, PredictedQuantity, UnseenConditions, predict_unseen
from analysis.loading.records import Records
from banditrft.errors import InputError
from banditrft.worlds import ImportedWorld, LLMWorld

Fits = Literal["models", "all", "none"]
"""Worlds that the bandit is fitted to: language models, all, none."""
CHANCE = 0.01
"""Probability of a larger sum of squared residuals, from chi-squared, below which a model does not fit."""
TWO_SIDED = 1.96
"""Standard errors that 95% of residuals stay within where the model holds."""
PLACES = 17
BEYOND = 0.6
"""How far beyond its interval a profile is drawn, as a share of the interval's half on that side."""
FLAT = 3.0
"""How far it is drawn on a side without a limit, in log-step."""


@dataclass(frozen=True)
class Further:
    """Results of the other rooms.

    Attributes:
        summaries: Area, crossing, robust final value and improvement, one per condition and world.
        paths: Test against train Pass@1, one per world that has both.
        components: Variances taken apart.
        fits: The bandit fitted, one per world.
        profiles: Profile likelihoods of its steps, by world.
        transfer: What the minimal conditions' fits predict of the others, one per world.
        signs: Failure signatures tested.
        absent: Why something is not there, one sentence each.
    """

    summaries: tuple[Summary, ...]
    paths: tuple[PathTest, ...]
    components: tuple[Decomposition, ...]
    fits: tuple[BanditFit, ...]
    profiles: dict[str, list[dict[str, Any]]]
    transfer: tuple[UnseenConditions, ...]
    signs: tuple[Sign, ...]
    absent: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The same as JSON values; the points of the paths stand in their figures' data."""
        return {
            "summaries": [asdict(s) for s in self.summaries],
            "paths": [
                {k: v for k, v in asdict(p).items() if k != "points"}
                | {"evaluations": len(set(p.points[0].round))}
                | {"comparisons": [asdict(c) | {"said": said(c)} for c in p.comparisons]}
                for p in self.paths
            ],
            "components": [asdict(c) for c in self.components],
            "fits": [fitted(f) | {"profiles": self.profiles[f.world]} for f in self.fits],
            "transfer": [predicted(t) for t in self.transfer],
            "diagnosis": [asdict(s) for s in self.signs],
            "absent": list(self.absent),
        }


def said(comparison: PathComparison) -> str:
    """What was found of two paths in words that hold where both answers are shown."""
    low, high = comparison.interval
    apart = (low is not None and low > 0) or (high is not None and high < 0)
    same = comparison.found == "same path"
    return "within the margin, yet not equal" if same and apart else comparison.found


def further(records: Records, fits: Fits = "models") -> Further:
    """Everything apart from the claims that these records can give.

    Args:
        records: Records of a study.
        fits: Worlds that the bandit is fitted to, which takes seconds per condition.
    """
    absent: list[str] = []
    tests = [path_independence(records, name) for name in records.worlds if records.of(name)]
    absent += [f"Paths: {t.sentence}" for t in tests if not t.points]
    apart = components(records)
    if not apart:
        absent.append("Sources of variance: no condition has enough seeds of a query to take them apart.")
    known: list[BanditFit] = []
    unseen: list[UnseenConditions] = []
    for name, world in records.worlds.items():
        if not records.of(name) or fits == "none":
            continue
        if fits == "models" and not isinstance(world, LLMWorld):
            why = "imported" if isinstance(world, ImportedWorld) else "simulated and its gain known"
            absent.append(f"Fit: '{name}' is {why}; it is fitted on request (--fits all).")
            continue
        try:
            known.append(fit_records(records, name))
            unseen.append(predict_unseen(records, name, known=known[-1]))
        except InputError as error:
            absent.append(f"Fit: {error}.")
    return Further(
        summaries=tuple(s for name in records.worlds if records.of(name) for s in summaries(records, name)),
        paths=tuple(t for t in tests if t.points),
        components=apart,
        fits=tuple(known),
        profiles={f.world: profiles(records, f) for f in known},
        transfer=tuple(unseen),
        signs=tuple(diagnose(records)),
        absent=tuple(absent),
    )


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


def predicted(test: UnseenConditions) -> dict[str, Any]:
    """A world's predictions; how many of their intervals also hold "nothing changed" joins the sentence."""
    return asdict(test) | {"sentence": " ".join([test.sentence, *_unchanged(test.rows)])}


def _unchanged(rows: Sequence[PredictedQuantity]) -> list[str]:
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


def _held(rows: Sequence[PredictedQuantity]) -> int:
    return sum(r.unchanged is not None and r.low <= r.unchanged <= r.high for r in rows)


def _closer(rows: Sequence[PredictedQuantity]) -> int:
    return sum(
        r.unchanged is not None and abs(r.observed - r.predicted) < abs(r.observed - r.unchanged)
        for r in rows
    )


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
