"""Synthetic records for the analysis tests: logistic learning curves with a known hitting time, written as runs.

Nothing here is a simulator of the theory; the point is that every number the analysis should find is set by hand.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from banditrft.catalog import write_queries, write_study
from banditrft.design import Design
from banditrft.provenance import provenance
from banditrft.records import EVALS, GROUPS, ROUNDS, RunTables, write_run
from banditrft.runs import Query, Run, WorldQueries, expand
from banditrft.study import Study, parse_study
from banditrft.worlds import LLMWorld, LumpedWorld

SLOPE = 0.18  # log-odds per round; the mean curve crosses .9 where the log-odds are 2.197


@dataclass(frozen=True)
class Truth:
    """What the synthetic runs obey."""

    median: float = 50.0  # rounds to .9 at G=1 under Adam
    ratio_adam: float = 2.0
    ratio_sgd: float = 1.1
    sd_log: float = 0.25
    test_base: float = 0.30
    test_gain: float = 0.10
    test_effect: float = 0.0  # many rollouts minus few
    test_sd: float = 0.01
    stuck: dict[str, int] = field(default_factory=dict)  # condition -> runs (by seed) that never learn


TEXT = """
name = "synthetic"
seeds = 4
claims = ["A1", "A5"]
[design]
learning_rate = 1e-2
rounds = 150
eval_every = 5
[[conditions]]
name = "G=1"
[[conditions]]
name = "G=4"
rollouts = 4
[[conditions]]
name = "G=1, SGD"
optimizer = "sgd"
[[conditions]]
name = "G=4, SGD"
rollouts = 4
optimizer = "sgd"
[[conditions]]
name = "placebo"
reward = "random"
"""
BOTH = (
    TEXT
    + """
[[conditions]]
name = "placebo, SGD"
reward = "random"
optimizer = "sgd"
"""
)
"""The same with a placebo under either optimiser, which A5 needs."""
SIM = """
[[sim]]
world = "lumped"
seeds = {seeds}
classes = [{{name = "correct", arms = 1, mass = 0.1, reward = 1}}, {{name = "wrong", arms = 999, mass = 0.9, reward = 0}}]
[[sim]]
world = "contextual"
seeds = {seeds}
"""
LLM = """
[[llm]]
model = "tiny-qwen2"
queries = {{count = {queries}}}
seeds = {seeds}
"""


def study(*, sim_seeds: int = 64, llm_seeds: int = 4, queries: int = 4, text: str = TEXT) -> Study:
    """The issue's study, smaller."""
    if sim_seeds:
        text += SIM.format(seeds=sim_seeds)
    if llm_seeds:
        text += LLM.format(seeds=llm_seeds, queries=queries)
    return parse_study(text)


def write(root: Path, of: Study, truth: Truth = Truth()) -> Path:
    """Write every run of a study with curves drawn from the truth."""
    resolved = {
        w.name: WorldQueries(
            weights_hash="0" * 64,
            key="2" * 64,
            test_hash="1" * 64,
            queries=tuple(
                Query(7 + 3 * q, f"{q}+{q}=?", f"#{2 * q}", 0.15 + 0.08 * q, 256)
                for q in range(w.queries.count)
            ),
        )
        for w in of.worlds("llm")
        if isinstance(w, LLMWorld)
    }
    runs = expand(of, "sim") + expand(of, "llm", resolved)
    if resolved:
        write_queries(root, resolved)
    for run in runs:
        write_run(root, run, tables(run, truth), provenance(of.in_force, "2026-01-01T00:00:00+00:00"))
    write_study(root, of, runs, "synthetic")
    return root


def tables(run: Run, truth: Truth) -> RunTables:
    """One run's tables."""
    every, rounds = run.evaluation.eval_every, run.design.rounds
    grid = sorted({*range(0, rounds + 1, every), rounds})
    item = run.query.item if run.query else 0
    evals, final = [], []
    for seed in run.seeds:
        rng = np.random.default_rng([seed, item, run.design.rollouts, run.design.optimizer == "sgd"])
        shared = np.random.default_rng([seed, item])
        middle = _time_to_90(run.design, truth, rng, shared) - np.log(9.0) / SLOPE
        stuck = run.design.reward == "random" or seed < truth.stuck.get(run.condition, 0)
        curve = np.full(len(grid), 0.1) if stuck else 1 / (1 + np.exp(-SLOPE * (np.array(grid) - middle)))
        curve = np.clip(curve, 0.1, 0.9995)
        n = run.evaluation.eval_samples
        for r, p in zip(grid, curve, strict=True):
            evals.append(_row(seed, r, "train", item, n, int(rng.binomial(n, p)), float(p), run))
        m = run.evaluation.final_eval_samples
        final.append(
            _row(seed, rounds, "train", item, m, int(rng.binomial(m, curve[-1])), float(curve[-1]), run)
        )
        if not isinstance(run.world, LumpedWorld):
            k = run.world.test_items * run.evaluation.final_test_samples
            end = truth.test_base if stuck else truth.test_base + truth.test_gain
            end += truth.test_effect * (run.design.rollouts > 1) + truth.test_sd * rng.standard_normal()
            for r, p in ((0, truth.test_base), (rounds, end)):
                final.append(_row(seed, r, "test", None, k, round(k * p), float(p), run))
    n = len(run.seeds) * rounds
    every_round = pl.DataFrame(
        {
            "seed": np.repeat(np.array(run.seeds), rounds),
            "round": np.tile(np.arange(1, rounds + 1), len(run.seeds)),
            "reward_mean": np.full(n, 0.5),
            "signal_mean": np.full(n, 0.5),
            "signal_var": np.full(n, 0.1),
            "zero_signal_fraction": np.full(n, 0.5),
            "seconds_sample": np.full(n, 0.001),
        }
    )
    absent = [pl.lit(None).alias(name) for name in ROUNDS if name not in every_round.columns]
    every_round = every_round.with_columns(absent).select(list(ROUNDS)).cast(dict(ROUNDS))
    return RunTables(
        rounds=every_round,
        groups=pl.DataFrame(schema=GROUPS),
        evals=pl.DataFrame(evals, schema=EVALS),
        final=pl.DataFrame(final, schema=EVALS),
    )


def _time_to_90(design: Design, truth: Truth, rng: np.random.Generator, shared: np.random.Generator) -> float:
    ratio = truth.ratio_adam if design.optimizer == "adam" else truth.ratio_sgd
    luck = 0.5 * shared.standard_normal() + np.sqrt(0.75) * rng.standard_normal()
    return truth.median / (ratio if design.rollouts > 1 else 1.0) * float(np.exp(truth.sd_log * luck))


def _row(
    seed: int, r: int, split: str, item: int | None, n: int, right: int, p: float, run: Run
) -> dict[str, object]:
    llm = isinstance(run.world, LLMWorld)
    return {
        "seed": seed,
        "round": r,
        "split": split,
        "item": item,
        "n": n,
        "reward_sum": float(right),
        "correct_strict": right,
        "correct_lenient": min(n, right + 1) if llm else None,
        "p_exact": None if llm else p,
    }
