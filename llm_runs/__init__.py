"""The language-model world: causal language models that are really sampled, graded and fine-tuned.

A study's way down: `study` (its language-model worlds, resolved and run) -> `execution` (runs of one design,
from where they were stopped) -> `loop` (the algorithm), on what `backends` opens. What the parts hand to one
another stands in `interfaces`.

In the loop, as the data flows: `tasks` (prompts) and `tokenizers` -> `engines` (sampling) -> `graders` and
`rounds` (grades, rewards, rows) -> `learners` (loss, step). `evaluation` measures, `states` keeps what is
needed to go on, `trackers` show rounds elsewhere. Before the loop: `planning` (what is asked for, and what it
costs), `base_models` (opened by name), `queries` (what is trained on). `tiny` holds all that only tiny models
have: the shipped ones, and the program that trains several runs at once.

The same designs, signals and records as the simulated world. Names load on first use: importing this package
loads no torch.
"""

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from llm_runs.base_models import shipped_models, weights_hash
    from llm_runs.execution import evaluate_checkpoint, execute
    from llm_runs.planning import check, plan, with_engine
    from llm_runs.queries import resolve_queries
    from llm_runs.study import expand_study, run
    from llm_runs.tiny import train_base_model

_HOMES = {
    "check": "llm_runs.planning",
    "evaluate_checkpoint": "llm_runs.execution",
    "execute": "llm_runs.execution",
    "expand_study": "llm_runs.study",
    "plan": "llm_runs.planning",
    "resolve_queries": "llm_runs.queries",
    "run": "llm_runs.study",
    "shipped_models": "llm_runs.base_models",
    "train_base_model": "llm_runs.tiny",
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
__getattr__, __dir__ = lazy(__name__, _HOMES)
