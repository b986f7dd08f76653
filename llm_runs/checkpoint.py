"""Weights of one replica as a safetensors file, and another look at finished runs.

A checkpoint holds weights only, under transformers' own names: a run is not resumed from it but evaluated
again, when only the final evaluation of a study has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from banditrft.records import EVALS, checkpoint_path
from banditrft.runs import Run
from llm_runs.network.architecture import Architecture, unpack

if TYPE_CHECKING:
    from torch import Tensor


def to_bytes(arch: Architecture, weights: Mapping[str, Tensor]) -> bytes:
    """One replica's packed weights as the bytes of a safetensors file."""
    from safetensors.torch import save

    content: bytes = save(unpack(arch, weights), metadata={"format": "pt"})
    return content


def evaluate_checkpoint(run: Run, folder: Path) -> pl.DataFrame:
    """The final evaluation of a finished run, from the weights it kept: the rows of its final table.

    Args:
        run: The run, with the evaluation that is now asked for.
        folder: The run's folder of records.

    Raises:
        InputError: no such model or task, or the checkpoint is damaged or of another architecture.
    """
    from llm_runs.base_models import load_base_model, read_weights
    from llm_runs.evaluation import single_thread
    from llm_runs.loop import shared_world
    from llm_runs.measure import Measure
    from llm_runs.network.stacked import stack
    from llm_runs.recorder import frame
    from llm_runs.tasks import load_task

    world = shared_world([run])
    task = load_task(world.task)
    model = load_base_model(world.model, task)
    measure = Measure([run], world, task, model.arch)
    with single_thread():
        base, trained = stack([model.weights()]), stack([read_weights(model.arch, checkpoint_path(folder))])
        rows = [measure.base(base), *measure.final(trained)]
    return frame([row for part in rows for row in part], EVALS)
