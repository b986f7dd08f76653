"""Runs of the fitted bandit: its stochastic recursion, drawn, and the statistics that runs are compared by.

Nothing is averaged: each round draws the right answers of every group, their signals move the log-odds
through the optimiser, and evaluations are drawn too. For one rollout, raw {0,1} reward and SGD this is the
ladder of theory §2. Of tabular arms all arms of a class move as one, which is exact for one correct arm
under the raw reward and an approximation for signals that also push wrong arms down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit_data import Geometry, coordinates_of, drives, eps_of, unit_gain
from analysis.inference.times import hitting_times
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
