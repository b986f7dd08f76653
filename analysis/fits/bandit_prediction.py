"""Predictions from fitted bandits: draws of parameters, then runs of the stochastic bandit under a design.

A draw of the parameters carries the fit's error (normal with the likelihood's curvature, on Student's scale
for the step); the runs drawn with it carry the sampling error of as many seeds and evaluation samples as the
condition has. What lies outside 95% of such sets of runs, the fitted bandit does not explain.

Runs average nothing: each round draws the right answers of every group, their signals move the log-odds
through the optimiser, and evaluations are drawn too. For one rollout, raw {0,1} reward and SGD this is the
ladder of theory §2. Of tabular arms all arms of a class move as one, which is exact for one correct arm
under the raw reward and an approximation for signals that also push wrong arms down.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit_data import Geometry, coordinates_of, drives, eps_of, unit_gain
from analysis.fits.bandit_likelihood import COARSEST
from analysis.fits.bandit_query import LARGEST_SPREAD, QueryFit, step_error
from analysis.inference.times import hitting_times
from analysis.loading.records import Cell
from banditrft.design import Design, Evaluation
from banditrft.worlds import WorldSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
THRESHOLD = 0.9
"""Train Pass@1 whose hitting time is compared, as in claim A5."""


@dataclass(frozen=True)
class DrawnRuns:
    """N drawn runs.

    Attributes:
        rounds_E: Rounds of the evaluations.
        train_NE: Train Pass@1 as an evaluation sees it.
        final_N: Pass@1 of the final evaluation.
        displacement_N: Change of the log-odds from base to end.
    """

    rounds_E: Floats
    train_NE: Floats
    final_N: Floats
    displacement_N: Floats


def draw_runs(
    world: WorldSettings,
    design: Design,
    evaluation: Evaluation,
    log_odds_N: Floats,
    step_N: Floats,
    rng: np.random.Generator,
    overdispersion: float = 0.0,
    known_NTB: Floats | None = None,
    geometry: Geometry = "shared",
) -> DrawnRuns:
    """Draw one run for each pair of base log-odds and effective step.

    Args:
        world: Decides which parameters move.
        design: What is learned.
        evaluation: When and how often is measured.
        log_odds_N: Base log-odds.
        step_N: Log-odds per unit of learning signal, learning rate included.
        rng: Source of all randomness.
        overdispersion: Intra-class correlation of an evaluation's answers.
        known_NTB: Right answers of each group in the rounds that each run has behind it; the others are
            drawn.
        geometry: How a language model moves.
    """
    T, N = design.rounds, log_odds_N.size
    coordinates = coordinates_of(world, design, geometry)
    slope_C = coordinates.slope_C / unit_gain(coordinates, design)
    eps, adam = eps_of(world, design), design.optimizer != "sgd"
    base = float(1.0 / (1.0 + np.exp(-np.median(log_odds_N))))
    by_count_S4 = drives(design, base, np.arange(design.rollouts + 1, dtype=np.float64)[:, None, None])[:, 0]
    first_NC, second_NC = np.zeros((2, N, slope_C.size))
    decay1, decay2 = design.betas
    x_N, at = log_odds_N.copy(), {0: log_odds_N}
    for t in range(1, T + 1):
        p_N = 1.0 / (1.0 + np.exp(-x_N))
        if known_NTB is not None and t <= known_NTB.shape[1]:
            right_NB = known_NTB[:, t - 1].astype(np.int64)
        else:
            right_NB = rng.binomial(design.rollouts, p_N[:, None], (N, design.batch_size))
        taught_N4 = by_count_S4[right_NB].mean(axis=1)
        u_N1 = (taught_N4[:, 0] * (1.0 - p_N) - taught_N4[:, 1] * p_N)[:, None]
        mean_NC = u_N1 * coordinates.size_C
        if adam:
            square_NC = mean_NC**2 + taught_N4[:, 2:3] * coordinates.right_C
            square_NC = square_NC + taught_N4[:, 3:4] * coordinates.wrong_C
            first_NC = decay1 * first_NC + (1.0 - decay1) * mean_NC
            second_NC = decay2 * second_NC + (1.0 - decay2) * square_NC
            scale_NC = np.sqrt(second_NC / (1.0 - decay2**t)) + eps
            mean_NC = np.divide(
                first_NC / (1.0 - decay1**t), scale_NC, out=np.zeros_like(scale_NC), where=scale_NC > 0
            )
        x_N = x_N + step_N * (mean_NC @ slope_C)
        if t % evaluation.eval_every == 0 or t == T:
            at[t] = x_N
    p_NE = 1.0 / (1.0 + np.exp(-np.stack(list(at.values()), axis=1)))
    train_NE = _seen(p_NE, evaluation.eval_samples, overdispersion, rng)
    final_N = _seen(p_NE[:, -1], evaluation.final_eval_samples, overdispersion, rng)
    return DrawnRuns(np.array(list(at), dtype=np.float64), train_NE, final_N, x_N - log_odds_N)


def _seen(p: Floats, samples: int, overdispersion: float, rng: np.random.Generator) -> Floats:
    """Pass@1 measured by so many samples."""
    if overdispersion > 0.0:
        size = (1.0 - overdispersion) / overdispersion
        p = rng.beta(np.maximum(size * p, 1e-9), np.maximum(size * (1.0 - p), 1e-9))
    return np.asarray(rng.binomial(samples, p) / samples)


def statistics(
    rounds_E: Floats, train_NE: Floats, final_N: Floats, query_N: Ints, sets: int = 1
) -> dict[str, Floats]:
    """What a condition's runs are compared by, for each of D sets of equally many runs.

    Args:
        rounds_E: Rounds of the evaluations.
        train_NE: Train Pass@1, runs of one set together.
        final_N: Final train Pass@1.
        query_N: Query of each run of one set, N/D of them.
        sets: Number of sets, D.

    Returns:
        By name (D,): "area", mean Pass@1 over the rounds; "final", final Pass@1; "rounds", mean rounds to a
        Pass@1 of .9 at two evaluations in a row, the horizon for a run without; "seed_sd", standard deviation
        of these rounds over the seeds of a query, pooled over queries.
    """
    width_E = np.diff(rounds_E)
    area_N = (train_NE[:, 1:] + train_NE[:, :-1]) @ width_E / 2.0 / (rounds_E[-1] - rounds_E[0])
    time_N = hitting_times(rounds_E, train_NE, THRESHOLD).time
    time_DN = time_N.reshape(sets, -1)
    squares_D, free = np.zeros(sets), 0
    for query in np.unique(query_N):
        own_DN = time_DN[:, query_N == query]
        squares_D += own_DN.var(axis=1) * own_DN.shape[1]
        free += own_DN.shape[1] - 1
    found = {
        "area": area_N.reshape(sets, -1).mean(axis=1),
        "final": final_N.reshape(sets, -1).mean(axis=1),
        "rounds": time_DN.mean(axis=1),
    }
    return found if free == 0 else found | {"seed_sd": np.sqrt(squares_D / free)}


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
