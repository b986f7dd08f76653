"""Pass@1 by sampling: how often each item is answered rightly, for a stack of replicas.

The same address of a random stream always gives the same sample, so evaluations are paired across conditions
and do not depend on what is stacked. Samples are drawn in chunks of the engine's `rows` per replica, a
constant, so that memory does not depend on the number asked for. Nothing is learned here.

Axes: S replicas, Q items of a replica.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_runs.backends import Backend
from llm_runs.engines.base import Address
from llm_runs.tasks import Item


@dataclass(frozen=True)
class Counts:
    """What `samples` responses to every item came to, all (S, Q).

    Attributes:
        samples: Responses per item.
        strict_SQ: How many were right under strict grading.
        lenient_SQ: Under lenient grading.
        score_SQ: Sum of the task's own rewards.
    """

    samples: int
    strict_SQ: NDArray[np.int64]
    lenient_SQ: NDArray[np.int64]
    score_SQ: NDArray[np.float64]


def count_correct(
    backend: Backend, items_SQ: Sequence[Sequence[Item]], samples: int, address: Address
) -> Counts:
    """Grade `samples` responses to every item under the weights last pushed to the engine."""
    shape = (len(items_SQ), len(items_SQ[0]))
    counts = Counts(samples, np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape))
    block = min(samples, backend.engine.rows)
    width = max(1, backend.engine.rows // block)
    for start in range(0, shape[1], width):
        part = [items[start : start + width] for items in items_SQ]
        here = np.s_[:, start : start + width]
        for first in range(0, samples, block):
            graded = backend.draw(part, range(first, min(first + block, samples)), address)
            counts.strict_SQ[here] += graded.strict_SQG.sum(-1)
            counts.lenient_SQ[here] += graded.lenient_SQG.sum(-1)
            counts.score_SQ[here] += graded.score_SQG.sum(-1)
    return counts
