"""Along a ladder of conditions: the slope, the place of the maximum, and whether a polynomial fits.

Every seed meets every condition, so a seed has its own least-squares coefficients, and inference is that of
their mean over seeds: the seed is a random effect, and no model of the errors along the ladder is needed.

A condition is left out of the set of best ones where another one is shown to be better (multiple
comparisons with the best, Hsu 1981), which takes no curve for granted. A quadratic's maximum is narrower,
about a wrong curve as well as about a right one, and few units show no misfit: it is read together with the
set, and where it is shown not to fit (Hotelling's test of what is left of the curve), not at all.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc

from analysis.inference.inversion import Inverted, invert, t_tails
from analysis.inference.means import Difference, settled
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
FLAT = 1e-10
"""Variance of a contrast, relative to the square of the largest value, that counts as none."""
REJECTED = 0.01
"""p-value of lack of fit up to which the quadratic is given up."""
SLACK = 1e-9
"""Positions that differ by less are the same."""


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
    se = np.sqrt(settled(np.sum(rest**2) / (x.size - 2), y) / np.sum((x - x.mean()) ** 2))
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


@dataclass(frozen=True)
class Misfit:
    """Hotelling's test that the mean contrasts beyond a polynomial are 0.

    Attributes:
        f: T^2 scaled to an F statistic, nan where nothing was tested.
        df: Its degrees of freedom, contrasts and units minus contrasts.
        p: p-value, nan where nothing was tested.
        of: Contrasts beyond the polynomial that the ladder has; `df[0]` of them are tested.
        n: Units.
    """

    f: float
    df: tuple[int, int]
    p: float
    of: int
    n: int

    @property
    def tested(self) -> bool:
        """Whether there was anything to test, and units to test it with."""
        return self.df[0] > 0

    @property
    def whole(self) -> bool:
        """Whether every contrast beyond the polynomial was tested, and there is one."""
        return self.df[0] == self.of > 0


def misfit(x_C: npt.ArrayLike, y_NC: npt.ArrayLike, degree: int) -> Misfit:
    """Test the mean of N units over a ladder of C positions for departures from a polynomial.

    Contrasts are the orthogonal polynomials of the next degrees. Of few units only the first (N - 1) // 2 are
    asked, so that more degrees of freedom are left for the error than are spent; their number depends on the
    sizes alone, so that the test stays exact. Those that no units differ in are left out (Hotelling 1931).

    Args:
        x_C: Positions, all different.
        y_NC: Values of N units.
        degree: Of the polynomial; 1 is a line.

    Raises:
        InputError: Shapes that disagree, positions that repeat, or values that are not finite.
    """
    x, y = np.asarray(x_C, dtype=np.float64), np.asarray(y_NC, dtype=np.float64)
    if y.ndim != 2 or x.shape != y.shape[1:] or np.unique(x).size != x.size or not np.isfinite(y).all():
        raise InputError(
            f"ladder: need different positions and a finite value of every unit at each, got shapes "
            f"{x.shape} and {y.shape}"
        )
    n, of = y.shape[0], max(x.size - degree - 1, 0)
    asked = max(min(of, (n - 1) // 2), 0)
    if asked == 0:
        return Misfit(float("nan"), (0, 0), float("nan"), of, n)
    z_NQ = y @ orthogonal(x)[:, degree + 1 : degree + 1 + asked]
    variance, direction = np.linalg.eigh(np.atleast_2d(np.cov(z_NQ, rowvar=False)))
    varies = variance > FLAT * np.abs(y).max() ** 2
    q = int(varies.sum())
    if q == 0:
        return Misfit(float("nan"), (0, 0), float("nan"), of, n)
    means = z_NQ.mean(axis=0) @ direction[:, varies]
    f = n * float(np.sum(means**2 / variance[varies])) * (n - q) / (q * (n - 1))
    return Misfit(f, (q, n - q), float(fdtrc(q, n - q, f)), of, n)


def orthogonal(x_C: Floats) -> Floats:
    """(C, C) orthonormal polynomials over the positions, a column per degree from 0."""
    centred = x_C - x_C.mean()
    scaled = centred / max(float(np.abs(centred).max()), 1e-300)
    return np.asarray(np.linalg.qr(np.vander(scaled, increasing=True))[0])


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
