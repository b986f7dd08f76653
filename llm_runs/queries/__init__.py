"""What is trained on: queries chosen by base Pass@1, and how hard items are."""

from llm_runs.queries.candidates import Difficulties, named_items, read_difficulties, table_items
from llm_runs.queries.difficulty import measure
from llm_runs.queries.resolve import resolve_queries

__all__ = ["Difficulties", "measure", "named_items", "read_difficulties", "resolve_queries", "table_items"]
