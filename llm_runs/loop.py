"""The algorithm, for a stack of runs of one design: sample, grade, reward, signal, step, push, evaluate.

Every replica has its own queries, seed, weights and optimiser state; none of its numbers depends on the
others. No reward model, no critic, no second policy but the frozen initial one under a KL: what is not done
here or in the learner's step is not done. Stopping and going on is `llm_runs.execution`'s matter.

Axes: S replicas, Q queries of a round (batch_size), G rollouts, M baseline rollouts, N queries of a pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import torch

from banditrft.feedback import Feedback, baseline_rollouts
from banditrft.launch.jobs import Report
from banditrft.records import RunTables
from banditrft.runs import Run
from banditrft.streams import Purpose, own_purpose
from banditrft.worlds import LLMWorld
from llm_runs import states
from llm_runs.backends import open_backend
from llm_runs.engines import draws
from llm_runs.evaluation import Measure, train_items
from llm_runs.interfaces import Address, Batch
from llm_runs.rounds import (
    Batches,
    Clock,
    Recorder,
    differing,
    draws_rewards,
    factors,
    grade_samples,
    penalised,
    read_pairs,
    rewards,
)
from llm_runs.trackers import open_tracker


def train(
    world: LLMWorld,
    runs: Sequence[Run],
    report: Report | None = None,
    root: Path | None = None,
    done: int = 0,
) -> list[RunTables]:
    """Train and evaluate a stack of runs.

    Args:
        world: Their world.
        runs: Runs of one design, evaluation and root seed.
        report: Called with the fraction of rounds done.
        root: The study's folder, where states to go on from are kept; None keeps none.
        done: Rounds after which the runs go on from the state that each has kept.

    Raises:
        InputError: An unknown model or task, a design that has no meaning at a query's base Pass@1, a state
            that is damaged or cannot be kept, a yoked run without its pair's records.
    """
    design, root_seed, seeds = runs[0].design, runs[0].root_seed, [run.seeds[0] for run in runs]
    S, Q, G, M = len(runs), design.batch_size, design.rollouts, baseline_rollouts(design)
    sampling, rewarding = (own_purpose(p, design.reward) for p in (Purpose.SAMPLE, Purpose.REWARD))
    pairs = read_pairs(runs, root) if design.reward == "yoked" else None
    base_S = np.array([0.0 if run.query is None else run.query.base_pass_at_1 for run in runs])
    with open_backend(world, design, S) as backend, ExitStack() as closes:
        engine, learner, clock = backend.engine, backend.learner, Clock()
        pool_SN = train_items(runs, backend)
        batches = Batches(root_seed, seeds, len(pool_SN[0]), Q)
        feedback = Feedback(design, S, items=len(pool_SN[0]), factor=factors(design, base_S))
        record = Recorder(runs, backend.task.work_share)
        measure = Measure(runs, backend, pool_SN, record)
        opened = [open_tracker(world, run, root, done) for run in runs] if root is not None else []
        trackers = [closes.enter_context(closing(tracker)) for tracker in opened if tracker is not None]

        if root is not None and done:
            states.restore(root, runs, done, backend, feedback, record, measure)
        backend.push(done, base=not done)
        clock.charge("push")
        if not done:
            measure.base()
            measure.curve(0)
            clock.charge("evaluate")
        for round_ in range(done + 1, design.rounds + 1):
            places = batches.at(round_)
            items_SQ = [[pool[n] for n in row] for pool, row in zip(pool_SN, places.pool_SB, strict=True)]
            prompts = backend.prompts(items_SQ, places.first_SB.tolist())
            rollouts = batches.rollouts(G + M)
            samples = engine.sample(prompts, rollouts, Address(root_seed, seeds, sampling, round_))
            clock.charge("sample")

            graded = grade_samples(backend.grader, backend.tokenizer, items_SQ, samples)
            chance = Address(root_seed, seeds, rewarding, round_)
            u_SQG = draws(prompts, rollouts, chance, 1)[..., 0] if draws_rewards(design) else None
            dealt_SQ = None if pairs is None else pairs.successes(round_, items_SQ)
            earned = rewards(design, graded.strict_SQG, graded.score_SQG, u_SQG, base_S, dealt_SQ)
            active = differing(earned, G) if design.skip_equal_groups else None
            clock.charge("grade")

            if design.kl_coef > 0.0 and design.kl_placement == "reward":
                earned = penalised(design, earned, learner.divergence(prompts, samples))
            signals = feedback.signals(earned[..., :G], earned[..., G:] if M else None, places.pool_SB)
            fresh = graded.first(G)
            step = learner.step(Batch(prompts, fresh.samples, torch.from_numpy(signals), active))
            clock.charge("learn")

            backend.push(round_)
            clock.charge("push")
            measure.curve(round_)
            clock.charge("evaluate")

            rewarded = earned[..., :G]
            rows = record.round(round_, items_SQ, fresh, rewarded, signals, active, step, clock.read())
            if world.keep_texts and round_ % world.keep_texts == 0:
                record.texts(round_, "training", items_SQ, fresh)
            for tracker, row in zip(trackers, rows, strict=False):
                tracker.round(round_, row)
            if root is not None and round_ % world.checkpoint_every == 0:
                states.keep(root, runs, round_, backend, feedback, record)
                clock.charge("save")
            if report is not None:
                report(round_ / design.rounds)

        measure.final()
        measure.texts()
        clock.charge("evaluate")
        record.add_seconds(clock.read())
        return record.tables([learner.checkpoint(s) for s in range(S)])
