"""Two forecasts of the same cells compared, the items being the independent units."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
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
