"""Responses decoded and graded: strict and lenient grades, the task's own score, the text.

Equal responses to one item are decoded and graded once. Nothing is rewarded here
(`llm_runs.rounds.rewarding`).

Axes: S replicas, Q items of a replica, G samples of an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_runs.graders import Grader
from llm_runs.interfaces import Samples, Tokenizer
from llm_runs.tasks import Item


@dataclass(frozen=True)
class Graded:
    """Samples of some items with their grades.

    Attributes:
        samples: What was drawn.
        texts: Decoded responses, nested [S][Q][G].
        strict_SQG: Right under strict grading.
        lenient_SQG: Right under lenient grading.
        score_SQG: The task's own reward, in [0, 1].
    """

    samples: Samples
    texts: list[list[list[str]]]
    strict_SQG: NDArray[np.bool_]
    lenient_SQG: NDArray[np.bool_]
    score_SQG: NDArray[np.float64]

    def first(self, count: int) -> Graded:
        """The first `count` samples of every item."""
        samples = Samples(
            self.samples.tokens_SQGT[:, :, :count],
            self.samples.lengths_SQG[:, :, :count],
            self.samples.logprobs_SQGT[:, :, :count],
        )
        return Graded(
            samples,
            [[texts[:count] for texts in row] for row in self.texts],
            self.strict_SQG[..., :count],
            self.lenient_SQG[..., :count],
            self.score_SQG[..., :count],
        )


def grade_samples(
    grader: Grader, tokenizer: Tokenizer, items_SQ: Sequence[Sequence[Item]], samples: Samples
) -> Graded:
    """Decode and grade what was drawn."""
    tokens_SQGT = samples.tokens_SQGT.cpu().numpy()
    lengths_SQG = samples.lengths_SQG.cpu().numpy()
    which_SQG: NDArray[np.int64] = np.empty(lengths_SQG.shape, np.int64)
    texts: list[list[list[str]]] = []
    known: dict[tuple[int, bytes], int] = {}
    responses: list[str] = []
    answers: list[str] = []
    for s, items in enumerate(items_SQ):
        texts.append([])
        for q, item in enumerate(items):
            rows = zip(tokens_SQGT[s, q], lengths_SQG[s, q].tolist(), strict=True)
            for g, (row_T, length) in enumerate(rows):
                ids = row_T[:length]
                at = known.setdefault((item.index, ids.tobytes()), len(responses))
                if at == len(responses):
                    responses.append(tokenizer.decode(ids.tolist()))
                    answers.append(item.answer)
                which_SQG[s, q, g] = at
            texts[s].append([responses[at] for at in which_SQG[s, q]])
    grades = grader.grade_many(responses, answers)
    return Graded(
        samples,
        texts,
        np.array([grade.strict for grade in grades])[which_SQG],
        np.array([grade.lenient for grade in grades])[which_SQG],
        np.array([grade.score for grade in grades])[which_SQG],
    )
