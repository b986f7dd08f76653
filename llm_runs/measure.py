"""The evaluations of a stack of runs: the training query as training goes on, and the final ones that decide.

Curves: `eval_samples` of the training query at rounds 0, `eval_every`, ..., and at the last; the test set
every `test_every` rounds if asked for. Final: `final_eval_samples` of the training query and
`final_test_samples` of every test item after the last round, and the test set once with the base weights.
Training never reads any of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from banditrft.design import Evaluation
from banditrft.runs import Run
from banditrft.streams import Purpose, per_query
from banditrft.worlds import LLMWorld
from llm_runs.evaluation import Address, Graded, count_correct, draw_samples, grade_samples
from llm_runs.network.architecture import Architecture
from llm_runs.network.stacked import Weights
from llm_runs.queries import test_items
from llm_runs.recorder import Row, eval_rows, query_of
from llm_runs.tasks import Task

TEXTS_KEPT = 16
"""Responses of the final evaluation of the training query that are kept as text, per run."""


class Measure:
    """Evaluates S replicas on their training queries and on the world's test set."""

    def __init__(self, runs: Sequence[Run], world: LLMWorld, task: Task, arch: Architecture) -> None:
        self.task, self.arch, self.temperature = task, arch, world.temperature
        self.evaluation: Evaluation = runs[0].evaluation
        self.rounds = runs[0].design.rounds
        self.root_seed = runs[0].root_seed
        self.seeds = [run.seeds[0] for run in runs]
        self.train = [[task.item(query_of(run).item)] for run in runs]
        self.test = [test_items(task, world)] * len(runs)

    def _train(self, weights: Weights, round_: int, samples: int, purpose: Purpose) -> list[Row]:
        address = Address(self.root_seed, self.seeds, purpose, round_)
        strict, lenient = count_correct(
            self.arch, weights, self.task, self.train, samples, address, self.temperature
        )
        items = [row[0].index for row in self.train]
        return eval_rows(self.seeds, round_, "train", items, samples, (strict[:, 0], lenient[:, 0]))

    def _test(self, weights: Weights, round_: int, samples: int, purpose: Purpose) -> list[Row]:
        seeds = [per_query(seed, row[0].index) for seed, row in zip(self.seeds, self.train, strict=True)]
        address = Address(self.root_seed, seeds, purpose, round_)
        strict, lenient = count_correct(
            self.arch, weights, self.task, self.test, samples, address, self.temperature
        )
        n = samples * len(self.test[0])
        counts = strict.sum(1), lenient.sum(1)
        return eval_rows(self.seeds, round_, "test", [None] * len(self.seeds), n, counts)

    def curve(self, weights: Weights, round_: int) -> list[list[Row]]:
        """The evaluations due after that many rounds, each a row per run."""
        plan, last = self.evaluation, round_ == self.rounds
        due = []
        if last or round_ % plan.eval_every == 0:
            due.append(self._train(weights, round_, plan.eval_samples, Purpose.EVAL_TRAIN))
        if plan.test_every is not None and (last or round_ % plan.test_every == 0):
            due.append(self._test(weights, round_, plan.test_samples, Purpose.EVAL_TEST))
        return due

    def base(self, base: Weights) -> list[Row]:
        """The test set with the base weights (round 0 of the final evaluation)."""
        return self._test(base, 0, self.evaluation.final_test_samples, Purpose.FINAL_TEST)

    def final(self, weights: Weights) -> list[list[Row]]:
        """The final evaluations of the training query and of the test set, each a row per run."""
        plan = self.evaluation
        return [
            self._train(weights, self.rounds, plan.final_eval_samples, Purpose.FINAL_TRAIN),
            self._test(weights, self.rounds, plan.final_test_samples, Purpose.FINAL_TEST),
        ]

    def texts(self, weights: Weights) -> Graded:
        """The first responses of the final evaluation of the training query."""
        kept = range(min(TEXTS_KEPT, self.evaluation.final_eval_samples))
        address = Address(self.root_seed, self.seeds, Purpose.FINAL_TRAIN, self.rounds)
        drawn = draw_samples(self.arch, weights, self.task, self.train, kept, address, self.temperature)
        return grade_samples(self.task, self.train, drawn)
