"""Two forecasts of the same cells compared, the items being the independent units."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """Mean loss of one forecast minus that of another over the same cells.

    Attributes:
        difference: Nats per answer; negative where the first is better.
        low: Lower end of the t interval over items.
        high: Its upper end.
        bootstrap_low: Lower end of the percentile bootstrap over items.
        bootstrap_high: Its upper end.
        items: Number of items with a scored cell.
        better: Fraction of items on which the first is better.
        level: Nominal coverage of both intervals.
        resamples: Size of the bootstrap.
    """

    difference: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float
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
    residual_I = total_I - difference * cells_I
    error = float(np.sqrt(items / (items - 1) * (residual_I**2).sum()) / cells_I.sum())
    reach = float(t.ppf(0.5 + level / 2.0, items - 1)) * error
    drawn_RI = rng.multinomial(items, np.full(items, 1.0 / items), size=resamples)
    low, high = np.quantile((drawn_RI @ total_I) / (drawn_RI @ cells_I), [0.5 - level / 2, 0.5 + level / 2])
    return Comparison(
        difference,
        difference - reach,
        difference + reach,
        float(low),
        float(high),
        items,
        float((total_I < 0).mean()),
        level,
        resamples,
    )
