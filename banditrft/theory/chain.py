"""Exact mean and spread of the hitting time under SGD for any group: one state, the log-odds (theory §2, §3).

With SGD and one direction of movement the log-odds alone are a Markov chain, l' = l + step u(S, p) with
S ~ Binomial(G, p). That is so for shared parameters (theory §6, step = eta |u0|^2) under every signal, and
for a tabular policy with one correct arm (step = eta K/(K-1)) under the raw {0,1} signal, whose failures are
silent. Where no multiplier is negative the chain only climbs, and E[T] and E[T^2] solve backward equations
from the target down. They are solved on a grid of log-odds with linear interpolation, within half a round:
E[T] jumps by whole rounds near the target, which a grid smooths. The sampling noise is in them, unlike in a
mean field.
"""

import numpy as np

from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.theory.signals import GroupLaw

GRID = 8192


def chain_moments(
    law: GroupLaw, p0: float, step: float, target: float, grid: int = GRID
) -> tuple[float, float]:
    """Mean and standard deviation of the first round with Pass@1 >= target, in rounds.

    Args:
        law: The design's groups.
        p0: Base Pass@1, in (0, 1).
        step: Learning rate times gain, above 0.
        target: Pass@1 to reach, in (0, 1).
        grid: Number of grid points between base and target.

    Raises:
        InputError: An argument is outside its domain, or the signal can lower the log-odds.
    """
    start = domain.log_odds(domain.open_unit("p0", p0))
    end = domain.log_odds(domain.open_unit("target", target))
    domain.positive("learning_rate", step)
    if start >= end:
        return 0.0, 0.0
    levels_N = np.linspace(start, end, grid + 1)
    spacing = levels_N[1] - levels_N[0]
    first_N, second_N = np.zeros(grid + 1), np.zeros(grid + 1)
    for i in range(grid - 1, -1, -1):
        weight_S, jump_S = law.weights(levels_N[i]), step * law.multiplier(levels_N[i])
        if jump_S.min() < 0:
            raise InputError("signal: the chain must climb; this signal and reward can lower the log-odds")
        place_S = np.minimum(i + jump_S / spacing, float(grid))
        below_S = np.minimum(place_S.astype(np.int64), grid - 1)
        part_S = place_S - below_S
        # what interpolation puts back on this very grid point goes to the left-hand side
        stay = float(weight_S[below_S == i] @ (1.0 - part_S[below_S == i]))
        ahead1_S = part_S * first_N[below_S + 1] + (1.0 - part_S) * first_N[below_S]
        ahead2_S = part_S * second_N[below_S + 1] + (1.0 - part_S) * second_N[below_S]
        first_N[i] = (1.0 + weight_S @ ahead1_S) / (1.0 - stay)
        ahead1 = weight_S @ ahead1_S + stay * first_N[i]
        second_N[i] = (1.0 + 2.0 * ahead1 + weight_S @ ahead2_S) / (1.0 - stay)
    return float(first_N[0]), float(np.sqrt(max(second_N[0] - first_N[0] ** 2, 0.0)))
