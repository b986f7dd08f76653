"""What the loop does with a round apart from sampling and learning.

Which queries it trains on (`batches`), what the responses are worth (`grading`), what the learner is given
for them (`rewarding`), and what is recorded (`recorder`). `batches` and `rewarding` serve the loop alone;
they are files of their own so that the loop stays as short as the algorithm.
"""

from llm_runs.rounds.batches import Batches
from llm_runs.rounds.grading import Graded, grade_samples
from llm_runs.rounds.recorder import SCHEMAS, Clock, Recorder, Row
from llm_runs.rounds.rewarding import differing, draws_rewards, factors, penalised, read_pairs, rewards

__all__ = [
    "SCHEMAS",
    "Batches",
    "Clock",
    "Graded",
    "Recorder",
    "Row",
    "differing",
    "draws_rewards",
    "factors",
    "grade_samples",
    "penalised",
    "read_pairs",
    "rewards",
]
