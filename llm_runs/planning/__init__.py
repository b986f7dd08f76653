"""Before a study starts: whether its language-model worlds can be run, what they would do, and at what cost.

No torch is loaded.
"""

from llm_runs.planning.checks import check, cut_lengths, notes, opened
from llm_runs.planning.estimates import need, stack_size
from llm_runs.planning.plans import CellPlan, WorldPlan, plan, unseen, with_engine

__all__ = [
    "CellPlan",
    "WorldPlan",
    "check",
    "cut_lengths",
    "need",
    "notes",
    "opened",
    "plan",
    "stack_size",
    "unseen",
    "with_engine",
]
