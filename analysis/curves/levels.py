"""Two runs at equal train Pass@1: rising paths in log-odds, and test Pass@1 at common levels.

Train Pass@1, read with k successes of n, becomes the log-odds of (k + 1/2) / (n + 1), made rising by isotonic
regression: evaluation noise makes it fall now and then, and a path that truly turns back is averaged. Test
Pass@1 is straight between evaluations as a function of these log-odds. Levels lie above the later of the two
starts, up to the earlier of the two ends, and below `CEILING`, beyond which train Pass@1 no longer tells how
far a run has gone. At the start itself both runs are the base policy, so it is no level.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CEILING = 0.95
"""Train Pass@1 above which paths are not compared."""
LEVELS = 8
"""Levels at which a pair of runs is compared."""
STRETCH = 0.5
"""Shortest common stretch, in log-odds."""


def train_path(train_E: Floats, samples_E: npt.ArrayLike) -> Floats:
    """Train log-odds along a run, made rising, (E,).

    Args:
        train_E: Train Pass@1 at rising rounds.
        samples_E: Samples behind each.
    """
    samples = np.asarray(samples_E, dtype=np.float64)
    p = (train_E * samples + 0.5) / (samples + 1)
    return isotonic(np.log(p / (1 - p)), p * (1 - p) * samples)


def isotonic(values_E: Floats, weights_E: Floats) -> Floats:
    """Rising values nearest in weighted squares, by pooling adjacent violators (Barlow et al. 1972).

    Args:
        values_E: Values in order.
        weights_E: Positive weights.
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values_E.tolist(), weights_E.tolist(), strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            before, own, count = pools.pop()
            total = own + pool[1]
            pool = ((before * own + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    return np.repeat([p[0] for p in pools], [p[2] for p in pools])


def matched_differences(
    train_A: Floats, test_A: Floats, train_B: Floats, test_B: Floats
) -> tuple[Floats, float, float] | None:
    """B's test Pass@1 minus A's at equal train log-odds.

    Args:
        train_A: A's rising train log-odds, ties allowed.
        test_A: Its test Pass@1 there.
        train_B: B's.
        test_B: B's.

    Returns:
        (LEVELS,) differences at rising levels, and the ends of the stretch in log-odds; None without one.
    """
    ceiling = float(np.log(CEILING / (1 - CEILING)))
    low, high = max(train_A[0], train_B[0]), min(train_A[-1], train_B[-1], ceiling)
    if high - low < STRETCH:
        return None
    levels = np.linspace(low, high, LEVELS + 1)[1:]
    difference = np.interp(levels, *_function(train_B, test_B)) - np.interp(
        levels, *_function(train_A, test_A)
    )
    return np.asarray(difference, dtype=np.float64), float(low), float(high)


def _function(train_E: Floats, test_E: Floats) -> tuple[Floats, Floats]:
    """Distinct train levels and the mean test Pass@1 at each."""
    levels, place, count = np.unique(train_E, return_inverse=True, return_counts=True)
    return levels, np.bincount(place, weights=test_E) / count
