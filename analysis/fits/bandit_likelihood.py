"""Log-likelihood of every run of a query as a surface over base log-odds and effective step.

Three sources, best first. *Rollouts*: where groups were kept, a run's log-odds follow from its own rollouts
exactly, and evaluations and rollouts are independent given them. *Ladder*: without groups, one raw {0,1}
rollout under SGD has an exact law, a hidden Markov chain (theory §2). *Mean field*: else the path of theory
§4, the same for all runs, whose sampling noise falls to the spread over seeds and to overdispersion.

The compiled loops return, for run r and grid point m, the log-likelihood of the run's counts without the
terms that depend on no parameter. Numba compiles them on first use and keeps the result on disk.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit_data import Counts, Geometry, coordinates_of, drives, eps_of, unit_gain
from analysis.fits.likelihood import beta_binomial, binomial, compiled, log_clustered
from banditrft.theory.coordinates import advance
from banditrft.worlds import WorldSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@compiled
def _count(k: float, n: float, log_odds: float, rho: float) -> float:
    """Log-likelihood of k of n, binomial for rho = 0, else beta-binomial."""
    if rho == 0.0:
        return k * log_odds - n * (max(log_odds, 0.0) + math.log1p(math.exp(-abs(log_odds))))
    size = (1.0 - rho) / rho
    tail = math.exp(-abs(log_odds))
    more = max(size / (1.0 + tail), 1e-12)
    less = max(size * tail / (1.0 + tail), 1e-12)
    right, wrong = (more, less) if log_odds > 0 else (less, more)
    return log_clustered(k, n, right, wrong, size)


@compiled
def driven(
    log_odds_M: Floats,
    step_M: Floats,
    drives_RT4: Floats,
    rollouts_RT2: Floats,
    rounds_E: Ints,
    counts_RE2: Floats,
    coordinates_C4: Floats,
    optimizer_4: Floats,
    rho: float,
    path_RME: Floats,
    out_RM: Floats,
) -> None:
    """Runs whose rollouts are known: the log-odds follow from them (theory §3, §4, without any average).

    A round's multiplier is u = a (1-p) - b p, with a and b the sums of the signals of its right and wrong
    rollouts over all of its rollouts.

    Args:
        log_odds_M: Base log-odds, M grid points.
        step_M: Log-odds per unit of learning signal.
        drives_RT4: a, b and the energies of right and of wrong rollouts, by run and round.
        rollouts_RT2: Right answers and number of rollouts.
        rounds_E: Rounds of the evaluations, not falling.
        counts_RE2: Right answers and samples of each; 0 samples where there is none.
        coordinates_C4: Size, weights of the two energies, slope, of each parameter.
        optimizer_4: 1 for Adam (0: SGD), its two decay rates, its eps.
        rho: Intra-class correlation of an evaluation's answers.
        path_RME: Written: log-odds at the evaluations; of no length where they are not wanted.
        out_RM: Written: log-likelihoods.
    """
    C, T, E = len(coordinates_C4), drives_RT4.shape[1], len(rounds_E)
    adam, decay1, decay2, eps = optimizer_4[0] > 0.0, optimizer_4[1], optimizer_4[2], optimizer_4[3]
    keep = path_RME.shape[2] > 0
    first_C, second_C = np.zeros(C), np.zeros(C)
    for r in range(len(drives_RT4)):
        for m in range(len(log_odds_M)):
            x, total, e = log_odds_M[m], 0.0, 0
            first_C[:] = 0.0
            second_C[:] = 0.0
            power1, power2 = 1.0, 1.0
            for t in range(T + 1):
                while e < E and rounds_E[e] == t:
                    if counts_RE2[r, e, 1] > 0.0:
                        total += _count(counts_RE2[r, e, 0], counts_RE2[r, e, 1], x, rho)
                    if keep:
                        path_RME[r, m, e] = x
                    e += 1
                if t == T:
                    break
                tail = math.exp(-abs(x))
                near, far = 1.0 / (1.0 + tail), tail / (1.0 + tail)
                p, q = (near, far) if x > 0 else (far, near)
                k, n = rollouts_RT2[r, t, 0], rollouts_RT2[r, t, 1]
                total += k * x - n * (max(x, 0.0) + math.log1p(tail))
                u = drives_RT4[r, t, 0] * q - drives_RT4[r, t, 1] * p
                power1 *= decay1
                power2 *= decay2
                moved = 0.0
                for c in range(C):
                    gradient = coordinates_C4[c, 0] * u
                    if adam:
                        square = gradient * gradient
                        square += coordinates_C4[c, 1] * drives_RT4[r, t, 2]
                        square += coordinates_C4[c, 2] * drives_RT4[r, t, 3]
                        first_C[c] = decay1 * first_C[c] + (1.0 - decay1) * gradient
                        second_C[c] = decay2 * second_C[c] + (1.0 - decay2) * square
                        scale = math.sqrt(second_C[c] / (1.0 - power2)) + eps
                        if scale > 0.0:
                            moved += coordinates_C4[c, 3] * first_C[c] / (1.0 - power1) / scale
                    else:
                        moved += coordinates_C4[c, 3] * gradient
                x += step_M[m] * moved
            out_RM[r, m] = total


@compiled
def ladder(
    log_odds_M: Floats,
    step_M: Floats,
    rounds_E: Ints,
    counts_RE2: Floats,
    rho: float,
    out_RM: Floats,
) -> None:
    """Runs whose rollouts are not known, one raw {0,1} rollout under SGD: the exact law (theory §2).

    The number of successes so far is a hidden Markov chain on the ladder's rungs, summed over by the forward
    algorithm. Arguments as for :func:`driven`.
    """
    E, T = len(rounds_E), rounds_E[-1]
    rung_K, success_K = np.empty(T + 1), np.empty(T + 1)
    mass_K = np.empty(T + 1)
    for m in range(len(log_odds_M)):
        x = log_odds_M[m]
        for k in range(T + 1):
            rung_K[k] = x
            success_K[k] = 1.0 / (1.0 + math.exp(-x))
            x += step_M[m] * (1.0 - success_K[k])
        for r in range(len(counts_RE2)):
            mass_K[:] = 0.0
            mass_K[0] = 1.0
            total, e = 0.0, 0
            for t in range(T + 1):
                while e < E and rounds_E[e] == t:
                    if counts_RE2[r, e, 1] > 0.0:
                        best = -np.inf
                        for k in range(t + 1):
                            if mass_K[k] > 0.0:
                                here = _count(counts_RE2[r, e, 0], counts_RE2[r, e, 1], rung_K[k], rho)
                                mass_K[k] = math.log(mass_K[k]) + here
                                best = max(best, mass_K[k])
                            else:
                                mass_K[k] = -np.inf
                        among = 0.0
                        for k in range(t + 1):
                            mass_K[k] = math.exp(mass_K[k] - best)
                            among += mass_K[k]
                        for k in range(t + 1):
                            mass_K[k] = mass_K[k] / among if mass_K[k] > 1e-30 * among else 0.0
                        total += best + math.log(among)
                    e += 1
                if t < T:
                    for k in range(t, -1, -1):
                        up = mass_K[k] * success_K[k]
                        mass_K[k + 1] += up
                        mass_K[k] -= up
            out_RM[r, m] = total


Source = Literal["rollouts", "ladder", "mean-field"]
BASES = 7
"""Base log-odds that a surface is computed at."""
REACH = 5.0
"""Standard errors of the measured base that they span on each side."""
STEPS: dict[Source, int] = {"rollouts": 81, "ladder": 33, "mean-field": 81}
"""Log-steps that a surface is computed at."""
SEARCHED = (-10.0, 3.0)
"""Range of log(log-odds per unit of learning signal) that is searched."""
MARGIN = 1.2
"""How far the surface goes beyond the runs' own best steps, in log units."""
FINEST, COARSEST = 0.002, 0.02
"""Limits of the spacing of interpolated log-steps; the latter is also the smallest spread over seeds."""
NO_CLUSTERS = 1e-4
"""Overdispersion below which counts are taken as binomial."""


@dataclass(frozen=True)
class Model:
    """The bandit that a query's counts are held against.

    Attributes:
        world: Decides which parameters move.
        counts: The runs.
        source: Where the log-likelihood comes from.
        drives_RT4: What each round taught, of source "rollouts".
        geometry: How a language model moves.
    """

    world: WorldSettings
    counts: Counts
    source: Source
    drives_RT4: Floats
    geometry: Geometry = "shared"

    @classmethod
    def of(cls, world: WorldSettings, counts: Counts, base: float, geometry: Geometry = "shared") -> "Model":
        """Choose the source.

        Args:
            world: The runs' world.
            counts: The runs.
            base: Base Pass@1, for step sizes that are matched there.
            geometry: How a language model moves.
        """
        design = counts.design
        if counts.groups_RTB is not None:
            return cls(world, counts, "rollouts", drives(design, base, counts.groups_RTB), geometry)
        kind = (design.signal, design.reward, design.batch_size * design.rollouts, design.optimizer)
        one_direction = getattr(world, "shared", 0.0) == 0.0
        exact = one_direction and kind == ("raw", "zero-one", 1, "sgd")
        return cls(world, counts, "ladder" if exact else "mean-field", np.empty((0, 0, 4)), geometry)

    def log_likelihoods(self, log_odds_M: Floats, log_step_M: Floats, rho: float) -> Floats:
        """Of each run at each point, (R, M), up to a constant."""
        out_RM = np.empty((self.counts.n, log_odds_M.size))
        step_M, rounds_E, counts = np.exp(log_step_M), self.counts.rounds_E, self.counts.counts_RE2
        if self.source == "ladder":
            ladder(log_odds_M, step_M, rounds_E, counts, rho, out_RM)
        elif self.source == "rollouts":
            self._drive(log_odds_M, step_M, rho, np.empty((self.counts.n, log_odds_M.size, 0)), out_RM)
        else:
            path_ME = self.mean_paths(log_odds_M, step_M)[:, rounds_E]
            for r in range(self.counts.n):
                p_ME = 1.0 / (1.0 + np.exp(-path_ME))
                out_RM[r] = beta_binomial(counts[r, :, 0], counts[r, :, 1], p_ME, rho).sum(axis=1)
        return out_RM

    def paths(self, log_odds: float, log_step_R: Floats) -> Floats:
        """Log-odds at the evaluations, (R, E), each run at its own step; else the mean field's."""
        R, step_R = self.counts.n, np.exp(log_step_R)
        base_R = np.full(R, log_odds)
        if self.source != "rollouts":
            return self.mean_paths(base_R, step_R)[:, self.counts.rounds_E]
        path_RME = np.empty((R, 1, self.counts.rounds_E.size))
        for own in (slice(r, r + 1) for r in range(R)):
            self._drive(base_R[own], step_R[own], 0.0, path_RME[own], np.empty((1, 1)), own)
        return path_RME[:, 0]

    def mean_paths(self, log_odds_M: Floats, step_M: Floats) -> Floats:
        """Mean-field log-odds after t = 0..T rounds, (M, T + 1) (theory §4)."""
        design = self.counts.design
        coordinates = coordinates_of(self.world, design, self.geometry)
        design = design.model_copy(update={"adam_eps": eps_of(self.world, design)})
        slope_C = coordinates.slope_C / unit_gain(coordinates, design)
        first_MC, second_MC = np.zeros((2, log_odds_M.size, slope_C.size))
        path = [log_odds_M]
        for t in range(1, design.rounds + 1):
            mean_MC, square_MC = coordinates.of(coordinates.law.moments(path[-1]))
            step = advance(design, mean_MC, square_MC, first_MC, second_MC, float(t))
            first_MC, second_MC = step.first_C, step.second_C
            path.append(path[-1] + step_M * (step.step_C @ slope_C))
        return np.stack(path, axis=1)

    def _drive(
        self,
        log_odds_M: Floats,
        step_M: Floats,
        rho: float,
        path: Floats,
        out_RM: Floats,
        runs: slice = slice(None),
    ) -> None:
        design, counts = self.counts.design, self.counts
        rollouts = counts.rollouts_RT2 if counts.rollouts_RT2 is not None else np.empty((0, 0, 2))
        c = coordinates_of(self.world, design, self.geometry)
        slope_C = c.slope_C / unit_gain(c, design)
        driven(
            log_odds_M,
            step_M,
            self.drives_RT4[runs],
            rollouts[runs],
            counts.rounds_E,
            counts.counts_RE2[runs],
            np.stack([c.size_C, c.right_C, c.wrong_C, slope_C], axis=1),
            np.array([float(design.optimizer != "sgd"), *design.betas, eps_of(self.world, design)]),
            rho,
            path,
            out_RM,
        )


@dataclass(frozen=True)
class Surface:
    """Log-likelihoods of R runs, polynomial in the base log-odds and tabulated over log-steps.

    Attributes:
        base_I: Base log-odds of the nodes, (I,).
        base_2: Right answers and samples that measured the base apart from the runs.
        log_step_J: Log-steps, evenly spaced, (J,).
        values_RIJ: Log-likelihoods.
        rho: Overdispersion they were computed with.
    """

    base_I: Floats
    base_2: Floats
    log_step_J: Floats
    values_RIJ: Floats
    rho: float

    @cached_property
    def _others_II(self) -> NDArray[np.bool_]:
        return np.asarray(~np.eye(self.base_I.size, dtype=bool))

    @cached_property
    def _gaps_I(self) -> Floats:
        gaps_II = self.base_I[:, None] - self.base_I[None, :]
        return np.asarray(np.where(self._others_II, gaps_II, 1.0).prod(axis=1))

    def at(self, base: float) -> Floats:
        """Log-likelihoods at a base log-odds, (R, J), by Lagrange interpolation."""
        away_I = base - self.base_I
        weights_I = np.where(self._others_II, away_I, 1.0).prod(axis=1) / self._gaps_I
        return np.asarray(np.einsum("i,rij->rj", weights_I, self.values_RIJ))

    def weights(self, base: float, log_step: float, spread: float) -> Floats:
        """Log of likelihood x density of each run's own log-step on the grid, (R, J)."""
        spacing = self.log_step_J[1] - self.log_step_J[0]
        z_J = (self.log_step_J - log_step) / spread
        density_J = -0.5 * z_J**2 - math.log(spread / spacing) - 0.5 * math.log(2.0 * math.pi)
        return self.at(base) + density_J

    def loss(self, base: float, log_step: float, spread: float) -> float:
        """Negative log-likelihood of all runs, each run's log-step integrated out."""
        weights_RJ = self.weights(base, log_step, spread)
        top_R1 = weights_RJ.max(axis=1, keepdims=True)
        total = float((top_R1[:, 0] + np.log(np.exp(weights_RJ - top_R1).sum(axis=1))).sum())
        k, n = self.base_2
        chosen = float(binomial(k, n, 1.0 / (1.0 + math.exp(-base)))) if n else 0.0
        return -total - chosen

    def own_steps(self, base: float, log_step: float, spread: float) -> Floats:
        """Posterior mean log-step of each run, (R,)."""
        weights_RJ = self.weights(base, log_step, spread)
        mass_RJ = np.exp(weights_RJ - weights_RJ.max(axis=1, keepdims=True))
        return np.asarray(mass_RJ @ self.log_step_J / mass_RJ.sum(axis=1))


def measured_base(counts: Counts) -> tuple[float, float]:
    """Base log-odds by evaluations of round 0 and the query's own samples, and their standard error."""
    at_start = counts.rounds_E == 0
    k, n = counts.counts_RE2[:, at_start].sum(axis=(0, 1)) + counts.base_2
    return math.log((k + 0.5) / (n - k + 0.5)), math.sqrt(1.0 / (k + 0.5) + 1.0 / (n - k + 0.5))


def surface(model: Model) -> Surface:
    """Compute a surface where the runs' likelihood lives."""
    from scipy.interpolate import CubicSpline

    base, error = measured_base(model.counts)
    best_R, spacing = _own_best(model, base)
    low, high = max(best_R.min() - MARGIN, SEARCHED[0]), min(best_R.max() + MARGIN, SEARCHED[1])
    rho = _overdispersion(model, base, best_R)
    nodes = np.cos(np.pi * (np.arange(BASES) + 0.5) / BASES)[::-1]
    base_I = base + REACH * error * nodes / nodes[-1]
    step_K = np.linspace(low, high, STEPS[model.source])
    grid_I, grid_K = (g.ravel() for g in np.meshgrid(base_I, step_K, indexing="ij"))
    values = model.log_likelihoods(grid_I, grid_K, rho).reshape(model.counts.n, BASES, step_K.size)
    log_step_J = np.linspace(low, high, math.ceil((high - low) / spacing) + 1)
    fine = CubicSpline(step_K, values, axis=2)(log_step_J)
    return Surface(base_I, model.counts.base_2, log_step_J, np.asarray(fine), rho)


def _own_best(model: Model, base: float) -> tuple[Floats, float]:
    """Each run's best log-step at a base, (R,), and a spacing that resolves the sharpest of them."""
    step_K = np.linspace(*SEARCHED, 53)
    coarse_RK = model.log_likelihoods(np.full(step_K.size, base), step_K, 0.0)
    best_R = step_K[coarse_RK.argmax(axis=1)]
    width = step_K[1] - step_K[0]
    low, high = best_R.min() - width, best_R.max() + width
    near_K = np.linspace(low, high, max(49, math.ceil((high - low) / 0.03)))
    values_RK = model.log_likelihoods(np.full(near_K.size, base), near_K, 0.0)
    place_R = values_RK.argmax(axis=1).clip(1, near_K.size - 2)
    rows = np.arange(values_RK.shape[0])
    bend_R = 2 * values_RK[rows, place_R] - values_RK[rows, place_R - 1] - values_RK[rows, place_R + 1]
    error_R = (near_K[1] - near_K[0]) / np.sqrt(np.maximum(bend_R, 1e-9))
    return near_K[place_R], float(np.clip(0.7 * error_R.min(), FINEST, COARSEST))


def _overdispersion(model: Model, base: float, best_R: Floats) -> float:
    """Intra-class correlation of the evaluations around each run's own best path, by maximum likelihood."""
    from scipy.optimize import minimize_scalar

    if model.source == "ladder":  # its law has the noise of the path in it
        return 0.0
    p_RE = 1.0 / (1.0 + np.exp(-model.paths(base, best_R)))
    k_RE, n_RE = np.moveaxis(model.counts.counts_RE2, 2, 0)

    def loss(log_rho: float) -> float:
        return -float(beta_binomial(k_RE, n_RE, p_RE, math.exp(log_rho)).sum())

    found = minimize_scalar(loss, bounds=(math.log(1e-6), math.log(0.9)), method="bounded")
    rho = math.exp(float(found.x))
    return rho if rho >= NO_CLUSTERS else 0.0
