"""Variance between worlds and between designs, seeds crossed with both: means with their noise subtracted.

Worlds (model and data set) and designs are those of the study, not a sample, so a component is the variance
of the means that these would have with infinitely many seeds: the variance of the observed means minus what
the seeds put into it, which is known from how the same contrasts vary from seed to seed.
"""

import math

import numpy as np
import numpy.typing as npt

from analysis.curves.nested import Component, shares
from analysis.inference.shares import log_variance_ratio, share
from analysis.inference.spread import jackknife
from analysis.verdict import Interval, bounded
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
NAMES = ("worlds", "designs", "worlds x designs", "seeds and evaluation")


def effects(y_SWC: Floats) -> Floats:
    """Components in the order of `NAMES`, unbiased, so that they may be negative.

    Args:
        y_SWC: (S seeds, W worlds, C conditions) results.
    """
    seeds, worlds, designs = y_SWC.shape
    centred = y_SWC - y_SWC.mean(axis=(1, 2), keepdims=True)
    of_world, of_design = centred.mean(axis=2), centred.mean(axis=1)
    rest = centred - of_world[:, :, None] - of_design[:, None, :]
    found = [
        float((z.mean(axis=0) ** 2).sum() - z.var(axis=0, ddof=1).sum() / seeds) / freedom
        for z, freedom in (
            (of_world, worlds - 1),
            (of_design, designs - 1),
            (rest, (worlds - 1) * (designs - 1)),
        )
    ]
    return np.array([*found, y_SWC.var(axis=0, ddof=1).mean()], dtype=np.float64)


def crossed(y_SWC: npt.ArrayLike, level: float = 0.95) -> tuple[Component, ...]:
    """Components of a balanced table with jackknife intervals over seeds on their logarithms.

    An end is None where leaving out one seed makes the component negative.

    Args:
        y_SWC: (S seeds, W worlds, C conditions) results.
        level: Two-sided confidence.

    Raises:
        InputError: Fewer than four seeds (a variance over three must be left), two worlds or two conditions.
    """
    y = np.asarray(y_SWC, dtype=np.float64)
    if y.ndim != 3 or y.shape[0] < 4 or min(y.shape[1:]) < 2:
        raise InputError(f"table: need seeds >= 4, worlds >= 2 and conditions >= 2, got shape {y.shape}")
    found = effects(y)
    parts = [(name, float(found[i]), _interval(y, i, level)) for i, name in enumerate(NAMES)]
    return shares(parts)


def world_share(y_SWC: npt.ArrayLike, level: float = 0.95) -> tuple[float | None, Interval]:
    """Worlds' share of the variances of world means and design means, as claim B7 reads it.

    Args:
        y_SWC: (S seeds, W worlds, C conditions) results.
        level: Two-sided confidence.

    Raises:
        InputError: As :func:`analysis.inference.shares.log_variance_ratio`.
    """
    ratio = log_variance_ratio(y_SWC)
    if not (math.isfinite(ratio.estimate) and math.isfinite(ratio.se)):
        return None, (None, None)
    low, high = ratio.interval((1 - level) / 2)
    return share(ratio.estimate), (share(low), share(high))


def _interval(y_SWC: Floats, part: int, level: float) -> Interval:
    def statistic(rows: npt.NDArray[np.int64]) -> float:
        value = float(effects(y_SWC[rows])[part])
        return math.log(value) if value > 0 else float("nan")

    found = jackknife(statistic, y_SWC.shape[0])
    if not (math.isfinite(found.estimate) and math.isfinite(found.se)):
        return None, None
    low, high = found.interval((1 - level) / 2)
    return bounded((math.exp(low), math.exp(high)))
