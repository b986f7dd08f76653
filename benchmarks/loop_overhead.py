"""What the loop of the language-model world adds to sampling and learning.

    python benchmarks/loop_overhead.py [--rounds 120] [--repeats 3]

The real loop (`llm_runs.execute`) on tiny-qwen2, one thread: one query, G = 4, 8 stacked replicas; and 32
queries x 8 rollouts, one replica. Responses end where they end. Clocks are put around the loop's own calls; a
part's time is that of the outermost call, so that sampling for an evaluation or the canary counts as theirs.

A round is the time from one report of progress to the next, less evaluations. What is no overhead: the
engine's sampling (its random numbers included), the learner's step (forward, backward, optimiser and what it
measures of itself) and the push. Overhead is all else: choosing the batch, grading, rewards and signals,
records, the canary, and, where states are kept (every `checkpoint_every` = 50 rounds), those. Shares are of
sums over rounds, so that what comes up once in 50 rounds counts in full. Medians over repeats; seconds of the
wall and of the processor, which agree but for waiting: for the disk, and for other work on the machine.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llm_runs
from banditrft.design import Design, Evaluation
from banditrft.runs import Query, Run
from banditrft.worlds import LLMWorld
from llm_runs import loop, states
from llm_runs.engines.canary import Canary
from llm_runs.evaluation import Measure
from llm_runs.rounds.batches import Batches
from llm_runs.rounds.recorder import Recorder
from llm_runs.tasks import load_task
from llm_runs.tiny.engine import StackedEngine
from llm_runs.tiny.learner import StackedLearner

MODEL = "tiny-qwen2"
SHAPES = {"1 x 4, 8 replicas": (1, 4, 8), "32 x 8, 1 replica": (32, 8, 1)}
"""Queries, rollouts and replicas."""
WORK = ("sample", "learn", "push")
PARTS: dict[str, tuple[Any, str]] = {
    "sample": (StackedEngine, "sample"),
    "learn": (StackedLearner, "step"),
    "push": (StackedEngine, "push"),
    "evaluate": (Measure, "curve"),
    "batch": (Batches, "at"),
    "grade": (loop, "grade_samples"),
    "record": (Recorder, "round"),
    "canary": (Canary, "after_push"),
    "save": (states, "keep"),
}
WARM = 5
"""Rounds at the beginning that are not counted: kernels are compiled."""
Times = Counter[tuple[str, str]]


def now() -> dict[str, float]:
    """Seconds of both clocks."""
    return {"wall": time.perf_counter(), "cpu": time.thread_time()}


@contextmanager
def clocks(spent: Times) -> Iterator[None]:
    """Charge the loop's calls to their parts as long as this is open."""
    inside: list[str] = []
    before = {name: getattr(owner, function) for name, (owner, function) in PARTS.items()}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            inside.append(name)
            start = now()
            try:
                return function(*arguments, **named)
            finally:
                end = now()
                inside.pop()
                if not inside:
                    spent.update({(name, clock): end[clock] - start[clock] for clock in end})

        return call

    for name, (owner, function) in PARTS.items():
        setattr(owner, function, timed(name, before[name]))
    try:
        yield
    finally:
        for name, (owner, function) in PARTS.items():
            setattr(owner, function, before[name])


def runs_of(shape: tuple[int, int, int], rounds: int) -> list[Run]:
    """One run per replica: on one query each, or on a pool of 200."""
    Q, G, S = shape
    world = LLMWorld(model=MODEL, seeds=S, test_items=1, device="cpu", train_items=None if Q == 1 else 200)
    design = Design(batch_size=Q, rollouts=G, signal="centered", learning_rate=1e-4, rounds=rounds)
    plan = Evaluation(eval_every=rounds, eval_samples=1, final_eval_samples=1, final_test_samples=1)
    items = load_task("arithmetic").items("pool", S)
    queries = [Query(item.index, item.prompt, item.answer, 0.3, 64) if Q == 1 else None for item in items]
    return [
        Run(f"run-{s}", world, "condition", design, plan, 0, range(s, s + 1), query)
        for s, query in enumerate(queries)
    ]


def measure(shape: tuple[int, int, int], rounds: int, root: Path | None) -> Times:
    """Seconds of each part, of all rounds but the first WARM and the last, on both clocks."""
    spent: Times = Counter()
    seen: list[dict[str, float]] = []

    def report(fraction: float) -> None:
        seen.append(now())
        if len(seen) == WARM:
            spent.clear()
        if len(seen) == rounds - 1:
            spent.update({("round", clock): seen[-1][clock] - seen[WARM - 1][clock] for clock in seen[-1]})
            kept.update(spent)

    kept: Times = Counter()
    with clocks(spent):
        llm_runs.execute(runs_of(shape, rounds), report, root)
    for clock in ("wall", "cpu"):
        kept["round", clock] -= kept["evaluate", clock]
        parts = sum(kept[name, clock] for name in PARTS if name != "evaluate")
        kept["other", clock] = kept["round", clock] - parts
    return kept


def show(name: str, shape: tuple[int, int, int], rounds: int, found: list[Times]) -> None:
    """Print the table of one shape."""
    replica_rounds = (rounds - 1 - WARM) * shape[2]
    print(f"\n{name}\n{'ms per replica-round':22} {'wall':>9} {'share':>7} {'cpu':>9} {'share':>7}")

    def line(label: str, of: Callable[[Times, str], float]) -> None:
        cells = []
        for clock in ("wall", "cpu"):
            ms = statistics.median(1e3 * of(times, clock) / replica_rounds for times in found)
            share = statistics.median(of(times, clock) / times["round", clock] for times in found)
            cells.append(f"{ms:9.3f} {share:7.2%}")
        print(f"{label:22} {' '.join(cells)}", flush=True)

    line("round", lambda times, clock: times["round", clock])
    for part in (*(name for name in PARTS if name != "evaluate"), "other"):
        line(f"  {part}", lambda times, clock, part=part: times[part, clock])
    line("overhead", lambda times, clock: times["round", clock] - sum(times[p, clock] for p in WORK))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=156, help="rounds of a run [156]")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    print(f"{MODEL}, {asked.rounds} rounds, {asked.repeats} repeats, load before {os.getloadavg()[0]:.1f}")
    cases = [(name, kept) for name in SHAPES for kept in (False, True)]
    found: dict[tuple[str, bool], list[Times]] = {case: [] for case in cases}
    for _ in range(asked.repeats):
        for name, kept in cases:
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder) if kept else None
                found[name, kept].append(measure(SHAPES[name], asked.rounds, root))
    for name, kept in cases:
        label = f"{name}, {'with' if kept else 'without'} states kept"
        show(label, SHAPES[name], asked.rounds, found[name, kept])


if __name__ == "__main__":
    main()
