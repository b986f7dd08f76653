"""When does training on one query hurt the others? Test Pass@1 over its base Pass@1 and the misalignment."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from banditrft.design import Design
from banditrft.theory.generalisation import base_held_out, forgetting_log_odds, held_out
from banditrft.worlds import ContextualWorld
from sims.diagrams import style
from sims.diagrams.cells import Row, contextual, curves, error, high, in_parallel, low, middle, prose

QUESTION = "When does learning one query make the others worse?"
SEEDS = 64
LEARNT = 0.99
FINE, LEVELS = 25, (-0.1, -0.05, -0.02, 0.0, 0.02)
"""Closed form's contours: points of its grid along each axis, values."""


@dataclass(frozen=True)
class ForgettingCells:
    """Cells: optimiser x misalignment nu x base Pass@1 p0 of the training query."""

    p0: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85)
    misalignment: tuple[float, ...] = (0.0, 0.3, 0.6, 0.9, 1.2, 1.5)
    rates: tuple[tuple[str, float], ...] = (("sgd", 0.02), ("adam", 0.001))
    rollouts: int = 8
    rounds: int = 900
    every: int = 30
    dimension: int = 64
    test_items: int = 1500


FULL = ForgettingCells()


def _theory(world: ContextualWorld, optimizer: str) -> float:
    """Change of test Pass@1 when the query is learnt (theory §6)."""
    learnt = held_out(world, world.one_base(), LEARNT, optimizer)  # type: ignore[arg-type]
    return learnt - base_held_out(world)


def _threshold(world: ContextualWorld) -> float:
    """Base Pass@1 at log-odds -nu^2/c."""
    return 1.0 / (1.0 + math.exp(-max(forgetting_log_odds(world), -700.0)))


def _cell(
    optimizer: str, rate: float, nu: float, p0: float, grid: ForgettingCells, seeds: int
) -> Iterator[Row]:
    world = contextual(seeds, grid, misalignment=nu, base_pass_at_1=p0)
    design = Design(
        rollouts=grid.rollouts,
        optimizer=optimizer,  # type: ignore[arg-type]
        learning_rate=rate,
        rounds=grid.rounds,
    )
    paths = curves(design, world, grid.every)
    test_R = paths.at(LEARNT)[1]
    change_R = (test_R - paths.test_RE[:, 0])[~np.isnan(test_R)]
    yield {
        "optimizer": optimizer,
        "misalignment": nu,
        "p0": p0,
        "seeds": seeds,
        "learnt": len(change_R) / seeds,
        "test_change": float(change_R.mean()),
        "test_change_se": error(change_R),
        "share_below_base": float((change_R < 0).mean()),
        "theory": _theory(world, optimizer),
        "threshold_p0": _threshold(world),
    }


def compute(seeds: int = SEEDS, grid: ForgettingCells = FULL) -> pl.DataFrame:
    """One row per cell: what learning the query to Pass@1 = .99 does to the held-out contexts.

    Args:
        seeds: Training queries per cell, one run each.
        grid: The cells.

    Returns:
        Share of runs that learnt it; mean change of test Pass@1 from the base, its standard error over
        queries; share of runs below the base; theory section 6's change; the p0 below which the mean
        log-odds of the others falls.
    """
    cells = [(*how, nu, p0) for how in grid.rates for nu in grid.misalignment for p0 in grid.p0]
    return pl.DataFrame(in_parallel(lambda cell: _cell(*cell, grid, seeds), cells), infer_schema_length=None)


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """Maps of the simulated change with the closed form's contours, and one against the other."""
    figure, axes = style.panels(1, 3, 10.4, 3.5)
    names = {"sgd": "SGD", "adam": "Adam"}
    shown = [name for name in names if name in set(table["optimizer"])]
    for panel, name in zip(axes[0], shown, strict=False):
        ours = table.filter(pl.col("optimizer") == name).sort("misalignment", "p0")
        mesh = _map(panel, ours)
        _contours(panel, name, ours)
        panel.set_title(f"{names[name]}: simulated (colour), closed form (lines)")
        panel.set_xlabel("base Pass@1 of the training query, $p_0$")
        panel.set_ylabel(r"misalignment of the base weights, $\nu$")
    figure.colorbar(mesh, ax=axes[0, :2], extend="both", label="change of test Pass@1")
    _agreement(axes[0, 2], table, names)
    return figure


def _map(panel: Axes, ours: pl.DataFrame) -> Any:
    x, y = (np.unique(ours[name].to_numpy()) for name in ("p0", "misalignment"))
    change_YX = ours["test_change"].to_numpy().reshape(len(y), len(x))
    return style.heat(panel, x, y, change_YX, cmap=style.DIVERGING, vmin=-0.15, vmax=0.15)


def _contours(panel: Axes, optimizer: str, ours: pl.DataFrame) -> None:
    """The closed form on a finer grid, and the base below which the mean log-odds of the others falls."""
    x = np.geomspace(low(ours["p0"]), high(ours["p0"]), FINE)
    y = np.linspace(low(ours["misalignment"]), high(ours["misalignment"]), FINE)
    worlds = [[contextual(1, FULL, misalignment=float(nu), base_pass_at_1=float(p)) for p in x] for nu in y]
    theory_YX = [[_theory(world, optimizer) for world in row] for row in worlds]
    thin, thick = 0.8, 1.8
    lines = panel.contour(
        x, y, theory_YX, levels=LEVELS, colors="black", linewidths=[thick if c == 0 else thin for c in LEVELS]
    )
    panel.clabel(lines, fontsize=7)
    panel.plot([_threshold(row[0]) for row in worlds], y, ":", color="black")


def _agreement(panel: Axes, table: pl.DataFrame, names: dict[str, str]) -> None:
    for i, (name, label) in enumerate(names.items()):
        ours = table.filter(pl.col("optimizer") == name)
        if len(ours):
            style.line(
                panel, i, ours["theory"], ours["test_change"], ours["test_change_se"], label, linestyle=""
            )
    ends = [low(table["theory"]), high(table["theory"])]
    panel.plot(ends, ends, label="equal", **style.THEORY)
    panel.set_xlabel("closed form")
    panel.set_ylabel("simulated, 95% intervals")
    panel.set_title("change of test Pass@1")
    panel.legend()


def finding(table: pl.DataFrame) -> str:
    """Where it hurts, and how well the closed form knows."""
    apart = table.filter(pl.col("test_change").abs() > 1.96 * pl.col("test_change_se"))
    right = apart.filter(pl.col("test_change").sign() == pl.col("theory").sign())
    hurt = table.filter(pl.col("test_change") < -1.96 * pl.col("test_change_se"))
    gap = (table["test_change"] - table["theory"]).abs()
    return prose(f"""
        Learning one query lowers test Pass@1 in {len(hurt)} of {len(table)} cells, by up to
        {-100 * low(table["test_change"]):.0f} points; where the change is distinguishable from 0
        ({len(apart)} cells) theory section 6 has its sign right in {len(right)}, and its size within
        {high(gap):.3f} everywhere (median {middle(gap):.4f}).""")


def caption(table: pl.DataFrame) -> str:
    """What was run, what is uncertain."""
    return prose(f"""
        One training query of base Pass@1 p0 is learnt to .99; colour is the change of the mean Pass@1
        of held-out contexts, {table["seeds"][0]} queries per cell. Contexts N(mu, I) in 64 dimensions,
        |mu| = 2, base weights 0.3 mu + v with v orthogonal to mu and |v| = nu. Eight rollouts a round,
        raw rewards, SGD (learning rate .02) or Adam (.001): under SGD neither signal nor group size
        would matter, for one query leaves one path (theory section 6). Lines: the closed form's change
        at .99, thick where it is 0. Dotted: log-odds -nu^2/c, below which the *mean* log-odds of the
        others falls; Pass@1 falls earlier, as their variance grows.

        Runs that did not reach .99 are left out, at most {1 - low(table["learnt"]):.0%} of a cell.
        Standard errors are over seeds, at most {high(table["test_change_se"]):.4f}: each has its own
        training query, test contexts and directions, the same in all cells.""")
