"""When do {-1, 0} rewards fail? Against {0, 1}, over base Pass@1, step size and number of correct arms."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from banditrft.design import Design
from banditrft.theory.flow import flow_time
from banditrft.theory.negative import trap_boundary, trap_ratio
from sims.diagrams import style
from sims.diagrams.cells import ROOT_SEED, Row, high, in_parallel, low, prose, share_error
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

QUESTION = "When does training on {-1, 0} rewards fail where {0, 1} rewards succeed?"
SEEDS = 32
LEARNT = 0.9
"""Pass@1 that counts as learnt."""


@dataclass(frozen=True)
class NegativeCells:
    """Cells: optimiser x n wrong arms x m correct arms x step x p0; arms alike within a class."""

    p0: tuple[float, ...] = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
    sgd: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    adam: tuple[float, ...] = (0.0125, 0.025, 0.05, 0.1, 0.2)
    wrong: tuple[int, ...] = (10, 1000)
    correct: tuple[int, ...] = (1, 10, 100)
    horizon: int = 400
    """Rounds; under SGD at least as long as the noiseless flow needs to `LEARNT`."""


FULL = NegativeCells()


def _cell(
    optimizer: str, n: int, m: int, eta: float, p0: float, grid: NegativeCells, seeds: int
) -> Iterator[Row]:
    rounds, sgd = grid.horizon, optimizer == "sgd"
    if sgd:
        rounds = max(rounds, math.ceil(flow_time(p0, LEARNT, eta, m, m + n)))
    design = Design(optimizer=optimizer, learning_rate=eta, rounds=rounds)  # type: ignore[arg-type]
    row: Row = {"optimizer": optimizer, "wrong_arms": n, "correct_arms": m, "learning_rate": eta, "p0": p0}
    row |= {"horizon": rounds, "seeds": seeds}
    for reward, name in (("minus-one-zero", "negative"), ("zero-one", "positive")):
        paths = simulate(
            Bandit.of([m, n], [p0, 1 - p0], [1, 0]),
            TableLearner.from_design(design.model_copy(update={"reward": reward}), p0),
            root_seed=ROOT_SEED,
            seeds=range(seeds),
            rounds=4 * rounds,
            eval_rounds=[rounds, 4 * rounds],
        )
        for e, when in enumerate(("", "_4x")):
            failed = int((paths.p_RE[:, e] < LEARNT).sum())
            row[f"{name}_fails{when}"] = failed / seeds
            row[f"{name}_fails{when}_se"] = share_error(failed, seeds)
            row[f"{name}_pass_at_1{when}"] = float(paths.p_RE[:, e].mean())
    row["trap_ratio"] = trap_ratio(p0, eta, m + n, m) if sgd else None
    row["trap_boundary"] = trap_boundary(eta, m + n, m) if sgd else None
    yield row


def compute(seeds: int = SEEDS, grid: NegativeCells = FULL) -> pl.DataFrame:
    """One row per cell: share of seeds that have not learnt by the horizon and by four times the horizon.

    Args:
        seeds: Replicates per cell; the same random numbers under both rewards.
        grid: The cells.

    Returns:
        ``negative_fails`` ({-1, 0}) and ``positive_fails`` ({0, 1}), each also ``_4x``; mean Pass@1 likewise;
        under SGD theory's trap ratio and the Pass@1 below which the first punishment lowers its log-odds.
    """
    cells = [
        (optimizer, n, m, eta, p0)
        for optimizer, steps in (("sgd", grid.sgd), ("adam", grid.adam))
        for n in grid.wrong
        for m in grid.correct
        for eta in steps
        for p0 in grid.p0
    ]
    return pl.DataFrame(in_parallel(lambda cell: _cell(*cell, grid, seeds), cells), infer_schema_length=None)


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """Failure at four times the horizon over p0 and step, a panel per optimiser, n and m."""
    rows = table.select("optimizer", "wrong_arms").unique(maintain_order=True).rows()
    correct = sorted(set(table["correct_arms"]))
    figure, axes = style.panels(len(rows), len(correct), 2.7 * len(correct) + 0.8, 2.2 * len(rows) + 0.4)
    for panels, (optimizer, n) in zip(axes, rows, strict=True):
        for panel, m in zip(panels, correct, strict=True):
            ours = table.filter(
                (pl.col("optimizer") == optimizer)
                & (pl.col("wrong_arms") == n)
                & (pl.col("correct_arms") == m)
            ).sort("learning_rate", "p0")
            mesh = _map(panel, ours)
            panel.set_title(f"{'SGD' if optimizer == 'sgd' else 'Adam'}: n = {n}, m = {m}")
            if optimizer == "sgd":
                _theory(panel, ours, n, m)
    for panel in axes[-1]:
        panel.set_xlabel("base Pass@1, $p_0$")
    for panel in axes[:, 0]:
        panel.set_ylabel("learning rate")
    figure.colorbar(mesh, ax=axes, label="share of runs not learnt at 4 x horizon, {-1, 0}", shrink=0.5)
    marks = [
        Line2D(
            [],
            [],
            color="white",
            markeredgecolor="black",
            marker="o",
            ls="",
            label="learnt late: not at the horizon",
        ),
        Line2D([], [], color="black", marker="x", ls="", label="{0, 1} has not learnt either"),
        Line2D([], [], label="trap ratio 1 and 2 (theory)", **style.THEORY),
        Line2D([], [], color="black", linestyle=":", label="first punishment hurts below (theory)"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2)
    return figure


def _map(panel: Axes, ours: pl.DataFrame) -> Any:
    """Colours for {-1, 0} at four times the horizon, marks for what else to know."""
    x, y = (np.unique(ours[name].to_numpy()) for name in ("p0", "learning_rate"))
    fails_YX = ours["negative_fails_4x"].to_numpy().reshape(len(y), len(x))
    late = ours.filter((pl.col("negative_fails") >= 0.5) & (pl.col("negative_fails_4x") < 0.5))
    both = ours.filter(pl.col("positive_fails_4x") >= 0.5)
    panel.plot(late["p0"], late["learning_rate"], "o", color="white", markeredgecolor="black", markersize=3)
    panel.plot(both["p0"], both["learning_rate"], "x", color="black", markersize=4)
    return style.heat(panel, x, y, fails_YX, cmap=style.RISING + "_r", vmin=0, vmax=1)


def _theory(panel: Axes, ours: pl.DataFrame, n: int, m: int) -> None:
    """Closed forms over the panel's range of steps."""
    steps = np.geomspace(*panel.get_ylim(), 60)
    for ratio in (1.0, 2.0):  # R = eta ((1-p)/n)/(p/m), solved for p
        panel.plot(steps * m / (n * ratio + steps * m), steps, **style.THEORY)
    boundary = [trap_boundary(step, m + n, m) for step in steps]
    panel.plot(boundary, steps, color="black", linestyle=":", linewidth=1.2)


def finding(table: pl.DataFrame) -> str:
    """How often, and what tells where."""
    fails = (pl.col("negative_fails_4x") >= 0.5) & (pl.col("positive_fails_4x") < 0.5)
    sgd, adam = (table.filter(pl.col("optimizer") == name) for name in ("sgd", "adam"))
    late = table.filter((pl.col("negative_fails") >= 0.5) & (pl.col("negative_fails_4x") < 0.5))
    many = sgd.filter(pl.col("wrong_arms") == high(sgd["wrong_arms"]))
    risky, safe = many.filter(pl.col("trap_ratio") >= 2), sgd.filter(pl.col("trap_ratio") <= 0.5)
    still = adam.filter(fails & (pl.col("negative_pass_at_1_4x") >= 0.5))
    return prose(f"""
        By four times the horizon {{-1, 0}} has not learnt where {{0, 1}} has in
        {sgd.filter(fails).height} of {sgd.height} cells under SGD and in {adam.filter(fails).height} of
        {adam.height} under Adam ({still.height} of these with a mean Pass@1 above one half by then); in
        {late.height} more it is only late. Under SGD that is {risky.filter(fails).height} of the
        {risky.height} cells with {many["wrong_arms"][0]} wrong arms and a trap ratio of at least 2, and
        {safe.filter(fails).height} of all {safe.height} with at most 0.5.""")


def caption(table: pl.DataFrame) -> str:
    """What was run, what is uncertain."""
    few = table.filter((pl.col("wrong_arms") == low(table["wrong_arms"])) & (pl.col("trap_ratio") >= 2))
    return prose(f"""
        One rollout a round, raw signal, n wrong and m correct arms, equally likely within their class;
        a run has learnt when Pass@1 is at least {LEARNT:g}. The horizon is {low(table["horizon"]):g}
        rounds, under SGD at least as long as the noiseless flow, the same for both rewards, takes;
        colours are at four times that. Circles: most runs had not learnt at the horizon but have at
        four times it, slow and not failed. Crosses: most {{0, 1}} runs have not learnt either, which
        says nothing about {{-1, 0}}. Dashed: trap ratio eta w/a of 1 (right) and 2 (left), the spread
        of the wrong arms over the growth of the correct ones (theory section 5). It orders runs and is
        not their law: with {low(few["wrong_arms"]):g} wrong arms
        {few.filter(pl.col("negative_fails_4x") < 0.5).height} of {few.height} cells beyond 2 learn all
        the same. Dotted: the base Pass@1 below which the first punishments lower its log-odds, exact.

        For Adam there is no closed form here. {_reversed(table)} of its lines of equal step fail at
        some base Pass@1 and succeed at a lower one. {table["seeds"][0]} seeds per cell, common random
        numbers for both rewards; a share's standard error is at most
        {high(table["negative_fails_4x_se"]):.2f}.""")


def _reversed(table: pl.DataFrame) -> str:
    """How many of Adam's lines of equal n, m and step fail where a lower base succeeds."""
    adam = table.filter(pl.col("optimizer") == "adam").sort("p0")
    lines = adam.partition_by("wrong_arms", "correct_arms", "learning_rate")
    turns = [
        (
            np.diff(line["negative_fails_4x"].to_numpy() >= 0.5, prepend=False)
            & (line["negative_fails_4x"].to_numpy() >= 0.5)
        )[1:].any()
        for line in lines
    ]
    return f"{sum(turns)} of {len(lines)}"
