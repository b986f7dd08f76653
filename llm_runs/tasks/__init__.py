"""Tasks: what the language models are asked. Not models, not rewards.

Shipped tasks make their own questions; `gsm8k` and `math` read them from files or the Hugging Face hub;
`file` reads any; others come from installed packages or by dotted path (`llm_runs.tasks.registry`).
"""

from llm_runs.interfaces import Item, Message
from llm_runs.tasks.base import Task
from llm_runs.tasks.data import Question, read_responses
from llm_runs.tasks.files import SOURCES
from llm_runs.tasks.fitting import (
    Chosen,
    Fitting,
    content_hash,
    first_items,
    fitting,
    pool_items,
    prompt_ids,
    test_items,
)
from llm_runs.tasks.listed import Listed, check_answers, leaked
from llm_runs.tasks.registry import FROM_FILES, TASKS, load_task, task_and_model, task_of

__all__ = [
    "FROM_FILES",
    "SOURCES",
    "TASKS",
    "Chosen",
    "Fitting",
    "Item",
    "Listed",
    "Message",
    "Question",
    "Task",
    "check_answers",
    "content_hash",
    "first_items",
    "fitting",
    "leaked",
    "load_task",
    "pool_items",
    "prompt_ids",
    "read_responses",
    "task_and_model",
    "task_of",
    "test_items",
]
