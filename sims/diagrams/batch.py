"""When do rollouts, and when do advantages, begin to help? Over batch size and number of distinct queries."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from banditrft.design import Design
from sims.diagrams import style
from sims.diagrams.cells import Row, contextual, curves, error, high, in_parallel, low, prose

QUESTION = (
    "From which batch size, and how many distinct queries, do rollouts and advantages help the test set?"
)
SEEDS = 64


@dataclass(frozen=True)
class BatchCells:
    """Cells: N distinct training queries x batch of B (with B > N: copies)."""

    pool: tuple[int, ...] = (1, 8, 32, 128)
    batch: tuple[int, ...] = (1, 8, 32, 128)
    rollouts: int = 8
    horizons: tuple[int, ...] = (50, 400)
    learning_rate: float = 0.002
    base: tuple[float, float] = (0.05, 0.5)
    dimension: int = 64
    test_items: int = 1000


FULL = BatchCells()


def _conditions(G: int) -> dict[str, dict[str, Any]]:
    return {
        "raw 1": {"signal": "raw", "rollouts": 1},
        "raw G": {"signal": "raw", "rollouts": G},
        "grpo G": {"signal": "grpo", "rollouts": G},
        "placebo": {"signal": "grpo", "rollouts": G, "reward": "random", "rate": 0.5},
    }


def _cell(N: int, B: int, grid: BatchCells, seeds: int) -> Iterator[Row]:
    world = contextual(seeds, grid, train_items=N, base_pass_at_1=grid.base)
    shared: dict[str, Any] = {
        "batch_size": B,
        "optimizer": "adam",
        "learning_rate": grid.learning_rate,
        "rounds": max(grid.horizons),
    }
    every = int(np.gcd.reduce(grid.horizons))
    paths = {
        name: curves(Design(**shared | how), world, every) for name, how in _conditions(grid.rollouts).items()
    }
    for horizon in grid.horizons:
        e = horizon // every
        test = {name: found.test_RE[:, e] - found.test_RE[:, 0] for name, found in paths.items()}
        train = {name: found.train_RE[:, e] for name, found in paths.items()}
        row: Row = {"pool": N, "batch_size": B, "rollouts": grid.rollouts, "rounds": horizon, "seeds": seeds}
        for name, gain_R in test.items():
            key = name.replace(" ", "_").lower()
            row |= {f"test_gain_{key}": float(gain_R.mean()), f"test_gain_{key}_se": error(gain_R)}
            row[f"train_{key}"] = float(train[name].mean())
        for effect, (more, less) in {
            "of_rollouts": ("raw G", "raw 1"),
            "of_advantages": ("grpo G", "raw G"),
        }.items():
            more_R, less_R = test[more], test[less]
            row |= {f"gain_{effect}": float((more_R - less_R).mean())}
            row |= {f"gain_{effect}_se": error(more_R - less_R)}
        yield row


def compute(seeds: int = SEEDS, grid: BatchCells = FULL) -> pl.DataFrame:
    """One row per cell and horizon.

    Args:
        seeds: Pools per cell; the same pools and random numbers under every condition.
        grid: The cells.

    Returns:
        Gain of test Pass@1 over the base for one raw rollout, G raw rollouts, G with GRPO and a placebo; the
        gain of rollouts (G raw minus one raw) and of advantages (GRPO minus raw at G), paired by pool.
    """
    cells = [(N, B) for N in grid.pool for B in grid.batch]
    return pl.DataFrame(in_parallel(lambda cell: _cell(*cell, grid, seeds), cells), infer_schema_length=None)


EFFECTS = {"of_rollouts": "rollouts: 8 raw against 1", "of_advantages": "advantages: GRPO against raw, G = 8"}


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """The two effects in points of test Pass@1 with 95% intervals, a panel per effect and horizon."""
    horizons = sorted(set(table["rounds"]))
    figure, axes = style.panels(2, len(horizons), 4.6 * len(horizons), 6.4)
    for panels, (effect, title) in zip(axes, EFFECTS.items(), strict=True):
        for panel, horizon in zip(panels, horizons, strict=True):
            mesh = _map(panel, table.filter(pl.col("rounds") == horizon), f"gain_{effect}")
            panel.set_title(f"{title}, after {horizon} rounds")
            panel.set_xlabel("batch size B")
            panel.set_ylabel("distinct training queries N")
    figure.colorbar(mesh, ax=axes, label="gain in test Pass@1, points", shrink=0.6)
    return figure


def _map(panel: Axes, ours: pl.DataFrame, column: str) -> Any:
    pools, batches = (sorted(set(ours[name])) for name in ("pool", "batch_size"))
    ours = ours.sort("pool", "batch_size")
    gain_YX, wide_YX = (
        100 * factor * ours[name].to_numpy().reshape(len(pools), len(batches))
        for name, factor in ((column, 1.0), (f"{column}_se", 1.96))
    )
    mesh = panel.imshow(gain_YX, cmap=style.DIVERGING, vmin=-1.5, vmax=1.5, origin="lower", aspect="auto")
    for y, x in np.ndindex(gain_YX.shape):
        panel.text(
            x,
            y,
            f"{round(float(gain_YX[y, x]), 2) + 0.0:+.2f}\n± {wide_YX[y, x]:.2f}",
            ha="center",
            va="center",
            fontsize=7.5,
            color="white" if abs(gain_YX[y, x]) > 1 else "black",
        )
    panel.set_xticks(range(len(batches)), [str(b) for b in batches])
    panel.set_yticks(range(len(pools)), [str(n) for n in pools])
    return mesh


def finding(table: pl.DataFrame) -> str:
    """Where the two effects show, early and late."""
    early, late = (
        table.filter(pl.col("rounds") == f(table["rounds"])) for f in (pl.Series.min, pl.Series.max)
    )
    one, many = (pl.col("pool") == low(table["pool"])), (pl.col("pool") == high(table["pool"]))

    def span(rows: pl.DataFrame, effect: str) -> str:
        gains = 100 * rows[f"gain_{effect}"]
        return f"{low(gains):+.2f} to {high(gains):+.2f}"

    return prose(f"""
        With one training query rollouts are worth {span(table.filter(one), "of_rollouts")} points of
        test Pass@1 at any batch size and advantages {span(table.filter(one), "of_advantages")}; with
        {high(table["pool"]):g} queries, after {early["rounds"][0]} rounds, rollouts give
        {span(early.filter(many), "of_rollouts")} and advantages
        {span(early.filter(many), "of_advantages")}, after {late["rounds"][0]} rounds
        {span(late.filter(many), "of_rollouts")} and {span(late.filter(many), "of_advantages")}.""")


def caption(table: pl.DataFrame) -> str:
    """What was run, what is uncertain."""
    grid = FULL
    placebo = high(table["test_gain_placebo"].abs())
    return prose(f"""
        Contextual world, d = {grid.dimension}, |mu| = 2, c = 0.3, nu = 0.9; N training queries with
        base Pass@1 {grid.base[0]:g} to {grid.base[1]:g}, a batch of B of them a round (for B > N
        copies, each its own group). Adam, learning rate {grid.learning_rate:g}; G = {grid.rollouts}.
        Effects are differences of test Pass@1 at the *same number of rounds*, not of rollouts or
        compute, paired by pool; numbers are points with 95% intervals over {table["seeds"][0]} pools.
        The data hold gains over the base, train Pass@1 and a placebo (rewards drawn at random), which
        moves test Pass@1 by at most {100 * placebo:.1f} points on average.

        An effect early and none, or a loss, late means speed: whatever learns the pool faster arrives
        sooner where more training no longer helps the test set. Which sign the late effect has depends
        on the world (its misalignment and the pool's difficulty, theory section 6), its size on the
        learning rate.""")
