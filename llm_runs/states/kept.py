"""Which states of a run in progress are kept: the newest, and the one with the highest train Pass@1."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from banditrft.parts import part_of

KEPT = 2
"""Newest states of a run that are kept."""
ABOUT = "state.json"
"""File of a state's folder that describes it."""


def train_pass_at_1(evals: pl.DataFrame) -> float | None:
    """Train Pass@1 of the newest evaluation, None before the first."""
    train = evals.filter(pl.col("split") == "train")
    newest = train.filter(pl.col("round") == train["round"].max())
    return sum(newest["correct_strict"].to_list()) / sum(newest["n"].to_list()) if newest.height else None


def prune(folders: Sequence[Path]) -> None:
    """Remove all but the newest states and the best one (of equals the newest).

    Args:
        folders: States by rising round; some may be gone meanwhile, removed by another process.
    """
    old = folders[:-KEPT]
    if not old:
        return
    best = max(folders, key=lambda folder: (_score(folder), folder.name))
    for folder in old:
        if folder != best:
            doomed = part_of(folder)
            with suppress(FileNotFoundError):
                folder.rename(doomed)  # a folder that is being removed must not be taken for a whole one
            shutil.rmtree(doomed, ignore_errors=True)


def _score(folder: Path) -> float:
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["train_pass_at_1"]
    except (OSError, ValueError, KeyError):
        return -1.0
    return -1.0 if found is None else float(found)
