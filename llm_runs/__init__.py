"""The language-model world: tiny causal language models that are really sampled, graded and fine-tuned.

Files in the order the data flows: `tasks` (prompts) -> `engines` (sampling) -> `grading` -> `learner` (loss, step) ->
`loop` (the algorithm); beside them `base_models` (shipped weights), `queries` (what is trained on) and `evaluation`.
The same designs, signals and records as the simulated world. Importing this package loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from banditrft.records import RunTables
    from banditrft.runs import Run, WorldQueries
    from banditrft.worlds import LLMWorld


def execute(runs: Sequence[Run], report: Callable[[float], None] | None = None) -> list[RunTables]:
    """Train and evaluate one stack of runs that share world, design, evaluation and root seed.

    Args:
        runs: The runs; their number changes no result.
        report: Called with the fraction done.

    Returns:
        One set of tables per run, in the order given.

    Raises:
        InputError: the runs cannot be stacked, or the model, the task or the design is unknown to this world.
    """
    from llm_runs.loop import run_stack

    return run_stack(runs, report)


def evaluate_checkpoint(run: Run, folder: Path) -> pl.DataFrame:
    """Repeat the final evaluation of a finished run from the weights in its folder; see `llm_runs.checkpoint`."""
    from llm_runs.checkpoint import evaluate_checkpoint

    return evaluate_checkpoint(run, folder)


def resolve_queries(world: LLMWorld, root_seed: int) -> WorldQueries:
    """Choose a world's training queries by base Pass@1 and fix its test set; see `llm_runs.queries`."""
    from llm_runs.queries import resolve_queries

    return resolve_queries(world, root_seed)


def check_model(name: str) -> None:
    """Refuse a model that cannot be loaded, before anything is spent.

    Raises:
        InputError: neither a shipped model nor a folder that holds one.
    """
    from llm_runs.base_models import load_base_model

    load_base_model(name)


def weights_hash(name: str) -> str:
    """sha256 of a model's weights file, hex."""
    from llm_runs.base_models import weights_hash

    return weights_hash(name)


def shipped_models() -> list[dict[str, Any]]:
    """Provenance of each shipped model: name, parameters, base_pass_at_1, weights_sha256, ..."""
    from llm_runs.base_models import shipped_models

    return shipped_models()


def train_base_model(
    name: str,
    out: Path,
    *,
    seed: int | None = None,
    steps: int | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Path:
    """Pretrain a shipped model again from its recipe; see `llm_runs.base_models`."""
    from llm_runs.base_models import train_base_model

    return train_base_model(name, out, seed=seed, steps=steps, progress=progress)


__all__ = [
    "check_model",
    "evaluate_checkpoint",
    "execute",
    "resolve_queries",
    "shipped_models",
    "train_base_model",
    "weights_hash",
]
