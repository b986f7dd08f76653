"""Tiny models: several runs of one design as one tensor program, on one thread of the CPU, in float32.

Everything that only these models have stands behind this door: which models the program computes and how
their weights are laid out (`architecture`), the network (`network`), the engine that samples from it
(`engine`), the learner (`learner`, which scores given responses by `responses`), and how the shipped models
(`models`) were made (`pretraining`, from the text of `corpus`). The same runs, one at a time, are also those
of the engine and learner of any model (`llm_runs.engines.cached`, `llm_runs.learners.module`), up to
rounding.

Names load on first use: `stacks` needs no torch.
"""

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from llm_runs.tiny.architecture import stacks
    from llm_runs.tiny.engine import StackedEngine
    from llm_runs.tiny.learner import StackedLearner
    from llm_runs.tiny.pretraining import train_base_model

_HOMES = {
    "StackedEngine": "llm_runs.tiny.engine",
    "StackedLearner": "llm_runs.tiny.learner",
    "stacks": "llm_runs.tiny.architecture",
    "train_base_model": "llm_runs.tiny.pretraining",
}
__all__ = ["StackedEngine", "StackedLearner", "stacks", "train_base_model"]
__getattr__, __dir__ = lazy(__name__, _HOMES)
