"""Runs of tiny language models side by side: this process, two local workers, two Ray workers.

    python benchmarks/parallel.py [--runs 32] [--rounds 60]

All executors compute the same study of single-query runs, in jobs of 8 stacked runs, each job on one thread;
records are compared and must be equal but for times. Seconds are of the whole launch: starting workers,
loading the model, training, evaluating and writing records. "Ratio" is the first executor's seconds over an
executor's own. With as many cores as workers and jobs in whole rounds the bound of the ratio is 2.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import polars as pl

import llm_runs
from banditrft.launch import choose_executor, launch
from banditrft.launch.jobs import environment, single_threaded
from banditrft.runs import Query, WorldQueries, expand
from banditrft.study import parse_study
from llm_runs.planning.estimates import need, stack_size
from llm_runs.tasks import load_task

MODEL = "tiny-qwen2"
STUDY = """
name = "parallel"
seeds = {runs}
[design]
learning_rate = 1e-4
rounds = {rounds}
rollouts = 4
signal = "centered"
eval_every = {rounds}
final_eval_samples = 64
final_test_samples = 1
[[conditions]]
name = "G=4"
[[llm]]
model = "{model}"
queries = {{items = [{item}]}}
test_items = 16
device = "cpu"
"""
EXECUTORS = {"this process": ("local", 1), "2 local workers": ("local", 2), "2 Ray workers": ("ray", 2)}


def tables(root: Path) -> dict[Path, pl.DataFrame]:
    return {
        path.relative_to(root): pl.read_parquet(path).select(pl.exclude("^seconds.*$"))
        for path in sorted(root.rglob("*.parquet"))
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=60)
    asked = parser.parse_args()
    task = load_task("arithmetic")
    (item,) = task.items("pool", 1)
    study = parse_study(STUDY.format(runs=asked.runs, rounds=asked.rounds, model=MODEL, item=item.index))
    queries = WorldQueries("k", "w", "t", (Query(item.index, item.prompt, item.answer, 0.3, 1),))
    runs = expand(study, "llm", {MODEL: queries})
    cores = len(os.sched_getaffinity(0))
    print(f"{asked.runs} runs of {asked.rounds} rounds in jobs of 8, {cores} cores")
    first_s, first = 0.0, {}
    with tempfile.TemporaryDirectory() as folder, environment(single_threaded()):
        for name, (kind, workers) in EXECUTORS.items():
            root = Path(folder) / name.replace(" ", "-")
            execute = partial(llm_runs.execute, training=root)
            started = time.perf_counter()
            outcome = launch(
                study,
                runs,
                root,
                execute,
                size=stack_size,
                need=need,
                executor=choose_executor(kind, workers),
            )
            seconds = time.perf_counter() - started
            found = tables(root)
            first_s, first = first_s or seconds, first or found
            same = found.keys() == first.keys() and all(found[path].equals(first[path]) for path in first)
            print(
                f"{name:16} {seconds:7.1f} s   {asked.runs * asked.rounds / seconds:6.1f} rounds/s   "
                f"ratio {first_s / seconds:.2f}   {outcome.done} done, {len(outcome.failed)} failed, "
                f"records {'equal' if same else 'DIFFER'}"
            )


if __name__ == "__main__":
    main()
