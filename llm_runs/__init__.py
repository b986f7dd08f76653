"""The language-model world: tiny causal language models that are really sampled, graded and fine-tuned.

Files in the order the data flows: `tasks` (prompts) -> `engines` (sampling) -> `graders` -> `learner`
(loss, step) -> `loop` (the algorithm); beside them `base_models` (shipped weights), `queries` (what is
trained on), `evaluation`, and `study`, which runs a study's language-model worlds. The same designs, signals
and records as the simulated world. Names load on first use: importing this package loads no torch.
"""

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from llm_runs.base_models import shipped_models, weights_hash
    from llm_runs.checkpoint import evaluate_checkpoint
    from llm_runs.checks import check
    from llm_runs.execution import execute
    from llm_runs.planning import plan, with_engine
    from llm_runs.pretraining.shipped import train_base_model
    from llm_runs.queries import resolve_queries
    from llm_runs.study import expand_study, run

_HOMES = {
    "check": "llm_runs.checks",
    "evaluate_checkpoint": "llm_runs.checkpoint",
    "execute": "llm_runs.execution",
    "expand_study": "llm_runs.study",
    "plan": "llm_runs.planning",
    "resolve_queries": "llm_runs.queries",
    "run": "llm_runs.study",
    "shipped_models": "llm_runs.base_models",
    "train_base_model": "llm_runs.pretraining.shipped",
    "weights_hash": "llm_runs.base_models",
    "with_engine": "llm_runs.planning",
}
__all__ = [
    "check",
    "evaluate_checkpoint",
    "execute",
    "expand_study",
    "plan",
    "resolve_queries",
    "run",
    "shipped_models",
    "train_base_model",
    "weights_hash",
    "with_engine",
]
__getattr__ = lazy(__name__, _HOMES)
