"""sims: the simulated world. Exact where theory is exact, and fast enough for hundreds of seeds in seconds.

- `sims.lumped`: the exact softmax bandit over classes of up to 1e12 interchangeable arms (theory §1);
- `sims.contextual`: the log-linear contextual world with a held-out test set (theory §6);
- `sims.learner`: a design as the compiled kernels see it; `sims.philox`: their random numbers.

`execute` turns one `banditrft.runs.Run` into records, `run` a whole study. Names load on first use:
importing `sims` compiles nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sims.simulation import execute
    from sims.study import run

_HOMES = {"execute": "sims.simulation", "run": "sims.study"}
__all__ = ["execute", "run"]


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sims' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
