"""Models of many items over time: fitted to a panel, each forecasts later entries.

What they have in common, and the two references without the bandit: an item's own mean, over all of its
entries or the last few; and the hierarchical logistic in time, in which item i answers at time t with success
probability sigmoid(u_i + v_i f(t)), (u_i, v_i) bivariate normal over items, f(t) = t or log(1 + t), scaled to
1 at the last entry. The integral over (u, v) is a sum over a fixed grid, so the marginal likelihood is exact
to the grid and the forecast averages over each item's posterior.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, gammaln, log_expit

from analysis.fits.likelihood import Fit, binomial, maximise_dear
from analysis.fits.panel import Panel, clock

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ItemFit:
    """An item model fitted to a panel.

    Attributes:
        fit: Parameters, no names where the model has none; its log-likelihood is of all counts of the panel,
            NaN where the model says nothing of some of them.
        df: Free numbers, for AIC and BIC; None where a distribution is free, which has no such number.
        meanings: What each parameter is.
        forecast: Later rounds, (T,) -> probability of a right answer, (I, T).
        extra: Further numbers that describe the fit, by name.
        warnings: What its reader must know.
        refused: Why the parameters get no intervals; None where they do.
    """

    fit: Fit
    df: int | None
    meanings: tuple[str, ...]
    forecast: Callable[[Floats], Floats]
    extra: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def aic(self) -> float:
        """Akaike's criterion; NaN without a log-likelihood or a number of parameters."""
        return math.nan if self.df is None else 2.0 * self.df - 2.0 * self.fit.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the items as independent observations; NaN likewise."""
        return math.nan if self.df is None else self.df * math.log(self.fit.n) - 2.0 * self.fit.log_likelihood


@dataclass(frozen=True)
class ItemModel:
    """One entry of the registry.

    Attributes:
        name: What it is called.
        source: Where it comes from.
        sentence: What it says.
        fit: Panel, and whether to compute standard errors -> fit.
    """

    name: str
    source: str
    sentence: str
    fit: Callable[[Panel, bool], ItemFit]


def bound_warnings(fit: Fit, *, errors: bool) -> tuple[str, ...]:
    """One sentence for each parameter that the data do not place inside its bounds.

    Args:
        fit: The fit.
        errors: Whether standard errors were computed.
    """
    stuck = [
        f"{name} ends at its bound, {fit[name]:.3g}: no interval" for name in fit.names if fit.at_bound(name)
    ]
    flat = [
        f"{name}: the likelihood does not curve there, so there is no interval"
        for name in fit.names
        if errors and not fit.at_bound(name) and not math.isfinite(fit.standard_error(name))
    ]
    return (*stuck, *flat, *(() if fit.converged else ("the search did not converge",)))


def fit_mean(panel: Panel, last: int | None = None, weight: float = 0.0) -> ItemFit:
    """Forecast each item by the fraction right over its last entries, drawn towards the population's.

    Args:
        panel: Counts of items over time.
        last: How many entries; all by default, and then the model has a likelihood. An item that missed them
            gets the population's fraction.
        weight: Answers that the population's fraction counts for; 0 draws towards nothing.
    """
    start = 0 if last is None else max(0, panel.num_entries - last)
    n_I = panel.n_IE[:, start:].sum(axis=1)
    correct_I = panel.correct_IE[:, start:].sum(axis=1)
    population = float(correct_I.sum() / n_I.sum())
    drawn_I = np.where(n_I + weight > 0, weight, 1.0)
    p_I = (correct_I + drawn_I * population) / (n_I + drawn_I)
    each_IE = binomial(panel.correct_IE, panel.n_IE, p_I[:, None])
    log_likelihood = float(each_IE.sum()) if last is None else math.nan
    fit = Fit((), np.zeros(0), log_likelihood, np.zeros((0, 0)), converged=True, n=panel.num_items)
    df = panel.num_items + (weight > 0)
    return ItemFit(fit, df, (), lambda rounds_T: np.repeat(p_I[:, None], rounds_T.size, axis=1))


Clock = Literal["linear", "log"]
LEVELS = np.linspace(-10.0, 10.0, 81)
SLOPES = np.linspace(-8.0, 8.0, 65)
NAMES = ("level", "slope", "level_sd", "slope_sd", "correlation")
MEANINGS = (
    "mean log-odds at the first entry",
    "mean gain in log-odds from the first to the last entry",
    "SD over items of the level",
    "SD over items of the slope",
    "correlation of level and slope over items",
)
BOUNDS = ((-8.0, 8.0), (-6.0, 6.0), (0.2, 8.0), (0.15, 6.0), (-0.98, 0.98))
"""The SDs start at what the grid can tell from 0."""
FEWEST_ITEMS = 64
"""Items from which on intervals are given: at 32 that of the slope covered .90, of the correlation .88."""
TOO_FEW = f"no intervals: below {FEWEST_ITEMS} items Wald's miss too often"


def fit_mixed_logistic(panel: Panel, time: Clock = "linear", *, errors: bool = True) -> ItemFit:
    """Fit the hierarchical logistic model to a panel by maximum marginal likelihood.

    Args:
        panel: Counts of items over time.
        time: f, what log-odds are linear in.
        errors: Whether to compute standard errors.
    """
    level_G, slope_G = (x.ravel() for x in np.meshgrid(LEVELS, SLOPES, indexing="ij"))
    time_E = _scaled(panel, panel.rounds_E, time)
    logit_GE = level_G[:, None] + slope_G[:, None] * time_E
    wrong_IE = panel.n_IE - panel.correct_IE
    log_IG = panel.correct_IE @ log_expit(logit_GE).T + wrong_IE @ log_expit(-logit_GE).T
    top_I = log_IG.max(axis=1)
    given_IG = np.exp(log_IG - top_I[:, None])
    ways = gammaln(panel.n_IE + 1.0) - gammaln(panel.correct_IE + 1.0) - gammaln(wrong_IE + 1.0)
    constant = float(top_I.sum() + ways.sum())

    def loss(x: Floats) -> float:
        with np.errstate(divide="ignore"):
            value = -float(np.log(given_IG @ _weights(x, level_G, slope_G)).sum()) - constant
        return value if math.isfinite(value) else 1e12

    start, scale = (0.0, 0.0, 2.0, 1.0, 0.0), (1.0, 1.0, 1.0, 1.0, 0.5)
    fit = maximise_dear(loss, start, NAMES, n=panel.num_items, bounds=BOUNDS, unit=scale, errors=errors)
    belief_IG = given_IG * _weights(fit.estimate, level_G, slope_G)
    belief_IG /= belief_IG.sum(axis=1, keepdims=True)

    def forecast(rounds_T: Floats) -> Floats:
        logit_GT = level_G[:, None] + slope_G[:, None] * _scaled(panel, rounds_T, time)
        return np.asarray(belief_IG @ expit(logit_GT), dtype=np.float64)

    refused = TOO_FEW if panel.num_items < FEWEST_ITEMS else None
    warnings = bound_warnings(fit, errors=errors)
    return ItemFit(fit, len(NAMES), MEANINGS, forecast, warnings=warnings, refused=refused)


def _scaled(panel: Panel, rounds_T: Floats, time: Clock) -> Floats:
    """Clock f of the rounds, 0 at the panel's first entry and 1 at its last."""
    times_T, end = clock(panel.rounds_E, rounds_T), float(panel.times_E[-1])
    return np.asarray(
        np.log1p(times_T) / math.log1p(end) if time == "log" else times_T / end, dtype=np.float64
    )


def _weights(x: Floats, level_G: Floats, slope_G: Floats) -> Floats:
    level, slope, level_sd, slope_sd, correlation = x.tolist()
    a_G, b_G = (level_G - level) / level_sd, (slope_G - slope) / slope_sd
    log_G = -0.5 * (a_G**2 - 2.0 * correlation * a_G * b_G + b_G**2) / (1.0 - correlation**2)
    weight_G = np.exp(log_G - log_G.max())
    return np.asarray(weight_G / weight_G.sum(), dtype=np.float64)
