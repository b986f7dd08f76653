"""One simulated run of the contextual world -> its records."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from banditrft import feedback
from banditrft.design import BATCH_SIGNALS, Design
from banditrft.errors import InputError
from banditrft.records import RunTables
from banditrft.rewards import reward_map
from banditrft.runs import Run
from banditrft.streams import Purpose
from banditrft.theory.matching import matching_factor
from banditrft.worlds import ContextualWorld
from sims import tables
from sims.contextual import contexts
from sims.contextual import simulator as contextual
from sims.contextual.evaluation import information, pass_at_1
from sims.contextual.simulator import base_pass_at_1

Rounds = NDArray[np.int64]
BYTES_AT_ONCE = 2**28
"""Memory of the seeds that are simulated together, about."""
LEVELS = 64
"""Quantiles of the law of base Pass@1 over which a matched step is averaged."""


def execute(run: Run, world: ContextualWorld, seeds_R: NDArray[np.int64]) -> RunTables:
    """Simulate the seeds of a run, as many at a time as fit in `BYTES_AT_ONCE`."""
    stage = contexts.stage(world, run.root_seed)
    scale = factor(run.design, world)
    step = max(1, BYTES_AT_ONCE // _bytes_of_a_seed(run, world, stage))
    parts = [
        _execute(run, world, stage, scale, seeds_R[start : start + step])
        for start in range(0, len(seeds_R), step)
    ]
    whole = {name: pl.concat([part[name] for part in parts]) for name in parts[0]}
    return RunTables(
        rounds=whole["rounds"],
        groups=whole["groups"],
        evals=pl.concat([whole["train"], whole["test"]]),
        final=pl.concat([whole["final train"], whole["final test"]]),
    )


def _bytes_of_a_seed(run: Run, world: ContextualWorld, stage: contexts.Stage) -> int:
    design, D = run.design, stage.dimension
    grids = (run.evaluation.eval_every, run.evaluation.test_every)
    kept = sum(len(tables.eval_grid(design.rounds, every)) for every in grids)
    groups = design.batch_size if world.keep_groups or design.reward == "yoked" else 0
    windows = stage.train_items * feedback.depth(design)
    return 8 * (
        D * (stage.train_items + stage.test_items + kept) + design.rounds * (5 + 2 * groups) + 2 * windows
    )


def _execute(
    run: Run, world: ContextualWorld, stage: contexts.Stage, scale: float, seeds_R: NDArray[np.int64]
) -> dict[str, pl.DataFrame]:
    design, evaluation = run.design, run.evaluation
    scene = stage.scene(seeds_R)
    pool = scene.pool
    rounds_E = tables.eval_grid(design.rounds, evaluation.eval_every)
    rounds_F = tables.eval_grid(design.rounds, evaluation.test_every)
    kept = np.union1d(rounds_E, rounds_F)
    paths = contextual.simulate(
        scene.w0_PD,
        pool,
        design,
        root_seed=run.root_seed,
        seeds=seeds_R,
        keep_rounds=kept,
        arm_noise=world.arm_noise,
        partial=world.partial,
        factor=scale,
        keep_groups=world.keep_groups,
    )

    def evaluate(them: contexts.Contexts, rounds: Rounds, purpose: Purpose, samples: int) -> pl.DataFrame:
        p_RE, correct_RE = pass_at_1(
            them,
            paths.w_RFD[:, np.searchsorted(kept, rounds)],
            root_seed=run.root_seed,
            seeds=seeds_R,
            rounds=rounds,
            purpose=purpose,
            samples=samples,
        )
        split = "train" if them is pool else "test"
        n = them.N * samples
        return tables.evals_table(split, seeds_R, rounds, n, correct_RE, p_RE, pool=them.N > 1)

    measured = information(
        pool, paths.w_RFD[:, np.searchsorted(kept, rounds_E)], scene.w0_PD, world.arm_noise
    )
    ends, e, test = rounds_F[[0, -1]], evaluation, scene.test
    return {
        "rounds": tables.rounds_table(seeds_R, paths.trace, rounds_E, *measured),
        "groups": tables.groups_table(seeds_R, paths.trace, design.rollouts),
        "train": evaluate(pool, rounds_E, Purpose.EVAL_TRAIN, e.eval_samples),
        "test": evaluate(test, rounds_F, Purpose.EVAL_TEST, e.test_samples),
        "final train": evaluate(pool, rounds_E[-1:], Purpose.FINAL_TRAIN, e.final_eval_samples),
        "final test": evaluate(test, ends, Purpose.FINAL_TEST, e.final_test_samples),
    }


def check(design: Design, world: ContextualWorld) -> None:
    """Refuse what the simulator cannot follow, before anything is run.

    Raises:
        InputError: Names the field.
    """
    feedback.check(design)
    if world.features is not None:
        contexts.stage(world, 0)
    factor(design, world)


def factor(design: Design, world: ContextualWorld) -> float:
    """What signals are multiplied by so that the pool's mean drift at the base equals that of the raw reward.

    A query of Pass@1 p drifts by p(1-p) times the difference of the expected signals of its right and wrong
    answers; drifts are averaged over the law of base Pass@1, or over the queries of a file.

    Raises:
        InputError: No factor is defined.
    """
    if not design.match_step_size:
        return 1.0
    if reward_map(design).graded and world.partial > 0:
        raise InputError("match_step_size: must be false with reward = 'graded' and partial > 0, got true")
    base_Q, times_Q = np.unique(base_levels(world), return_counts=True)
    if len(base_Q) > 1 and design.signal in BATCH_SIGNALS and design.batch_size > 1:
        raise InputError(
            f"match_step_size: must be false with signal = '{design.signal}' over a batch of queries that "
            "differ in base Pass@1, got true"
        )
    factor_Q = np.array([matching_factor(design, float(p)) for p in base_Q])
    drift_Q = times_Q * base_Q * (1.0 - base_Q)
    return float(drift_Q.sum() / (drift_Q / factor_Q).sum())


def base_levels(world: ContextualWorld) -> NDArray[np.float64]:
    """Base Pass@1 of equally likely training queries: quantiles of their law, or those of a file."""
    if isinstance(world.base_pass_at_1, float) and world.features is None:
        return np.array([world.base_pass_at_1])
    if world.features is not None:
        scene = contexts.stage(world, 0).scene([0])
        return base_pass_at_1(scene.w0_PD, scene.pool).ravel()
    log_odds_Q = contexts.base_log_odds(world, (np.arange(LEVELS) + 0.5) / LEVELS)
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds_Q)))
