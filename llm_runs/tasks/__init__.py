"""Tasks: what the language models are asked. Not models, not rewards.

Shipped tasks make their own questions; `gsm8k` and `math` read them from files or the Hugging Face hub;
`file` reads any; others come from installed packages or by dotted path (`llm_runs.tasks.registry`).
"""

from llm_runs.interfaces import Item, Message
from llm_runs.tasks.base import Task
from llm_runs.tasks.data import Question
from llm_runs.tasks.fitting import Fitting, fitting, prompt_ids
from llm_runs.tasks.listed import Listed
from llm_runs.tasks.registry import FROM_FILES, TASKS, load_task, task_and_model, task_of

__all__ = [
    "FROM_FILES",
    "TASKS",
    "Fitting",
    "Item",
    "Listed",
    "Message",
    "Question",
    "Task",
    "fitting",
    "load_task",
    "prompt_ids",
    "task_and_model",
    "task_of",
]
