"""A law of rounds that costs much at each Pass@1, read off between knots of the log-odds.

Moments are smooth in the log-odds. Knots lie 1/32 apart and are computed when first needed; between them a
cubic through the four nearest, of relative error about 1e-7.
"""

import numpy as np
from numpy.typing import ArrayLike

from banditrft.theory.batches import BatchLaw
from banditrft.theory.groups import GroupLaw
from banditrft.theory.moments import Floats, RoundMoments

SPACING = 0.03125
AHEAD = 16
"""Knots computed at once beyond those that are needed."""
CELLS = 200_000
"""States times knots evaluated at once."""
CHEAP = 256
"""States up to which a law of honest rewards without penalty is evaluated directly."""
NAMES = tuple(RoundMoments.__dataclass_fields__)
FLOOR_F = np.array([-np.inf if name in ("drift", "third", "push") else 0.0 for name in NAMES])
"""Least value of each moment: what is not signed does not fall below 0 between knots."""


class TabulatedLaw:
    """A law's moments by interpolation.

    Args:
        law: The law itself.
    """

    def __init__(self, law: GroupLaw | BatchLaw) -> None:
        self.law = law
        self._first = 0
        self._knots_KF = np.empty((0, len(NAMES)))

    def moments(self, log_odds: ArrayLike) -> RoundMoments:
        """Moments of one round at p = sigmoid(log_odds), of its shape."""
        place = np.asarray(log_odds, dtype=np.float64) / SPACING
        knot = np.floor(place).astype(np.int64)
        self._reach(int(knot.min()) - 1, int(knot.max()) + 2)
        part = (place - knot)[..., None]
        at = knot - self._first
        weights = (
            -part * (part - 1.0) * (part - 2.0) / 6.0,
            (part + 1.0) * (part - 1.0) * (part - 2.0) / 2.0,
            -(part + 1.0) * part * (part - 2.0) / 2.0,
            (part + 1.0) * part * (part - 1.0) / 6.0,
        )
        found = np.zeros((*place.shape, len(NAMES)))
        for k, weight in zip((-1, 0, 1, 2), weights, strict=True):
            found += weight * self._knots_KF[at + k]
        np.maximum(found, FLOOR_F, out=found)
        return RoundMoments(*(found[..., f] for f in range(len(NAMES))))

    def brief(self, log_odds: float) -> tuple[float, float, float, float]:
        """E[u], E[u^2] and the two energies at one value."""
        now = self.moments(log_odds)
        return float(now.drift), float(now.second), float(now.correct_energy), float(now.wrong_energy)

    def _reach(self, low: int, high: int) -> None:
        """Have knots ``low`` to ``high``, both included."""
        if len(self._knots_KF) == 0:
            self._first = low
            self._knots_KF = self._at(low, high + AHEAD)
        if low < self._first:
            self._knots_KF = np.concatenate([self._at(low - AHEAD, self._first - 1), self._knots_KF])
            self._first = low - AHEAD
        last = self._first + len(self._knots_KF) - 1
        if high > last:
            self._knots_KF = np.concatenate([self._knots_KF, self._at(last + 1, high + AHEAD)])

    def _at(self, low: int, high: int) -> Floats:
        states = self.law.low_S.size if isinstance(self.law, GroupLaw) else 1
        x_K = np.arange(low, high + 1) * SPACING
        parts = np.array_split(x_K, max(len(x_K) * states // CELLS, 1))
        found = [self.law.moments(part) for part in parts]
        rows = [np.stack([getattr(now, name) for name in NAMES], axis=-1) for now in found if now.drift.size]
        return np.concatenate(rows)


def quick(law: GroupLaw | BatchLaw) -> GroupLaw | TabulatedLaw:
    """The law itself where it is cheap to evaluate, its table elsewhere."""
    if isinstance(law, GroupLaw) and law.low_S.size <= CHEAP and law.honest and law.penalty is None:
        return law
    return TabulatedLaw(law)
