"""One simulated run of the lumped bandit -> its records, by whichever of the two simulators runs it."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from banditrft import feedback
from banditrft.design import Design
from banditrft.records import RunTables
from banditrft.rewards import reward_map
from banditrft.runs import Run
from banditrft.worlds import LumpedWorld
from sims import tables
from sims.learner import TableLearner
from sims.lumped import general
from sims.lumped import simulator as lumped
from sims.lumped.kernel import LumpedPaths
from sims.trace import Trace


def has_table(design: Design, bandit: lumped.Bandit) -> bool:
    """Whether the fast path runs the design: one group a round whose count of high rewards decides it all.

    A yoked placebo takes the path of its pair.
    """
    return (
        design.batch_size == 1
        and design.updates_per_round == 1
        and design.kl_coef == 0.0
        and bandit.shared == 0.0
        and not (reward_map(design).graded and bandit.grade_C is not None)
        and feedback.baseline_rollouts(design) == 0
        and feedback.depth(design) == 0
    )


def check(design: Design, world: LumpedWorld) -> None:
    """Refuse a design that neither path can follow, before anything is run.

    Raises:
        InputError: Names the field.
    """
    bandit = lumped.Bandit.from_world(world)
    feedback.check(design)
    if has_table(design, bandit):
        TableLearner.from_design(design.treatment, bandit.base_pass_at_1)
    else:
        general.check(design, bandit)


def execute(run: Run, world: LumpedWorld, seeds_R: NDArray[np.int64]) -> RunTables:
    """Simulate the seeds of a run."""
    bandit, design = lumped.Bandit.from_world(world), run.design
    rounds_E = tables.eval_grid(design.rounds, run.evaluation.eval_every)
    paths, trace = _simulate(bandit, run, seeds_R, rounds_E, world.keep_groups)
    evals, final = tables.train_tables(run.evaluation, run.root_seed, seeds_R, rounds_E, paths.p_RE)
    return RunTables(
        rounds=tables.rounds_table(seeds_R, trace, rounds_E, paths.entropy_RE, paths.kl_RE),
        groups=tables.groups_table(seeds_R, trace, design.rollouts),
        evals=evals,
        final=final,
    )


def _simulate(
    bandit: lumped.Bandit,
    run: Run,
    seeds_R: NDArray[np.int64],
    rounds_E: NDArray[np.int64],
    keep_groups: bool,
) -> tuple[LumpedPaths | general.GeneralPaths, Trace]:
    """The paths of either simulator, and their rounds."""
    design = run.design
    if has_table(design, bandit):
        feedback.check(design)
        learner = TableLearner.from_design(design.treatment, bandit.base_pass_at_1)
        simulate = partial(
            lumped.simulate,
            bandit,
            learner,
            root_seed=run.root_seed,
            seeds=seeds_R,
            rounds=design.rounds,
            eval_rounds=rounds_E,
        )
        paths = simulate()
        if design.reward == "yoked":
            paths = simulate(dealt_RT=paths.high_RT)
        counts = paths.high_RT, paths.correct_RT
        return paths, Trace.of_counts(design, learner, *counts, keep_groups=keep_groups)
    made = general.simulate(
        bandit,
        design,
        root_seed=run.root_seed,
        seeds=seeds_R,
        eval_rounds=rounds_E,
        keep_groups=keep_groups,
    )
    return made, made.trace
