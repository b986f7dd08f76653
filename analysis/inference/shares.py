"""How much of the spread of results is the world's and how much the design's: a two-way decomposition."""

import numpy as np
import numpy.typing as npt

from analysis.inference.equivalence import Difference
from analysis.inference.spread import jackknife
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]


def log_variance_ratio(y_SWC: npt.ArrayLike) -> Difference:
    """Logarithm of Var(world means) / Var(condition means), by jackknife over seeds.

    World means are over conditions and seeds, condition means over worlds and seeds: the main effects of a
    balanced table. Seeds are shared by all cells, so they are the units that are left out.

    Args:
        y_SWC: (S seeds, W worlds, C conditions) results.

    Raises:
        InputError: Fewer than three seeds, two worlds or two conditions.
    """
    y = np.asarray(y_SWC, dtype=np.float64)
    if y.ndim != 3 or y.shape[0] < 3 or min(y.shape[1:]) < 2:
        raise InputError(f"table: need seeds >= 3, worlds >= 2 and conditions >= 2, got shape {y.shape}")

    def statistic(rows: npt.NDArray[np.int64]) -> float:
        worlds, designs = main_effects(y[rows].mean(axis=0))
        return float(np.log(worlds / designs)) if min(worlds, designs) > 0 else float("nan")

    return jackknife(statistic, y.shape[0])


def main_effects(mean_WC: Floats) -> tuple[float, float]:
    """Variances of world means and of condition means of a table of cell means."""
    return float(mean_WC.mean(axis=1).var(ddof=1)), float(mean_WC.mean(axis=0).var(ddof=1))


def share(log_ratio: float) -> float:
    """World's share of the two variances, from the logarithm of their ratio."""
    return float(1 / (1 + np.exp(-log_ratio)))
