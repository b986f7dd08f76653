"""Seconds and memory of a scan of 100,000 runs, in both layouts of records: one run prints one table.

Simulated runs lie 256 to a folder, language-model runs in a folder each. Two queries: final Pass@1 by
condition (`analysis.loading.scan.summary`), and the mean learning curves of all conditions from every
evaluation.
Records are written through `banditrft.records`, without waiting for the disk, since what is timed is reading:
all of the first layout; of the second `--written` folders, each then copied under new names until there are
enough, because writing one takes 5 ms. Peak memory is that of a process that does nothing else. Seconds are
those of the clock and, in brackets, of all cores; the files have just been written, so they are in the page
cache where it is large enough.

Beside it `analysis.load` of 1,000 language-model runs, strict and into arrays, and the same folders read one
by one by `banditrft.records.read_run`, which makes no arrays.

    python benchmarks/analysis_scan.py [--runs 100000] [--written 2000] [--json]
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

LENGTH = 60
LOADED = 1_000
STUDY = """
name = "{name}"
seeds = {seeds}
claims = []
[design]
learning_rate = 0.1
rounds = {rounds}
eval_every = 4
[[conditions]]
name = "G=1"
[[conditions]]
name = "G=4"
rollouts = 4
[[conditions]]
name = "GRPO"
rollouts = 4
signal = "grpo"
[[conditions]]
name = "placebo"
reward = "random"
"""
SIMULATED = """
[[sim]]
world = "lumped"
keep_groups = false
classes = [
  {name = "correct", arms = 1, mass = 0.1, reward = 1},
  {name = "wrong", arms = 999, mass = 0.9, reward = 0},
]
"""


def write_chunks(root: Path, runs: int) -> None:
    """Simulated records: four conditions, 256 seeds to a folder."""
    import sims
    from banditrft.study import parse_study

    text = STUDY.format(name=root.name, seeds=runs // 4, rounds=LENGTH) + SIMULATED
    sims.run(parse_study(text), root.parent, workers=1)


def write_folders(root: Path, runs: int, written: int) -> None:
    """Language-model records: four conditions, a folder per seed; the first `written` are copied on."""
    from banditrft.catalog import write_study
    from banditrft.files import read_sealed, write_sealed
    from banditrft.provenance import provenance
    from banditrft.records import EVALS, GROUPS, ROUNDS, RunTables, write_run
    from banditrft.runs import Query, WorldQueries, expand
    from banditrft.study import parse_study

    world = '[[llm]]\nmodel = "tiny-qwen2"\nqueries = {count = 1}\n'
    study = parse_study(STUDY.format(name=root.name, seeds=written // 4, rounds=LENGTH) + world)
    (settings,) = study.worlds("llm")
    query = Query(7, "3+4=?", "#7", 0.2, 256)
    planned = expand(study, "llm", {settings.name: WorldQueries("2" * 64, "0" * 64, "1" * 64, (query,))})
    made_by = provenance(study.claims, "2026-01-01T00:00:00+00:00")
    for run in planned:
        rng, seed = np.random.default_rng([run.seeds.start, run.design.rollouts]), run.seeds.start
        grid = np.arange(0, run.design.rounds + 1, run.evaluation.eval_every)
        counts = rng.binomial(64, 1 / (1 + np.exp(2 - grid / 10)))
        rows = [(r, "train", 7, 64, int(k)) for r, k in zip(grid, counts, strict=True)]
        last = run.design.rounds
        final = [(last, "train", 7, 512, 500), (0, "test", None, 400, 120), (last, "test", None, 400, 150)]
        evals, finals = (
            pl.DataFrame(
                [(seed, r, split, item, n, float(k), k, k, None) for r, split, item, n, k in found],
                schema=dict(EVALS),
                orient="row",
            )
            for found in (rows, final)
        )
        every = pl.DataFrame({"seed": np.full(last, seed), "round": np.arange(1, last + 1)}).with_columns(
            pl.lit(0.5).alias(name)
            for name in ("reward_mean", "signal_mean", "signal_var", "zero_signal_fraction")
        )
        absent = [pl.lit(None).alias(name) for name in ROUNDS if name not in every.columns]
        every = every.with_columns(absent).select(list(ROUNDS)).cast(dict(ROUNDS))
        write_run(root, run, RunTables(every, pl.DataFrame(schema=dict(GROUPS)), evals, finals), made_by)
    write_study(root, study, planned, "benchmark")
    described = read_sealed(root / "study.json")
    for cell in described["cells"]:
        first = list(cell["runs"])
        for copy in range(1, runs // written):
            for run_id in first:
                name = f"{run_id}-{copy}"
                (root / name).mkdir()
                for file in (root / run_id).iterdir():
                    if file.suffix == ".json":
                        write_sealed(root / name / file.name, read_sealed(file) | {"run_id": name})
                    else:
                        shutil.copyfile(file, root / name / file.name)
                cell["runs"].append(name)
    write_sealed(root / "study.json", described)


def scanned(root: Path) -> dict[str, Any]:
    """Wall-clock seconds and peak memory of a summary and of a query over the evaluations."""
    from analysis.loading.scan import scan, summary

    def seconds(job: Callable[[], pl.DataFrame]) -> tuple[pl.DataFrame, dict[str, float]]:
        clock, cores = time.perf_counter(), time.process_time()
        found = job()
        return found, {"clock_s": time.perf_counter() - clock, "cores_s": time.process_time() - cores}

    rate = pl.col("correct_strict").sum() / pl.col("n").sum()
    curves = scan(root, "evals").group_by("condition", "round").agg(rate)
    found, of_summary = seconds(lambda: summary(root))
    _, of_curves = seconds(lambda: curves.collect(engine="streaming"))
    runs = int(found.filter(pl.col("split") == "train")["runs"].sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"runs": runs, "summary": of_summary, "curves": of_curves, "peak_mib": peak}


def loaded(root: Path) -> dict[str, float]:
    """Processor seconds of `analysis.load`, and of reading the same folders one by one."""
    from analysis.loading.records import load
    from banditrft.files import read_sealed
    from banditrft.records import read_run

    start = time.process_time()
    runs = sum(cell.n for cell in load(root).cells)
    between = time.process_time()
    for cell in read_sealed(root / "study.json")["cells"]:
        for run_id in cell["runs"]:
            read_run(root / run_id, cell["evaluation_id"])
    return {"runs": runs, "load_s": between - start, "one_by_one_s": time.process_time() - between}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000, help="runs that are scanned")
    parser.add_argument("--written", type=int, default=2_000, help="folders that are written before copying")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    os.fsync = lambda _: None  # what is timed is reading
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (
            ("simulated, 256 runs a folder", lambda root: write_chunks(root, options.runs)),
            (
                "language-model, a folder each",
                lambda root: write_folders(root, options.runs, options.written),
            ),
        ):
            root = Path(folder) / name.split(",")[0]
            write(root)
            with spawn.Pool(1) as pool:
                found = pool.apply(scanned, (root,))
            if options.json:
                print(json.dumps({"layout": name, **found}), flush=True)
                continue
            timed = ", ".join(
                f"{query} {found[query]['clock_s']:.1f} s ({found[query]['cores_s']:.1f})"
                for query in ("summary", "curves")
            )
            peak = f"peak {found['peak_mib']:.0f} MiB"
            print(f"{name:32} {found['runs']:8,} runs: {timed}, {peak}", flush=True)
        root = Path(folder) / "loaded"
        write_folders(root, LOADED, LOADED)
        with spawn.Pool(1) as pool:
            found = pool.apply(loaded, (root,))
        if options.json:
            print(json.dumps({"layout": "analysis.load", **found}), flush=True)
        else:
            times = f"{found['load_s']:.2f} s, its files one by one {found['one_by_one_s']:.2f} s"
            print(f"{'analysis.load':32} {found['runs']:8,} runs: {times}", flush=True)


if __name__ == "__main__":
    main()
