"""The best of a ladder of conditions without a curve, and which reading of its place the data allow.

A condition is left out of the set of best ones where another one is shown to be better (multiple comparisons
with the best, Hsu 1981), which takes no curve for granted. A quadratic's maximum is narrower, about a wrong
curve as well as about a right one, and few units show no misfit: it is read together with the set, and where
it is shown not to fit, not at all.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.inference.inversion import Inverted, t_tails
from analysis.inference.misfit import Misfit, misfit
from analysis.inference.slopes import quadratic_argmax
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
REJECTED = 0.01
"""p-value of lack of fit up to which the quadratic is given up."""
SLACK = 1e-9
"""Positions that differ by less are the same."""


@dataclass(frozen=True)
class BestRungs:
    """One test for each of C conditions of "no other one is better", read as a test of the best one's place.

    Attributes:
        x_C: Positions, rising.
        p_C: p-value of "this one is best".
        estimate: Position of the largest mean.
        n: Units.
        band: Closed range of positions that a verdict will read: its ends lie inside it.
    """

    x_C: Floats
    p_C: Floats
    estimate: float
    n: int
    band: tuple[float, float] = (-np.inf, np.inf)

    def p_above(self, x: float) -> float:
        """p-value of "the best one lies at x or below"; at the band's lower end, of "below x"."""
        reach = -SLACK if abs(x - self.band[0]) <= SLACK else SLACK
        return float(np.max(self.p_C, initial=0.0, where=self.x_C <= x + reach))

    def p_below(self, x: float) -> float:
        """p-value of "the best one lies at x or above"; at the band's upper end, of "above x"."""
        reach = -SLACK if abs(x - self.band[1]) <= SLACK else SLACK
        return float(np.max(self.p_C, initial=0.0, where=self.x_C >= x - reach))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Smallest and largest position of the set; both at once have the confidence 1 - alpha."""
        kept = self.x_C[self.members(alpha)]
        return float(kept[0]), float(kept[-1])

    def members(self, alpha: float) -> npt.NDArray[np.bool_]:
        """(C,) which conditions no other one is shown to be better than, at this error rate."""
        return np.asarray(self.p_C > alpha)


def best_rungs(
    x_C: npt.ArrayLike, y_NC: npt.ArrayLike, band: tuple[float, float] = (-np.inf, np.inf)
) -> BestRungs:
    """Confidence set of the condition with the largest mean, paired one-sided t tests and Bonferroni.

    "Condition c is best" is rejected where one of the C - 1 others is better at its share of the error rate:
    the set of those not rejected at alpha < 1/2 holds the best one with a confidence of at least 1 - alpha,
    whatever the covariance. Where several are best this is so for each of them. The set is never empty.

    Args:
        x_C: Positions, rising.
        y_NC: Values of N units.
        band: Closed range of positions that a verdict will read.

    Raises:
        InputError: Shapes that disagree, fewer than two positions or units, positions that do not rise, or
            values that are not finite.
    """
    x, y = np.asarray(x_C, dtype=np.float64), np.asarray(y_NC, dtype=np.float64)
    shaped = y.ndim == 2 and x.shape == y.shape[1:] and min(y.shape) >= 2
    if not shaped or not (np.diff(x) > 0).all() or not np.isfinite(y).all():
        raise InputError(
            f"ladder: need two rising positions and two units with a finite value at each, got shapes "
            f"{x.shape} and {y.shape}"
        )
    p = [_is_best(y, c) for c in range(x.size)]
    return BestRungs(x, np.array(p), float(x[int(np.argmax(y.mean(axis=0)))]), y.shape[0], band)


def _is_best(y_NC: Floats, c: int) -> float:
    """p-value of "no other column has a larger mean than this one"."""
    better = np.delete(y_NC, c, axis=1) - y_NC[:, [c]]
    above, _ = t_tails(better.T)
    return float(min(1.0, above.size * above.min()))


@dataclass(frozen=True)
class Both:
    """Two readings of one place that must agree: the larger p-value, and the interval that spans both."""

    curve: Inverted
    rungs: BestRungs

    @property
    def estimate(self) -> float:
        """Point estimate, the curve's."""
        return self.curve.estimate

    @property
    def n(self) -> int:
        """Units."""
        return self.rungs.n

    def p_above(self, x: float) -> float:
        """p-value of "the place is x or below"."""
        return max(self.curve.p_above(x), self.rungs.p_above(x))

    def p_below(self, x: float) -> float:
        """p-value of "the place is x or above"."""
        return max(self.curve.p_below(x), self.rungs.p_below(x))

    def interval(self, alpha: float) -> tuple[float, float]:
        """The smaller of both lower bounds, the larger of both upper ones."""
        lows, highs = zip(self.curve.interval(alpha), self.rungs.interval(alpha), strict=True)
        return min(lows), max(highs)


@dataclass(frozen=True)
class Place:
    """Where the mean over a ladder is largest, read both ways.

    Attributes:
        curve: Maximum of a quadratic (Fieller).
        rungs: The best of the conditions.
        fit: Lack of fit of the quadratic.
    """

    curve: Inverted
    rungs: BestRungs
    fit: Misfit

    @property
    def bent(self) -> bool:
        """Whether the quadratic is shown not to fit."""
        return self.fit.tested and self.fit.p <= REJECTED

    @property
    def read(self) -> Both | BestRungs:
        """What a verdict reads: the set alone where the quadratic does not fit, else both."""
        return self.rungs if self.bent else Both(self.curve, self.rungs)


def place(
    x_C: npt.ArrayLike, y_NC: npt.ArrayLike, band: tuple[float, float], candidates: int = 1601
) -> Place:
    """Read the place of a ladder's maximum; its interval always holds the set of best conditions.

    Args:
        x_C: Positions, at least three, rising.
        y_NC: Values of N units.
        band: Closed range of positions that a verdict will read.
        candidates: Positions at which the quadratic's maximum is tested.

    Raises:
        InputError: As `best_rungs`, and for fewer than three positions.
    """
    rungs = best_rungs(x_C, y_NC, band)
    return Place(quadratic_argmax(x_C, y_NC, band, candidates=candidates), rungs, misfit(x_C, y_NC, 2))
