"""Final accuracies of runs with noisy rewards against the theory; the protocol stands in README.md.

``python docs/results/noisy-rewards/noisy_rewards.py FILE OUT`` reads batch32_metrics.csv and writes JSON.
"""

import json
import math
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import binom, t

import analysis
from analysis.fits.likelihood import beta_binomial, maximise
from analysis.importing import Options, read_table, write
from analysis.inference.means import paired_difference
from analysis.inference.multiplicity import holm

N, BATCH = 256, 32
COLUMNS = {
    "test": "final_validation_accuracy",
    "rollouts": "num_rollouts",
    "false_positive": "false_positive_rate",
    "false_negative": "false_negative_rate",
}
MODELS = {"Qwen2.5-0.5B": "0.5B", "Qwen2.5-1.5B": r"^(?!.*0\.5B)"}


class Runs:
    """Finished runs of one model: arrays over runs."""

    def __init__(self, path: Path, model: str) -> None:
        said = Options(
            columns=COLUMNS,
            rows={"run_name": MODELS[model]},
            model=model,
            test_samples=N,
            settings={"": {"reward": "noisy"}},
        )
        with tempfile.TemporaryDirectory() as folder:
            cells = analysis.load(write(read_table([path], said), Path(folder), "noisy")).cells
        self._fill(
            [
                (c.design.rollouts, c.design.false_positive, c.design.false_negative, round(N * a))
                for c in cells
                for a in c.test
            ]
        )

    def _fill(self, rows: list[tuple[float, ...]]) -> None:
        self.G, self.fp, self.fn, self.k = (
            np.array(column, dtype=float) for column in zip(*rows, strict=True)
        )
        self.m = np.round(1 - self.fp - self.fn, 10)
        self.size = np.log2(self.G / 8)
        self.level = np.unique(np.stack([self.fp, self.fn]), axis=1, return_inverse=True)[1].ravel()

    def above(self, margin: float) -> "Runs":
        """Only runs of a larger margin."""
        kept = object.__new__(Runs)
        rows = zip(self.G, self.fp, self.fn, self.k, self.m, strict=True)
        kept._fill([row[:4] for row in rows if row[4] > margin])
        return kept


def tests(runs: Runs) -> dict[str, dict[str, float]]:
    """Fixed effects of the mixed model, in points, with their p-values."""
    names, columns = ["margin", "doubling of G", "margin x doubling"], [runs.m - 0.5, runs.size]
    columns.append(columns[0] * columns[1])
    if (runs.fp != runs.fn).any():
        names.append("fp - fn")
        columns.append(runs.fp - runs.fn)
    X = sm.add_constant(np.stack(columns, axis=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of 0 between levels is at the border, and is reported
        fit = sm.MixedLM(100 * runs.k / N, X, groups=runs.level).fit(reml=True)
    levels = int(runs.level.max()) + 1
    df = levels - 1 - sum(name in ("margin", "fp - fn") for name in names)
    found = {}
    for name, estimate, se in zip(names, fit.fe_params[1:], fit.bse_fe[1:], strict=True):
        below = float(t.cdf(estimate / se, df))
        p = {"margin": 1 - below, "margin x doubling": below}.get(name, 2 * min(below, 1 - below))
        half = float(t.ppf(0.975, df)) * se
        found[name] = {
            "estimate": estimate,
            "low": estimate - half,
            "high": estimate + half,
            "p": p,
            "df": df,
        }
    found["margin"]["sd of noise levels"] = float(np.sqrt(np.asarray(fit.cov_re)[0, 0]))
    return found


def moments(p: np.ndarray, G: int, fp: float, fn: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of one group's update of the log-odds under GRPO (ddof 0) with noisy rewards."""
    m = 1 - fp - fn
    q = np.clip(fp + m * p, 1e-12, 1 - 1e-12)
    k = m * p * (1 - p) / (q * (1 - q))
    right_one, right_zero = (1 - fn) * p / q, fn * p / (1 - q)  # P(right | reward)
    v_one, v_zero = right_one * (1 - right_one), right_zero * (1 - right_zero)
    S = np.arange(1, G)[:, None]
    mass = binom.pmf(S, G, q)
    mean = k * (mass * np.sqrt(S * (G - S))).sum(axis=0) / G
    second = k**2 * (mass * S * (G - S)).sum(axis=0) / G**2
    own = (mass * ((G - S) * v_one + S * v_zero)).sum(axis=0) / G**2
    return mean, np.maximum(second + own - mean**2, 0.0)


GRID = np.linspace(-7, 7, 561)
FLOW_STARTS = [[-3.0, 1.5], [-0.5, 1.0], [-1.0, 0.0], [-2.0, 3.0]]
"""Base log-odds and logarithm of the effective time."""


def clocks(runs: Runs, *, adam: bool) -> tuple[np.ndarray, np.ndarray]:
    """Time at which the flow passes each log-odds of the grid, one row per setting; each run's row."""
    settings, row = np.unique(np.stack([runs.G, runs.fp, runs.fn]), axis=1, return_inverse=True)
    rows = []
    for G, fp, fn in settings.T:
        mean, variance = moments(expit(GRID), int(G), fp, fn)
        scale = np.sqrt(mean**2 + variance / BATCH)
        speed = np.divide(mean, scale, out=np.zeros_like(mean), where=scale > 0) if adam else mean
        slowness = 1 / np.maximum(speed, 1e-9)
        steps = 0.5 * (slowness[1:] + slowness[:-1]) * np.diff(GRID)
        rows.append(np.concatenate([[0.0], np.cumsum(steps)]))
    return np.array(rows), row.ravel()


def moved(clock: np.ndarray, start: float, time: float) -> float:
    """Log-odds that the flow has reached a time after it was at `start`."""
    return float(np.interp(np.interp(start, GRID, clock) + time, clock, GRID))


Mean = Callable[[np.ndarray], np.ndarray]


def models(runs: Runs) -> dict[str, tuple[Mean, list[list[float]]]]:
    """Name -> mean accuracy of each run given parameters, and where to start looking for them."""
    one, m = np.ones_like(runs.m), runs.m
    designs = {
        "constant": [one],
        "margin": [one, m],
        "margin, G": [one, m, runs.size, m * runs.size],
        "margin, fp - fn": [one, m, runs.fp - runs.fn],
    }
    found: dict[str, tuple[Mean, list[list[float]]]] = {}
    for name, columns in designs.items():
        X = np.stack(columns, axis=1)
        if np.linalg.matrix_rank(X) == X.shape[1]:
            found[name] = (lambda x, X=X: expit(X @ x), [[0.0] * X.shape[1]])
    for name, adam in (("GRPO flow", False), ("GRPO flow under Adam", True)):
        clock, row = clocks(runs, adam=adam)

        def mean(x: np.ndarray, clock: np.ndarray = clock, row: np.ndarray = row) -> np.ndarray:
            return expit(np.array([moved(c, x[0], math.exp(x[1])) for c in clock]))[row]

        found[name] = (mean, FLOW_STARTS)
    return found


def fit(mean: Mean, starts: list[list[float]], k: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Maximum-likelihood parameters from some runs; the last is the log-odds of the runs' own correlation."""

    def loss(x: np.ndarray) -> float:
        p = np.clip(mean(x[:-1]), 1e-9, 1 - 1e-9)
        return -float(beta_binomial(k[rows], N, p[rows], expit(x[-1]))[()].sum())

    count = len(starts[0])
    names = [f"x{i}" for i in range(count + 1)]
    bounds = [(-20.0, 20.0)] * count + [(-12.0, 2.0)]
    found = maximise(loss, [[*s, -4.0] for s in starts], names, n=int(rows.sum()), bounds=bounds)
    return np.array(found.estimate)


def aics(runs: Runs) -> dict[str, float]:
    """AIC of every model."""
    found, everything = {}, np.ones(runs.k.size, dtype=bool)
    for name, (mean, starts) in models(runs).items():
        x = fit(mean, starts, runs.k, everything)
        found[name] = float(-2 * per_run(mean, x, runs.k).sum() + 2 * x.size)
    return found


def scores(runs: Runs) -> dict[str, dict]:
    """AIC, parameters, and log-loss per run on left-out noise levels."""
    found, everything = {}, np.ones(runs.k.size, dtype=bool)
    for name, (mean, starts) in models(runs).items():
        x = fit(mean, starts, runs.k, everything)
        loss = -per_run(mean, x, runs.k)
        left_out = np.empty(runs.k.size)
        for level in np.unique(runs.level):
            out = runs.level == level
            left_out[out] = -per_run(mean, fit(mean, [list(x[:-1]), starts[0]], runs.k, ~out), runs.k)[out]
        by_level = [left_out[runs.level == level].mean() for level in np.unique(runs.level)]
        found[name] = {
            "parameters": x.tolist(),
            "aic": float(2 * loss.sum() + 2 * x.size),
            "left_out": float(np.mean(by_level)),
            "by_level": by_level,
            "fitted": mean(x[:-1]).tolist(),
        }
    return found


def per_run(mean: Mean, x: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Log-likelihood of each run."""
    return beta_binomial(k, N, np.clip(mean(x[:-1]), 1e-9, 1 - 1e-9), expit(x[-1]))


def analyse(path: Path) -> dict:
    """Everything that the page states."""
    out: dict = {"models": {}}
    family = []
    for model in MODELS:
        runs = Runs(path, model)
        fits = scores(runs)
        best = fits["GRPO flow under Adam"]["by_level"]
        for name, fitted in fits.items():
            if name != "GRPO flow under Adam":
                gap = paired_difference(fitted["by_level"], best)
                low, high = gap.interval(0.025)
                fitted["minus Adam flow"] = {"estimate": gap.estimate, "low": low, "high": high}
        means = {f"{m:g}": 100 * float((runs.k[runs.m == m] / N).mean()) for m in np.unique(runs.m)}
        found = {"runs": int(runs.k.size), "accuracy by margin": means, "tests": tests(runs), "fits": fits}
        if (runs.m == 0).any():
            found["aic without margin 0 (post hoc)"] = aics(runs.above(0.0))
        for fitted in fits.values():
            del fitted["by_level"], fitted["fitted"]
        out["models"][model] = found
        family += list(found["tests"].values())
    for test, adjusted in zip(family, holm([test["p"] for test in family]), strict=True):
        test["p_adjusted"] = adjusted.p
    return out


def main(file: str, out: str) -> None:
    """Analyse FILE and write OUT."""
    rounded = json.loads(
        json.dumps(analyse(Path(file))), parse_float=lambda text: float(f"{float(text):.4g}")
    )
    Path(out).write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
