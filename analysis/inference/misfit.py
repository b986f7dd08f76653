"""Whether the mean over a ladder of conditions is a polynomial: Hotelling's test of what is left of it.

Every seed meets every condition, so a seed has its own contrasts beyond the polynomial, whose means are all 0
where the mean curve fits. The test allows any covariance of a seed's values, and is exact for normal ones.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc

from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
FLAT = 1e-10
"""Variance of a contrast, relative to the square of the largest value, that counts as none."""


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
