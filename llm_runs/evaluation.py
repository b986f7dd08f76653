"""Pass@1 by sampling, for a stack of runs: on what they train on as training goes on, and at the end.

Curves: `eval_samples` of every training query at rounds 0, `eval_every`, ..., and at the last; the test set
every `test_every` rounds if asked for. Final: `final_eval_samples` of every training query and
`final_test_samples` of every test item after the last round, and the test set once with the base weights.
The train split of a run on a pool is the pool. Training never reads any of it, and nothing is learned here.

The same address of a random stream always gives the same sample, so evaluations are paired across conditions
and do not depend on what is stacked. Samples are drawn in chunks of the engine's `rows` per replica, a
constant, so that memory does not depend on the number asked for.

Axes: S replicas, Q items of a replica.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Evaluation
from banditrft.errors import InputError
from banditrft.runs import Query, Run
from banditrft.streams import Purpose, per_query
from llm_runs.backends import Backend
from llm_runs.interfaces import Address
from llm_runs.rounds import Recorder, Row
from llm_runs.tasks import Item, Task, pool_items, test_items


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


TEXTS_KEPT = 16
"""Responses of the final evaluation of the training queries that are kept as text, per run."""


def query_of(run: Run) -> Query:
    """The training query of a run on one."""
    if run.query is None:
        raise TypeError(f"run {run.run_id} has no query")
    return run.query


def train_items(runs: Sequence[Run], backend: Backend) -> list[list[Item]]:
    """What each run trains on: its query, or the world's pool; [S][N].

    Raises:
        InputError: The task's item is no longer the query that was chosen, and that records name.
    """
    if backend.world.train_items is None:
        return [[_item_of(backend.task, query_of(run))] for run in runs]
    pool = pool_items(backend.task, backend.tokenizer, backend.world).items
    return [pool] * len(runs)


def _item_of(task: Task, query: Query) -> Item:
    item = task.item(query.item)
    for field in ("prompt", "answer"):
        chosen, found = getattr(query, field), getattr(item, field)
        if found != chosen:
            raise InputError(
                f"task: the {field} of item {query.item} of {task.name!r} must be {chosen!r}, as when it was "
                f"chosen, got {found!r}; undo the change, or delete the study's queries.json to choose anew"
            )
    return item


class Measure:
    """Evaluates S replicas, under the weights last pushed, on what they train on and on the test set.

    Args:
        runs: The runs.
        backend: With an engine that has their weights.
        train_SN: What each trains on (`train_items`).
        record: Where results go.
    """

    def __init__(
        self, runs: Sequence[Run], backend: Backend, train_SN: Sequence[Sequence[Item]], record: Recorder
    ) -> None:
        self.backend, self.record, self.train = backend, record, train_SN
        self.evaluation: Evaluation = runs[0].evaluation
        self.rounds = runs[0].design.rounds
        self.root_seed = runs[0].root_seed
        self.seeds = [run.seeds[0] for run in runs]
        self.single = runs[0].query is not None
        self.test = [test_items(backend.task, backend.tokenizer, backend.world).items] * len(runs)

    def curve(self, round_: int) -> None:
        """The evaluations due after that many rounds."""
        plan, last = self.evaluation, round_ == self.rounds
        if last or round_ % plan.eval_every == 0:
            self._evaluate("evals", round_, "train", plan.eval_samples, Purpose.EVAL_TRAIN)
        if plan.test_every is not None and (last or round_ % plan.test_every == 0):
            self._evaluate("evals", round_, "test", plan.test_samples, Purpose.EVAL_TEST)

    def base(self) -> None:
        """The test set, with the base weights (round 0 of the final evaluation)."""
        self._evaluate("final", 0, "test", self.evaluation.final_test_samples, Purpose.FINAL_TEST)

    def final(self) -> None:
        """The final evaluations of what was trained on and of the test set."""
        plan = self.evaluation
        self._evaluate("final", self.rounds, "train", plan.final_eval_samples, Purpose.FINAL_TRAIN)
        self._evaluate("final", self.rounds, "test", plan.final_test_samples, Purpose.FINAL_TEST)

    def texts(self) -> None:
        """Keep the first responses of the final evaluation of what was trained on."""
        items = [row[:TEXTS_KEPT] for row in self.train]
        each = range(min(TEXTS_KEPT // len(items[0]), self.evaluation.final_eval_samples))
        address = Address(self.root_seed, self.seeds, Purpose.FINAL_TRAIN, self.rounds)
        self.record.texts(self.rounds, "final", items, self.backend.draw(items, each, address))

    def _evaluate(self, table: str, round_: int, split: str, samples: int, purpose: Purpose) -> None:
        train = split == "train"
        items, seeds = (self.train, self.seeds) if train else (self.test, self._test_seeds())
        address = Address(self.root_seed, seeds, purpose, round_)
        counts = count_correct(self.backend, items, samples, address)
        whole = not (train and self.single)
        self.record.evaluations(table, self._rows(round_, split, items, counts, whole=whole))
        if table == "final":
            self.record.evaluations("items", self._rows(round_, split, items, counts, whole=False))

    def _test_seeds(self) -> list[int]:
        """Runs of one seed on different queries meet different luck on the test set."""
        if not self.single:
            return self.seeds
        return [per_query(seed, row[0].index) for seed, row in zip(self.seeds, self.train, strict=True)]

    def _rows(
        self, round_: int, split: str, items: Sequence[Sequence[Item]], counts: Counts, *, whole: bool
    ) -> list[list[Row]]:
        """Rows of each run: one of the whole split, or one per item."""
        out = []
        for s, seed in enumerate(self.seeds):
            cuts = [slice(None)] if whole else [slice(q, q + 1) for q in range(len(items[s]))]
            out.append(
                [
                    {
                        "seed": seed,
                        "round": round_,
                        "split": split,
                        "item": None if whole else items[s][cut.start].index,
                        "n": counts.samples * len(counts.strict_SQ[s, cut]),
                        "reward_sum": float(counts.score_SQ[s, cut].sum()),
                        "correct_strict": int(counts.strict_SQ[s, cut].sum()),
                        "correct_lenient": int(counts.lenient_SQ[s, cut].sum()),
                    }
                    for cut in cuts
                ]
            )
        return out
