"""Trends and interior optima over a ladder of conditions, unit by unit.

Every seed meets every condition, so a seed has its own least-squares coefficients, and inference is that of
their mean over seeds: the seed is a random effect, and no model of the errors along the ladder is needed.
"""

import numpy as np
import numpy.typing as npt

from analysis.inference.equivalence import Difference, paired_difference
from analysis.inference.inversion import Inverted, invert, t_tails
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]


def mean_of(values_N: npt.ArrayLike) -> Difference:
    """A mean with its t distribution."""
    values = np.asarray(values_N, dtype=np.float64)
    return paired_difference(values, np.zeros_like(values))


def slopes(x_C: npt.ArrayLike, y_NC: npt.ArrayLike) -> Floats:
    """Least-squares slope of each unit's values over the ladder.

    Args:
        x_C: Position of each condition, at least two different ones.
        y_NC: Values of N units.

    Raises:
        InputError: Shapes that disagree, or positions that are all the same.
    """
    x, y = _ladder(x_C, y_NC, 2)
    centred = x - x.mean()
    return np.asarray(y @ centred / np.sum(centred**2), dtype=np.float64)


def line(x_N: npt.ArrayLike, y_N: npt.ArrayLike) -> Difference:
    """Least-squares slope over N units that stand at their own positions, with N - 2 degrees of freedom.

    Raises:
        InputError: Fewer than three units, or positions that are all the same.
    """
    x, y = np.asarray(x_N, dtype=np.float64), np.asarray(y_N, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or x.size < 3 or np.unique(x).size < 2:
        raise InputError(
            f"units: a slope needs three at different positions, got shapes {x.shape}, {y.shape}"
        )
    slope = float(slopes(x, y[None, :])[0])
    rest = y - y.mean() - slope * (x - x.mean())
    se = np.sqrt(np.sum(rest**2) / (x.size - 2) / np.sum((x - x.mean()) ** 2))
    return Difference(slope, float(se), x.size - 2.0, x.size)


def quadratic_argmax(
    x_C: npt.ArrayLike, y_NC: npt.ArrayLike, margins: tuple[float, ...] = (), *, candidates: int = 1601
) -> Inverted:
    """Where the mean quadratic a + b x + c x^2 over the ladder is largest, by Fieller's inversion.

    The maximum on [min x, max x] lies right of z where the slope b + 2 c z is positive at z and everywhere
    before; each z is a one-sample t test over units (Fieller 1954). A convex mean has no interior maximum:
    its estimate is the better end.

    Args:
        x_C: Positions, at least three different ones.
        y_NC: Values of N units.
        margins: Positions that a verdict will read; they are tested exactly.
        candidates: Other positions tested, to which the interval's ends are rounded outwards.

    Raises:
        InputError: Shapes that disagree, or too few positions.
    """
    x, y = _ladder(x_C, y_NC, 3)
    coefficients = np.linalg.lstsq(np.vander(x, 3, increasing=True), y.T, rcond=None)[0]
    _, b, c = coefficients
    grid = np.unique(np.concatenate([np.linspace(x.min(), x.max(), candidates), np.asarray(margins)]))
    above, below = t_tails(b + 2 * grid[:, None] * c)
    return invert(grid, above, below, _argmax(coefficients.mean(axis=1), x.min(), x.max()), y.shape[0])


def _argmax(coefficients: Floats, low: float, high: float) -> float:
    _, b, c = coefficients
    if c < 0:
        return float(np.clip(-b / (2 * c), low, high))
    return float(high if b * (high - low) + c * (high**2 - low**2) > 0 else low)


def _ladder(x_C: npt.ArrayLike, y_NC: npt.ArrayLike, fewest: int) -> tuple[Floats, Floats]:
    x, y = np.asarray(x_C, dtype=np.float64), np.asarray(y_NC, dtype=np.float64)
    if y.ndim != 2 or x.shape != y.shape[1:] or y.shape[0] < 1 or np.unique(x).size < fewest:
        raise InputError(
            f"ladder: need at least {fewest} different positions and units with a value at each, got shapes "
            f"{x.shape} and {y.shape}"
        )
    return x, y
