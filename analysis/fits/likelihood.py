"""Maximum likelihood for every fit: log-likelihoods of success counts, their maximum, and profile intervals.

*Counts* are binomial, or beta-binomial where they vary more than that. The beta-binomial is parametrised by
its mean p and the intra-class correlation rho of single answers: the success rate of a cell is Beta(p
(1-rho)/rho, (1-p)(1-rho)/rho), the count has variance n p (1-p) (1 + (n-1) rho), and rho = 0 is the binomial
(Griffiths, Biometrics 29, 1973). Values stay exact to rounding for any rho, because rising factorials of
large arguments are taken by Stirling's series instead of by differences of log-gammas.

The *maximum* is the best of several searches by the gradient, which a loss gives itself or which is taken by
differences. The optimum of a smaller model may be among the starts, so that the larger one is no worse.

A *profile interval* holds the values of one parameter whose profile deviance, twice the loss in
log-likelihood after all other parameters have been fitted anew, stays below a cutoff: the chi-squared
quantile, or, where the data are `df + 1` independent units with a spread of their own, the value that makes
the interval for a normal mean exactly Student's. A side on which the deviance never gets there has no limit:
the data do not identify the parameter in that direction.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from banditrft.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
Floats = NDArray[np.float64]
Loss = Callable[[Floats], float]
"""Parameters -> negative log-likelihood; infinite where they are impossible."""
Bounds = Sequence[tuple[float, float]]
LARGE = 20.0
"""Argument from which Stirling's series is exact to rounding."""
DOUBLINGS = 14
"""How often a search for the cutoff doubles its distance before the profile counts as flat."""
DIFFERENCE = 1e-4
"""Relative step of second derivatives."""
TOLERANCE = 1e-5
"""Precision of a limit, in units of the signed root of the deviance."""
MOST_STEPS = 60
ROUGH = {"ftol": 1e-7, "gtol": 1e-3, "maxiter": 200}
"""Where several searches start, the best of their rough ends is gone on with."""
PRECISE = {"ftol": 1e-11, "gtol": 1e-6, "maxiter": 400}
FLAT = 1e-2
"""Largest slope, per unit of the search scale, at which a search has ended at a maximum."""


def compiled(function: F) -> F:
    """A function compiled on first use, the result kept on disk; division by 0 is that of IEEE 754."""
    return cast(F, cast(Any, numba.njit)(cache=True, nogil=True, error_model="numpy")(function))


@compiled
def log_rising(start: float, count: float, scale: float) -> float:
    """Log of start (start+1) ... (start+count-1) / scale^count, exact to rounding for large arguments."""
    if count == 0.0:
        return 0.0
    if start <= 0.0:
        return -np.inf
    if start < LARGE:
        return math.lgamma(start + count) - math.lgamma(start) - count * math.log(scale)
    end = start + count
    between = (start - 0.5) * math.log1p(count / start) + count * math.log(end / scale) - count
    a, b = 1.0 / (end * end), 1.0 / (start * start)
    after = (1 / 12 - a * (1 / 360 - a * (1 / 1260 - a * (1 / 1680 - a / 1188)))) / end
    before = (1 / 12 - b * (1 / 360 - b * (1 / 1260 - b * (1 / 1680 - b / 1188)))) / start
    return between + after - before


@compiled
def log_clustered(k: float, n: float, right: float, wrong: float, size: float) -> float:
    """Beta-binomial log-likelihood of k of n without the number of ways.

    Args:
        k: Successes.
        n: Trials.
        right: First shape of the beta, p (1-rho)/rho.
        wrong: Second shape, (1-p) (1-rho)/rho.
        size: Their sum, (1-rho)/rho.
    """
    return log_rising(right, k, size) + log_rising(wrong, n - k, size) - log_rising(size, n, size)


@compiled
def _fill(k_N: Floats, n_N: Floats, p_N: Floats, rho_N: Floats, out_N: Floats) -> None:
    for i in range(len(k_N)):
        k, n, p, rho = k_N[i], n_N[i], p_N[i], rho_N[i]
        if rho > 0.0:
            size = (1.0 - rho) / rho
            out_N[i] = log_clustered(k, n, p * size, (1.0 - p) * size, size)
        else:
            right = k * math.log(p) if k > 0.0 else 0.0
            out_N[i] = right + (n - k) * math.log1p(-p) if n > k else right


def beta_binomial(correct: ArrayLike, n: ArrayLike, p: ArrayLike, rho: ArrayLike) -> Floats:
    """Log-probability of each count, in nats.

    Args:
        correct: Successes, 0..n; any shape, all arguments broadcast.
        n: Trials, 0 or more.
        p: Mean success rate, in [0, 1].
        rho: Intra-class correlation, in [0, 1); 0 is the binomial.

    Raises:
        InputError: An argument is outside its domain.
    """
    k, trials, mean, corr = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (correct, n, p, rho))
    )
    if not np.all((k >= 0) & (k <= trials)):
        raise InputError("correct: must lie in 0..n")
    if not np.all((mean >= 0) & (mean <= 1)):
        raise InputError(f"p: must lie in [0, 1], got {_outlier(mean, 0.0, 1.0)}")
    if not np.all((corr >= 0) & (corr < 1)):
        raise InputError(f"rho: must lie in [0, 1), got {_outlier(corr, 0.0, np.nextafter(1.0, 0.0))}")
    ways = gammaln(trials + 1.0) - gammaln(k + 1.0) - gammaln(trials - k + 1.0)
    out_N = np.empty(k.size)
    _fill(k.ravel(), trials.ravel(), mean.ravel(), corr.ravel(), out_N)
    return np.asarray(ways + out_N.reshape(k.shape))


def binomial(correct: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """:func:`beta_binomial` without overdispersion.

    Args:
        correct: Successes, 0..n; any shape, all arguments broadcast.
        n: Trials, 0 or more.
        p: Success rate, in [0, 1].

    Raises:
        InputError: An argument is outside its domain.
    """
    return beta_binomial(correct, n, p, 0.0)


def _outlier(values: Floats, low: float, high: float) -> float:
    return float(values[~((values >= low) & (values <= high))].flat[0])


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
        return float(self.estimate[self.place(name)])

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
        place = self.place(name)
        variance = float(self.covariance[place, place])
        return math.sqrt(variance) if variance > 0 else math.nan

    def at_bound(self, name: str) -> bool:
        """Whether the estimate lies on an edge of the parameter space."""
        if self.bounds is None:
            return False
        place = self.place(name)
        low, high = self.bounds[place]
        value = float(self.estimate[place])
        return _on_edge(value, low, high, DIFFERENCE * max(1.0, abs(value)))

    def place(self, name: str) -> int:
        """Where a parameter stands in `estimate`.

        Raises:
            InputError: There is no parameter of that name.
        """
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


@runtime_checkable
class Smooth(Protocol):
    """A negative log-likelihood that knows its gradient."""

    def __call__(self, x: Floats, /) -> float:
        """The loss."""

    def with_gradient(self, x: Floats, /) -> tuple[float, Floats]:
        """The loss and its gradient, (P,)."""


@dataclass(frozen=True)
class Differences:
    """A loss whose gradient is taken by forward differences, backward ones at an upper bound.

    Attributes:
        loss: The loss.
        bounds: Edges of the parameter space.
        forward: Step of the gradient, in units of each parameter.
        second: Step of second derivatives, likewise.
        unit: What counts as a large move of each parameter, (P,); by default its value, or 1 if that is less.
    """

    loss: Loss
    bounds: Bounds | None = None
    forward: float = 1e-7
    second: float = DIFFERENCE
    unit: Floats | None = field(default=None, repr=False)

    def __call__(self, x: Floats) -> float:
        """The loss."""
        return self.loss(x)

    def units(self, x: Floats) -> Floats:
        """Unit of each parameter, (P,)."""
        return np.maximum(1.0, np.abs(x)) if self.unit is None else self.unit

    def with_gradient(self, x: Floats) -> tuple[float, Floats]:
        """The loss and its gradient, (P,); no slope where the loss is infinite."""
        here, gradient = self.loss(x), np.zeros(x.size)
        steps = (self.forward * self.units(x)).tolist()
        for i in range(x.size if math.isfinite(here) else 0):
            step = steps[i]
            if self.bounds is not None and x[i] + step > self.bounds[i][1]:
                step = -step
            moved = x.copy()
            moved[i] += step
            gradient[i] = (self.loss(moved) - here) / step
        return here, gradient


def maximise(
    loss: Loss | Smooth,
    starts: Sequence[Sequence[float]],
    names: Sequence[str],
    *,
    n: int,
    bounds: Bounds | None = None,
) -> Fit:
    """Best of several searches: roughly from each start, then precisely from the best of their ends.

    Args:
        loss: Negative log-likelihood; one without a gradient of its own gets it by differences.
        starts: Starting points, (P,) each; at least one must have a finite loss.
        names: Parameters.
        n: Independent observations, for BIC.
        bounds: Edges of the parameter space.

    Raises:
        InputError: No starting point is possible.
    """
    smooth = _smooth(loss, bounds)
    possible = [x for x in (np.array(s, dtype=np.float64) for s in starts) if math.isfinite(smooth(x))]
    if not possible:
        raise InputError(f"starts: the likelihood of {', '.join(names)} is zero at every starting point")
    best = min((_descend(smooth, x, bounds, ROUGH) for x in possible), key=lambda end: end[1])
    differs = isinstance(smooth, Differences)
    x, value, ended = _descend(smooth, best[0], bounds, PRECISE, simplex=differs)
    if differs:
        converged = ended
    else:
        slope = smooth.with_gradient(x)[1][_inside(x, bounds)]
        converged = bool(np.all(np.abs(slope) <= FLAT * max(1.0, abs(value) * 1e-3)))
    return Fit(tuple(names), x, -value, covariance(smooth, x, bounds), converged, n, _pairs(bounds))


def maximise_dear(
    loss: Loss,
    start: Sequence[float],
    names: Sequence[str],
    *,
    n: int,
    bounds: Bounds,
    unit: Sequence[float],
    errors: bool = True,
) -> Fit:
    """The maximum where one evaluation is dear, or rough at small steps: one search by coarse differences.

    Args:
        loss: Negative log-likelihood of all parameters.
        start: Where the search begins, (P,).
        names: Parameters; none is a model without any.
        n: Independent observations, for BIC.
        bounds: Edges of the parameter space.
        unit: What counts as a large move of each parameter.
        errors: Whether to compute the covariance, which costs P^2 evaluations; NaN otherwise.
    """
    if not names:
        none = np.zeros(0)
        return Fit((), none, -loss(none), np.zeros((0, 0)), converged=True, n=n, bounds=())
    smooth = Differences(loss, bounds, forward=1e-4, second=0.02, unit=np.asarray(unit, dtype=np.float64))
    x, value, ended = _descend(smooth, np.array(start, dtype=np.float64), bounds, {"ftol": 1e-9}, smooth.unit)
    curved = covariance(smooth, x, bounds) if errors else np.full((x.size, x.size), np.nan)
    return Fit(tuple(names), x, -value, curved, ended, n, _pairs(bounds))


def _smooth(loss: Loss | Smooth, bounds: Bounds | None) -> Smooth:
    return loss if isinstance(loss, Smooth) else Differences(loss, bounds)


def _pairs(bounds: Bounds | None) -> tuple[tuple[float, float], ...] | None:
    return None if bounds is None else tuple((float(low), float(high)) for low, high in bounds)


def _descend(
    loss: Smooth,
    x: Floats,
    bounds: Bounds | Floats | None,
    options: dict[str, float],
    unit: Floats | None = None,
    *,
    simplex: bool = False,
) -> tuple[Floats, float, bool]:
    """End of a quasi-Newton search, the loss there, and whether it ended at a minimum.

    With `simplex` a search that gets stuck in the noise of its differences goes on without them.
    """
    from scipy.optimize import minimize

    size = np.ones(x.size) if unit is None else unit

    def scaled(z: Floats) -> tuple[float, Floats]:
        value, slope = loss.with_gradient(z * size)
        return value, slope * size

    edges = None if bounds is None else np.array(bounds) / size[:, None]
    found = minimize(scaled, x / size, method="L-BFGS-B", jac=True, bounds=edges, options=options)
    if not found.success and simplex:
        precise = {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 400 * x.size}
        found = minimize(
            lambda z: loss(z * size), found.x, method="Nelder-Mead", bounds=edges, options=precise
        )
    return np.asarray(found.x * size, dtype=np.float64), float(found.fun), bool(found.success)


def _on_edge(value: float, low: float, high: float, near: float) -> bool:
    return value - low <= near or high - value <= near


def _inside(x: Floats, bounds: Bounds | None, near_P: Floats | None = None) -> list[int]:
    """Parameters away from their bounds."""
    near_P = DIFFERENCE * np.maximum(1.0, np.abs(x)) if near_P is None else near_P
    places = zip(x.tolist(), near_P.tolist(), strict=True)
    return [i for i, (v, near) in enumerate(places) if bounds is None or not _on_edge(v, *bounds[i], near)]


def covariance(loss: Smooth, x: Floats, bounds: Bounds | None) -> Floats:
    """Inverse of the observed information over the parameters inside their bounds, (P, P); NaN elsewhere.

    Args:
        loss: Negative log-likelihood.
        x: Its minimum, (P,).
        bounds: Edges of the parameter space.
    """
    step_P = DIFFERENCE * np.maximum(1.0, np.abs(x))
    if isinstance(loss, Differences):
        step_P = loss.second * loss.units(x)
    inside = _inside(x, bounds, step_P)
    by_differences = isinstance(loss, Differences)
    hessian = (_hessian_of_values if by_differences else _hessian_of_slopes)(loss, x, step_P, inside)
    out = np.full((x.size, x.size), np.nan)
    if inside and np.all(np.isfinite(hessian)) and np.all(np.linalg.eigvalsh(hessian) > 0):
        out[np.ix_(inside, inside)] = np.linalg.inv(hessian)
    return out


def _hessian_of_slopes(loss: Smooth, x: Floats, step_P: Floats, inside: list[int]) -> Floats:
    """Second derivatives by central differences of the gradient."""
    hessian = np.empty((len(inside), len(inside)))
    for a, i in enumerate(inside):
        up, down = x.copy(), x.copy()
        up[i], down[i] = x[i] + step_P[i], x[i] - step_P[i]
        slope = loss.with_gradient(up)[1] - loss.with_gradient(down)[1]
        hessian[a] = slope[inside] / (2.0 * step_P[i])
    return np.asarray((hessian + hessian.T) / 2.0)


def _hessian_of_values(loss: Smooth, x: Floats, step_P: Floats, inside: list[int]) -> Floats:
    """Second derivatives by central differences of the loss."""
    hessian, here = np.full((len(inside), len(inside)), np.nan), loss(x)

    def at(*moves: tuple[int, float]) -> float:
        moved = x.copy()
        for i, by in moves:
            moved[i] += by * step_P[i]
        return loss(moved)

    for a, i in enumerate(inside):
        hessian[a, a] = (at((i, 1)) - 2.0 * here + at((i, -1))) / step_P[i] ** 2
        for b, j in enumerate(inside[:a]):
            mixed = at((i, 1), (j, 1)) - at((i, 1), (j, -1)) - at((i, -1), (j, 1)) + at((i, -1), (j, -1))
            hessian[a, b] = hessian[b, a] = mixed / (4.0 * step_P[i] * step_P[j])
    return hessian


def wald(fit: Fit, name: str, z: float = 1.959964) -> tuple[float | None, float | None]:
    """Estimate plus and minus 1.96 standard errors, within the bounds; none without a standard error."""
    error = fit.standard_error(name)
    if not math.isfinite(error):
        return None, None
    low, high = (-math.inf, math.inf) if fit.bounds is None else fit.bounds[fit.names.index(name)]
    return max(low, fit[name] - z * error), min(high, fit[name] + z * error)


def cutoff(level: float, df: int | None = None) -> float:
    """Deviance at which an interval ends: chi-squared with 1 degree of freedom, or Student's with ``df``.

    A normal mean of df + 1 units with unknown spread has the deviance (df + 1) log(1 + t^2/df).

    Args:
        level: Nominal coverage, in (0, 1).
        df: Independent units minus one, where the units' own spread is fitted; none: chi-squared.

    Raises:
        InputError: The level is not a probability.
    """
    from scipy.stats import chi2, t

    if not 0.0 < level < 1.0:
        raise InputError(f"level: must lie strictly between 0 and 1, got {level!r}")
    if df is None:
        return float(chi2.ppf(level, 1))
    quantile = float(t.ppf(0.5 + level / 2.0, df))
    return (df + 1) * math.log1p(quantile**2 / df)


def profile_interval(
    loss: Loss | Smooth, fit: Fit, name: str, level: float = 0.95, *, df: int | None = None
) -> Interval:
    """Profile-likelihood interval of one parameter, with the usual cutoff.

    Args:
        loss: Negative log-likelihood of all parameters, (P,).
        fit: Its maximum.
        name: Which parameter.
        level: Nominal coverage, in (0, 1).
        df: Independent units minus one, where the units' own spread is fitted; none: chi-squared.

    Raises:
        InputError: The parameter is unknown, or the level is not a probability.
    """
    return Profile(loss, fit, name).interval(cutoff(level, df), level)


class Profile:
    """The loss as a function of one parameter, all others being fitted anew.

    Args:
        loss: Negative log-likelihood of all parameters, (P,).
        fit: Its maximum.
        name: Which parameter.

    Raises:
        InputError: The parameter is unknown.
    """

    def __init__(self, loss: Loss | Smooth, fit: Fit, name: str) -> None:
        self._loss, self._fit, self._place = _smooth(loss, fit.bounds), fit, fit.place(name)
        self._others = np.delete(np.arange(fit.estimate.size), self._place)
        self._centre, self._start = float(fit.estimate[self._place]), fit.estimate[self._others]
        self._bounds = None if fit.bounds is None else np.array(fit.bounds)[self._others]
        error_P = np.sqrt(np.diag(fit.covariance))
        self._unit = np.where(np.isfinite(error_P), error_P, 1.0)[self._others]

    def interval(self, cutoff: float, level: float) -> Interval:
        """Where the deviance passes a cutoff.

        Args:
            cutoff: In deviance; NaN gives no limits.
            level: Nominal coverage that the cutoff stands for.
        """
        if not math.isfinite(cutoff):
            return Interval(None, None, (False, False), level)
        low, high = (self._limit(side, math.sqrt(cutoff)) for side in (-1.0, 1.0))
        return Interval(low, high, (low is not None, high is not None), level)

    def holds(self, value: float, cutoff: float) -> bool:
        """Whether the interval holds a value: the same answer as its limits give, for a refit or two."""
        starts = (self._expected(value), self._start)
        return any(self._deviance(self._refit(value, start)[0]) <= cutoff for start in starts)

    def deviances(self, values: Sequence[float]) -> list[float]:
        """Deviance at each of several values, walking outwards from the estimate.

        Args:
            values: Of the parameter, rising.
        """
        found: dict[float, float] = {}
        for side in ([v for v in values if v >= self._centre], [v for v in values if v < self._centre][::-1]):
            warm = self._start
            for value in side:
                loss, warm = self._best(value, warm)
                found[value] = self._deviance(loss)
        return [found[value] for value in values]

    def _deviance(self, loss: float) -> float:
        return max(0.0, 2.0 * (loss + self._fit.log_likelihood))

    def _limit(self, side: float, reach: float) -> float | None:
        """Where the signed root of the deviance passes ``reach`` on one side of the estimate."""
        bounds, warm = self._fit.bounds, self._start
        edge = math.inf if bounds is None else side * bounds[self._place][side > 0]
        room = edge - side * self._centre
        if room <= 0.0:
            return self._centre

        def root(distance: float) -> float:
            nonlocal warm
            loss, others = self._best(self._centre + side * distance, warm)
            over = math.sqrt(min(self._deviance(loss), 1e12)) - reach
            if over < 0.0:  # beyond the limit others may lie where nothing has a slope: no refit starts there
                warm = others
            return over

        error = self._fit.standard_error(self._fit.names[self._place])
        step = error if math.isfinite(error) else 0.1 * max(1.0, abs(self._centre))
        inner, short, outer = 0.0, -reach, min(reach * step, room)
        for _ in range(DOUBLINGS):
            over = root(outer)
            if over >= 0.0:
                return self._centre + side * _crossing(root, (inner, short), (outer, over))
            if outer >= room:
                return side * edge
            inner, short, outer = outer, over, min(2.0 * outer, room)
        return None

    def _best(self, value: float, warm: Floats) -> tuple[float, Floats]:
        """Least loss of two refits, from where the last one ended and from where a normal's would."""
        ends = [self._refit(value, start) for start in (warm, self._expected(value))]
        return min(ends, key=lambda end: end[0])

    def _expected(self, value: float) -> Floats:
        """Where the other parameters are expected at a value of this one, were the likelihood a normal's."""
        curved = self._fit.covariance
        slope = np.nan_to_num(curved[self._others, self._place] / curved[self._place, self._place])
        expected = self._start + slope * (value - self._centre)
        return np.asarray(expected if self._bounds is None else np.clip(expected, *self._bounds.T))

    def _refit(self, value: float, start: Floats) -> tuple[float, Floats]:
        """Least loss over the other parameters, and where; they are searched in standard errors."""
        z = np.insert(start, self._place, value)
        if start.size == 0:
            return self._loss(z), start
        at = _Held(self._loss, z, self._others)
        differs = isinstance(self._loss, Differences)
        others, loss, _ = _descend(at, start, self._bounds, PRECISE, self._unit, simplex=differs)
        return loss, others


@dataclass(frozen=True)
class _Held:
    """A loss with one parameter held, as a function of the others."""

    loss: Smooth
    z: Floats
    others: NDArray[np.int64]

    def __call__(self, x: Floats) -> float:
        self.z[self.others] = x
        return self.loss(self.z)

    def with_gradient(self, x: Floats) -> tuple[float, Floats]:
        self.z[self.others] = x
        value, slope = self.loss.with_gradient(self.z)
        return value, slope[self.others]


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
