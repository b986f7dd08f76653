"""Forecasts scored: fit on the first entries, predict the later ones, log-loss per answer.

The loss of a cell with k of n right and forecast p is -(k/n) log p - (1 - k/n) log(1 - p) in nats, with p
clipped to [1e-4, 1 - 1e-4]; every cell of an item at an entry weighs the same, whatever its n. Settings are
chosen by the same score inside the entries that are fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fits.item_models import ItemFit, ItemModel
from analysis.fits.panel import FEWEST_ENTRIES, Panel
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
CLIP = 1e-4
FOLDS = (0.45, 0.5, 0.7)
"""Fractions of the fitted entries after which cross-validation cuts: it predicts the rest each time."""


@dataclass(frozen=True)
class Forecast:
    """One model's forecast of a panel's later entries.

    Attributes:
        model: Name of the model.
        fitted: The fit.
        loss_IT: Loss of each cell, NaN where nothing was measured.
    """

    model: str
    fitted: ItemFit
    loss_IT: Floats

    @property
    def mean(self) -> float:
        """Mean loss over all cells, nats per answer."""
        return float(np.nanmean(self.loss_IT))


def log_loss(p_IT: Floats, panel: Panel) -> Floats:
    """Loss of each cell, nats per answer, (I, T); NaN where nothing was measured.

    Args:
        p_IT: Forecast probabilities.
        panel: What was seen at those entries.
    """
    p_IT = np.clip(p_IT, CLIP, 1.0 - CLIP)
    rate_IT = panel.rates_IE()
    return np.asarray(-rate_IT * np.log(p_IT) - (1.0 - rate_IT) * np.log1p(-p_IT), dtype=np.float64)


def oracle(later: Panel) -> float:
    """Mean loss of a constant per item fitted to the scored entries themselves: what no constant can beat.

    Args:
        later: The scored entries.
    """
    rate_I = later.correct_IE.sum(axis=1) / np.maximum(later.n_IE.sum(axis=1), 1)
    return float(np.nanmean(log_loss(np.repeat(rate_I[:, None], later.num_entries, axis=1), later)))


def split(panel: Panel, entries: int, until: int | None = None) -> tuple[Panel, Panel]:
    """A panel's first entries, and the later ones that a forecast is scored on.

    Args:
        panel: Counts of items over time.
        entries: How many entries are fitted.
        until: First entry that is not scored; the end by default.

    Raises:
        InputError: Nothing is left to fit or to score.
    """
    stop = panel.num_entries if until is None else until
    if not FEWEST_ENTRIES <= entries < stop <= panel.num_entries:
        raise InputError(
            f"entries: must leave {FEWEST_ENTRIES} or more to fit and 1 or more to score of "
            f"{panel.num_entries}, got {entries} and until {stop}"
        )
    return panel.window(0, entries), panel.window(entries, stop)


def forecast(model: ItemModel, past: Panel, later: Panel | None) -> Forecast:
    """Fit a model on past entries and score it on later ones.

    Args:
        model: Which model.
        past: What it is fitted on.
        later: The same items afterwards; None scores nothing.
    """
    fitted = model.fit(past, True)
    if later is None:
        return Forecast(model.name, fitted, np.empty((past.num_items, 0)))
    return Forecast(model.name, fitted, log_loss(fitted.forecast(later.rounds_E), later))


def cross_validate(
    models: Sequence[ItemModel], panel: Panel, folds: Sequence[float] = FOLDS
) -> dict[str, tuple[float, ...]]:
    """Mean loss of models on the rest of a panel, fitted on its first entries, at each cut.

    Args:
        models: Which models.
        panel: Entries to choose settings by.
        folds: Fraction of the entries that is fitted, per cut.

    Returns:
        Model -> loss at each cut, nats per answer.
    """
    losses: dict[str, list[float]] = {model.name: [] for model in models}
    for fold in folds:
        cut = min(max(FEWEST_ENTRIES, round(fold * panel.num_entries)), panel.num_entries - 1)
        past, later = split(panel, cut)
        for model in models:
            found = model.fit(past, False).forecast(later.rounds_E)
            losses[model.name].append(float(np.nanmean(log_loss(found, later))))
    return {name: tuple(values) for name, values in losses.items()}


def select(models: Sequence[ItemModel], losses: Mapping[str, tuple[float, ...]]) -> ItemModel:
    """The model with the least mean loss over the cuts, the first of equal ones.

    Args:
        models: Candidates.
        losses: What `cross_validate` found.
    """
    return min(models, key=lambda model: sum(losses[model.name]))
