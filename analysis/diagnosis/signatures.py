"""The failure signatures of papers A and B as tests, each with a border that is stated and tested both ways.

"Present" is shown when all its parts are, each at the full level (intersection-union); "absent" when one part
is shown not to hold, at the level divided by their number. First what the signatures read of a condition, one
number per unit (the run unless said otherwise); then the signatures of a single condition, those of the
tables of rounds, and those that compare conditions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from analysis.claims.areas import area
from analysis.claims.worlds import final_train, table
from analysis.inference.fractions import Fraction
from analysis.inference.means import Difference, mean_of, paired_difference, welch_difference
from analysis.inference.spread import spread_ratio
from analysis.loading.counts import counts_of
from analysis.loading.records import Cell, Records
from analysis.loading.scan import scan
from banditrft.catalog import STUDY
from banditrft.claims import ladders
from banditrft.claims.conditions import rest
from banditrft.design import GROUP_SIGNALS
from banditrft.errors import InputError
from banditrft.worlds import ImportedWorld

Found = Literal["present", "absent", "cannot tell", "note"]


@dataclass(frozen=True)
class Sign:
    """A signature in one condition.

    Attributes:
        signature: Its name, a key of `SIGNATURES`.
        world: World of the condition.
        condition: The condition, or the conditions compared.
        found: "present" and "absent" are both shown by a test; what follows from the settings is a "note";
            anything else is "cannot tell".
        evidence: Numbers behind it: estimates with 95% intervals, n, the margins to the thresholds, the
            p-values, the adjusted one and the number of tests it is corrected for.
        sentence: What was found, in one sentence.
    """

    signature: str
    world: str
    condition: str
    found: Found
    evidence: dict[str, Any]
    sentence: str


@dataclass(frozen=True)
class Part:
    """An estimate and the threshold that it must pass.

    Attributes:
        name: What is estimated.
        estimate: Its value.
        threshold: Where the signature begins.
        above: Whether it begins above it.
        unit: "points" (of Pass@1, in units of 1), "Pass@1", "times" or "share".
    """

    name: str
    estimate: float
    threshold: float
    above: bool
    unit: Literal["points", "Pass@1", "times", "share"]

    @property
    def margin(self) -> float:
        """How far the estimate lies inside the signature; negative: outside."""
        return (self.estimate - self.threshold) * (1.0 if self.above else -1.0)

    @property
    def sentence(self) -> str:
        """The distance in words: "level 0.250 below the border of 0.95"."""
        side = "above" if self.estimate > self.threshold else "below"
        away = abs(self.estimate - self.threshold)
        if self.unit == "points":
            return f"{self.name} {100 * away:.1f} points {side} the border of {100 * self.threshold:g}"
        return f"{self.name} {away:.3f} {side} the border of {self.threshold:g}"


@dataclass(frozen=True)
class Check:
    """A signature in one condition before correction.

    Attributes:
        signature: Its name.
        world: World of the condition.
        condition: The condition, or the conditions compared.
        p_present: p-value of "the signature is not there".
        p_absent: p-value of "the signature is there".
        evidence: Numbers behind it.
        parts: What is compared with a threshold; the signature needs all of them.
        said: What was measured.
        present: What it means if the signature is there.
        absent: What it means if it is not.
        why_open: Why no test is possible; empty where there is one.
        note: What follows from the settings or the logs without a test.
    """

    signature: str
    world: str
    condition: str
    p_present: float = 1.0
    p_absent: float = 1.0
    evidence: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    present: str = ""
    absent: str = ""
    why_open: str = ""
    note: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def tested(self) -> bool:
        """Whether it is a member of the family that is corrected."""
        return not self.note and not self.why_open

    @property
    def p(self) -> float:
        """The smaller p-value; the two hypotheses are never both true."""
        return min(self.p_present, self.p_absent)


class Test(Protocol):
    """An estimate with one-sided bounds."""

    @property
    def estimate(self) -> float:
        """Point estimate."""

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both one-sided 1 - alpha bounds."""


RATE, CHANGE, RATIO = (0.0, 1.0), (-1.0, 1.0), (0.0, float("inf"))
"""What a Pass@1 or a share, a change of one, and a ratio can be; intervals end there."""


def ends(test: Test, within: tuple[float, float]) -> tuple[float, float]:
    """Ends of the 95% interval, inside what the quantity can be; infinite where there is no bound."""
    low, high = test.interval(0.025)
    if low == float("-inf") and high == float("inf"):
        return low, high
    return max(low, within[0]), min(high, within[1])


def number(test: Test, within: tuple[float, float]) -> dict[str, float | None]:
    """An estimate and its 95% interval as JSON values; None where there is no bound."""
    low, high = ends(test, within)
    values = {"estimate": test.estimate, "low": low, "high": high}
    return {k: float(v) if abs(v) < float("inf") else None for k, v in values.items()}


def either(*p_values: float) -> float:
    """p-value of a union from those of its parts (Bonferroni)."""
    return min(1.0, len(p_values) * min(p_values))


def points(test: Test) -> str:
    """A change in points of Pass@1 with its 95% interval."""
    low, high = ends(test, CHANGE)
    if low == float("-inf"):
        return f"{100 * test.estimate:+.1f} points in all alike"
    return f"{100 * test.estimate:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def ratio_of(test: Test) -> str:
    """A ratio with its 95% interval, where so few runs give one."""
    low, high = ends(test, RATIO)
    return f"{test.estimate:.2f} " + ("(no interval)" if low == float("-inf") else f"[{low:.2f}, {high:.2f}]")


def joined(names: Sequence[str]) -> str:
    """Conditions of a comparison."""
    return " | ".join(names)


Floats = npt.NDArray[np.float64]
LEARNED = 0.05
"""Train Pass@1 has risen when it has by more than this."""
MARGIN = 0.02
"""Test Pass@1 has changed when it has by more than this, the margin of the claims."""
TOP, STILL_RISING = 0.95, 0.02
"""A plateau lies below the first and rises by less than the second per sixth of the run."""
NEAR_ZERO = 0.05


@dataclass(frozen=True)
class Measures:
    """One condition, U units.

    Attributes:
        world: Its world.
        condition: Its name.
        unit: What a unit is.
        n: Number of units.
        start: (U,) train Pass@1 at the first evaluations; None without a training curve.
        level: (U,) mean train Pass@1 over the last quarter.
        late: (U,) its change from the fifth to the last sixth; None with fewer than six evaluations.
        change: (U,) change of test Pass@1, last minus first evaluation; None without two.
        base: Right answers of the base policy on the training queries; None where it was not evaluated.
    """

    world: str
    condition: str
    unit: str
    n: int
    start: Floats | None
    level: Floats | None
    late: Floats | None
    change: Floats | None
    base: Fraction | None

    @property
    def rise(self) -> Floats | None:
        """(U,) change of train Pass@1 from the start to the last quarter."""
        return None if self.start is None or self.level is None else self.level - self.start


def _check(m: Measures, name: str, **found: object) -> Check:
    return Check(name, m.world, m.condition, **found)  # type: ignore[arg-type]


def _lacking(m: Measures, name: str, parts: Mapping[str, Floats | Fraction | None]) -> Check | None:
    """A check that cannot be made: one run, or something is not recorded."""
    if m.n < 2:
        return _check(m, name, why_open="one run, and the run is the unit")
    gone = [what for what, value in parts.items() if value is None]
    return _check(m, name, why_open=f"the records hold no {' and no '.join(gone)}") if gone else None


def plateau(m: Measures) -> Check:
    """Train Pass@1 rises, then stands still below 1."""
    name = "train plateau below 1"
    lacking = _lacking(m, name, {"training curve": m.rise, "six evaluations of it": m.late})
    if lacking or m.rise is None or m.level is None or m.late is None:
        return lacking or _check(m, name, why_open="no training curve")
    rise, level, late = mean_of(m.rise), mean_of(m.level), mean_of(m.late)
    top = int(np.sum(m.level >= TOP))
    said = f"train Pass@1 of the last quarter is {level.estimate:.3f} [{_range(level)}] after {points(rise)}"
    return _check(
        m,
        name,
        p_present=max(rise.p_above(LEARNED), level.p_below(TOP), late.p_below(STILL_RISING)),
        p_absent=either(rise.p_below(LEARNED), level.p_above(TOP), late.p_above(STILL_RISING)),
        evidence={
            "level": number(level, RATE),
            "rise": number(rise, CHANGE),
            "late_change": number(late, CHANGE),
            "at_top": top,
            "n": m.n,
        },
        said=f"{said}, and {points(late)} in the last sixth; {top} of {m.n} {m.unit} end above {TOP:g}",
        parts=(
            Part("rise", rise.estimate, LEARNED, above=True, unit="points"),
            Part("level", level.estimate, TOP, above=False, unit="Pass@1"),
            Part("late change", late.estimate, STILL_RISING, above=False, unit="points"),
        ),
        present=f"it learns, then stands still below {TOP:g}",
        absent=f"it reaches {TOP:g}, or still rises, or never rose",
    )


def _test_against_train(
    m: Measures,
    name: str,
    moved: Callable[[Difference], float],
    stayed: Callable[[Difference], tuple[float, ...]],
    borders: Callable[[Difference], tuple[Part, ...]],
    **words: str,
) -> Check:
    """A signature of the test set while train Pass@1 rises.

    Args:
        m: The condition.
        name: Of the signature.
        moved: p-value that the change of test Pass@1 is the signature's.
        stayed: p-values that it is not.
        borders: What the change is compared with.
        words: What "present" and "absent" mean.
    """
    lacking = _lacking(m, name, {"training curve": m.rise, "pair of test evaluations": m.change})
    if lacking or m.rise is None or m.change is None:
        return lacking or _check(m, name, why_open="no test evaluations")
    rise, change = mean_of(m.rise), mean_of(m.change)
    return _check(
        m,
        name,
        p_present=max(rise.p_above(LEARNED), moved(change)),
        p_absent=either(rise.p_below(LEARNED), *stayed(change)),
        evidence={"rise": number(rise, CHANGE), "test_change": number(change, CHANGE), "n": m.n},
        said=f"train changes by {points(rise)} and test by {points(change)}",
        parts=(Part("rise", rise.estimate, LEARNED, above=True, unit="points"), *borders(change)),
        **words,
    )


def falling(m: Measures) -> Check:
    """Test Pass@1 falls while train Pass@1 rises."""
    return _test_against_train(
        m,
        "test falls while train rises",
        lambda change: change.p_below(-MARGIN),
        lambda change: (change.p_above(-MARGIN),),
        lambda change: (Part("test", change.estimate, -MARGIN, above=False, unit="points"),),
        present="training on these queries makes the others worse",
        absent=f"no fall of more than {100 * MARGIN:g} points while train rises",
    )


def flat(m: Measures) -> Check:
    """Test Pass@1 stays where it is while train Pass@1 rises."""
    return _test_against_train(
        m,
        "flat test curve",
        lambda change: change.p_inside(MARGIN),
        lambda change: (change.p_above(MARGIN), change.p_below(-MARGIN)),
        lambda change: (
            Part("test", change.estimate, MARGIN, above=False, unit="points"),
            Part("test", change.estimate, -MARGIN, above=True, unit="points"),
        ),
        present=f"what is learned does not carry over (within {100 * MARGIN:g} points)",
        absent=f"test moves by more than {100 * MARGIN:g} points, or train does not rise",
    )


def no_improvement(m: Measures) -> Check:
    """Nothing is learned, from a base near 0."""
    name = "zero improvement"
    lacking = _lacking(m, name, {"training curve": m.rise, "evaluation of the base policy": m.base})
    if lacking or m.rise is None or m.base is None:
        return lacking or _check(m, name, why_open="no evaluation of the base policy")
    rise, base = mean_of(m.rise), m.base
    said = f"train changes by {points(rise)} from a base Pass@1 of {base.estimate:.4f} [{_range(base)}]"
    return _check(
        m,
        name,
        p_present=max(rise.p_below(LEARNED), base.p_below(NEAR_ZERO)),
        p_absent=either(rise.p_above(LEARNED), base.p_above(NEAR_ZERO)),
        evidence={"rise": number(rise, CHANGE), "base": number(base, RATE), "n": m.n},
        said=said,
        parts=(
            Part("rise", rise.estimate, LEARNED, above=False, unit="points"),
            Part("base", base.estimate, NEAR_ZERO, above=False, unit="Pass@1"),
        ),
        present="the policy hardly ever sees a right answer to learn from",
        absent="it improves, or its base is not near 0 and the reason is another",
    )


OF_ONE: tuple[Callable[[Measures], Check], ...] = (plateau, falling, flat, no_improvement)
"""Signatures of a single condition."""


def _range(test: Difference | Fraction) -> str:
    low, high = ends(test, RATE)
    return f"{low:.3f}, {high:.3f}"


FEWEST = 6
"""Evaluations that a plateau needs."""
EARLY = 20
"""The first evaluation, or the first of so many parts of a dense curve, is the start."""


def of_runs(cell: Cell) -> Measures:
    """A condition's runs."""
    start, level, late = of_curve(cell.rounds, cell.train) if cell.has_train else (None, None, None)
    return Measures(
        world=cell.world.name,
        condition=cell.condition,
        unit="runs",
        n=cell.n,
        start=start,
        level=level,
        late=late,
        change=_test_change(cell),
        base=_base(cell),
    )


def of_items(records: Records, cell: Cell) -> Measures:
    """The items of a condition with a single run; what is found holds for that run.

    Raises:
        InputError: Several runs, or no evaluations by item.
    """
    if cell.n != 1:
        raise InputError(
            f"unit: items are the unit of a single run, condition {cell.condition!r} has {cell.n}"
        )
    counts = counts_of(records, world=cell.world.name)
    rows = counts.filter((counts["condition"] == cell.condition) & ~counts["item"].str.starts_with("all"))
    found = [
        of_curve(item["round"].to_numpy(), (item["correct"] / item["n"]).to_numpy()[None, :])
        for item in rows.sort("round").partition_by("item", maintain_order=True)
        if item.height >= FEWEST
    ]
    if len(found) < 2:
        raise InputError(
            f"unit: condition {cell.condition!r} has no {FEWEST} evaluations of two items or more"
        )
    start, level, late = (
        np.concatenate([part for part in parts if part is not None]) for parts in zip(*found, strict=True)
    )
    return Measures(
        cell.world.name, cell.condition, "items of one run", start.size, start, level, late, None, _base(cell)
    )


def of_curve(rounds_E: Floats, train_UE: Floats) -> tuple[Floats, Floats, Floats | None]:
    """Start, level and late change of U curves on one grid of rounds."""
    count, last = rounds_E.size, float(rounds_E[-1])
    start = train_UE[:, : max(1, count // EARLY)].mean(axis=1)
    level = train_UE[:, rounds_E >= 0.75 * last].mean(axis=1)
    sixth = (rounds_E > 5 / 6 * last), (rounds_E > 4 / 6 * last) & (rounds_E <= 5 / 6 * last)
    if count < FEWEST or not all(part.any() for part in sixth):
        return start, level, None
    return start, level, train_UE[:, sixth[0]].mean(axis=1) - train_UE[:, sixth[1]].mean(axis=1)


def _test_change(cell: Cell) -> Floats | None:
    if cell.has_test:
        return cell.test - cell.test_base
    return cell.test_curve[:, -1] - cell.test_curve[:, 0] if cell.test_rounds.size > 1 else None


def _base(cell: Cell) -> Fraction | None:
    if not cell.has_train or cell.rounds[0] != 0:
        return None
    samples = cell.train_samples[:, 0]
    return Fraction(int(np.rint(cell.train[:, 0] * samples).sum()), int(samples.sum()))


HALF = 0.5
"""Share of groups without a signal from which on most of a run is wasted."""


@dataclass(frozen=True)
class Rounds:
    """Mean share of groups without a signal and largest clip fraction of each run; null if not logged."""

    zero: pl.Series
    clip: pl.Series


def read_rounds(records: Records) -> dict[tuple[str, str], Rounds]:
    """(world, condition) -> its rounds; empty for records that are not on disk."""
    if not (records.path / STUDY).exists():
        return {}
    found = (
        scan(records.path, "rounds")
        .group_by("world", "condition", "run_id", "seed")
        .agg(pl.col("zero_signal_fraction").mean(), pl.col("clip_fraction").max())
        .sort("world", "condition", "run_id", "seed")
        .collect()
        .partition_by("world", "condition", as_dict=True)
    )
    return {
        (str(world), str(condition)): Rounds(part["zero_signal_fraction"], part["clip_fraction"])
        for (world, condition), part in found.items()
    }


def zero_signal(cell: Cell, rounds: Rounds | None) -> Check:
    """More than half of the groups give no learning signal."""
    where = ("zero-signal groups", cell.world.name, cell.condition)
    if rounds is None or rounds.zero.null_count() or not rounds.zero.len():
        return Check(*where, why_open="the records do not say which groups had a signal")
    if rounds.zero.len() < 2:
        return Check(*where, why_open="one run, and the run is the unit")
    share = mean_of(np.asarray(rounds.zero.to_numpy(), dtype=np.float64))
    return Check(
        *where,
        p_present=share.p_above(HALF),
        p_absent=share.p_below(HALF),
        evidence={"share": number(share, RATE), "n": share.n},
        said=f"{share.estimate:.3f} [{_range(share)}] of the groups had no learning signal",
        parts=(Part("share", share.estimate, HALF, above=True, unit="share"),),
        present="more than half",
        absent="less than half",
    )


def inert_clip(cell: Cell, rounds: Rounds | None) -> Check:
    """A note on whether the clip acts: certain with one update per round, else what was logged says."""
    where = ("inert clip", cell.world.name, cell.condition)
    largest = None if rounds is None or rounds.clip.null_count() else rounds.clip.max()
    evidence = {"updates_per_round": cell.design.updates_per_round, "largest_clip_fraction": largest}
    if "updates_per_round" not in cell.unknown and cell.design.updates_per_round == 1:
        said = "one update per round keeps the policy ratio at 1, so the clip never acts"
        return Check(*where, evidence=evidence, note=said)
    if largest is None:
        return Check(
            *where, evidence=evidence, why_open="neither updates per round nor clip fractions are known"
        )
    if isinstance(largest, int | float) and largest > 0:
        return Check(*where, evidence=evidence, note=f"up to {largest:.4f} of a round's tokens were clipped")
    return Check(*where, evidence=evidence, note="the clip never acted: no token of any round was clipped")


LARGE = 1.5
"""Ratio of spreads that is large."""
SIGNATURES: Mapping[str, str] = {
    "train plateau below 1": "train Pass@1 learns, then stays below .95: noise, KL or too hard a query",
    "test falls while train rises": "test Pass@1 falls by more than 2 points: too hard a query",
    "flat test curve": "test Pass@1 stays within 2 points while train rises: no transfer",
    "zero improvement": "train Pass@1 rises by less than 5 points from a base below .05",
    "large spread under an advantage": "the spread over seeds is over 1.5 times that of the raw reward",
    "batch ceiling": "the largest batch brings less than 2 points more than the next",
    "zero-signal groups": "more than half of the groups give no learning signal",
    "inert clip": "a note, no failure: whether the clip of the policy ratio is ever active",
}
"""Name -> what it says."""


def unstable(cells: Mapping[str, Cell]) -> list[Check]:
    """Conditions with an advantage against those with the raw reward that are the same otherwise."""
    free = {"signal", "signal_ddof", "signal_eps"}
    name, found = "large spread under an advantage", []
    for cell in (c for c in cells.values() if c.design.signal in GROUP_SIGNALS):
        plain = [
            c
            for c in cells.values()
            if c.design.signal == "raw" and rest(c.design, free) == rest(cell.design, free)
        ]
        if plain:
            found.append(_spread(name, cell, plain[0]))
        else:
            why = "no condition differs from it in the raw reward alone"
            found.append(Check(name, cell.world.name, cell.condition, why_open=why))
    return found


def _spread(name: str, cell: Cell, plain: Cell) -> Check:
    where = (name, cell.world.name, joined((cell.condition, plain.condition)))
    if not (cell.has_train and plain.has_train):
        return Check(*where, why_open="the records hold no training curve")
    keys, areas = table([cell, plain], [area(cell), area(plain)])
    if len(keys) < 3:
        return Check(*where, why_open=f"{len(keys)} runs in common; a spread needs three")
    ratio = spread_ratio(areas[:, 0], areas[:, 1], keys[:, 0], margins=(LARGE,))
    if not math.isfinite(ratio.estimate):
        return Check(*where, why_open=f"the runs of '{plain.condition}' do not differ at all")
    times = f"{ratio_of(ratio)} times that of '{plain.condition}'"
    return Check(
        *where,
        p_present=ratio.p_above(LARGE),
        p_absent=ratio.p_below(LARGE),
        evidence={"ratio": number(ratio, RATIO), "n": len(keys)},
        parts=(Part("ratio", ratio.estimate, LARGE, above=True, unit="times"),),
        said=f"the spread of the area under the training curve is {times}",
        present="the advantage makes training unstable",
        absent=f"less than {LARGE:g}",
    )


def ceiling(cells: Mapping[str, Cell]) -> list[Check]:
    """The two largest batch sizes of each family of conditions that differ in nothing else."""
    known = {n: c for n, c in cells.items() if "batch_size" not in c.unknown}
    families = ladders({n: c.design for n, c in known.items()}, (), {"batch_size"}, lambda d: d.batch_size)
    return [_ceiling([known[n] for n in names[-2:]]) for names in families if len(names) > 1]


def _ceiling(cells: Sequence[Cell]) -> Check:
    few, many = cells
    where = ("batch ceiling", few.world.name, joined((few.condition, many.condition)))
    tested = few.has_test and many.has_test
    if min(few.n, many.n) < 2:
        return Check(*where, why_open="one run, and the run is the unit")
    if not tested and not (few.has_train and many.has_train):
        return Check(*where, why_open="the records hold neither test evaluations nor a training curve")
    values = [c.test if tested else final_train(c) for c in cells]
    keys, both = table(cells, values)
    paired = not isinstance(few.world, ImportedWorld) and len(keys) > 1
    gain = paired_difference(both[:, 1], both[:, 0]) if paired else welch_difference(values[1], values[0])
    sizes = f"{few.design.batch_size} to {many.design.batch_size} queries per round"
    said = f"from {sizes} final {'test' if tested else 'train'} Pass@1 changes by {points(gain)}"
    return Check(
        *where,
        p_present=gain.p_below(MARGIN),
        p_absent=gain.p_above(MARGIN),
        evidence={"gain": number(gain, CHANGE), "n": gain.n},
        parts=(Part("gain", gain.estimate, MARGIN, above=False, unit="points"),),
        said=said,
        present=f"less than {100 * MARGIN:g} points",
        absent=f"more than {100 * MARGIN:g} points",
    )
