"""Where single runs end: mean, SD over seeds, and the SD that evaluating alone would give."""

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.claims.worlds import final_train
from analysis.inference.spread import pooled_variance
from analysis.loading.records import Cell, Records

Floats = npt.NDArray[np.float64]


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
