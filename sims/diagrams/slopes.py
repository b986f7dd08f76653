"""Slopes of logit accuracy on the margin of noisy rewards and on log2 G: fitted, drawn, read back.

Least squares with an intercept per model and heteroscedasticity-consistent (HC3) intervals. A summary of
runs, simulated or real, by the same two numbers; no model of how noise acts.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from sims.diagrams import style
from sims.diagrams.cells import Floats, Row

LEVEL_Z = 1.959964
TERMS = {
    "margin": "change of logit accuracy per unit of margin",
    "log2_rollouts": "change of logit accuracy per doubling of G",
}


def fit(table: pl.DataFrame, source: str, **labels: object) -> list[Row]:
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


def told(fits: pl.DataFrame, source: str, term: str) -> str:
    """A slope with its interval, in words."""
    row = fits.filter((pl.col("source") == source) & (pl.col("term") == term))
    return f"{row['estimate'][0]:.2f} ({row['low'][0]:.2f} to {row['high'][0]:.2f})"
