"""banditrft: predict a reinforcement fine-tuning run, run it, and know whether what you saw is real.

This package is what both worlds obey: designs, reward maps, learning signals, random streams, records and
closed forms. The rooms `sims` (exact simulator), `llm_runs` (language models) and `analysis` (verdicts) stand
above it; each is also an attribute of this package (`banditrft.analysis`).

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

from typing import TYPE_CHECKING

from banditrft.lazy import lazy

if TYPE_CHECKING:
    from banditrft.design import Design, Evaluation
    from banditrft.errors import InputError, RecordError
    from banditrft.launch import JobsError
    from banditrft.predict import Prediction, predict
    from banditrft.runs import Run
    from banditrft.study import Study, load_study

__version__ = "0.1.0"

_HOMES = {
    "Design": "banditrft.design",
    "Evaluation": "banditrft.design",
    "JobsError": "banditrft.launch",
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
    "JobsError",
    "Prediction",
    "RecordError",
    "Run",
    "Study",
    "load_study",
    "predict",
]
__getattr__, __dir__ = lazy(__name__, _HOMES, ("sims", "llm_runs", "analysis"))
