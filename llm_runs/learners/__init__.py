"""Learners: they hold the weights and take the optimiser's steps. Not sampling, not grading.

`ModuleLearner` trains any model of transformers, `ShardedLearner` one whose state is shared out over several
processes. The learner of tiny models is `llm_runs.tiny.StackedLearner`. Names load on first use.
"""

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from llm_runs.learners.module import ModuleLearner
    from llm_runs.learners.sharded import ShardedLearner, join_ranks

_HOMES = {
    "ModuleLearner": "llm_runs.learners.module",
    "ShardedLearner": "llm_runs.learners.sharded",
    "join_ranks": "llm_runs.learners.sharded",
}
__all__ = ["ModuleLearner", "ShardedLearner", "join_ranks"]
__getattr__, __dir__ = lazy(__name__, _HOMES)
