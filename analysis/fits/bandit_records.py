"""Records read as the counts that the bandit is fitted to."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.fits.bandit_data import Counts
from analysis.loading.records import Cell, Records
from banditrft.errors import RecordError
from banditrft.records import GROUPS, read_table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def counts_of_runs(records: Records, cell: Cell, query: int, most: int) -> Counts:
    """The counts of one query's runs, at most ``most`` of them (the first seeds).

    Args:
        records: Where the rollouts are read from.
        cell: The condition.
        query: The training query's item.
        most: Largest number of runs.

    Raises:
        RecordError: A table of rollouts contradicts the design; names the file.
    """
    chosen = np.flatnonzero(cell.query == query)[:most]
    samples = cell.train_samples[chosen].astype(np.float64)
    correct = np.rint(cell.train[chosen] * samples)
    final = np.stack([cell.final_correct[chosen], cell.final_samples[chosen]], axis=1).astype(np.float64)
    counts = np.concatenate([np.stack([correct, samples], axis=2), final[:, None, :]], axis=1)
    rounds = np.append(cell.rounds, cell.rounds[-1]).astype(np.int64)
    groups = _groups(records, cell, query, cell.seed[chosen])
    rollouts = None
    if groups is not None:
        drawn = np.full(groups.shape[:2], float(cell.design.batch_size * cell.design.rollouts))
        rollouts = np.stack([groups.sum(axis=2), drawn], axis=2)
    rates = np.stack([cell.test_base[chosen], cell.test[chosen]], axis=1)
    tested = cell.test_samples[chosen].astype(np.float64)
    right = np.where(tested > 0, np.rint(np.nan_to_num(rates) * tested), 0.0)
    return Counts(
        design=cell.design,
        query=query,
        seed=cell.seed[chosen],
        rounds_E=rounds,
        counts_RE2=counts,
        rollouts_RT2=rollouts,
        base_2=_base(records, cell, query),
        test_R22=np.stack([right, tested], axis=2),
        groups_RTB=groups,
    )


def _base(records: Records, cell: Cell, query: int) -> Floats:
    """Right answers and samples that the query was chosen by."""
    for run_id in _runs(records, cell):
        found: dict[str, Any] | None = records.infos[run_id].get("query")
        if found is not None and int(found["item"]) == query:
            n = float(found["base_samples"])
            return np.array([round(float(found["base_pass_at_1"]) * n), n])
    return np.zeros(2)


def _runs(records: Records, cell: Cell) -> list[str]:
    for described in records.study["cells"]:
        if (described["world"], described["condition"]) == (cell.world.name, cell.condition):
            return [str(run_id) for run_id in described["runs"]]
    raise RecordError(
        f"{records.path}: study.json has no condition {cell.condition!r} in {cell.world.name!r}"
    )


def _groups(records: Records, cell: Cell, query: int, seeds: Ints) -> Floats | None:
    """Right answers of every group, (R, T, B); None where some run did not keep its groups."""
    T, B = cell.design.rounds, cell.design.batch_size
    found: dict[int, Floats] = {}
    for run_id in _runs(records, cell):
        info = records.infos[run_id]
        own = info.get("query")
        wanted = set(range(*info["seeds"])) & set(seeds.tolist())
        if (own is not None and int(own["item"]) != query) or not wanted:
            continue
        path = records.path / run_id / "groups.parquet"
        rows = read_table(path, GROUPS).filter(pl.col("seed").is_in(sorted(wanted))).sort("seed", "round")
        if not rows.height:
            return None
        if rows.height != len(wanted) * T * B or (rows["n"] != cell.design.rollouts).any():
            raise RecordError(
                f"{path}: each seed needs {T} rounds of {B} groups of {cell.design.rollouts} rollouts, got "
                f"{rows.height} rows for {len(wanted)} seeds"
            )
        right = rows["correct_strict"].to_numpy().reshape(len(wanted), T, B)
        found.update(zip(sorted(wanted), right, strict=True))
    return np.array([found[int(s)] for s in seeds], dtype=np.float64)
