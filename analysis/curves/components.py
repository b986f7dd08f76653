"""Where results vary: between worlds, designs, queries, seeds, and from evaluation alone.

Queries are those of the study, not a sample, so their component is the variance of the means that they
would have with infinitely many seeds. Seeds are nested in queries (streams are keyed by both). The mean
square within queries holds the seeds' variance and the evaluation's; the latter is known from the counts
and is subtracted. Worlds and designs are crossed, and share their seeds.

The seeds' interval is the wider of the chi-squared one, exact for normal values, and Bonett's (2006), which
reads the kurtosis off the values, with t for z: alone either falls to .86 for skewed or heavy-tailed
values. All else is a jackknife over runs or seeds on a logarithmic scale.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, stdtrit

from analysis.claims.areas import area, area_noise, gain_noise
from analysis.claims.variance_share import by_seed
from analysis.claims.worlds import Kind, tested
from analysis.inference.means import Difference, settled
from analysis.inference.resampling import Floats, Ints, checked_level, checked_strata, checked_values
from analysis.inference.spread import jackknife, log_variance_ratio, share
from analysis.loading.records import Cell, Records
from analysis.results import Interval, bounded
from banditrft.design import PLACEBOS
from banditrft.errors import InputError

NAMES = ("worlds", "designs", "worlds x designs", "seeds and evaluation")
SEEDS = 4
"""Seeds of a query, or of a table, below which no variance is taken apart."""


@dataclass(frozen=True)
class Component:
    """One source of variance.

    Attributes:
        name: What varies.
        variance: Estimate, 0 where it would be negative.
        interval: Two-sided; an end of None is not bounded or not known.
        share: Of the sum of all components; None where all are 0.
    """

    name: str
    variance: float
    interval: Interval
    share: float | None


def shares(parts: list[tuple[str, float, Interval]]) -> tuple[Component, ...]:
    """Components with their shares of the sum; negative estimates are shown as 0."""
    kept = [(name, max(value, 0.0), interval) for name, value, interval in parts]
    total = sum(value for _, value, _ in kept)
    return tuple(Component(n, v, i, v / total if total > 0 else None) for n, v, i in kept)


def nested(
    values_N: npt.ArrayLike, noise_N: npt.ArrayLike, query_N: npt.ArrayLike, level: float = 0.95
) -> tuple[Component, ...]:
    """Components "queries" (where there are several), "seeds" and "evaluation" of N runs.

    Args:
        values_N: One value per run.
        noise_N: Variance of each from evaluation alone.
        query_N: Query of each run.
        level: Two-sided confidence.

    Raises:
        InputError: Fewer than two runs in a query, shapes that disagree, values that are not finite.
    """
    values, noise = checked_values(values_N, 1), checked_values(noise_N, 1)
    if noise.shape != values.shape:
        raise InputError(f"noise: need one per value, got shapes {noise.shape} and {values.shape}")
    rows = checked_strata(query_N, values.size)
    tail = (1 - checked_level(level)) / 2
    between, within = _variances(values, rows)
    alone = float(noise.mean())
    low, high = _seeds_interval(values, rows, within, tail)
    parts: list[tuple[str, float, Interval]] = [
        ("seeds", within - alone, bounded((max(low - alone, 0.0), max(high - alone, 0.0)))),
        ("evaluation", alone, (None, None)),
    ]
    if len(rows) > 1:
        found = _over_runs(values, query_N, lambda b, _: math.log(b) if b > 0 else math.nan)
        parts.insert(0, ("queries", between, _interval(found, tail, math.exp)))
    return shares(parts)


def query_share(
    values_N: npt.ArrayLike, query_N: npt.ArrayLike, level: float = 0.95
) -> tuple[float | None, Interval]:
    """Share of the queries in the variance of a run, and its interval from a jackknife over runs.

    Args:
        values_N: One value per run.
        query_N: Query of each run, at least two queries.
        level: Two-sided confidence.

    Returns:
        Share, None where neither queries nor runs differ, and its interval; ends of None where leaving out
        a run makes a component negative.

    Raises:
        InputError: Fewer than two queries, or two runs in one.
    """
    values = checked_values(values_N, 1)
    rows = checked_strata(query_N, values.size)
    if len(rows) < 2:
        raise InputError(f"queries: a share needs two, got {len(rows)}")
    between, within = (max(v, 0.0) for v in _variances(values, rows))
    found = _over_runs(values, query_N, lambda b, w: math.log(b / w) if min(b, w) > 0 else math.nan)
    interval = _interval(found, (1 - checked_level(level)) / 2, lambda x: 1 / (1 + math.exp(-x)))
    return between / (between + within) if between + within > 0 else None, interval


def _variances(values_N: Floats, rows: list[Ints]) -> tuple[float, float]:
    """Unbiased variances between the queries' means and within queries; the former may be negative."""
    squares = sum(float(((values_N[r] - values_N[r].mean()) ** 2).sum()) for r in rows)
    within = float(settled(squares / (values_N.size - len(rows)), values_N))
    if len(rows) < 2:
        return 0.0, within
    means = np.array([values_N[r].mean() for r in rows])
    between = float(settled(means.var(ddof=1), values_N))
    return between - within * float(np.mean([1 / r.size for r in rows])), within


def _seeds_interval(values_N: Floats, rows: list[Ints], within: float, tail: float) -> tuple[float, float]:
    """The wider of the chi-squared and Bonett's interval of the variance within queries."""
    n, freedom = values_N.size, values_N.size - len(rows)
    if within == 0:
        return 0.0, 0.0
    chi = [within * freedom / float(chdtri(freedom, t)) for t in (tail, 1 - tail)]
    from_middle = np.concatenate([values_N[r] - _trimmed_mean(values_N[r]) for r in rows])
    kurtosis = n * float((from_middle**4).sum()) / (within * freedom) ** 2
    se = math.sqrt(max(kurtosis - (n - 3) / n, 0.0) / freedom)
    factor = math.exp(float(stdtrit(freedom, 1 - tail)) * se)
    return min(chi[0], within / factor), max(chi[1], within * factor)


def _trimmed_mean(values_M: Floats) -> float:
    """Bonett's centre: a share of 1 / (2 sqrt(M - 4)) of the values cut off at either end."""
    cut = int(values_M.size / (2 * math.sqrt(max(values_M.size - 4, 1)))) if values_M.size > 4 else 0
    return float(np.sort(values_M)[cut : values_M.size - cut].mean())


def _over_runs(values_N: Floats, query_N: npt.ArrayLike, of: Callable[[float, float], float]) -> Difference:
    query = np.asarray(query_N)

    def statistic(kept: Ints) -> float:
        left = query[kept]
        return of(*_variances(values_N[kept], [np.flatnonzero(left == q) for q in np.unique(left)]))

    return jackknife(statistic, values_N.size)


def _interval(found: Difference, tail: float, outward: Callable[[float], float]) -> Interval:
    if not (math.isfinite(found.estimate) and math.isfinite(found.se)):
        return None, None
    low, high = found.interval(tail)
    return outward(low), outward(high)


def effects(y_SWC: Floats) -> Floats:
    """Components in the order of `NAMES`, unbiased, so that they may be negative.

    Args:
        y_SWC: (S seeds, W worlds, C conditions) results.
    """
    seeds, worlds, designs = y_SWC.shape
    centred = y_SWC - y_SWC.mean(axis=(1, 2), keepdims=True)
    of_world, of_design = centred.mean(axis=2), centred.mean(axis=1)
    rest = centred - of_world[:, :, None] - of_design[:, None, :]
    found = [
        float((z.mean(axis=0) ** 2).sum() - z.var(axis=0, ddof=1).sum() / seeds) / freedom
        for z, freedom in (
            (of_world, worlds - 1),
            (of_design, designs - 1),
            (rest, (worlds - 1) * (designs - 1)),
        )
    ]
    return settled([*found, y_SWC.var(axis=0, ddof=1).mean()], y_SWC)


def crossed(y_SWC: npt.ArrayLike, level: float = 0.95) -> tuple[Component, ...]:
    """Components of a balanced table with jackknife intervals over seeds on their logarithms.

    An end is None where leaving out one seed makes the component negative.

    Args:
        y_SWC: (S seeds, W worlds, C conditions) results.
        level: Two-sided confidence.

    Raises:
        InputError: Fewer than four seeds (a variance over three must be left), two worlds or two conditions.
    """
    y = np.asarray(y_SWC, dtype=np.float64)
    if y.ndim != 3 or y.shape[0] < 4 or min(y.shape[1:]) < 2:
        raise InputError(f"table: need seeds >= 4, worlds >= 2 and conditions >= 2, got shape {y.shape}")
    found = effects(y)
    parts = [(name, float(found[i]), _log_interval(y, i, level)) for i, name in enumerate(NAMES)]
    return shares(parts)


def world_share(y_SWC: npt.ArrayLike, level: float = 0.95) -> tuple[float | None, Interval]:
    """Worlds' share of the variances of world means and design means, as claim B7 reads it.

    Args:
        y_SWC: (S seeds, W worlds, C conditions) results.
        level: Two-sided confidence.

    Raises:
        InputError: As :func:`analysis.inference.spread.log_variance_ratio`.
    """
    ratio = log_variance_ratio(y_SWC)
    if not (math.isfinite(ratio.estimate) and math.isfinite(ratio.se)):
        return None, (None, None)
    low, high = ratio.interval((1 - level) / 2)
    return share(ratio.estimate), (share(low), share(high))


def _log_interval(y_SWC: Floats, part: int, level: float) -> Interval:
    def statistic(rows: npt.NDArray[np.int64]) -> float:
        value = float(effects(y_SWC[rows])[part])
        return math.log(value) if value > 0 else float("nan")

    found = jackknife(statistic, y_SWC.shape[0])
    if not (math.isfinite(found.estimate) and math.isfinite(found.se)):
        return None, None
    low, high = found.interval((1 - level) / 2)
    return bounded((math.exp(low), math.exp(high)))


@dataclass(frozen=True)
class Decomposition:
    """Variance of one quantity, taken apart.

    Attributes:
        what: The quantity.
        world: World, or kind of worlds.
        condition: Condition, None for a table of several.
        components: Its sources.
        estimate: The leading question's share: queries of a run's variance, worlds against designs.
        interval: Its two-sided interval.
        level: Confidence of all intervals.
        n: Units of replication.
        unit: What one is.
        method: How the components came about.
        sentence: What was found.
    """

    what: str
    world: str
    condition: str | None
    components: tuple[Component, ...]
    estimate: float | None
    interval: Interval
    level: float
    n: int
    unit: str
    method: str
    sentence: str


def components(records: Records, level: float = 0.95) -> tuple[Decomposition, ...]:
    """Decompositions of every condition with enough seeds, then of worlds against designs.

    Of a condition: the area under the training curve, and the gain in test Pass@1 where there is a test set.

    Args:
        records: Records of a study.
        level: Two-sided confidence.
    """
    found = []
    for cell in records.cells:
        if min(np.unique(cell.query, return_counts=True)[1]) < SEEDS:
            continue
        if cell.has_train:
            found.append(_within(cell, "area under the training curve", area(cell), area_noise(cell), level))
        if cell.has_test:
            gain = cell.test - cell.test_base
            found.append(_within(cell, "gain in test Pass@1", gain, gain_noise(cell), level))
    kinds: tuple[Kind, ...] = ("sim", "llm")
    tables = [_table(records, kind, single, level) for kind in kinds for single in (True, False)]
    return (*found, *(t for t in tables if t is not None))


def _within(cell: Cell, what: str, values_N: Floats, noise_N: Floats, level: float) -> Decomposition:
    parts = nested(values_N, noise_N, cell.query, level)
    several = len(np.unique(cell.query)) > 1
    estimate, interval = query_share(values_N, cell.query, level) if several else (None, (None, None))
    return Decomposition(
        what=what,
        world=cell.world.name,
        condition=cell.condition,
        components=parts,
        estimate=estimate,
        interval=interval,
        level=level,
        n=cell.n,
        unit=f"runs ({cell.replicate})",
        method=(
            "Analysis of variance, seeds nested in these queries; evaluation is binomial at the pooled rate, "
            "the most that items of unequal difficulty can have. Seeds: the wider of the chi-squared and "
            "Bonett's interval; queries: jackknife over runs."
        ),
        sentence=f"Variance of the {what} of '{cell.condition}' in '{cell.world.name}': {_said(parts)}.",
    )


def _table(records: Records, kind: Kind, single_query: bool, level: float) -> Decomposition | None:
    worlds = tested(records, kind, single_query=single_query)
    if len(worlds) < 2:
        return None
    names = [
        name
        for name, cell in records.of(worlds[0]).items()
        if cell.design.reward not in PLACEBOS and all(name in records.of(w) for w in worlds)
    ]
    cells = [[records.of(w)[name] for name in names] for w in worlds]
    if len(names) < 2 or not all(c.has_test for row in cells for c in row):
        return None
    seeds, gains = by_seed(cells)
    if len(seeds) < SEEDS:
        return None
    parts = crossed(gains, level)
    estimate, interval = world_share(gains, level)
    return Decomposition(
        what="gain in test Pass@1",
        world=", ".join(worlds),
        condition=None,
        components=parts,
        estimate=estimate,
        interval=interval,
        level=level,
        n=len(seeds),
        unit="seeds",
        method=(
            "Variances of the worlds' and the designs' mean gains and of what is left of their table, the "
            "seeds' noise subtracted; jackknife over seeds. Worlds and designs are those of the study."
        ),
        sentence=(
            f"Variance of the gain in test Pass@1 over {len(worlds)} worlds and {len(names)} designs: "
            f"{_said(parts)}."
        ),
    )


def _said(parts: tuple[Component, ...]) -> str:
    if parts[0].share is None:
        return "none was seen"
    return ", ".join(f"{p.name} {p.share:.0%}" for p in parts if p.share is not None)
