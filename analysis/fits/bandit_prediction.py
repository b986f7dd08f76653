"""Predictions from fitted bandits: draws of parameters, then runs of the stochastic bandit under a design.

A draw of the parameters carries the fit's error (normal with the likelihood's curvature, on Student's scale
for the step); the runs drawn with it carry the sampling error of as many seeds and evaluation samples as the
condition has. What lies outside 95% of such sets of runs, the fitted bandit does not explain.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit_data import Geometry
from analysis.fits.bandit_draws import draw_runs, statistics
from analysis.fits.bandit_population import step_error
from analysis.fits.bandit_query import LARGEST_SPREAD, QueryFit
from analysis.fits.bandit_surface import COARSEST
from analysis.loading.records import Cell

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SETS = 400
"""Sets of runs that are drawn for a prediction, fewer where a set is large."""
MOST_DRAWN = 40_000
LEAST_SETS = 60
LARGEST_LOG_STEP = 3.0
"""Largest log-step that is ever drawn."""


@dataclass(frozen=True)
class Parameters:
    """Draws of one query's parameters.

    Attributes:
        query: The training query's item.
        base_D: Base log-odds.
        log_gain_D: Log of the median gain over seeds.
        spread_D: Standard deviation of log-steps over seeds.
        overdispersion: Intra-class correlation of an evaluation's answers.
    """

    query: int
    base_D: Floats
    log_gain_D: Floats
    spread_D: Floats
    overdispersion: float


@dataclass(frozen=True)
class Predicted:
    """Statistics of D sets of drawn runs.

    Attributes:
        values: Name -> (D,).
        curve_DE: Mean train Pass@1 of each set.
        displacement_DN: Change of each run's log-odds.
        rounds_E: Rounds of the evaluations.
    """

    values: dict[str, Floats]
    curve_DE: Floats
    displacement_DN: Floats
    rounds_E: Floats


@dataclass(frozen=True)
class Check:
    """An observed statistic against runs replicated from the model that was fitted to them.

    Attributes:
        name: "area", "final", "rounds" or "seed_sd".
        observed: Of the runs.
        predicted: Median over replicated sets of runs.
        low: 2.5% quantile.
        high: 97.5% quantile.
        p: Two-sided tail probability of the observed value among the replicated ones.
    """

    name: str
    observed: float
    predicted: float
    low: float
    high: float
    p: float

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def parameters_of(fit: QueryFit, sets: int, rng: np.random.Generator) -> Parameters:
    """Draw a fitted query's parameters.

    Args:
        fit: With an identified step.
        sets: Number of draws, D.
        rng: Source of all randomness.
    """
    error = step_error(fit)
    covariance = np.array(fit.fit.covariance[:2, :2])
    base_error = fit.fit.standard_error("base_log_odds")
    correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    base_error, correlation = np.nan_to_num([base_error, correlation])
    z_2D = rng.standard_normal((2, sets))
    free = len(fit.seeds) - 1
    tails_D = np.sqrt(free / rng.chisquare(free, sets)) if free else np.ones(sets)
    own_D = error * tails_D * (correlation * z_2D[0] + np.sqrt(1.0 - correlation**2) * z_2D[1])
    spread = max(fit.fit["spread"], COARSEST)
    wide_D = spread * np.sqrt((free + 1) / rng.chisquare(free, sets)) if free else np.full(sets, spread)
    return Parameters(
        query=fit.query,
        base_D=fit.fit["base_log_odds"] + base_error * z_2D[0],
        log_gain_D=np.log(fit.gain) + own_D,
        spread_D=np.clip(wide_D, COARSEST, LARGEST_SPREAD) if spread > COARSEST else np.full(sets, spread),
        overdispersion=fit.overdispersion,
    )


def sets_for(runs: int) -> int:
    """How many sets of so many runs are drawn."""
    return int(np.clip(MOST_DRAWN // runs, LEAST_SETS, SETS))


def predict_cell(
    cell: Cell, drawn: Sequence[Parameters], rng: np.random.Generator, geometry: Geometry = "shared"
) -> Predicted:
    """Runs of a condition: for each draw of the parameters as many seeds of each query as it has.

    Args:
        cell: Design, evaluation, and numbers of seeds.
        drawn: Parameters of each of its queries.
        rng: Source of all randomness.
        geometry: How a language model moves.
    """
    by_query = {p.query: p for p in drawn}
    own_N = [by_query[int(q)] for q in cell.query]
    rho = float(np.mean([p.overdispersion for p in drawn]))
    base_DN = np.stack([p.base_D for p in own_N], axis=1)
    luck_DN = rng.standard_normal(base_DN.shape)
    log_step_DN = np.stack([p.log_gain_D for p in own_N], axis=1) + np.log(cell.design.learning_rate)
    log_step_DN = log_step_DN + luck_DN * np.stack([p.spread_D for p in own_N], axis=1)
    step_N = np.exp(np.minimum(log_step_DN, LARGEST_LOG_STEP).ravel())
    runs = draw_runs(
        cell.world, cell.design, cell.evaluation, base_DN.ravel(), step_N, rng, rho, None, geometry
    )
    sets = len(base_DN)
    return Predicted(
        values=statistics(runs.rounds_E, runs.train_NE, runs.final_N, cell.query, sets),
        curve_DE=runs.train_NE.reshape(sets, cell.n, -1).mean(axis=1),
        displacement_DN=runs.displacement_N.reshape(sets, cell.n),
        rounds_E=runs.rounds_E,
    )


def observed(cell: Cell) -> dict[str, float]:
    """The same statistics of a condition's own runs."""
    found = statistics(cell.rounds, cell.train, cell.final_correct / cell.final_samples, cell.query)
    return {name: float(value[0]) for name, value in found.items()}


def checks(
    cell: Cell, fits: Sequence[QueryFit], geometry: Geometry = "shared", seed: int = 0
) -> tuple[Check, ...]:
    """Replicate a condition from its own fit; none where a query's step is not identified.

    Args:
        cell: The condition.
        fits: One fit per query.
        geometry: How a language model moves.
        seed: Of the draws.
    """
    if not all(f.identified for f in fits):
        return ()
    rng = np.random.default_rng(seed)
    drawn = [parameters_of(f, sets_for(cell.n), rng) for f in fits]
    values = predict_cell(cell, drawn, rng, geometry).values
    found = []
    for name, seen in observed(cell).items():
        below = float((values[name] < seen).mean() + 0.5 * (values[name] == seen).mean())
        low, middle, high = (float(x) for x in np.quantile(values[name], [0.025, 0.5, 0.975]))
        found.append(Check(name, seen, middle, low, high, 2.0 * min(below, 1.0 - below)))
    return tuple(found)
