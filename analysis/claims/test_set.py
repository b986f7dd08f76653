"""The error of the test set itself: intervals are over runs, given the items that were drawn.

Where counts by item are recorded, a second interval treats items as a sample too: the variance of the mean is
that over runs plus that over items, of which both hold the sampling of answers, so it errs on the careful
side. In the contextual world every seed draws its own test set, so an interval over seeds holds that error
already. Where runs are of several training queries, a third interval takes those as the units.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from analysis.claims.worlds import Floats
from analysis.inference.means import mean_of, over_items_too, paired_difference
from analysis.loading.records import Cell, Records
from analysis.results import Part, Secondary, bounded
from analysis.verdict import Verdict
from banditrft.records import ITEMS, read_table

LEVEL = 0.95
FEWEST_QUERIES = 3
"""Training queries whose means make an interval."""


def with_test_error(records: Records, verdict: Verdict) -> Verdict:
    """A verdict whose differences on a test set say what the choice of its items adds."""
    parts = []
    for part in verdict.parts:
        cells = [records.of(part.world)[n] for n in part.conditions if n in records.of(part.world)]
        on_test = part.kind == "difference" and part.split == "test"
        if not on_test or not cells or not all(c.has_test for c in cells):
            parts.append(part)
            continue
        found = None if part.setting.grade == "lenient" else _over_items(records, part, cells)
        extra = [e for e in (found, _over_queries(part)) if e is not None]
        parts.append(replace(part, secondary=(*part.secondary, *extra)))
    return replace(verdict, parts=tuple(parts))


def _over_items(records: Records, part: Part, cells: list[Cell]) -> Secondary | None:
    """The part's difference with its items as a sample; None where counts by item are not recorded."""
    if len(cells) == 2:
        ends = [(cells[0], "last"), (cells[1], "last")]
    else:
        ends = [(cells[0], "base"), (cells[0], "last")]
    kept = set(zip(part.points.get("query", ()), part.points.get("seed", ()), strict=True))
    if not kept:
        return None
    read = [_by_item(records, cell, end, kept) for cell, end in ends]
    if any(r is None for r in read):
        return None
    first, second = (r for r in read if r is not None)
    if first.shape != second.shape or first.shape[1] < 2:
        return None
    per_run = paired_difference(second.mean(axis=1), first.mean(axis=1))
    both = over_items_too(per_run, (second - first).mean(axis=0))
    interval = bounded(both.interval((1 - LEVEL) / 2))
    return Secondary("items", both.estimate, interval, LEVEL, both.n, values={"items": int(first.shape[1])})


def _over_queries(part: Part) -> Secondary | None:
    """The part's difference with its training queries as the units; None for fewer than three of them."""
    query = np.asarray(part.points.get("query", ()))
    names = np.unique(query)
    if names.size < FEWEST_QUERIES:
        return None
    values = differences(part)
    means = [float(values[query == q].mean()) for q in names]
    found = mean_of(means)
    interval, ends = bounded(found.interval((1 - LEVEL) / 2)), {"low": min(means), "high": max(means)}
    return Secondary("queries", found.estimate, interval, LEVEL, int(names.size), values=ends)


def differences(part: Part) -> Floats:
    """The values whose mean is a difference's estimate, one per run or pair."""
    points = part.points
    if "value" in points:
        return np.asarray(points["value"], dtype=np.float64)
    return np.asarray(points["many"], dtype=np.float64) - np.asarray(points["few"], dtype=np.float64)


def _by_item(records: Records, cell: Cell, end: str, kept: set[tuple[int, int]]) -> Floats | None:
    """(N, M) Pass@1 of the kept runs on each test item at the base or at the end."""
    key = (cell.world.name, cell.condition)
    described = records.study.get("cells", ())
    own = next((c for c in described if (c["world"], c["condition"]) == key), None)
    if own is None:
        return None
    rows: dict[tuple[int, int], Floats] = {}
    for run_id in own["runs"]:
        path = records.path / run_id / f"items-{own['evaluation_id']}.parquet"
        if not path.exists():
            return None
        table = read_table(path, ITEMS, {"item"}).filter(pl.col("split") == "test")
        if not table.height:
            return None
        query = (records.infos[run_id].get("query") or {}).get("item", 0)
        at = 0 if end == "base" else int(table["round"].max())  # type: ignore[arg-type]
        chosen = table.filter(pl.col("round") == at).sort("seed", "item")
        for (seed,), own_rows in chosen.group_by(["seed"], maintain_order=True):
            rows[int(query), int(str(seed))] = (own_rows["correct_strict"] / own_rows["n"]).to_numpy()
    found = [rows.get(key) for key in sorted(kept)]
    sizes = {None if f is None else f.size for f in found}
    if len(sizes) != 1 or None in sizes:
        return None
    return np.asarray(np.stack([f for f in found if f is not None]), dtype=np.float64)
