"""Area under a learning curve: the mean of Pass@1 over the rounds, one number per run."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from analysis.curves.resampling import Floats, checked_level, checked_strata, checked_values, moments
from banditrft.errors import InputError


@dataclass(frozen=True)
class Area:
    """Mean normalised area of N runs.

    Attributes:
        estimate: In the curve's own unit: 1 is a curve that is 1 throughout.
        interval: Two-sided.
        level: Its confidence.
        n: Runs.
        method: How the interval came about.
        sentence: What was found.
    """

    estimate: float
    interval: tuple[float, float]
    level: float
    n: int
    method: str
    sentence: str


def checked_rounds(rounds_E: npt.ArrayLike, evaluations: int) -> Floats:
    """Rounds of E >= 2 evaluations, strictly rising.

    Raises:
        InputError: They are not.
    """
    rounds = np.asarray(rounds_E, dtype=np.float64)
    if rounds.shape != (evaluations,) or evaluations < 2 or not (np.diff(rounds) > 0).all():
        raise InputError(
            f"rounds: need {max(evaluations, 2)} that rise, one per evaluation, got {rounds.tolist()}"
        )
    return rounds


def normalised_area(rounds_E: npt.ArrayLike, values_NE: npt.ArrayLike) -> Floats:
    """Area under each run's curve by the trapezoid rule, over the length of the rounds, (N,).

    Args:
        rounds_E: Rounds of the evaluations, at least two, rising.
        values_NE: One curve per run.

    Raises:
        InputError: Rounds that do not rise or do not match the values, values that are not finite.
    """
    values = checked_values(values_NE, 2, fewest=1)
    rounds = checked_rounds(rounds_E, values.shape[1])
    return np.asarray(np.trapezoid(values, rounds, axis=1) / (rounds[-1] - rounds[0]), dtype=np.float64)


def mean_area(
    rounds_E: npt.ArrayLike,
    values_NE: npt.ArrayLike,
    *,
    level: float = 0.95,
    strata_N: npt.ArrayLike | None = None,
) -> Area:
    """Mean normalised area over runs with its t interval.

    Args:
        rounds_E: Rounds of the evaluations.
        values_NE: One curve per run.
        level: Two-sided confidence.
        strata_N: Query of each run; the spread between queries is then no error. None is one query.

    Raises:
        InputError: As :func:`normalised_area`; or fewer than two runs (in a query).
    """
    areas_N = normalised_area(rounds_E, values_NE)
    rows = checked_strata(strata_N, areas_N.size)
    mean, se, df = (float(v[0]) for v in moments(areas_N[:, None], rows))
    half = float(stdtrit(df, (1 + checked_level(level)) / 2)) * se
    within = f" within {len(rows)} queries" if len(rows) > 1 else ""
    return Area(
        estimate=mean,
        interval=(mean - half, mean + half),
        level=level,
        n=areas_N.size,
        method=f"t interval over runs{within}",
        sentence=(
            f"Averaged over the rounds Pass@1 is {mean:.3f} ({level:.0%} interval {mean - half:.3f} to "
            f"{mean + half:.3f}, {areas_N.size} runs)."
        ),
    )
