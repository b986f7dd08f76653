"""A prediction for a pool of training queries, put together from its mean field (theory §8)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from banditrft.design import Design, Evaluation
from banditrft.theory import cautions, domain
from banditrft.theory.cases import check_design
from banditrft.theory.generalisation import sign_overlap
from banditrft.theory.pool import MAX_ROUNDS, PoolField, pool_field
from banditrft.theory.prediction import Prediction, mean_range, rollouts_per_round
from banditrft.worlds import ContextualWorld

ERROR = (0.75, 1.5)
"""Errors of the mean (docs/results/predict)."""
MOST_STEP, MOST_WAIT = 0.5, 0.1
"""Log-odds of a step, and share of rounds before a first lesson, above which there is no mean."""


@dataclass(frozen=True)
class PoolSetting:
    """A world with a pool of queries, as something that designs can be compared in."""

    world: ContextualWorld

    def times(self, designs: Sequence[Design], target: float) -> list[float | None]:
        """Rounds of each design to a mean Pass@1 of the pool; None where it is not reached.

        Raises:
            InputError: A design is not covered.
        """
        for design in designs:
            check_design(design)
        return [pool_field(design, self.world, target=target).rounds_to(target) for design in designs]


def predict_pool(
    design: Design,
    world: ContextualWorld,
    *,
    target: float,
    evaluation: Evaluation | None,
    tokens_per_rollout: float | None,
) -> Prediction:
    """Predict mean train and test Pass@1 of a pool; the spread over seeds is not known.

    Args:
        design: As for `banditrft.theory.pool.pool_field`.
        world: The contextual world.
        target: Mean Pass@1 of the pool to reach, in (0, 1).
        evaluation: If given, the curves are reported on its grid of rounds.
        tokens_per_rollout: Mean length of a response, for the tokens spent.

    Raises:
        InputError: The design or the world is not covered.
    """
    check_design(design)
    if tokens_per_rollout is not None:
        domain.positive("tokens_per_rollout", tokens_per_rollout)
    last = min(design.rounds, MAX_ROUNDS)
    field = pool_field(design, world, rounds=last, target=target)
    arrival = field.rounds_to(target)
    refused = _unreliable(design, world, field, arrival)
    rounds = None if refused else arrival
    notes = [
        *cautions.of_design(design),
        f"a pool of {world.train_items} queries: Pass@1 is its mean, without spread over seeds",
    ]
    warned = cautions.silent(field.silent, float(field.train_T[0]))
    if warned:
        notes.append(warned)
    if design.replay_window > design.rollouts + design.baseline_rollouts and design.signal != "raw":
        notes.append("replay_window: past rewards are taken as fresh, their lag is left out (theory §8)")
    if refused:
        notes.append(f"no mean: {refused}; the mean field alone says {arrival} rounds")
    elif rounds is None:
        notes.append(f"target {target:g} is not reached in {MAX_ROUNDS} rounds")
    every = 1 if evaluation is None else evaluation.eval_every
    shown = sorted({*range(0, last + 1, every), last})
    spent = None if rounds is None else float(rounds * rollouts_per_round(design))
    return Prediction(
        method="mean-field",
        p0=float(field.train_T[0]),
        target=target,
        mean_rounds=None if rounds is None else float(rounds),
        sd_rounds=None,
        quantiles=None,
        rollouts_mean=spent,
        zero_signal_fraction=field.silent,
        snr=field.snr if math.isfinite(field.snr) else None,
        drift=field.drift,
        curve={
            "round": [float(t) for t in shown],
            "pass_at_1": [float(field.train_T[t]) for t in shown],
            "test_pass_at_1": [float(field.test_T[t]) for t in shown],
        },
        notes=tuple(notes),
        tokens_mean=None if spent is None or tokens_per_rollout is None else spent * tokens_per_rollout,
        mean_range=mean_range(None if rounds is None else float(rounds), ERROR),
    )


def _unreliable(design: Design, world: ContextualWorld, field: PoolField, rounds: int | None) -> str | None:
    """Why pools do not follow their mean field, if so."""
    size = world.dimension * world.noise**2 + world.transfer**2
    gain = size if design.optimizer == "sgd" else sign_overlap(world.dimension) * math.sqrt(size)
    step = design.learning_rate * gain
    if step > MOST_STEP:
        return f"learning_rate: a step moves a query by {step:.2g} log-odds, above {MOST_STEP:g} (theory §8)"
    wait = 1.0 / max(1.0 - field.silent**design.batch_size, 1e-300)
    if rounds is not None and wait > MOST_WAIT * rounds:
        return f"the wait for a first lesson, {wait:.3g} rounds, is no small part of it (theory §8)"
    return None
