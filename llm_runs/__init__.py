"""The language-model world: tiny causal language models that are really sampled, graded and fine-tuned.

A study's way down: `study` (its language-model worlds, resolved and run) -> `execution` (runs of one design,
from where they were stopped; `ranks` where several processes share a job) -> `loop` (the algorithm), on what
`backends` opens. In the loop, as the data flows: `tasks` (prompts) -> `engines` (sampling) -> `graders` and
`rounds` (grades, rewards, rows) -> `learners` (loss, step), the network being `network` or transformers';
`evaluation` measures, `states` keeps what is needed to go on. Before it: `planning` (what is asked for, and
what it costs), `base_models` and `tokenizers` (opened by name; weights in `models`, made by `pretraining`),
`queries` (what is trained on). The same designs, signals and records as the simulated world. Names load on
first use: importing this package loads no torch.
"""

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from llm_runs.base_models import shipped_models, weights_hash
    from llm_runs.evaluation.checkpoint import evaluate_checkpoint
    from llm_runs.execution import execute
    from llm_runs.planning.checks import check
    from llm_runs.planning.plan import plan, with_engine
    from llm_runs.pretraining.shipped import train_base_model
    from llm_runs.queries.resolve import resolve_queries
    from llm_runs.study import expand_study, run

_HOMES = {
    "check": "llm_runs.planning.checks",
    "evaluate_checkpoint": "llm_runs.evaluation.checkpoint",
    "execute": "llm_runs.execution",
    "expand_study": "llm_runs.study",
    "plan": "llm_runs.planning.plan",
    "resolve_queries": "llm_runs.queries.resolve",
    "run": "llm_runs.study",
    "shipped_models": "llm_runs.base_models",
    "train_base_model": "llm_runs.pretraining.shipped",
    "weights_hash": "llm_runs.base_models",
    "with_engine": "llm_runs.planning.plan",
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
__getattr__, __dir__ = lazy(__name__, _HOMES)
