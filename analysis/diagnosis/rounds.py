"""Signatures that the tables of rounds show: groups without a signal, and a clip that never acts."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.diagnosis.look import Look, number
from analysis.diagnosis.single import mean_of
from analysis.loading.records import Cell, Records
from analysis.loading.scan import scan
from banditrft.catalog import STUDY

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


def zero_signal(cell: Cell, rounds: Rounds | None) -> Look:
    """More than half of the groups give no learning signal."""
    where = ("zero-signal groups", cell.world.name, cell.condition)
    if rounds is None or rounds.zero.null_count() or not rounds.zero.len():
        return Look(*where, why_open="the records do not say which groups had a signal")
    if rounds.zero.len() < 2:
        return Look(*where, why_open="one run, and the run is the unit")
    share = mean_of(np.asarray(rounds.zero.to_numpy(), dtype=np.float64))
    low, high = share.interval(0.025)
    bounds = f"[{max(low, 0.0):.3f}, {min(high, 1.0):.3f}]"
    return Look(
        *where,
        p_present=share.p_above(HALF),
        p_absent=share.p_below(HALF),
        evidence={"share": number(share), "n": share.n},
        said=f"{share.estimate:.3f} {bounds} of the groups had no learning signal",
        present="more than half",
        absent="less than half",
    )


def inert_clip(cell: Cell, rounds: Rounds | None) -> Look:
    """The clip is never active: certain with one update per round, else what was logged says."""
    where = ("inert clip", cell.world.name, cell.condition)
    largest = None if rounds is None or rounds.clip.null_count() else rounds.clip.max()
    evidence = {"updates_per_round": cell.design.updates_per_round, "largest_clip_fraction": largest}
    if "updates_per_round" not in cell.unknown and cell.design.updates_per_round == 1:
        said = "one update per round keeps the policy ratio at 1, so the clip can never act"
        return Look(*where, evidence=evidence, present=said, fact="present")
    if largest is None:
        return Look(
            *where, evidence=evidence, why_open="neither updates per round nor clip fractions are known"
        )
    if isinstance(largest, int | float) and largest > 0:
        said = f"up to {largest:.4f} of a round's tokens were clipped"
        return Look(*where, evidence=evidence, absent=said, fact="absent")
    return Look(*where, evidence=evidence, present="no token of any round was clipped", fact="present")
