"""What do advantages gain? GRPO against the raw reward, at the same learning rate and with steps matched."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.special import expit

from banditrft.design import Design
from banditrft.theory.domain import log_odds
from banditrft.theory.matching import class_moments
from sims.diagrams import style
from sims.diagrams.cells import (
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

QUESTION = "What do GRPO's advantages gain over the raw reward, and is it more than a larger step?"
SEEDS = 24
LEARNT = 0.9
STEPS = 300


@dataclass(frozen=True)
class AdvantageCells:
    """Cells: base Pass@1 p0 of every query x group size G x batch size B, B distinct queries."""

    p0: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6)
    rollouts: tuple[int, ...] = (2, 8, 32)
    batch: tuple[int, ...] = (1, 8, 32)
    step: float = 0.5
    """Log-odds that a query's own gradient adds per unit of multiplier: learning rate x |u|^2 / B."""
    rounds: int = 500
    every: int = 2
    dimension: int = 64
    test_items: int = 200


FULL = AdvantageCells()
VARIANTS: dict[str, dict[str, Any]] = {
    "raw": {"signal": "raw"},
    "grpo": {"signal": "grpo"},
    "matched": {"signal": "grpo", "match_step_size": True},
}


def flow_rounds(design: Design, p0: float) -> float:
    """Rounds to `LEARNT` without sampling noise, per unit of step: the integral of dl / drift (theory §3)."""
    levels = np.linspace(log_odds(p0), log_odds(LEARNT), STEPS)
    drifts = [class_moments(design, float(expit(level)), base=p0).drift for level in levels]
    return float(np.trapezoid(1.0 / np.array(drifts), levels))


def _theory(variant: str, G: int, p0: float) -> float:
    """Rounds of raw over rounds of GRPO, in the flow of one query."""
    raw, own = (
        Design(rollouts=G, optimizer="sgd", learning_rate=1.0, rounds=1, **VARIANTS[name])
        for name in ("raw", variant)
    )
    return flow_rounds(raw, p0) / flow_rounds(own, p0)


def _cell(B: int, G: int, p0: float, grid: AdvantageCells, seeds: int) -> Iterator[Row]:
    world = contextual(seeds, grid, train_items=B, base_pass_at_1=p0)
    rate = grid.step * B / (grid.dimension + world.transfer**2)
    base = Design(
        batch_size=B, rollouts=G, optimizer="sgd", learning_rate=rate, rounds=grid.rounds
    ).model_dump()
    rounds, test, late = {}, {}, {}
    for name, how in VARIANTS.items():
        paths = curves(Design(**base | how), world, grid.every)
        rounds_R, test[name] = paths.at(LEARNT)
        late[name] = float(np.isnan(rounds_R).mean())
        rounds[name] = np.where(np.isnan(rounds_R), grid.rounds, rounds_R)
    for name in ("grpo", "matched"):
        both = ~np.isnan(test["raw"] + test[name])
        yield {
            "batch_size": B,
            "rollouts": G,
            "p0": p0,
            "step_matched": name == "matched",
            "seeds": seeds,
            "rounds_raw": float(rounds["raw"].mean()),
            "rounds_grpo": float(rounds[name].mean()),
            "speed_up": float(rounds["raw"].mean() / rounds[name].mean()),
            "speed_up_se": ratio_error(rounds["raw"], rounds[name]),
            "speed_up_theory": _theory(name, G, p0),
            "censored": max(late["raw"], late[name]),
            "spread_raw": float(rounds["raw"].std(ddof=1) / rounds["raw"].mean()),
            "spread_grpo": float(rounds[name].std(ddof=1) / rounds[name].mean()),
            "test_gain": float((test[name] - test["raw"])[both].mean()),
            "test_gain_se": error((test[name] - test["raw"])[both]),
        }


def compute(seeds: int = SEEDS, grid: AdvantageCells = FULL) -> pl.DataFrame:
    """Two rows per cell, at the same learning rate and with the step matched at p0.

    Args:
        seeds: Replicates per cell; the same queries and random numbers for raw and GRPO.
        grid: The cells.

    Returns:
        Mean rounds until the pool's Pass@1 is .9 under the raw reward and under GRPO, their ratio with its
        standard error and the noiseless flow's; relative spread of the rounds over seeds; difference of test
        Pass@1 *at that point*, GRPO minus raw.
    """
    cells = [(B, G, p0) for B in grid.batch for G in grid.rollouts for p0 in grid.p0]
    return pl.DataFrame(in_parallel(lambda cell: _cell(*cell, grid, seeds), cells), infer_schema_length=None)


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """Speed-up as it is and with matched steps, difference on the test set; a column per batch size."""
    batches, groups = (sorted(set(table[name])) for name in ("batch_size", "rollouts"))
    figure, axes = style.panels(3, len(batches), 2.9 * len(batches), 7.2, sharex=True, sharey="row")
    for column, B in enumerate(batches):
        for i, G in enumerate(groups):
            ours = table.filter((pl.col("batch_size") == B) & (pl.col("rollouts") == G)).sort("p0")
            for row, matched in enumerate((False, True)):
                some = ours.filter(pl.col("step_matched") == matched)
                panel, label = axes[row, column], f"G = {G}"
                style.line(panel, i, some["p0"], some["speed_up"], some["speed_up_se"], label, linestyle="")
                panel.plot(
                    some["p0"], some["speed_up_theory"], **(style.THEORY | {"color": style.COLOURS[i]})
                )
            some = ours.filter(pl.col("step_matched"))
            style.line(
                axes[2, column], i, some["p0"], 100 * some["test_gain"], 100 * some["test_gain_se"], label
            )
        for panel in axes[:, column]:
            panel.axhline(0.0 if panel is axes[2, column] else 1.0, color="black", linewidth=0.6)
            style.ticks(panel.xaxis, np.array(sorted(set(table["p0"]))), most=6)
        axes[0, column].set_title(f"batch of B = {B} queries")
        axes[2, column].set_xlabel("base Pass@1, $p_0$")
    for panel, label in zip(
        axes[:, 0],
        (
            "times as fast as raw,\nsame learning rate",
            "times as fast as raw,\nsteps matched at $p_0$",
            "test Pass@1 against raw\nat equal train Pass@1, points",
        ),
        strict=True,
    ):
        panel.set_ylabel(label)
    flow = Line2D([], [], label="noiseless flow (theory)", **style.THEORY)
    handles = [*axes[0, 0].get_legend_handles_labels()[0], flow]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def finding(table: pl.DataFrame) -> str:
    """The gain, and what is left of it with matched steps."""
    plain, matched = (table.filter(pl.col("step_matched") == how) for how in (False, True))
    hard = matched.filter(pl.col("p0") <= 0.1)
    return prose(f"""
        At the same learning rate GRPO is {low(plain["speed_up"]):.2f} to {high(plain["speed_up"]):.2f}
        times as fast as the raw reward; with steps matched at the base {low(matched["speed_up"]):.2f}
        to {high(matched["speed_up"]):.2f} times ({low(hard["speed_up"]):.2f} to
        {high(hard["speed_up"]):.2f} for p0 of at most .1), so most of the gain is step size; at equal
        train Pass@1 its test Pass@1 differs by at most {100 * high(matched["test_gain"].abs()):.1f}
        points.""")


def caption(table: pl.DataFrame) -> str:
    """What was run, what is uncertain."""
    grid, gap = FULL, (table["speed_up"] / table["speed_up_theory"] - 1).abs()
    return prose(f"""
        A pool of B queries, all of base Pass@1 p0 and all visited every round, {table["seeds"][0]}
        pools per cell; contextual world, d = {grid.dimension}, |mu| = 2, c = 0.3, nu = 0.9. SGD with
        learning rate {grid.step:g} B/|u|^2, so that a query's own step does not depend on B. Top: mean
        rounds until the pool's Pass@1 is {LEARNT:g} under the raw reward over those under GRPO (ddof
        1). Middle: GRPO's signal multiplied by one number, so that its expected first step equals
        raw's. Lines: ratio of the integrals of 1/drift (theory section 3), which knows no noise, no
        batch and no parameter: the simulated ratios are within {middle(gap):.1%} of it in the median
        and {high(gap):.0%} at most, where few rounds are large steps. Two rollouts of GRPO are *slower*
        than raw at the same rate, for ddof = 1 shrinks their signal. Bottom: test Pass@1 where the pool
        reaches {LEARNT:g}, matched GRPO minus raw; with one query theory section 6 says exactly 0.

        Bars: 95% intervals over pools, raw and GRPO paired. Runs that had not arrived after
        {grid.rounds} rounds count as arrived then: at most {high(table["censored"]):.0%} of a cell.""")
