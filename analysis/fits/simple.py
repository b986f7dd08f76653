"""Forecasts without dynamics: an item's own mean over all of its entries, or over the last few."""

import math

import numpy as np
import numpy.typing as npt

from analysis.fits.item_models import ItemFit
from analysis.fits.likelihood import binomial
from analysis.fits.panel import Panel
from analysis.fits.profile import Fit

Floats = npt.NDArray[np.float64]


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
