"""The registry of item models: families, each with the settings that cross-validation chooses among.

References first, then the bandit: the two-parameter mean field without noise, and the walk on log-odds.
Below, the walk with one mechanism switched on or off at a time, to see what each earns.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from analysis.fits.item_models import Clock, ItemFit, ItemModel, fit_mean, fit_mixed_logistic
from analysis.fits.likelihood import Fit
from analysis.fits.panel import Panel
from analysis.fits.walk import Mechanisms, fit_walk

Floats = npt.NDArray[np.float64]
WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Answers that the population's fraction may count for in an item's mean."""
WALK = Mechanisms(own="none", loading=False, overdispersion=False)
"""The walk as it forecasts: shared transfer with tilt and fade, diffusion, a free start."""
MEAN_FIELD = replace(WALK, own="rollouts", fade="none", tilt=False, diffusion=False)
"""Own step and shared transfer alone, nothing random."""


def _mean(last: int | None, weight: float) -> ItemModel:
    what = "all" if last is None else f"the last {last}"
    return ItemModel(
        f"mean of {what} entries, weight {weight:g}",
        "reference",
        f"an item's own fraction over {what} entries, drawn to the population's by {weight:g} answers",
        lambda panel, errors: fit_mean(panel, last, weight),
    )


def _logistic(time: Clock) -> ItemModel:
    return ItemModel(
        f"hierarchical logistic in {time} time",
        "reference",
        "log-odds of each item are a line in time, lines are bivariate normal over items",
        lambda panel, errors: fit_mixed_logistic(panel, time, errors=errors),
    )


def walk(name: str, mechanisms: Mechanisms, sentence: str) -> ItemModel:
    """An item model from mechanisms.

    Args:
        name: What to call it.
        mechanisms: What moves the log-odds.
        sentence: What it says.
    """

    def fit(panel: Panel, errors: bool) -> ItemFit:
        return fit_walk(panel, mechanisms, errors=errors)

    return ItemModel(name, "theory §2, §3, §6, §9", sentence, fit)


def average(name: str, models: Sequence[ItemModel], sentence: str) -> ItemModel:
    """The even average of several models' forecasts, each fitted for itself.

    Args:
        name: What to call it.
        models: What is averaged.
        sentence: What it says.
    """

    def fit(panel: Panel, errors: bool) -> ItemFit:
        fits = [model.fit(panel, errors) for model in models]
        return _averaged([model.name for model in models], fits)

    return ItemModel(name, models[0].source, sentence, fit)


def _averaged(labels: Sequence[str], fits: Sequence[ItemFit]) -> ItemFit:
    sizes = np.cumsum([0, *(len(f.fit.names) for f in fits)])
    covariance = np.full((sizes[-1], sizes[-1]), np.nan)
    for start, stop, each in zip(sizes[:-1], sizes[1:], fits, strict=True):
        covariance[start:stop, start:stop] = each.fit.covariance
    labelled = list(zip(labels, fits, strict=True))
    joint = Fit(
        tuple(f"{label}: {name}" for label, f in labelled for name in f.fit.names),
        np.concatenate([f.fit.estimate for f in fits]),
        float("nan"),
        covariance,
        all(f.fit.converged for f in fits),
        fits[0].fit.n,
        tuple(pair for f in fits for pair in f.fit.bounds or ()),
    )
    return ItemFit(
        joint,
        None,
        tuple(meaning for f in fits for meaning in f.meanings),
        lambda rounds_T: np.asarray(np.mean([f.forecast(rounds_T) for f in fits], axis=0)),
        {f"{label}: log-likelihood": f.fit.log_likelihood for label, f in labelled},
        tuple(f"{label}: {warning}" for label, f in labelled for warning in f.warnings),
        next((f.refused for f in fits if f.refused), None),
    )


FADES = tuple(
    walk(f"walk, {fade} fade", replace(WALK, fade=fade), f"the walk whose transfer has {fade} fade")
    for fade in ("none", "power", "hyperbolic", "exponential")
)
AVERAGE = average(
    "walk, average over fades",
    FADES[:3],
    "even average of the walks without fade, with power and with hyperbolic fade",
)
MAIN = "bandit walk"
"""Family that the others are compared with."""
FAMILIES: dict[str, tuple[ItemModel, ...]] = {
    "constant per item": tuple(_mean(None, weight) for weight in WEIGHTS),
    "mean of the last five": tuple(_mean(5, weight) for weight in WEIGHTS),
    "hierarchical logistic": (_logistic("linear"), _logistic("log")),
    "mean field": (
        walk("mean field, own rollouts", MEAN_FIELD, "an item's own rewards and the population's push it"),
        walk("mean field, expected", replace(MEAN_FIELD, own="expected"), "the same by expected rewards"),
    ),
    MAIN: (*FADES, AVERAGE),
}
"""Family -> its settings, the first of equal ones being preferred."""


def ablations(base: Mechanisms = WALK) -> dict[str, ItemModel]:
    """The walk with one mechanism switched on or off.

    Args:
        base: The walk that is varied.
    """
    changed: dict[str, Mechanisms] = {
        "the walk": base,
        "without shared transfer, with own push": replace(base, transfer=False, own="rollouts"),
        "with own push too": replace(base, own="rollouts"),
        "without tilt": replace(base, tilt=False),
        "with further loadings": replace(base, loading=True),
        "without fade": replace(base, fade="none"),
        "without diffusion": replace(base, diffusion=False),
        "with overdispersion": replace(base, overdispersion=True),
        "with a normal start": replace(base, start="normal"),
        "with unreachable items": replace(base, unreachable=True),
        "nothing moves": replace(base, transfer=False, diffusion=False),
    }
    return {name: walk(name, mechanisms, name) for name, mechanisms in changed.items()}
