"""Test against train Pass@1: do conditions that arrive at the same train Pass@1 have the same test Pass@1?

With one training query every SGD step is parallel to that query's features, whatever the signal, the group
size or the reward map (theory section 6): the weights move on a line, and test Pass@1 is a function of
train Pass@1. Rollouts and advantages then change when a run arrives, not where. Under Adam the line is
another one; weight decay leaves it.

Runs of two conditions are matched along their own paths. Train Pass@1, read with k successes of n, becomes
the log-odds of (k + 1/2) / (n + 1), made rising by isotonic regression: evaluation noise makes it fall now
and then, and a path that truly turns back is averaged. Test Pass@1 is straight between evaluations as a
function of these log-odds. Levels lie above the later of the two starts, up to the earlier of the two ends,
and below `CEILING`, beyond which train Pass@1 no longer tells how far a run has gone. At the start itself
both runs are the base policy, so it is no level. The pair (query, seed) is the unit, and one interval of
the mean difference answers both questions: inside the margin the paths are the same, without 0 they are
not.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from analysis.claims.worlds import one_query
from analysis.inference.means import Difference, mean_of
from analysis.inference.multiplicity import Adjusted, holm
from analysis.loading.records import Cell, Records
from analysis.results import Interval, bounded
from banditrft.design import PLACEBOS

Floats = npt.NDArray[np.float64]
CEILING = 0.95
"""Train Pass@1 above which paths are not compared."""
LEVELS = 8
"""Levels at which a pair of runs is compared."""
STRETCH = 0.5
"""Shortest common stretch, in log-odds."""
MARGIN = 0.02
"""Difference in test Pass@1 too small to matter: two points, the ledger's own margin."""
FEWEST_PAIRS = 3
METHOD = (
    "Per pair (query, seed) the mean difference of test Pass@1 at equal train Pass@1, both read along the "
    "run's own path; over pairs a t interval at Holm's level over the comparisons: inside the margin they "
    "are one path as far as it matters, without 0 they are not equal; both can hold."
)


def train_path(train_E: Floats, samples_E: npt.ArrayLike) -> Floats:
    """Train log-odds along a run, made rising, (E,).

    Args:
        train_E: Train Pass@1 at rising rounds.
        samples_E: Samples behind each.
    """
    samples = np.asarray(samples_E, dtype=np.float64)
    p = (train_E * samples + 0.5) / (samples + 1)
    return np.asarray(isotonic_regression(np.log(p / (1 - p)), weights=p * (1 - p) * samples).x)


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


@dataclass(frozen=True)
class Matched:
    """Pairs of runs of two conditions, B minus A.

    Attributes:
        mean_N: Mean difference of test Pass@1 over the levels of each pair.
        end_N: The difference at its highest level.
        low: Lowest train Pass@1 compared in any pair, nan without pairs.
        high: Highest.
        left_out: Common runs without a common stretch.
    """

    mean_N: Floats
    end_N: Floats
    low: float
    high: float
    left_out: int


def match(a: Cell, b: Cell) -> Matched:
    """Match the runs that two conditions have in common, by (query, seed)."""
    of_a, of_b = _paths(a), _paths(b)
    common = [key for key in of_a if key in of_b]
    found = [one for key in common if (one := matched_differences(*of_a[key], *of_b[key])) is not None]
    if not found:
        return Matched(np.empty(0), np.empty(0), float("nan"), float("nan"), len(common))
    differences_NL = np.array([f[0] for f in found])
    ends = np.array([min(f[1] for f in found), max(f[2] for f in found)])
    low, high = (1 / (1 + np.exp(-ends))).tolist()
    return Matched(differences_NL.mean(axis=1), differences_NL[:, -1], low, high, len(common) - len(found))


def evaluated(cell: Cell) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rounds with a train and a test evaluation, and their places in the two curves."""
    rounds, train, test = np.intersect1d(cell.rounds, cell.test_rounds, return_indices=True)
    return rounds, train, test


def _paths(cell: Cell) -> dict[tuple[int, int], tuple[Floats, Floats]]:
    """Rising train log-odds and test Pass@1 of each run, by (query, seed)."""
    _, train, test = evaluated(cell)
    return {
        key: (train_path(cell.train[i, train], cell.train_samples[i, train]), cell.test_curve[i, test])
        for i, key in enumerate(cell.keys())
    }


@dataclass(frozen=True)
class PathPoints:
    """Test against train Pass@1 of one condition, an entry per run and evaluation that has both.

    Attributes:
        condition: Name in the study.
        query: Training query of the run.
        seed: Seed of the run.
        round: Round of the evaluation.
        train: Train Pass@1.
        test: Test Pass@1.
    """

    condition: str
    query: tuple[int, ...]
    seed: tuple[int, ...]
    round: tuple[float, ...]
    train: tuple[float, ...]
    test: tuple[float, ...]


@dataclass(frozen=True)
class PathComparison:
    """Two conditions at equal train Pass@1.

    Attributes:
        conditions: A and B.
        one_path: Whether theory says that they share a path.
        found: "same path", "another path", "undecided" or "cannot be compared".
        estimate: Mean difference of test Pass@1, B minus A, over levels and pairs; None without pairs.
        interval: Two-sided, at `level`.
        level: Its confidence after Holm.
        p: Adjusted p-value of what was found, or of what came closest.
        end: The same difference at each pair's highest common level alone.
        end_interval: Its interval at the same level.
        margin: Difference too small to matter.
        n: Pairs compared.
        left_out: Pairs without a common stretch.
        train: Lowest and highest train Pass@1 compared in any pair.
        sentence: What was found.
    """

    conditions: tuple[str, str]
    one_path: bool
    found: str
    estimate: float | None
    interval: Interval
    level: float
    p: float | None
    end: float | None
    end_interval: Interval
    margin: float
    n: int
    left_out: int
    train: Interval
    sentence: str


@dataclass(frozen=True)
class PathTest:
    """Paths of a world's conditions, each compared with the first that learns from reward.

    Attributes:
        world: Name of the world.
        points: Data of the plot, by condition.
        comparisons: In the order of the study.
        n: Runs behind the points.
        method: How runs were compared.
        sentence: What was found, or why nothing could be.
    """

    world: str
    points: tuple[PathPoints, ...]
    comparisons: tuple[PathComparison, ...]
    n: int
    method: str
    sentence: str


def path_independence(records: Records, world: str, alpha: float = 0.05) -> PathTest:
    """Compare the paths of a world's conditions with that of its first one.

    Placebo conditions are drawn, but not compared: they hardly move.

    Args:
        records: Records of a study.
        world: Name of the world.
        alpha: Error rate over all comparisons.

    Returns:
        Points and comparisons; without test evaluations during training there are none, and the sentence
        says so.
    """
    drawn = (c for c in records.of(world).values() if np.isfinite(c.test_curve).all())
    cells = [c for c in drawn if evaluated(c)[0].size >= 2]
    if not cells:
        return PathTest(world, (), (), 0, METHOD, f"'{world}' has no test evaluations during training.")
    learning = [c for c in cells if c.design.reward not in PLACEBOS]
    matched = [match(learning[0], other) for other in learning[1:]]
    tests = [mean_of(m.mean_N) for m in matched if m.mean_N.size >= FEWEST_PAIRS]
    after = iter(holm([min(_p_same(t), _p_other(t)) for t in tests], alpha))
    comparisons = tuple(
        _compared(learning[0], b, m, next(after))
        if m.mean_N.size >= FEWEST_PAIRS
        else _not_compared(learning[0], b, m, alpha)
        for b, m in zip(learning[1:], matched, strict=True)
    )
    said = [c.sentence for c in comparisons] or ["No two conditions learn from reward: nothing is compared."]
    if not one_query(cells[0].world):
        said.append("These runs train on many queries, for which theory does not say that paths agree.")
    points = tuple(_points(cell) for cell in cells)
    return PathTest(world, points, comparisons, sum(c.n for c in cells), METHOD, " ".join(said))


def _p_same(test: Difference) -> float:
    """p-value of "they differ by the margin or more", doubled: one interval is read for both answers."""
    return min(1.0, 2 * test.p_inside(MARGIN))


def _p_other(test: Difference) -> float:
    return min(1.0, 2 * min(test.p_above(0.0), test.p_below(0.0)))


def _points(cell: Cell) -> PathPoints:
    rounds, train, test = evaluated(cell)
    return PathPoints(
        condition=cell.condition,
        query=tuple(np.repeat(cell.query, rounds.size).tolist()),
        seed=tuple(np.repeat(cell.seed, rounds.size).tolist()),
        round=tuple(np.tile(rounds, cell.n).tolist()),
        train=tuple(cell.train[:, train].ravel().tolist()),
        test=tuple(cell.test_curve[:, test].ravel().tolist()),
    )


def _one_path(a: Cell, b: Cell) -> bool:
    """Whether theory says that two conditions share a path; not where an import's log does not say how."""
    if {"optimizer", "weight_decay"} & {*a.unknown, *b.unknown}:
        return False
    same = (a.design.optimizer == "sgd") == (b.design.optimizer == "sgd")
    decays = max(a.design.weight_decay, b.design.weight_decay) > 0
    return one_query(a.world) and same and not decays


def _compared(a: Cell, b: Cell, matched: Matched, after: Adjusted) -> PathComparison:
    test, end, one_path = mean_of(matched.mean_N), mean_of(matched.end_N), _one_path(a, b)
    same, other = _p_same(test) <= after.level, _p_other(test) <= after.level
    found = "same path" if same else "another path" if other else "undecided"
    said = f"{found} within the margin, yet not equal" if same and other else found
    interval = bounded(test.interval(after.level / 2))
    return PathComparison(
        conditions=(a.condition, b.condition),
        one_path=one_path,
        found=found,
        estimate=test.estimate,
        interval=interval,
        level=1 - after.level,
        p=after.p,
        end=end.estimate,
        end_interval=bounded(end.interval(after.level / 2)),
        margin=MARGIN,
        n=test.n,
        left_out=matched.left_out,
        train=(matched.low, matched.high),
        sentence=(
            f"At equal train Pass@1 the test Pass@1 of '{b.condition}' minus that of '{a.condition}' is "
            f"{_in_points(test.estimate)} points ({1 - after.level:.1%} interval {_in_points(interval[0])} "
            f"to {_in_points(interval[1])}; {test.n} pairs, {matched.left_out} without a common stretch; "
            f"margin {100 * MARGIN:g}): {said} (theory: {'one path' if one_path else 'not one path'})."
        ),
    )


def _not_compared(a: Cell, b: Cell, matched: Matched, alpha: float) -> PathComparison:
    n = matched.mean_N.size
    return PathComparison(
        conditions=(a.condition, b.condition),
        one_path=_one_path(a, b),
        found="cannot be compared",
        estimate=None,
        interval=(None, None),
        level=1 - alpha,
        p=None,
        end=None,
        end_interval=(None, None),
        margin=MARGIN,
        n=n,
        left_out=matched.left_out,
        train=bounded((matched.low, matched.high)),
        sentence=(
            f"'{b.condition}' cannot be compared with '{a.condition}': {n} pairs of runs share a stretch of "
            f"train Pass@1 and {matched.left_out} do not; {FEWEST_PAIRS} are needed."
        ),
    )


def _in_points(x: float | None) -> str:
    return "unbounded" if x is None else f"{100 * x:+.2f}".replace("-", "−")
