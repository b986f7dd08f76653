"""How fast does replay go stale? A window of past rewards against fresh ones, over the learning rate."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from banditrft.design import Design
from banditrft.theory.matching import class_moments
from banditrft.theory.replay import replay_lag
from sims.diagrams import style
from sims.diagrams.cells import (
    Curves,
    Row,
    contextual,
    curves,
    error,
    high,
    in_parallel,
    low,
    middle,
    prose,
    ratio_error,
)

QUESTION = "How fast do replayed rewards go stale as the learning rate grows?"
SEEDS = 32
LEVEL = 0.8
"""Pass@1 of the pool to which rounds are counted: where it still moves fast."""
MARGIN = 0.02
"""Difference in Pass@1 that counts as none, as in the ledger of claims."""


@dataclass(frozen=True)
class ReplayCells:
    """Cells: pool size N x step; a step is learning rate x |u|^2 / B, log-odds of a query's own update."""

    pool: tuple[int, ...] = (32, 256)
    steps: tuple[float, ...] = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
    batch: int = 32
    window: int = 8
    distance: float = 8.0
    """Steps times visits to each query, the same for every step: smaller steps train for longer."""
    base: tuple[float, float] = (0.05, 0.5)
    evaluations: int = 96
    dimension: int = 64
    test_items: int = 500


FULL = ReplayCells()
LABELS = {
    "window": "1 fresh + 7 replayed",
    "fresh statistics": "1 fresh + 7 fresh for mean and std only",
    "group": "8 fresh",
    "raw": "1 fresh, raw reward",
}


def _variants(window: int) -> dict[str, dict[str, Any]]:
    return {
        "window": {"signal": "grpo", "rollouts": 1, "replay_window": window},
        "fresh statistics": {"signal": "grpo", "rollouts": 1, "baseline_rollouts": window - 1},
        "group": {"signal": "grpo", "rollouts": window},
        "raw": {"signal": "raw", "rollouts": 1},
    }


def _theory(window: Design, fresh: Design, paths: Curves, pool: int) -> tuple[float, float]:
    """Theory §8 along the pool's mean path: the window's largest lag; rounds over fresh statistics' rounds.

    A visit whose drift is a share of the drift with fresh statistics does that share of the work.
    """
    rounds_T = np.arange(paths.rounds_E[-1] + 1)
    mean_T = np.interp(rounds_T, paths.rounds_E, paths.train_RE.mean(axis=0))
    law = replay_lag(window, np.clip(mean_T, 1e-9, 1 - 1e-9), pool)
    below_J = np.minimum.accumulate(law.pass_at_1_J < LEVEL)
    p_J = law.pass_at_1_J[below_J]
    fresh_J = np.array([class_moments(fresh, float(p)).drift for p in p_J])
    own_J = law.drift_J[below_J]
    own_J[0] = p_J[0] * (1 - p_J[0])  # a window of one reward has mean 0 and standard deviation 1
    return float(np.abs(law.baseline_bias_J).max()), len(p_J) / float((own_J / fresh_J).sum())


def _cell(N: int, step: float, grid: ReplayCells, seeds: int) -> Iterator[Row]:
    world = contextual(seeds, grid, train_items=N, base_pass_at_1=grid.base)
    rate = step * grid.batch / (grid.dimension + world.transfer**2)
    rounds = math.ceil(grid.distance / step * N / grid.batch)
    shared: dict[str, Any] = {
        "batch_size": grid.batch,
        "optimizer": "sgd",
        "learning_rate": rate,
        "rounds": rounds,
    }
    designs = {name: Design(**shared | how) for name, how in _variants(grid.window).items()}
    every = max(1, rounds // grid.evaluations)
    paths = {name: curves(design, world, every) for name, design in designs.items()}
    hits = {name: np.nan_to_num(found.at(LEVEL)[0], nan=rounds) for name, found in paths.items()}
    lag, slower = _theory(designs["window"], designs["fresh statistics"], paths["window"], N)
    for name, found in paths.items():
        ahead_R = paths["window"].test_RE[:, -1] - found.test_RE[:, -1]
        gain_R = found.test_RE[:, -1] - found.test_RE[:, 0]
        yield {
            "pool": N,
            "step": step,
            "rounds": rounds,
            "condition": name,
            "seeds": seeds,
            "rounds_to_level": float(hits[name].mean()),
            "replay_slower": float(hits["window"].mean() / hits[name].mean()),
            "replay_slower_se": ratio_error(hits["window"], hits[name]),
            "replay_slower_theory": slower if name == "fresh statistics" else None,
            "lag_theory": lag,
            "test_gain": float(gain_R.mean()),
            "test_gain_se": error(gain_R),
            "replay_ahead_test": float(ahead_R.mean()),
            "replay_ahead_test_se": error(ahead_R),
        }


def compute(seeds: int = SEEDS, grid: ReplayCells = FULL) -> pl.DataFrame:
    """Four rows per cell, one per condition of `LABELS`.

    Args:
        seeds: Pools per cell; the same pools and random numbers under every condition.
        grid: The cells.

    Returns:
        Mean rounds until the pool's Pass@1 is `LEVEL`, and those of replay over those of the condition
        with theory section 8's value; gain in test Pass@1 from base to end, and how far replay ends ahead.
    """
    cells = [(N, step) for N in grid.pool for step in grid.steps]
    return pl.DataFrame(in_parallel(lambda cell: _cell(*cell, grid, seeds), cells), infer_schema_length=None)


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """How many times the rounds replay takes, how far ahead it ends, how far its window lags."""
    pools = sorted(set(table["pool"]))
    figure, axes = style.panels(3, len(pools), 3.6 * len(pools), 7.2, sharex=True, sharey="row")
    for column, N in enumerate(pools):
        ours = table.filter(pl.col("pool") == N).sort("step")
        slower, ahead, lag = axes[:, column]
        slower.axhline(1.0, color="black", linewidth=0.6)
        ahead.axhspan(-100 * MARGIN, 100 * MARGIN, color="0.93")
        ahead.axhline(0.0, color="black", linewidth=0.6)
        for i, (name, label) in enumerate(LABELS.items()):
            some = ours.filter(pl.col("condition") == name)
            if name == "window":
                lag.plot(some["step"], some["lag_theory"], marker="o", **style.THEORY)
                continue
            style.line(slower, i, some["step"], some["replay_slower"], some["replay_slower_se"], label)
            points, errors = (100 * some[f"replay_ahead_test{end}"] for end in ("", "_se"))
            style.line(ahead, i, some["step"], points, errors, label)
            if name == "fresh statistics":
                slower.plot(
                    some["step"],
                    some["replay_slower_theory"],
                    label="theory, against fresh statistics",
                    **style.THEORY,
                )
        slower.set_title(f"pool of {N}: {N / FULL.batch:g} round(s) between visits")
        lag.set_xlabel("learning rate x $|u|^2/B$, log-odds a visit")
        style.ticks(lag.xaxis, some["step"].to_numpy(), most=4)
    axes[0, 0].set_ylabel(f"replay's rounds to {LEVEL:g}\nover those of ...")
    axes[1, 0].set_ylabel("replay's final test Pass@1\nminus that of ..., points")
    axes[2, 0].set_ylabel("largest lag of the\nwindow's mean (theory)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def finding(table: pl.DataFrame) -> str:
    """What staleness costs, at the smallest and at the largest step."""
    fresh = table.filter(pl.col("condition") == "fresh statistics")
    small, large = (fresh.filter(pl.col("step") == f(fresh["step"])) for f in (pl.Series.min, pl.Series.max))
    against = table.filter(pl.col("condition").is_in(["fresh statistics", "group"]))
    ahead, wide = pl.col("replay_ahead_test"), 1.96 * pl.col("replay_ahead_test_se")
    inside = against.filter((ahead + wide < MARGIN) & (ahead - wide > -MARGIN))
    return prose(f"""
        To a pool Pass@1 of {LEVEL:g} replay takes {_span(small)} times the rounds of fresh statistics
        at a step of {small["step"][0]:.2g} log-odds a visit and {_span(large)} times at
        {large["step"][0]:g}; its final test Pass@1 is within {100 * MARGIN:g} points of fresh
        statistics and of eight fresh rollouts in {len(inside)} of {len(against)} cells.""")


def _span(rows: pl.DataFrame) -> str:
    return f"{low(rows['replay_slower']):.2f} to {high(rows['replay_slower']):.2f}"


def caption(table: pl.DataFrame) -> str:
    """What was run, what is uncertain."""
    grid, fresh = FULL, table.filter(pl.col("condition") == "fresh statistics")
    off = (fresh["replay_slower"] / fresh["replay_slower_theory"] - 1).abs()
    return prose(f"""
        Batches of {grid.batch} queries from a pool of N, base Pass@1 {grid.base[0]:g} to
        {grid.base[1]:g}; contextual world, d = {grid.dimension}, SGD, GRPO (ddof 1). *Replay* draws one
        rollout a visit and takes mean and standard deviation from the query's last {grid.window}
        rewards; *fresh statistics* draws {grid.window - 1} more for these alone; *8 fresh* learns from
        all. The axis is the step: learning rate x |u|^2/B, log-odds of a query's own update; what
        queries share adds to it, so the pool learns faster than one query would. Every run goes the
        same distance, {grid.distance:g} log-odds of step per query: a smaller step means more rounds
        and not less training. Grey: the ledger's margin of {100 * MARGIN:g} points; "within" means that
        the whole 95% interval is.

        Replay and fresh statistics differ by staleness, by a window that starts empty, and by
        correlated noise; replay and 8 fresh also by seven rollouts' gradient. Dashed above: theory
        section 8's ratio, the drift with the window over the drift with fresh statistics, summed over
        visits along the pool's mean path; off by {middle(off):.0%} in the median and {high(off):.0%}
        at most, for it knows neither noise nor that queries differ. Below: the window's lag where
        Pass@1 moves fastest. {table["seeds"][0]} pools per cell, paired; bars are 95% intervals
        (standard errors of test differences at most {100 * high(table["replay_ahead_test_se"]):.1f}
        points).""")
