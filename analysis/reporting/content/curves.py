"""Learning curves and their ends: means with simultaneous bands and closed forms, the spread over seeds."""

import numpy as np
import numpy.typing as npt

from analysis.claims.worlds import final_train
from analysis.curves.bands import mean_band
from analysis.inference.resampling import of_data
from analysis.inference.spread import pooled_variance
from analysis.loading.records import Cell, Records
from analysis.reporting.content import closed_forms
from analysis.reporting.content.model import BandData, ClosedCurve, SeedsData
from banditrft.errors import InputError

FEWEST = 3
"""Test evaluations from which on they are called a curve."""
FEWEST_RUNS = 5
"""Runs from which on their mean has a band; fewer are shown one by one."""
Floats = npt.NDArray[np.float64]


def curve_of(cell: Cell, split: str) -> tuple[Floats, Floats]:
    """Rounds (E,) and Pass@1 (N, E) of a split."""
    return (cell.rounds, cell.train) if split == "train" else (cell.test_rounds, cell.test_curve)


def bands(records: Records) -> list[BandData]:
    """One entry per world, condition and split with a curve."""
    found = []
    for cell in records.cells:
        predicted = closed_forms.curve(cell)
        if cell.has_train:
            found.append(_band(cell, "train", predicted))
        if cell.test_rounds.size >= FEWEST and np.isfinite(cell.test_curve).all():
            found.append(_band(cell, "test", predicted))
    return found


def _band(cell: Cell, split: str, predicted: closed_forms.Curve | None) -> BandData:
    """Mean and band of a split, or the mean alone and why, with its closed form where there is one."""
    rounds_E, values_NE = curve_of(cell, split)
    theory: ClosedCurve | None = None
    closed = None if predicted is None else predicted.train if split == "train" else predicted.test
    if predicted is not None and closed is not None:
        theory = {"rounds": predicted.rounds, "values": closed, "method": predicted.method}
    mean: BandData = {
        "world": cell.world.name,
        "condition": cell.condition,
        "split": split,
        "n": cell.n,
        "rounds": rounds_E.tolist(),
        "mean": values_NE.mean(axis=0).tolist(),
        "low": None,
        "high": None,
        "holds": None,
        "level": None,
        "method": f"no band: fewer than {FEWEST_RUNS} runs, each of them is shown",
        "theory": theory,
    }
    if cell.n < FEWEST_RUNS:
        return mean
    samples_NE = cell.train_samples if split == "train" else cell.test_curve_samples
    try:
        rng = of_data(values_NE, samples_NE, cell.query)
        band = mean_band(values_NE, rng=rng, strata_N=cell.query, samples_NE=samples_NE)
    except InputError as error:
        return mean | {"method": f"no band: {error}"}
    return mean | {
        "mean": list(band.mean_E),
        "low": list(band.low_E),
        "high": list(band.high_E),
        "holds": list(band.holds_E),
        "level": band.level,
        "method": band.method,
    }


def final(cell: Cell, split: str) -> tuple[Floats, Floats]:
    """Final Pass@1 of each run, and the samples behind it."""
    if split == "train":
        return final_train(cell), np.asarray(cell.final_samples, dtype=np.float64)
    return cell.test, np.asarray(cell.test_samples[:, 1], dtype=np.float64)


def seeds(records: Records) -> list[SeedsData]:
    """One entry per world, split and condition; the SD is within queries, None for single runs."""
    found: list[SeedsData] = []
    for cell in records.cells:
        for split in ("train", "test"):
            values, samples = final(cell, split)
            if not np.isfinite(values).all():
                continue
            variance = pooled_variance(values, cell.query)
            noise = values * (1 - values) / np.maximum(samples - 1, 1)
            found.append(
                {
                    "world": cell.world.name,
                    "split": split,
                    "condition": cell.condition,
                    "n": cell.n,
                    "mean": float(values.mean()),
                    "sd": float(np.sqrt(variance)) if np.isfinite(variance) else None,
                    "evaluation_sd": float(np.sqrt(noise.mean())),
                }
            )
    return found
