"""banditrft: predict a reinforcement fine-tuning run, run it, and know whether what you saw is real.

This package is what both worlds obey: designs, reward maps, learning signals, random streams, records and
closed forms. The rooms `sims` (exact simulator), `llm_runs` (language models) and `analysis` (verdicts) stand
above it.

Axis letters, used as name suffixes everywhere (``rewards_BG``):

======  =====================================================
letter  axis
======  =====================================================
R       replicates of a simulation
S       stacked language-model replicas; slots of a bandit state
B       queries in a round
G       rollouts of a query in a round
T       tokens (or rounds, where a docstring says so)
N       items of a data set
K       arms
C       classes of arms
======  =====================================================
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from banditrft.design import Design, Evaluation
    from banditrft.errors import InputError, RecordError
    from banditrft.predict import Prediction, predict
    from banditrft.runs import Run
    from banditrft.study import Study, load_study

__version__ = "0.1.0"

_HOMES = {
    "Design": "banditrft.design",
    "Evaluation": "banditrft.design",
    "InputError": "banditrft.errors",
    "RecordError": "banditrft.errors",
    "Prediction": "banditrft.predict",
    "predict": "banditrft.predict",
    "Run": "banditrft.runs",
    "Study": "banditrft.study",
    "load_study": "banditrft.study",
}
__all__ = [
    "Design",
    "Evaluation",
    "InputError",
    "Prediction",
    "RecordError",
    "Run",
    "Study",
    "load_study",
    "predict",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562), so that importing the package stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'banditrft' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
