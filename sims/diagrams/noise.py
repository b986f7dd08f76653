"""What do noisy and partly graded rewards cost? Against the margin between right and wrong, and rollouts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from banditrft.design import Design
from sims.diagrams import public_runs, slopes, style
from sims.diagrams.cells import Row, contextual, curves, error, high, in_parallel, low, prose

QUESTION = (
    "What do false positives, false negatives and partial grades cost, and do more rollouts pay for it?"
)
SEEDS = 4
LEAST = 0.15
"""Margins below are left out of the slopes that are compared: accuracy collapses there."""
PUBLIC = "public, both models"


@dataclass(frozen=True)
class Grid:
    """Cells: tau x noise (false positives x negatives, or share of half-paid wrong answers) x rollouts."""

    arm_noise: tuple[float, ...] = (0.0, 1.0)
    """tau, sd of an answer's own features, the query's having 1: what a rollout teaches of itself alone."""
    rates: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    partial: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    rollouts: tuple[int, ...] = (4, 16, 64)
    horizons: tuple[int, ...] = (50, 200)
    batch: int = 32
    pool: int = 256
    learning_rate: float = 0.002
    base: tuple[float, float] = (0.05, 0.9)
    dimension: int = 64
    test_items: int = 500


FULL = Grid()


def _cell(
    tau: float, kind: str, fp: float, fn: float, partial: float, G: int, grid: Grid, seeds: int
) -> Iterator[Row]:
    world = contextual(
        seeds, grid, train_items=grid.pool, base_pass_at_1=grid.base, partial=partial, arm_noise=tau
    )
    design = Design(
        batch_size=grid.batch,
        rollouts=G,
        signal="grpo",
        reward="graded" if kind == "graded" else "noisy",
        false_positive=fp,
        false_negative=fn,
        learning_rate=grid.learning_rate,
        rounds=max(grid.horizons),
    )
    every = int(np.gcd.reduce(grid.horizons))
    test_RE = curves(design, world, every).test_RE
    for horizon in grid.horizons:
        p_R = test_RE[:, horizon // every]
        yield {
            "kind": kind,
            "arm_noise": tau,
            "false_positive": fp,
            "false_negative": fn,
            "partial": partial,
            "margin": 1 - fp - fn if kind == "noisy" else 1 - 0.5 * partial,
            "rollouts": G,
            "rounds": horizon,
            "seeds": seeds,
            "test_pass_at_1": float(p_R.mean()),
            "test_pass_at_1_se": error(p_R),
            "base_pass_at_1": float(test_RE[:, 0].mean()),
        }


def compute(seeds: int = SEEDS, grid: Grid = FULL) -> pl.DataFrame:
    """Simulated cells, then fitted slopes: those of the public runs too, where their table is at hand.

    Args:
        seeds: Pools per cell.
        grid: The cells.

    Returns:
        Rows of kind "noisy" and "graded" (a cell each: margin = expected reward of a right minus that of a
        wrong answer, test Pass@1) and of kind "fit" (slopes of logit accuracy, `slopes.fit`).
    """
    noises = [("noisy", fp, fn, 0.0) for fp in grid.rates for fn in grid.rates]
    noises += [("graded", 0.0, 0.0, share) for share in grid.partial]
    cells = [(tau, *noise, G) for tau in grid.arm_noise for noise in noises for G in grid.rollouts]
    table = pl.DataFrame(in_parallel(lambda cell: _cell(*cell, grid, seeds), cells))
    return pl.concat([table, pl.DataFrame(_fits(table), infer_schema_length=None)], how="diagonal")


def _fits(table: pl.DataFrame) -> list[Row]:
    """Slopes over margins above `LEAST` and over all."""
    p = pl.col("test_pass_at_1")
    runs = {
        f"simulated, tau = {tau:g}, {rounds} rounds": table.filter(
            (pl.col("kind") == "noisy") & (pl.col("rounds") == rounds) & (pl.col("arm_noise") == tau)
        ).select("margin", "rollouts", logit=(p / (1 - p)).log())
        for tau in sorted(set(table["arm_noise"]))
        for rounds in sorted(set(table["rounds"]))
    }
    path = public_runs.find()
    if path is not None:
        public = public_runs.read(path)
        runs |= {f"public, {name}": public.filter(pl.col("model") == name) for name in ("0.5B", "1.5B")}
        runs[PUBLIC] = public
    return [
        {"kind": "fit", "least_margin": least} | row
        for source, some in runs.items()
        for least in (0.0, LEAST)
        for row in slopes.fit(some.filter(pl.col("margin") >= least - 1e-9), source)
    ]


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """Accuracy over the margin for each group size, and the two slopes beside those of the public runs."""
    cells = table.filter(pl.col("kind") != "fit")
    late = cells.filter(pl.col("rounds") == high(cells["rounds"]))
    taus = sorted(set(cells["arm_noise"]))
    figure, axes = style.panels(2, 2, 9.0, 6.6)
    for panel, tau in zip(axes[0], taus, strict=False):
        _accuracy(panel, late.filter(pl.col("arm_noise") == tau))
        panel.set_title(f"simulated, answers' own features tau = {tau:g}")
    axes[0, 0].legend()
    fits = table.filter((pl.col("kind") == "fit") & (pl.col("least_margin") == LEAST))
    for panel, (term, label) in zip(axes[1], slopes.TERMS.items(), strict=True):
        slopes.forest(panel, fits.filter(pl.col("term") == term))
        panel.set_xlabel(label)
    axes[1, 1].set_yticklabels([])
    return figure


def _accuracy(panel: Axes, cells: pl.DataFrame) -> None:
    for i, G in enumerate(sorted(set(cells["rollouts"]))):
        ours = cells.filter(pl.col("rollouts") == G)
        noisy = ours.filter(pl.col("kind") == "noisy").with_columns(pl.col("margin").round(6))
        mean = noisy.group_by("margin").agg(pl.col("test_pass_at_1").mean()).sort("margin")
        panel.plot(mean["margin"], mean["test_pass_at_1"], color=style.COLOURS[i], linestyle=style.DASHES[i])
        panel.plot(
            noisy["margin"],
            noisy["test_pass_at_1"],
            style.MARKERS[i],
            color=style.COLOURS[i],
            label=f"G = {G}",
        )
        graded = ours.filter(pl.col("kind") == "graded")
        label = "partial grades" if i == 0 else None
        panel.plot(
            graded["margin"],
            graded["test_pass_at_1"],
            style.MARKERS[i],
            color=style.COLOURS[i],
            mfc="white",
            label=label,
        )
    panel.set_yscale("logit")
    values = cells["test_pass_at_1"].to_numpy()
    marks = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    panel.set_ylim(values.min() - 0.02, values.max() + 0.01)
    panel.yaxis.set_major_locator(
        FixedLocator(marks[(marks > values.min() - 0.02) & (marks < values.max() + 0.01)])
    )
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("margin: mean reward, right minus wrong")
    panel.set_ylabel("test Pass@1 (logit scale)")


def finding(table: pl.DataFrame) -> str:
    """The two slopes, simulated and real."""
    fits = table.filter((pl.col("kind") == "fit") & (pl.col("least_margin") == LEAST))
    ours = fits.filter(pl.col("source").str.starts_with("simulated"))
    spans = {
        term: f"{low(rows['estimate']):.2f} to {high(rows['estimate']):.2f}"
        for term in slopes.TERMS
        for rows in [ours.filter(pl.col("term") == term)]
    }
    text = f"""
        Per unit of margin the logit of test Pass@1 rises by {spans["margin"]} and per doubling of
        rollouts by {spans["log2_rollouts"]} over the simulated settings (margins above {LEAST:g})"""
    real = fits.filter(pl.col("source") == PUBLIC)
    if len(real):
        margin, doubling = (slopes.told(fits, PUBLIC, term) for term in slopes.TERMS)
        text += f"; in {real['runs'][0]} public runs by {margin} and {doubling}, 95% intervals in brackets"
    return prose(text + ".")


def caption(table: pl.DataFrame) -> str:
    """What was run, what is uncertain."""
    grid, cells = FULL, table.filter(pl.col("kind") != "fit")
    graded = cells.filter(pl.col("kind") == "graded")
    spans = graded.group_by("rollouts", "rounds", "arm_noise").agg(
        span=pl.col("test_pass_at_1").max() - pl.col("test_pass_at_1").min()
    )
    text = f"""
        Contextual world, d = {grid.dimension}, {grid.pool} queries of base Pass@1 {grid.base[0]:g} to
        {grid.base[1]:g}, batch {grid.batch}, GRPO (ddof 1), Adam with learning rate
        {grid.learning_rate:g}, {" or ".join(str(h) for h in grid.horizons)} rounds (above: the longer),
        {cells["seeds"][0]} pools per cell; standard errors of Pass@1 at most
        {high(cells["test_pass_at_1_se"]):.3f}. Noise: a wrong answer is paid with probability fp, a
        right one unpaid with fn, margin 1 - fp - fn. Partial grades: a share of the wrong answers is
        paid one half, margin 1 - share/2; test Pass@1 then varies by at most {high(spans["span"]):.3f}
        over all shares: dividing by the standard deviation undoes a smaller margin. tau is the spread
        of an answer's own features, which other answers do not share: with tau = 0 a rollout teaches
        right against wrong and nothing else.

        Below: least squares of logit accuracy on margin and log2 G over margins above {LEAST:g}, 95%
        intervals (HC3); the data also hold the fits over all margins. Intervals of simulated slopes
        measure how far the cells are from a straight line, not Monte-Carlo noise: accuracy is nearly
        flat in the margin and falls off a cliff near 0."""
    if PUBLIC in table["source"]:
        text += f"""

        Public runs: GRPO on GSM8K with Qwen2.5-0.5B and 1.5B, batch 32, final validation accuracy on
        {public_runs.SAMPLES} problems, one run a setting, from {public_runs.SOURCE} (Apache-2.0); only
        slopes are kept here. The worlds were not fitted to them: signs can be compared, sizes say how
        much of the real effect this mechanism makes with these settings. To fit them again,
        {public_runs.VARIABLE} must name the folder with {public_runs.FILE}."""
    return prose(text)
