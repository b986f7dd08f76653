"""Learning curves and their ends: means with simultaneous bands and closed forms, the spread over seeds."""

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.claims.worlds import final_train
from analysis.curves.bands import mean_band
from analysis.inference.resampling import of_data
from analysis.inference.spread import pooled_variance
from analysis.loading.records import Cell, Records
from analysis.reporting.content import closed_forms
from banditrft.errors import InputError

FEWEST = 3
"""Test evaluations from which on they are called a curve."""
Floats = npt.NDArray[np.float64]


def curve_of(cell: Cell, split: str) -> tuple[Floats, Floats]:
    """Rounds (E,) and Pass@1 (N, E) of a split."""
    return (cell.rounds, cell.train) if split == "train" else (cell.test_rounds, cell.test_curve)


def bands(records: Records) -> list[dict[str, Any]]:
    """One entry per world, condition and split with a curve."""
    found = []
    for cell in records.cells:
        predicted = closed_forms.curve(cell)
        for split in ("train", "test"):
            rounds_E, values_NE = curve_of(cell, split)
            if split == "train" and not cell.has_train:
                continue
            if split == "test" and (rounds_E.size < FEWEST or not np.isfinite(values_NE).all()):
                continue
            theory = None
            if predicted is not None and (split == "train" or predicted.test is not None):
                values = predicted.train if split == "train" else predicted.test
                theory = {"rounds": predicted.rounds, "values": values, "method": predicted.method}
            found.append(
                {"world": cell.world.name, "condition": cell.condition, "split": split}
                | {"n": cell.n, "rounds": rounds_E.tolist()}
                | _band(cell, split, values_NE)
                | {"theory": theory}
            )
    return found


def _band(cell: Cell, split: str, values_NE: Floats) -> dict[str, Any]:
    """Mean and band, or the mean alone and why."""
    samples_NE = cell.train_samples if split == "train" else cell.test_curve_samples
    try:
        rng = of_data(values_NE, samples_NE, cell.query)
        band = mean_band(values_NE, rng=rng, strata_N=cell.query, samples_NE=samples_NE)
    except InputError as error:
        nothing = dict.fromkeys(("low", "high", "holds", "level"))
        return {"mean": values_NE.mean(axis=0).tolist(), **nothing, "method": f"no band: {error}"}
    return {
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


def seeds(records: Records) -> list[dict[str, Any]]:
    """One entry per world, split and condition; the SD is within queries, None for single runs."""
    found = []
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
