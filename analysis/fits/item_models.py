"""What every model of many items over time has in common: fitted to a panel, it forecasts later entries."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.fits.panel import Panel
from analysis.fits.profile import Fit

Floats = npt.NDArray[np.float64]
DIFFERENCE = 0.02
"""Step of the numerical Hessian, in units of each parameter's scale."""


@dataclass(frozen=True)
class ItemFit:
    """An item model fitted to a panel.

    Attributes:
        fit: Parameters, no names where the model has none; its log-likelihood is of all counts of the panel,
            NaN where the model says nothing of some of them.
        df: Free numbers, for AIC and BIC; None where a distribution is free, which has no such number.
        meanings: What each parameter is.
        forecast: Later rounds, (T,) -> probability of a right answer, (I, T).
        extra: Further numbers that describe the fit, by name.
        warnings: What its reader must know.
        refused: Why the parameters get no intervals; None where they do.
    """

    fit: Fit
    df: int | None
    meanings: tuple[str, ...]
    forecast: Callable[[Floats], Floats]
    extra: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def aic(self) -> float:
        """Akaike's criterion; NaN without a log-likelihood or a number of parameters."""
        return math.nan if self.df is None else 2.0 * self.df - 2.0 * self.fit.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the items as independent observations; NaN likewise."""
        return math.nan if self.df is None else self.df * math.log(self.fit.n) - 2.0 * self.fit.log_likelihood


@dataclass(frozen=True)
class ItemModel:
    """One entry of the registry.

    Attributes:
        name: What it is called.
        source: Where it comes from.
        sentence: What it says.
        fit: Panel, and whether to compute standard errors -> fit.
    """

    name: str
    source: str
    sentence: str
    fit: Callable[[Panel, bool], ItemFit]


def search(
    loss: Callable[[Floats], float],
    names: Sequence[str],
    start: Sequence[float],
    bounds: Sequence[tuple[float, float]],
    scale: Sequence[float],
    *,
    n: int,
    errors: bool,
) -> Fit:
    """Maximum likelihood where one evaluation is dear: one quasi-Newton search on scaled parameters.

    Args:
        loss: Negative log-likelihood of all parameters.
        names: Parameters.
        start: Where the search begins.
        bounds: Edges of the parameter space.
        scale: What counts as a large move of each parameter.
        n: Independent items, for BIC.
        errors: Whether to compute the covariance, which costs P^2 evaluations; NaN otherwise.
    """
    from scipy.optimize import minimize

    if not names:
        none = np.zeros(0)
        return Fit((), none, -loss(none), np.zeros((0, 0)), converged=True, n=n, bounds=())
    unit = np.asarray(scale, dtype=np.float64)
    limits = [(low / s, high / s) for (low, high), s in zip(bounds, unit, strict=True)]

    def scaled(x: Floats) -> float:
        return loss(x * unit)

    found = minimize(
        scaled,
        np.asarray(start) / unit,
        method="L-BFGS-B",
        bounds=limits,
        options={"eps": 1e-4, "ftol": 1e-9},
    )
    covariance = np.full((unit.size, unit.size), np.nan)
    if errors:
        covariance = _covariance(scaled, found.x, limits) * np.outer(unit, unit)
    edges = tuple((float(low), float(high)) for low, high in bounds)
    return Fit(tuple(names), found.x * unit, -float(found.fun), covariance, bool(found.success), n, edges)


def wald(fit: Fit, name: str, z: float = 1.959964) -> tuple[float | None, float | None]:
    """Estimate plus and minus 1.96 standard errors, within the bounds; none without a standard error."""
    error = fit.standard_error(name)
    if not math.isfinite(error):
        return None, None
    low, high = (-math.inf, math.inf) if fit.bounds is None else fit.bounds[fit.names.index(name)]
    return max(low, fit[name] - z * error), min(high, fit[name] + z * error)


def bound_warnings(fit: Fit, *, errors: bool) -> tuple[str, ...]:
    """One sentence for each parameter that the data do not place inside its bounds.

    Args:
        fit: The fit.
        errors: Whether standard errors were computed.
    """
    stuck = [
        f"{name} ends at its bound, {fit[name]:.3g}: no interval" for name in fit.names if fit.at_bound(name)
    ]
    flat = [
        f"{name}: the likelihood does not curve there, so there is no interval"
        for name in fit.names
        if errors and not fit.at_bound(name) and not math.isfinite(fit.standard_error(name))
    ]
    return (*stuck, *flat, *(() if fit.converged else ("the search did not converge",)))


def _covariance(loss: Callable[[Floats], float], x: Floats, limits: Sequence[tuple[float, float]]) -> Floats:
    """Inverse Hessian by central differences over the parameters away from their bounds; NaN elsewhere."""
    free = [i for i, (low, high) in enumerate(limits) if x[i] - low > DIFFERENCE and high - x[i] > DIFFERENCE]
    size = len(free)
    step_FP = np.zeros((size, x.size))
    step_FP[np.arange(size), free] = DIFFERENCE
    hessian_FF = np.empty((size, size))
    here = loss(x)
    for a in range(size):
        up, down = loss(x + step_FP[a]), loss(x - step_FP[a])
        hessian_FF[a, a] = (up - 2.0 * here + down) / DIFFERENCE**2
        for b in range(a):
            plus, minus = loss(x + step_FP[a] + step_FP[b]), loss(x - step_FP[a] - step_FP[b])
            cross_a, cross_b = loss(x + step_FP[a] - step_FP[b]), loss(x - step_FP[a] + step_FP[b])
            mixed = (plus + minus - cross_a - cross_b) / (4.0 * DIFFERENCE**2)
            hessian_FF[a, b] = hessian_FF[b, a] = mixed
    out_PP = np.full((x.size, x.size), np.nan)
    if size and np.all(np.linalg.eigvalsh(hessian_FF) > 0):
        out_PP[np.ix_(free, free)] = np.linalg.inv(hessian_FF)
    return out_PP
