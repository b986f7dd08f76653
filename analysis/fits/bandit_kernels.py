"""Compiled loops of the bandit fit: log-likelihoods of whole runs on a grid of parameters.

Both loops return, for run r and grid point m, the log-likelihood of the run's counts without the terms that
depend on no parameter. Numba compiles them on first use and keeps the result on disk.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _compiled(function: F) -> F:
    return cast(F, cast(Any, numba.njit)(cache=True, nogil=True, error_model="numpy")(function))


@_compiled
def _count(k: float, n: float, log_odds: float, rho: float) -> float:
    """Log-likelihood of k of n, binomial for rho = 0, else beta-binomial."""
    if rho == 0.0:
        return k * log_odds - n * (max(log_odds, 0.0) + math.log1p(math.exp(-abs(log_odds))))
    size = (1.0 - rho) / rho
    tail = math.exp(-abs(log_odds))
    more = max(size / (1.0 + tail), 1e-12)
    less = max(size * tail / (1.0 + tail), 1e-12)
    a, b = (more, less) if log_odds > 0 else (less, more)
    rising = math.lgamma(a + k) - math.lgamma(a) + math.lgamma(b + n - k) - math.lgamma(b)
    return rising - math.lgamma(size + n) + math.lgamma(size)


@_compiled
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


@_compiled
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
