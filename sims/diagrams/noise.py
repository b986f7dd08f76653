"""What do noisy and partly graded rewards cost? Against the margin between right and wrong, and rollouts.

Slopes of logit accuracy on the margin and on log2 G summarise simulated and real runs by the same two
numbers: least squares with an intercept per model and heteroscedasticity-consistent (HC3) intervals, no model
of how noise acts. The real ones are public: 141 GRPO runs of two Qwen2.5 models on GSM8K (batch 32, 4 to 64
rollouts, false positives and negatives), published by their authors as a table of final accuracies under
Apache-2.0. The table is read where the reader keeps it and is no part of this package: slopes fitted to it
are published, not its rows.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from banditrft.design import Design
from banditrft.errors import InputError
from sims.diagrams import style
from sims.diagrams.cells import Floats, Row, contextual, curves, error, high, in_parallel, low, prose

LEVEL_Z = 1.959964
TERMS = {
    "margin": "change of logit accuracy per unit of margin",
    "log2_rollouts": "change of logit accuracy per doubling of G",
}


def slopes(table: pl.DataFrame, source: str, **labels: object) -> list[Row]:
    """Least squares of logit accuracy on margin and log2 G, an intercept per model, HC3 intervals of 95%.

    Args:
        table: Columns logit, margin, rollouts and, where there are several, model.
        source: Where the runs are from.
        **labels: More columns of the rows.

    Returns:
        One row for each of the two slopes: estimate, standard error, ends of the interval, number of runs.
    """
    y = table["logit"].to_numpy()
    terms: Mapping[str, Floats] = {
        "margin": table["margin"].to_numpy(),
        "log2_rollouts": np.log2(table["rollouts"].to_numpy()),
    }
    groups = table["model"] if "model" in table.columns else pl.Series(["one"] * len(table))
    dummies = [(groups == name).to_numpy().astype(float) for name in sorted(set(groups))]
    X = np.column_stack([*terms.values(), *dummies])
    inverse = np.linalg.inv(X.T @ X)
    beta = inverse @ X.T @ y
    leverage = np.einsum("ni,ij,nj->n", X, inverse, X)
    residual = (y - X @ beta) / (1 - leverage)
    spread = inverse @ (X.T * residual**2) @ X @ inverse
    rows: list[Row] = []
    for i, term in enumerate(terms):
        wide = LEVEL_Z * float(np.sqrt(spread[i, i]))
        row: Row = {"source": source, "term": term, "runs": len(table), "estimate": float(beta[i])}
        rows.append(row | {"low": float(beta[i]) - wide, "high": float(beta[i]) + wide} | labels)
    return rows


def forest(panel: Axes, fits: pl.DataFrame) -> None:
    """Estimates and intervals by source, simulated ones apart from real ones."""
    y = np.arange(len(fits))[::-1]
    for own, colour, marker in ((True, style.COLOURS[0], "o"), (False, style.COLOURS[1], "s")):
        rows = [i for i, source in enumerate(fits["source"]) if source.startswith("simulated") == own]
        some = fits[rows]
        wide = [some["estimate"] - some["low"], some["high"] - some["estimate"]]
        panel.errorbar(some["estimate"], y[rows], xerr=wide, fmt=marker, color=colour, capsize=2)
    panel.axvline(0.0, color="black", linewidth=0.6)
    panel.set_yticks(y, fits["source"])
    panel.set_ylim(-0.6, len(fits) - 0.4)


def slope_in_words(fits: pl.DataFrame, source: str, term: str) -> str:
    """A slope with its interval, in words."""
    row = fits.filter((pl.col("source") == source) & (pl.col("term") == term))
    return f"{row['estimate'][0]:.2f} ({row['low'][0]:.2f} to {row['high'][0]:.2f})"


SOURCE = "https://github.com/rm-3284/RLVR_noisy_rewards"
FILE = Path("rlvr_noisy_rewards") / "batch32_metrics.csv"
VARIABLE = "BANDITRFT_DATA"
SAMPLES = 256
"""Answers behind each accuracy of the table."""


def find_public_runs() -> Path | None:
    """The table, in the folder that BANDITRFT_DATA names; None if the variable is not set.

    Raises:
        InputError: The variable names a folder without it.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named) / FILE
    if not path.exists():
        raise InputError(f"{VARIABLE}: must name a folder that holds {FILE}, got {named}")
    return path


def read_public_runs(path: Path) -> pl.DataFrame:
    """Runs with an accuracy: model, margin 1 - fp - fn, rollouts, empirical logit of the final accuracy."""
    table = pl.read_csv(path).drop_nulls("final_validation_accuracy")
    right = pl.col("final_validation_accuracy") * SAMPLES
    return table.select(
        model=pl.when(pl.col("run_name").str.starts_with("grpo0.5B"))
        .then(pl.lit("0.5B"))
        .otherwise(pl.lit("1.5B")),
        margin=1 - pl.col("false_positive_rate") - pl.col("false_negative_rate"),
        rollouts=pl.col("num_rollouts"),
        logit=((right + 0.5) / (SAMPLES - right + 0.5)).log(),
    )


QUESTION = (
    "What do false positives, false negatives and partial grades cost, and do more rollouts pay for it?"
)
SEEDS = 4
LEAST = 0.15
"""Margins below are left out of the slopes that are compared: accuracy collapses there."""
PUBLIC = "public, both models"


@dataclass(frozen=True)
class NoiseCells:
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


FULL = NoiseCells()


def _cell(
    tau: float, kind: str, fp: float, fn: float, partial: float, G: int, grid: NoiseCells, seeds: int
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


def compute(seeds: int = SEEDS, grid: NoiseCells = FULL) -> pl.DataFrame:
    """Simulated cells, then fitted slopes: those of the public runs too, where their table is at hand.

    Args:
        seeds: Pools per cell.
        grid: The cells.

    Returns:
        Rows of kind "noisy" and "graded" (a cell each: margin = expected reward of a right minus that of a
        wrong answer, test Pass@1) and of kind "fit" (slopes of logit accuracy, `slopes`).
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
    path = find_public_runs()
    if path is not None:
        public = read_public_runs(path)
        runs |= {f"public, {name}": public.filter(pl.col("model") == name) for name in ("0.5B", "1.5B")}
        runs[PUBLIC] = public
    return [
        {"kind": "fit", "least_margin": least} | row
        for source, some in runs.items()
        for least in (0.0, LEAST)
        for row in slopes(some.filter(pl.col("margin") >= least - 1e-9), source)
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
    for panel, (term, label) in zip(axes[1], TERMS.items(), strict=True):
        forest(panel, fits.filter(pl.col("term") == term))
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
        for term in TERMS
        for rows in [ours.filter(pl.col("term") == term)]
    }
    text = f"""
        Per unit of margin the logit of test Pass@1 rises by {spans["margin"]} and per doubling of
        rollouts by {spans["log2_rollouts"]} over the simulated settings (margins above {LEAST:g})"""
    real = fits.filter(pl.col("source") == PUBLIC)
    if len(real):
        margin, doubling = (slope_in_words(fits, PUBLIC, term) for term in TERMS)
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
        {SAMPLES} problems, one run a setting, from {SOURCE} (Apache-2.0); only
        slopes are kept here. The worlds were not fitted to them: signs can be compared, sizes say how
        much of the real effect this mechanism makes with these settings. To fit them again,
        {VARIABLE} must name the folder with {FILE}."""
    return prose(text)
