"""What does a group baseline cost under Adam? RLOO against raw rewards, by group size and response length."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.theory.sequence import positions_of, rounds_with_wait
from banditrft.worlds import SequenceWorld
from sims.diagrams import style
from sims.diagrams.cells import ROOT_SEED, Row, high, in_parallel, low, middle, prose, ratio_error
from sims.sequence import simulate

QUESTION = "What does a group baseline cost under Adam, and how does that depend on the response's length?"
SEEDS = 24
LEARNT = 0.9
GEOMETRIES: dict[str, dict[str, object]] = {
    "direction": {"geometry": "direction", "prefixes": "positions"},
    "tree": {"geometry": "direction", "prefixes": "tree"},
    "table": {"geometry": "table", "prefixes": "positions", "vocabulary": 200},
}
TITLES = {
    "direction": "one gap a position",
    "tree": "the same, prefixes as a tree",
    "table": "a logit for each of 200 options",
}


@dataclass(frozen=True)
class LengthCells:
    """Cells: geometry x tokens T x group size G, one query of base Pass@1 p0."""

    tokens: tuple[int, ...] = (1, 2, 6, 24, 96)
    rollouts: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    geometries: tuple[str, ...] = ("direction", "tree", "table")
    p0: float = 0.3
    rate: float = 0.02
    rounds: int = 3_000
    every: int = 5


FULL = LengthCells()


def _design(signal: str, G: int, grid: LengthCells) -> Design:
    return Design.model_validate(
        {
            "rollouts": G,
            "signal": signal,
            "optimizer": "adam",
            "learning_rate": grid.rate,
            "rounds": grid.rounds,
        }
    )


def _rounds(world: SequenceWorld, design: Design, seeds: int, grid: LengthCells) -> NDArray[np.float64]:
    """Rounds of each seed to `LEARNT`, linear in the log-odds between evaluations; NaN where it never is.

    A horizon that most runs need is tried before the full one.
    """
    for rounds in (grid.rounds // 8 // grid.every * grid.every, grid.rounds):
        rounds_E = np.arange(0, rounds + 1, grid.every)
        short = design.model_copy(update={"rounds": rounds})
        p_RE = simulate(
            world, short, root_seed=ROOT_SEED, seeds=range(seeds), eval_rounds=rounds_E, keep_groups=False
        ).p_RE
        if (p_RE[:, -1] >= LEARNT).all():
            break
    log_odds_RE = np.log(p_RE) - np.log1p(-p_RE)
    wanted, found_R = np.log(LEARNT / (1 - LEARNT)), np.full(seeds, np.nan)
    for r, log_odds_E in enumerate(log_odds_RE):
        e = int(np.argmax(log_odds_E >= wanted))
        if log_odds_E[e] >= wanted:
            back = (log_odds_E[e] - wanted) / (log_odds_E[e] - log_odds_E[e - 1])
            found_R[r] = rounds_E[e] - back * grid.every
    return found_R


def _cell(geometry: str, T: int, G: int, grid: LengthCells, seeds: int) -> Row:
    settings: dict[str, object] = {"seeds": seeds, "tokens": T, "base_pass_at_1": grid.p0} | GEOMETRIES[
        geometry
    ]
    world = SequenceWorld.model_validate(settings)
    rounds: dict[str, NDArray[np.float64]] = {}
    theory: dict[str, float] = {}
    late = 0.0
    for signal in ("raw", "rloo"):
        design = _design(signal, G, grid)
        found_R = _rounds(world, design, seeds, grid)
        late = max(late, float(np.isnan(found_R).mean()))
        rounds[signal] = np.where(np.isnan(found_R), grid.rounds, found_R)
        theory[signal] = rounds_with_wait(design, positions_of(world), LEARNT) or float("nan")
    return {
        "geometry": geometry,
        "tokens": T,
        "rollouts": G,
        "seeds": seeds,
        "rounds_raw": float(rounds["raw"].mean()),
        "rounds_rloo": float(rounds["rloo"].mean()),
        "ratio": float(rounds["rloo"].mean() / rounds["raw"].mean()),
        "ratio_se": ratio_error(rounds["rloo"], rounds["raw"]),
        "ratio_theory": theory["rloo"] / theory["raw"],
        "raw_theory": theory["raw"],
        "rloo_theory": theory["rloo"],
        "censored": late,
    }


def compute(seeds: int = SEEDS, grid: LengthCells = FULL) -> pl.DataFrame:
    """One row per cell.

    Args:
        seeds: Replicates per cell; the same random numbers for raw and RLOO.
        grid: The cells.

    Returns:
        Mean rounds until Pass@1 is .9 under the raw reward and under RLOO, their ratio with its standard
        error, and the same by the recursion of theory section 10.
    """
    cells = [(g, T, G) for g in grid.geometries for T in grid.tokens for G in grid.rollouts]
    rows = in_parallel(lambda cell: [_cell(*cell, grid, seeds)], cells)
    return pl.DataFrame(rows, infer_schema_length=None)


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """The ratio over the group size, a line per length, a panel per geometry."""
    names = [name for name in TITLES if name in set(table["geometry"])]
    lengths = sorted(set(table["tokens"]))
    figure, axes = style.panels(1, len(names), 2.9 * len(names), 3.4, sharex=True, sharey=True)
    for panel, name in zip(axes[0], names, strict=True):
        for i, T in enumerate(lengths):
            ours = table.filter((pl.col("geometry") == name) & (pl.col("tokens") == T)).sort("rollouts")
            label = f"{T} token{'s' * (T > 1)}"
            style.line(panel, i, ours["rollouts"], ours["ratio"], ours["ratio_se"], label, linestyle="")
            panel.plot(ours["rollouts"], ours["ratio_theory"], **(style.THEORY | {"color": style.COLOURS[i]}))
        panel.axhline(1.0, color="black", linewidth=0.6)
        panel.axhline(np.sqrt(2.0), color="black", linewidth=0.4, linestyle=":")
        panel.set_title(TITLES[name])
        panel.set_xlabel("rollouts in a group, $G$")
        style.ticks(panel.xaxis, np.array(sorted(set(table["rollouts"]))), most=6)
        panel.set_yscale("log")
        style.ticks(panel.yaxis, np.array([1.0, 1.5, 2.0, 3.0, 5.0, 10.0]), most=6)
    axes[0, 0].set_ylabel("rounds under RLOO over\nrounds under the raw reward")
    recursion = Line2D([], [], label="recursion (theory)", **style.THEORY)
    handles = [*axes[0, 0].get_legend_handles_labels()[0], recursion]
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
    return figure


def finding(table: pl.DataFrame) -> str:
    """What four rollouts cost, short and long, and how many bring the cost down."""
    longest = int(table["tokens"].to_numpy().max())
    few = sorted(set(table["rollouts"]))[1]
    own = table.filter((pl.col("geometry") == "direction") & (pl.col("rollouts") == few)).sort("tokens")
    most = table.filter((pl.col("geometry") == "direction") & (pl.col("tokens") == longest)).sort("rollouts")
    return prose(f"""
        Under Adam and with one gap a position, RLOO with {few} rollouts takes {own["ratio"][0]:.2f} times the
        rounds of the raw reward where a response is {own["tokens"][0]} token, and {own["ratio"][-1]:.2f}
        times where it is {longest}; with {most["rollouts"][-1]} rollouts {most["ratio"][-1]:.2f} times.""")


def caption(table: pl.DataFrame) -> str:
    """What was run, what is uncertain."""
    grid = FULL
    gaps = {
        name: (own["ratio"] / own["ratio_theory"] - 1).abs()
        for name in TITLES
        if (own := table.filter(pl.col("geometry") == name)).height
    }
    gap = "; ".join(f"{TITLES[n]}: {middle(g):.1%} and {high(g):.0%}" for n, g in gaps.items())
    return prose(f"""
        The sequence bandit: one query of base Pass@1 {grid.p0:g}, a response of T equally likely positions,
        {table["seeds"][0]} seeds a cell, Adam with learning rate {grid.rate:g}. Points: mean rounds until
        Pass@1 is {LEARNT:g} under RLOO over those under the raw reward at the same group size. Lines: the
        same by the recursion of theory section 10, nothing fitted; simulated ratios differ from it, in the
        median and at most, by ({gap}). Dotted: a ratio of the square root of 2.

        A success moves all positions together, and under the raw reward nothing else moves them. A failure
        under a baseline moves them apart, and Adam divides by the size of that noise. The drift is the same
        under both; a table of options adds the noise of single wrong options, which more rollouts do not
        average away before all options have been met.

        Bars: 95% intervals over seeds, raw and RLOO paired. Runs that had not arrived after {grid.rounds:,}
        rounds count as arrived then: at most {high(table["censored"]):.0%} of a cell; rounds are
        {low(table["rounds_raw"]):.0f} to {high(table["rounds_rloo"]):.0f}.""")
