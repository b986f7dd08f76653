"""A contest of item models: settings by cross-validation inside the fitted entries, then a forecast each.

Forecasts are scored by log-loss per answer: fit on the first entries, predict the later ones. The loss of a
cell with k of n right and forecast p is -(k/n) log p - (1 - k/n) log(1 - p) in nats, with p clipped to [1e-4,
1 - 1e-4]; every cell of an item at an entry weighs the same, whatever its n. Settings are chosen by the same
score inside the entries that are fitted. Two forecasts of the same cells are compared with the items as the
independent units.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.fits.item_models import ItemFit, ItemModel
from analysis.fits.likelihood import wald
from analysis.fits.panel import FEWEST_ENTRIES, Panel
from analysis.inference.resampling import of_data
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


RESAMPLES = 10_000
FEWEST_RESAMPLED = 64
"""Items below which no percentile bootstrap is given: at 5 it covered .79 to .84, at 32 .91 to .93."""


@dataclass(frozen=True)
class Comparison:
    """Mean loss of one forecast minus that of another over the same cells.

    Attributes:
        difference: Nats per answer; negative where the first is better.
        low: Lower end of the t interval over items; None with one item.
        high: Its upper end.
        bootstrap_low: Lower end of the percentile bootstrap over items; None below `FEWEST_RESAMPLED` items.
        bootstrap_high: Its upper end.
        items: Number of items with a scored cell.
        better: Fraction of items on which the first is better.
        level: Nominal coverage of both intervals.
        resamples: Size of the bootstrap.
    """

    difference: float
    low: float | None
    high: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None
    items: int
    better: float
    level: float
    resamples: int


def compare(
    first_IT: Floats,
    second_IT: Floats,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two forecasts with items as clusters; every cell weighs the same.

    The mean over cells is a ratio of sums over items, so its standard error is that of a ratio estimator
    (Cochran 1977, §2.11), with Student's t on items - 1 degrees of freedom. What all items of one training
    run have in common, the interval does not cover.

    Args:
        first_IT: Losses, NaN where nothing was measured.
        second_IT: Those of the other forecast, measured at the same cells.
        rng: For the bootstrap.
        level: Nominal coverage.
        resamples: Size of the bootstrap.
    """
    from scipy.stats import t

    gap_IT = first_IT - second_IT
    cells_I = np.isfinite(gap_IT).sum(axis=1)
    total_I = np.nansum(gap_IT, axis=1)[cells_I > 0]
    cells_I = cells_I[cells_I > 0]
    items = cells_I.size
    difference = float(total_I.sum() / cells_I.sum())
    low = high = bootstrap_low = bootstrap_high = None
    if items > 1:
        residual_I = total_I - difference * cells_I
        error = float(np.sqrt(items / (items - 1) * (residual_I**2).sum()) / cells_I.sum())
        reach = float(t.ppf(0.5 + level / 2.0, items - 1)) * error
        low, high = difference - reach, difference + reach
    if items >= FEWEST_RESAMPLED:
        drawn_RI = rng.multinomial(items, np.full(items, 1.0 / items), size=resamples)
        ends = np.quantile((drawn_RI @ total_I) / (drawn_RI @ cells_I), [0.5 - level / 2, 0.5 + level / 2])
        bootstrap_low, bootstrap_high = ends.tolist()
    better = float((total_I < 0).mean())
    return Comparison(difference, low, high, bootstrap_low, bootstrap_high, items, better, level, resamples)


VARIANTS = "mechanisms"
"""Family of the variants in a table."""


@dataclass(frozen=True)
class Contest:
    """What came out.

    Attributes:
        entries: How many entries were fitted.
        until: First entry that was not scored, `entries` where none was.
        cells: Scored cells.
        cross_validation: Family -> setting -> mean loss at each cut inside the fitted entries.
        chosen: Family -> the setting that cross-validation chose.
        forecasts: Every setting's forecast that was made, by name.
        main: Setting whose forecast the others are compared with.
        comparisons: Other setting -> loss of `main` minus its loss; variant -> loss of the first variant
            minus its loss.
        variants: Names of the variants, which nothing was chosen among.
        oracle: Loss of a constant per item fitted to the scored entries; None where none was scored.
    """

    entries: int
    until: int
    cells: int
    cross_validation: dict[str, dict[str, tuple[float, ...]]]
    chosen: dict[str, str]
    forecasts: dict[str, Forecast]
    main: str
    comparisons: dict[str, Comparison]
    variants: tuple[str, ...]
    oracle: float | None


def contest(
    panel: Panel,
    families: Mapping[str, Sequence[ItemModel]],
    entries: int | None = None,
    until: int | None = None,
    main: str | None = None,
    variants: Sequence[ItemModel] = (),
    done: Callable[[str], None] | None = None,
) -> Contest:
    """Choose each family's setting, fit every setting of every family, and compare their forecasts with one.

    Every setting is scored, so that a reader sees what the choice cost; the choice itself reads nothing but
    the fitted entries.

    Args:
        panel: Counts of items over time.
        families: Family -> settings.
        entries: How many entries are fitted; all of them by default, and then nothing is scored.
        until: First entry that is not scored; the end by default.
        main: Family whose chosen setting the others are compared with; the last by default.
        variants: Models that are fitted and scored besides and compared with the first of them.
        done: Called with the name of each model once it is fitted.

    Raises:
        InputError: No family, or nothing is left to fit or to score.
    """
    if not families:
        raise InputError("models: must name at least one family")
    past, later = (panel, None) if entries is None else split(panel, entries, until)
    found = {name: cross_validate(models, past) for name, models in families.items()}
    chosen = {name: select(models, found[name]).name for name, models in families.items()}
    every = [*(model for models in families.values() for model in models), *variants]
    forecasts: dict[str, Forecast] = {}
    for model in every:
        forecasts[model.name] = forecast(model, past, later)
        if done:
            done(model.name)
    first = chosen[main or list(families)[-1]]
    names = tuple(model.name for model in variants)
    comparisons = {
        name: _compared(forecasts[other], forecasts[name])
        for name, other in ((name, names[0] if name in names else first) for name in forecasts)
        if name != other and later is not None
    }
    return Contest(
        past.num_entries,
        past.num_entries + (0 if later is None else later.num_entries),
        int(np.isfinite(forecasts[first].loss_IT).sum()),
        found,
        chosen,
        forecasts,
        first,
        comparisons,
        names,
        None if later is None else oracle(later),
    )


def _compared(first: Forecast, second: Forecast) -> Comparison:
    losses = first.loss_IT, second.loss_IT
    return compare(*losses, of_data(*losses))


def best_forecast(result: Contest) -> dict[str, Any]:
    """The model of the least loss, and which are not shown to be worse; items are the units.

    Of the scored entries; where none was scored, of cross-validation, whose means have no interval.
    """
    folds = {name: losses for family in result.cross_validation.values() for name, losses in family.items()}
    scored = {name: one.mean for name, one in result.forecasts.items()} if result.cells else {}
    loss = scored or {name: sum(of) / len(of) for name, of in folds.items()}
    best, *others = sorted(loss, key=lambda name: loss[name])
    gaps = {}
    for name in others if result.cells else ():
        losses = result.forecasts[name].loss_IT, result.forecasts[best].loss_IT
        gaps[name] = compare(*losses, of_data(*losses), resamples=1)
    following = others[0] if others else None
    gap = gaps.get(following or "")
    return {
        "best": best,
        "next": following,
        "by": loss[following] - loss[best] if following else None,
        "low": gap.low if gap else None,
        "high": gap.high if gap else None,
        "not_distinguished_from": [n for n, of in gaps.items() if of.low is None or of.low <= 0.0],
        "fitted": result.entries,
        "scored": result.until - result.entries,
        "units": "items",
    }


def rows(result: Contest) -> list[dict[str, Any]]:
    """A contest as one row of plain numbers per setting and variant, in the order of the registry."""
    family = {setting: name for name, losses in result.cross_validation.items() for setting in losses}
    return [
        {
            "family": family.get(name, VARIANTS),
            "model": name,
            "chosen": name in result.chosen.values(),
            "cross_validation": list(result.cross_validation.get(family.get(name, ""), {}).get(name, ())),
            "log_loss": one.mean if result.cells else None,
            "log_likelihood": _finite(one.fitted.fit.log_likelihood),
            "df": one.fitted.df,
            "aic": _finite(one.fitted.aic),
            "bic": _finite(one.fitted.bic),
            "parameters": parameter_rows(one.fitted),
            "extra": one.fitted.extra,
            "warnings": [*one.fitted.warnings, *((one.fitted.refused,) if one.fitted.refused else ())],
            "compared_with": result.variants[0] if name in result.variants else result.main,
            "comparison": asdict(result.comparisons[name]) if name in result.comparisons else None,
        }
        for name, one in result.forecasts.items()
    ]


def parameter_rows(fitted: ItemFit) -> list[dict[str, Any]]:
    """Parameters with their Wald intervals, None where there is none or they are refused."""
    found = []
    for name, meaning in zip(fitted.fit.names, fitted.meanings, strict=True):
        low, high = (None, None) if fitted.refused else wald(fitted.fit, name)
        estimate = fitted.fit[name]
        found.append({"name": name, "estimate": estimate, "low": low, "high": high, "meaning": meaning})
    return found


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
