"""The analysis room: reads records of either world and the closed forms, tests claims, renders the report.

It never runs anything. Exports are lazy: importing `analysis` loads neither statistics nor plotting.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.judging import verdicts
    from analysis.loading import Records, load
    from analysis.reporting import report
    from analysis.verdict import Verdict

_HOMES = {
    "Records": "analysis.loading",
    "Verdict": "analysis.verdict",
    "load": "analysis.loading",
    "report": "analysis.reporting",
    "verdicts": "analysis.judging",
}
__all__ = ["Records", "Verdict", "load", "report", "verdicts"]


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
