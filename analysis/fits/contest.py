"""A contest of item models: settings by cross-validation inside the fitted entries, then a forecast each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.fits.compare import Comparison, compare
from analysis.fits.forecasting import Forecast, cross_validate, forecast, oracle, select, split
from analysis.fits.item_models import ItemFit, ItemModel, wald
from analysis.fits.panel import Panel
from analysis.inference.keyed import of_data
from banditrft.errors import InputError

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
        variants: Models that are fitted and scored beside them and compared with the first of them.

    Raises:
        InputError: No family, or nothing is left to fit or to score.
    """
    if not families:
        raise InputError("models: must name at least one family")
    past, later = (panel, None) if entries is None else split(panel, entries, until)
    found = {name: cross_validate(models, past) for name, models in families.items()}
    chosen = {name: select(models, found[name]).name for name, models in families.items()}
    every = [*(model for models in families.values() for model in models), *variants]
    forecasts = {model.name: forecast(model, past, later) for model in every}
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
