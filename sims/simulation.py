"""One simulated run -> its records: the room's front door (`sims.execute`).

Records depend on the run's design, world, evaluations, root seed and seeds alone: not on the chunk a seed
lies in, the number of workers or what ran before.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from banditrft.errors import InputError
from banditrft.records import RunTables
from banditrft.runs import Run
from banditrft.streams import Purpose
from banditrft.worlds import ContextualWorld, LumpedWorld, check_supported
from sims import contextual, lumped, tables
from sims.learner import Learner


def execute(run: Run) -> RunTables:
    """Simulate a run.

    Args:
        run: A condition in a simulated world, for a range of seeds.

    Returns:
        Its records. Entropy, KL, update norm, tokens and seconds are null; the lenient grade equals the
        strict one.

    Raises:
        InputError: The world is not a simulated one, or cannot run the design.
    """
    check_supported(run.design, run.world)
    seeds_R = np.arange(run.seeds.start, run.seeds.stop, dtype=np.int64)
    if isinstance(run.world, LumpedWorld):
        return _lumped(run, run.world, seeds_R)
    if isinstance(run.world, ContextualWorld):
        return _contextual(run, run.world, seeds_R)
    raise InputError(f"world: sims runs worlds of kind 'sim', got '{run.world.name}' ({run.world.kind})")


def _lumped(run: Run, world: LumpedWorld, seeds_R: NDArray[np.int64]) -> RunTables:
    bandit = lumped.Bandit.from_world(world)
    learner = Learner.from_design(run.design, bandit.base_pass_at_1)
    rounds_E = tables.eval_grid(run.design.rounds, run.evaluation.eval_every)
    paths = lumped.simulate(
        bandit,
        learner,
        root_seed=run.root_seed,
        seeds=seeds_R,
        rounds=run.design.rounds,
        eval_rounds=rounds_E,
    )
    evals, final = tables.train_tables(run.evaluation, run.root_seed, seeds_R, rounds_E, paths.p_RE)
    return RunTables(
        rounds=tables.rounds_table(run.design, learner, seeds_R, paths.high_RT),
        groups=tables.groups_table(run.design, seeds_R, paths.high_RT, paths.correct_RT),
        evals=evals,
        final=final,
    )


def _contextual(run: Run, world: ContextualWorld, seeds_R: NDArray[np.int64]) -> RunTables:
    design, evaluation, root_seed = run.design, run.evaluation, run.root_seed
    contexts = contextual.draw(world, root_seed, seeds_R)
    learner = Learner.from_design(design, world.base_pass_at_1)
    rounds_E = tables.eval_grid(design.rounds, evaluation.eval_every)
    rounds_F = tables.eval_grid(design.rounds, evaluation.test_every)
    paths = contextual.simulate(
        contexts,
        learner,
        root_seed=root_seed,
        seeds=seeds_R,
        rounds=design.rounds,
        eval_rounds=rounds_E,
        keep_rounds=rounds_F,
    )

    def held_out(purpose: Purpose, samples: int, columns: list[int] | slice) -> pl.DataFrame:
        p_RF, correct_RF = contextual.held_out_pass_at_1(
            contexts,
            np.ascontiguousarray(paths.w_RFD[:, columns]),
            root_seed=root_seed,
            seeds=seeds_R,
            rounds=rounds_F[columns],
            purpose=purpose,
            samples=samples,
        )
        n = world.test_items * samples
        return tables.evals_table("test", seeds_R, rounds_F[columns], n, correct_RF, p_RF)

    evals, final = tables.train_tables(evaluation, root_seed, seeds_R, rounds_E, paths.p_RE)
    curve = held_out(Purpose.EVAL_TEST, evaluation.test_samples, slice(None))
    ends = held_out(Purpose.FINAL_TEST, evaluation.final_test_samples, [0, -1])
    return RunTables(
        rounds=tables.rounds_table(design, learner, seeds_R, paths.high_RT),
        groups=tables.groups_table(design, seeds_R, paths.high_RT, paths.correct_RT),
        evals=pl.concat([evals, curve]),
        final=pl.concat([final, ends]),
    )
