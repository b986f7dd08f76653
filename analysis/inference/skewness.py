"""Level at which a t bound is read so that it holds for skewed values as well as for normal ones.

A one-sided t test errs where values are skewed against it: at a nominal .05 and skewness 1/2 it rejects .071
to .078 of true hypotheses at 5 units and .060 to .063 at 32. Few units do not show their skewness, so the
level is lowered for all: a bound at level alpha is Student's at a smaller level, at which gamma, log-normal
and beta values of skewness up to `ALLOWED` either way are still within alpha. On the scale of normal scores z
the level moves by

    d(z) = REACH (2 z^2 + 1) / (6 sqrt(n)) / (1 + (z^2 / n)^2 / 2),

the first Edgeworth term of Student's statistic (Johnson 1978, Hall 1992) at a skewness of REACH, which is
more than `ALLOWED` because values with lighter tails than a gamma's need more. It is damped where it
overshoots, since far out the tail of few values is a constant times Student's (Hotelling 1961); the damping
was fitted to simulated gamma and beta values at 2 to 200 units and levels .2 to .0005 (docs/log.md).
"""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]
ALLOWED = 0.5
"""Skewness, third central moment over the cubed standard deviation, at which bounds still hold."""
REACH = 0.6
"""Skewness in the Edgeworth term."""
STEPS = 20
"""Fixed-point steps; each leaves less than a fifth of the error, since |d'(z)| < .2."""


def lowered(alpha: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """Level of Student's bound with `df` degrees of freedom whose error is at most `alpha` under skewness.

    Args:
        alpha: One-sided error rates in (0, 1).
        df: Degrees of freedom, positive; one value more counts as the number of units.
    """
    z = -ndtri(np.asarray(alpha, dtype=np.float64))
    return np.asarray(ndtr(-(z + _shift(z, df))))


def raised(p: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """p-value of Student's own under skewness: at most alpha iff Student's is at most `lowered(alpha)`.

    Args:
        p: Student's one-sided p-values in [0, 1].
        df: Degrees of freedom, as for :func:`lowered`.
    """
    students = -ndtri(np.asarray(p, dtype=np.float64))
    z = np.clip(students, -1e3, 1e3)
    for _ in range(STEPS):
        z = students - _shift(z, df)
    return np.asarray(ndtr(-z))


def skewness(values_N: npt.ArrayLike) -> float:
    """Sample skewness, Fisher's G1; 0 for fewer than three values or equal ones."""
    values = np.asarray(values_N, dtype=np.float64)
    n, centred = values.size, values - values.mean()
    second = float((centred**2).sum())
    if n < 3 or second <= 0:
        return 0.0
    third = float((centred**3).sum()) * n / ((n - 1) * (n - 2))
    return float(third / (second / (n - 1)) ** 1.5)


def beyond(skew: float, n: int) -> bool:
    """Whether n units show a skewness beyond what bounds allow for, by more than its standard error."""
    return bool(abs(skew) - ALLOWED > np.sqrt(6 / n))


def _shift(z: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    square, n = np.square(np.minimum(np.abs(z), 1e3)), np.asarray(df, dtype=np.float64) + 1.0
    return np.asarray(REACH * (2 * square + 1) / (6 * np.sqrt(n)) / (1 + (square / n) ** 2 / 2))
