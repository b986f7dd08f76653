"""Maximum-likelihood fits of few parameters, and profile-likelihood intervals that say where there is none.

An interval holds the values of one parameter whose profile deviance, twice the loss in log-likelihood after
all other parameters have been fitted anew, stays below a cutoff: the chi-squared quantile, or, where the data
are `df + 1` independent units with a spread of their own, the value that makes the interval for a normal mean
exactly Student's. A side on which the deviance never gets there has no limit: the data do not identify the
parameter in that direction.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError

Floats = NDArray[np.float64]
Loss = Callable[[Floats], float]
"""Parameters -> negative log-likelihood; infinite where they are impossible."""
Bounds = Sequence[tuple[float, float]]
DOUBLINGS = 14
"""How often a search for the cutoff doubles its distance before the profile counts as flat."""
DIFFERENCE = 1e-4
"""Relative step of second derivatives."""
FORWARD = 1e-7
"""Relative step of gradients."""
TOLERANCE = 2e-3
"""Precision of a limit, in units of the signed root of the deviance."""
MOST_STEPS = 60


@dataclass(frozen=True)
class Fit:
    """A maximum-likelihood fit.

    Attributes:
        names: Parameters, in the order of `estimate`.
        estimate: Their maximum-likelihood values, (P,).
        log_likelihood: At the estimate, nats.
        covariance: Inverse of the observed information, (P, P); NaN rows for parameters at a bound or where
            the likelihood does not curve.
        converged: Whether the search ended at a maximum.
        n: Independent observations, for BIC.
        bounds: Edges of the parameter space, one pair a parameter; None where it has none.
    """

    names: tuple[str, ...]
    estimate: Floats
    log_likelihood: float
    covariance: Floats
    converged: bool
    n: int
    bounds: tuple[tuple[float, float], ...] | None = None

    def __getitem__(self, name: str) -> float:
        return float(self.estimate[self._place(name)])

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 P - 2 log L."""
        return 2.0 * len(self.names) - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, P log n - 2 log L."""
        return len(self.names) * math.log(self.n) - 2.0 * self.log_likelihood

    def standard_error(self, name: str) -> float:
        """Root of the parameter's variance; NaN where it has none."""
        place = self._place(name)
        variance = float(self.covariance[place, place])
        return math.sqrt(variance) if variance > 0 else math.nan

    def at_bound(self, name: str) -> bool:
        """Whether the estimate lies on an edge of the parameter space."""
        if self.bounds is None:
            return False
        place = self._place(name)
        low, high = self.bounds[place]
        return _on_edge(float(self.estimate[place]), low, high)

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise InputError(f"name: must be one of {', '.join(self.names)}, got {name!r}")
        return self.names.index(name)


@dataclass(frozen=True)
class Interval:
    """A profile-likelihood interval.

    Attributes:
        low: Lower limit; None where there is none.
        high: Upper limit; None where there is none.
        bounded: Whether each side has a limit (an edge of the parameter space is one).
        level: Nominal coverage.
    """

    low: float | None
    high: float | None
    bounded: tuple[bool, bool]
    level: float

    @property
    def identified(self) -> bool:
        """Whether both sides have a limit."""
        return all(self.bounded)


def maximise(
    loss: Loss,
    starts: Sequence[Sequence[float]],
    names: Sequence[str],
    *,
    n: int,
    bounds: Bounds | None = None,
) -> Fit:
    """Best of several local searches.

    Args:
        loss: Negative log-likelihood.
        starts: Starting points, (P,) each; at least one must have a finite loss.
        names: Parameters.
        n: Independent observations, for BIC.
        bounds: Edges of the parameter space.

    Raises:
        InputError: No starting point is possible.
    """
    from scipy.optimize import minimize

    best = None
    for start in starts:
        x0 = np.array(start, dtype=np.float64)
        if not math.isfinite(loss(x0)):
            continue
        found = minimize(_with_gradient(loss, bounds), x0, method="L-BFGS-B", jac=True, bounds=bounds)
        found = minimize(loss, found.x, method="Nelder-Mead", bounds=bounds, options=_precise(found.x))
        if best is None or found.fun < best.fun:
            best = found
    if best is None:
        raise InputError(f"starts: the likelihood of {', '.join(names)} is zero at every starting point")
    edges = None if bounds is None else tuple((float(low), float(high)) for low, high in bounds)
    estimate = np.asarray(best.x, dtype=np.float64)
    covariance = _covariance(loss, estimate, edges)
    return Fit(tuple(names), estimate, -float(best.fun), covariance, bool(best.success), n, edges)


def profile_interval(
    negative_log_likelihood: Loss, fit: Fit, name: str, level: float = 0.95, *, df: int | None = None
) -> Interval:
    """Profile-likelihood interval of one parameter.

    Args:
        negative_log_likelihood: Of all parameters, (P,).
        fit: Its maximum.
        name: Which parameter.
        level: Nominal coverage, in (0, 1).
        df: Independent units minus one, where the units' own spread is fitted; none: chi-squared.

    Raises:
        InputError: The parameter is unknown, or the level is not a probability.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level: must lie strictly between 0 and 1, got {level!r}")
    place, reach = fit._place(name), math.sqrt(cutoff(level, df))
    low = _limit(negative_log_likelihood, fit, place, -1.0, reach)
    high = _limit(negative_log_likelihood, fit, place, 1.0, reach)
    return Interval(low, high, (low is not None, high is not None), level)


def cutoff(level: float, df: int | None = None) -> float:
    """Deviance at which an interval ends: chi-squared with 1 degree of freedom, or Student's with ``df``.

    A normal mean of df + 1 units with unknown spread has the deviance (df + 1) log(1 + t^2/df).
    """
    from scipy.stats import chi2, t

    if df is None:
        return float(chi2.ppf(level, 1))
    quantile = float(t.ppf(0.5 + level / 2.0, df))
    return (df + 1) * math.log1p(quantile**2 / df)


def _limit(loss: Loss, fit: Fit, place: int, side: float, reach: float) -> float | None:
    """Where the signed root of the profile deviance passes ``reach`` on one side of the estimate."""
    centre, best = float(fit.estimate[place]), -fit.log_likelihood
    edge = math.inf if fit.bounds is None else side * fit.bounds[place][side > 0]
    room = edge - side * centre
    if room <= 0.0:
        return centre
    warm = np.delete(fit.estimate, place)

    def root(distance: float) -> float:
        nonlocal warm
        value, others = _refit(loss, fit, place, centre + side * distance, warm)
        if value - best < reach**2:  # a refit far beyond the cutoff may be lost: none starts there
            warm = others
        return math.sqrt(min(max(2.0 * (value - best), 0.0), 1e12)) - reach

    error = fit.standard_error(fit.names[place])
    step = error if math.isfinite(error) else 0.1 * max(1.0, abs(centre))
    inner, short = 0.0, -reach
    outer = min(reach * step, room)
    for _ in range(DOUBLINGS):
        over = root(outer)
        if over >= 0.0:
            return centre + side * _crossing(root, (inner, short), (outer, over))
        if outer >= room:
            return side * edge
        inner, short, outer = outer, over, min(2.0 * outer, room)
    return None


def _crossing(root: Callable[[float], float], low: tuple[float, float], high: tuple[float, float]) -> float:
    """Zero between two points with their values, by the Illinois rule (false position that cannot stall)."""
    (a, f_a), (b, f_b) = low, high
    for _ in range(MOST_STEPS):
        if abs(f_b) <= TOLERANCE:
            break
        c = (a * f_b - b * f_a) / (f_b - f_a)
        f_c = root(c)
        if f_c * f_b < 0.0:
            a, f_a = b, f_b
        else:
            f_a /= 2.0
        b, f_b = c, f_c
    return b


def _refit(loss: Loss, fit: Fit, place: int, value: float, warm: Floats) -> tuple[float, Floats]:
    """Least loss over the other parameters, and where."""
    from scipy.optimize import minimize

    def at(others: Floats) -> float:
        return loss(np.insert(others, place, value))

    if warm.size == 0:
        return at(warm), warm
    bounds = None if fit.bounds is None else [b for i, b in enumerate(fit.bounds) if i != place]
    found = minimize(_with_gradient(at, bounds), warm, method="L-BFGS-B", jac=True, bounds=bounds)
    if not found.success:
        found = minimize(at, found.x, method="Nelder-Mead", bounds=bounds, options=_precise(found.x))
    return float(found.fun), np.asarray(found.x, dtype=np.float64)


def _with_gradient(loss: Loss, bounds: Bounds | None) -> Callable[[Floats], tuple[float, Floats]]:
    """The loss with its gradient by forward differences, backward ones at an upper bound."""

    def value(x: Floats) -> tuple[float, Floats]:
        here, gradient = loss(x), np.zeros(x.size)
        for i in range(x.size if math.isfinite(here) else 0):
            step = FORWARD * max(1.0, abs(float(x[i])))
            if bounds is not None and x[i] + step > bounds[i][1]:
                step = -step
            moved = x.copy()
            moved[i] += step
            gradient[i] = (loss(moved) - here) / step
        return here, gradient

    return value


def _precise(x: Floats) -> dict[str, float]:
    return {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 400 * x.size}


def _on_edge(value: float, low: float, high: float) -> bool:
    near = DIFFERENCE * max(1.0, abs(value))
    return value - low <= near or high - value <= near


def _covariance(loss: Loss, x: Floats, bounds: tuple[tuple[float, float], ...] | None) -> Floats:
    """Inverse Hessian by central differences, over the parameters that lie inside their bounds."""
    step = DIFFERENCE * np.maximum(1.0, np.abs(x))
    inside = [i for i in range(x.size) if bounds is None or not _on_edge(float(x[i]), *bounds[i])]
    hessian = np.full((len(inside), len(inside)), np.nan)

    def at(*moves: tuple[int, float]) -> float:
        moved = x.copy()
        for i, by in moves:
            moved[i] += by * step[i]
        return loss(moved)

    here = loss(x)
    for a, i in enumerate(inside):
        hessian[a, a] = (at((i, 1)) - 2.0 * here + at((i, -1))) / step[i] ** 2
        for b, j in enumerate(inside[:a]):
            mixed = at((i, 1), (j, 1)) - at((i, 1), (j, -1)) - at((i, -1), (j, 1)) + at((i, -1), (j, -1))
            hessian[a, b] = hessian[b, a] = mixed / (4.0 * step[i] * step[j])
    out = np.full((x.size, x.size), np.nan)
    if np.all(np.isfinite(hessian)) and inside and np.all(np.linalg.eigvalsh(hessian) > 0):
        out[np.ix_(inside, inside)] = np.linalg.inv(hessian)
    return out
