"""One registry of models of a learning curve: success probability as a function of rounds.

Each model names its parameters, what they mean, where they may lie and where it comes from. Time enters as a
fraction of the last fitted round, so that every parameter is of order one in the search; the parameters that
a reader sees are in rounds, or per round.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from banditrft.theory.flow import flow_curve

Floats = npt.NDArray[np.float64]
EDGE = 1e-6
"""Success probabilities are kept this far from 0 and 1."""
RATE = (EDGE, 1.0 - EDGE)


@dataclass(frozen=True)
class CurveParameter:
    """One parameter of a curve model.

    Attributes:
        name: Its name.
        meaning: What it is.
        bounds: Where it may lie, time being 1 at the last fitted round.
        starts: Where searches begin: a value, or the curve's "first", "last" or "mean" rate.
        power: Power of rounds in its unit: 1 a time, -1 a rate, 0 neither.
        scale: On what scale it is searched: probabilities as log-odds, positive numbers as logarithms.
    """

    name: str
    meaning: str
    bounds: tuple[float, float]
    starts: tuple[float | str, ...]
    power: int = 0
    scale: Literal["logit", "log", "plain"] = "logit"

    def searched(self, value: float) -> float:
        """A value on the scale of the search."""
        if self.scale == "logit":
            return float(logit(value))
        return math.log(value) if self.scale == "log" else value

    def natural(self, value: float) -> float:
        """The value back from the scale of the search."""
        if self.scale == "logit":
            return float(expit(value))
        return math.exp(value) if self.scale == "log" else value

    def slope(self, value: float) -> float:
        """Derivative of the value with respect to its place on the scale of the search."""
        if self.scale == "logit":
            return value * (1.0 - value)
        return value if self.scale == "log" else 1.0


@dataclass(frozen=True)
class CurveModel:
    """One entry of the registry.

    Attributes:
        name: What it is called.
        source: Where it comes from.
        sentence: Its equation, y the success probability and t the round.
        parameters: In the order in which `curve` takes them.
        curve: (parameters, times (T,)) -> success probability (T,).
        smaller: Model that this one is where its ceiling is 1, all other parameters the same.
    """

    name: str
    source: str
    sentence: str
    parameters: tuple[CurveParameter, ...]
    curve: Callable[[Floats, Floats], Floats]
    smaller: str | None = None


def _below(x: Floats) -> float:
    """Log-odds at round 0 of the curve that the ceiling scales; a base above it is drawn down to it."""
    return float(logit(min(x[0] / x[2], 1.0 - EDGE)))


def _logistic(x: Floats, t: Floats) -> Floats:
    return np.asarray(x[2] * expit(_below(x) + x[1] * t))


def _exponential(x: Floats, t: Floats) -> Floats:
    return np.asarray(x[1] + (x[0] - x[1]) * np.exp(-t / x[2]))


def _power(x: Floats, t: Floats) -> Floats:
    return np.asarray(x[1] + (x[0] - x[1]) * (1.0 + t / x[2]) ** -x[3])


def _scalerl(x: Floats, t: Floats) -> Floats:
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(x[0] + (x[1] - x[0]) / (1.0 + (x[2] / t) ** x[3]))


def _log_time(x: Floats, t: Floats) -> Floats:
    return np.asarray(expit(logit(x[0]) + x[1] * np.log1p(t / x[2])))


def _flow(x: Floats, t: Floats) -> Floats:
    start, half = float(expit(_below(x))), float(x[1]) / 2.0
    return np.asarray(x[2] * flow_curve(start, t, learning_rate=half, num_correct=1, num_arms=2))


def _normalised_flow(x: Floats, t: Floats) -> Floats:
    return np.asarray(x[2] * expit(2.0 * np.arcsinh(np.sinh(_below(x) / 2.0) + x[1] * t / 4.0)))


BASE = CurveParameter("base", "success probability at round 0", RATE, ("first", "mean"))
CEILING = CurveParameter(
    "ceiling", "success probability that the curve tends to", RATE, ("last", "mean", 0.9)
)
SCALED = CurveParameter(
    "ceiling", "success probability that the curve tends to", (0.01, 1.0 - EDGE), (0.99, "last")
)
TIME = CurveParameter(
    "time", "rounds until the gap has shrunk by e", (1e-3, 100.0), (0.1, 0.5, 2.0), 1, "log"
)
STEP = (1e-3, 1e4)


def _ceilinged(
    parameters: tuple[CurveParameter, ...], curve: Callable[[Floats, Floats], Floats]
) -> tuple[tuple[CurveParameter, ...], Callable[[Floats, Floats], Floats]]:
    """The same curve with its ceiling fixed at 1."""
    return parameters[:2], lambda x, t: curve(np.append(x, 1.0), t)


SLOPE = CurveParameter("slope", "log-odds per round", (-200.0, 200.0), (0.5, 3.0, -1.0), -1, "plain")
RAW_STEP = CurveParameter("step", "log-odds per round and unit of p(1-p)", STEP, (1.0, 10.0, 50.0), -1, "log")
NORMAL_STEP = CurveParameter(
    "step", "log-odds per round and unit of sqrt(p(1-p))", STEP, (1.0, 5.0, 20.0), -1, "log"
)
LOGISTIC, FLOW, NORMALISED = (BASE, SLOPE, SCALED), (BASE, RAW_STEP, SCALED), (BASE, NORMAL_STEP, SCALED)

CURVES: dict[str, CurveModel] = {
    model.name: model
    for model in (
        CurveModel(
            "constant",
            "reference",
            "y = p",
            (CurveParameter("p", "success probability", RATE, ("mean",)),),
            lambda x, t: np.full(t.shape, x[0]),
        ),
        CurveModel(
            "logistic", "reference", "logit y = logit(base) + slope t", *_ceilinged(LOGISTIC, _logistic)
        ),
        CurveModel(
            "logistic with ceiling",
            "theory §9",
            "y = ceiling x logistic curve from base / ceiling",
            LOGISTIC,
            _logistic,
            "logistic",
        ),
        CurveModel(
            "logit in log time",
            "theory §9",
            "logit y = logit(base) + exponent log(1 + t/time)",
            (
                BASE,
                CurveParameter(
                    "exponent", "log-odds per unit of log time", (-50.0, 50.0), (0.5, 2.0), 0, "plain"
                ),
                CurveParameter(
                    "time", "rounds before time counts in logs", (1e-3, 10.0), (0.02, 0.3), 1, "log"
                ),
            ),
            _log_time,
        ),
        CurveModel(
            "exponential saturation",
            "theory §9",
            "y = ceiling - (ceiling - base) exp(-t/time)",
            (BASE, CEILING, TIME),
            _exponential,
        ),
        CurveModel(
            "power law of the error",
            "theory §9",
            "y = ceiling - (ceiling - base) (1 + t/time)^-exponent",
            (
                BASE,
                CEILING,
                CurveParameter(
                    "time", "rounds before the power law sets in", (1e-3, 100.0), (0.05, 0.5), 1, "log"
                ),
                CurveParameter(
                    "exponent", "decay of the gap with log time", (0.01, 20.0), (0.5, 2.0), 0, "log"
                ),
            ),
            _power,
        ),
        CurveModel(
            "ScaleRL sigmoid",
            "Khatri et al., arXiv 2510.13786; theory §9",
            "y = base + (ceiling - base) / (1 + (middle/t)^steepness)",
            (
                BASE,
                CEILING,
                CurveParameter(
                    "middle", "rounds to half of the gain", (1e-3, 100.0), (0.03, 0.1, 0.3, 1.0), 1, "log"
                ),
                CurveParameter("steepness", "B", (0.1, 20.0), (1.0, 3.0), 0, "log"),
            ),
            _scalerl,
        ),
        CurveModel("bandit flow", "theory §2", "dy/dt = step [y(1-y)]^2", *_ceilinged(FLOW, _flow)),
        CurveModel(
            "bandit flow with ceiling",
            "theory §2, §9",
            "y = ceiling x bandit flow from base / ceiling",
            FLOW,
            _flow,
            "bandit flow",
        ),
        CurveModel(
            "normalised bandit flow",
            "theory §3",
            "dy/dt = step [y(1-y)]^(3/2), the signal over its standard deviation",
            *_ceilinged(NORMALISED, _normalised_flow),
        ),
        CurveModel(
            "normalised bandit flow with ceiling",
            "theory §3, §9",
            "y = ceiling x normalised flow from base / ceiling",
            NORMALISED,
            _normalised_flow,
            "normalised bandit flow",
        ),
    )
}
"""Curve models by name, in the order of the table."""
