"""Settings that run but waste a study: what they do, said before anything is spent.

Errors are not found here: a study that cannot run never gets this far.
"""

from collections.abc import Iterator

from banditrft.claims import (
    A1,
    A5,
    placebo_conditions,
    rollout_pairs,
    single_query_conditions,
)
from banditrft.design import Design
from banditrft.study import Cell, Study
from banditrft.worlds import ContextualWorld, LumpedWorld

MIN_RUNS_A1 = 5
"""0.5**5 < .05: with fewer runs, not even unanimous ones put the fraction's lower bound above one half."""
UNSTABLE_STEP = 4.0
"""Change of a query's log-odds by one rollout above which a single success decides the run."""


def lint(study: Study) -> list[str]:
    """Warnings about a resolved study, one line each, in the order of the file."""
    found: list[str] = []
    for cell in study.cells:
        found += [f"{cell.world.name}, {cell.condition}: {text}" for text in _cell(cell)]
    for claim in study.claims:
        found += list(_claim(study, claim))
    if study.claims and not any(placebo_conditions(study.designs(w.name)) for w in study.worlds()):
        found.append("conditions: no placebo (reward = 'random'), so no gain can be told from drift")
    return list(dict.fromkeys(found))


def _cell(cell: Cell) -> Iterator[str]:
    design, evaluation = cell.design, cell.evaluation
    if {"clip_low", "clip_high"} & design.model_fields_set and design.updates_per_round == 1:
        yield "clip_low, clip_high: inert, one update per round keeps the policy ratio at 1"
    if design.kl_coef == 0 and "kl_estimator" in design.model_fields_set:
        yield "kl_estimator: inert, kl_coef is 0"
    if 1 < design.replay_window < design.rollouts:
        yield "replay_window: shorter than the group, so it holds only part of one round"
    if evaluation.eval_every > design.rounds:
        yield f"eval_every: {evaluation.eval_every} exceeds rounds = {design.rounds}; only ends are seen"
    step = _largest_step(cell.world, design)
    if step is not None and step > UNSTABLE_STEP:
        yield f"learning_rate: one success can move a query's log-odds by {step:.3g}; luck decides"


def _largest_step(world: object, design: Design) -> float | None:
    """Change of the log-odds by one rewarded rollout of many failures; None where it is not known."""
    if isinstance(world, LumpedWorld):
        return design.learning_rate if design.optimizer == "sgd" else 2 * design.learning_rate
    if isinstance(world, ContextualWorld) and design.optimizer == "sgd":
        return design.learning_rate * (world.dimension * world.noise**2 + world.transfer**2)
    return None


def _claim(study: Study, claim: str) -> Iterator[str]:
    for world in study.worlds():
        designs = study.designs(world.name)
        if claim == A1.id:
            found = single_query_conditions(designs)
            if not found:
                yield f"claims: A1 finds no condition with one rollout, raw reward and adam in '{world.name}'"
            if len(found) > 1:
                yield f"claims: A1 reads '{found[0]}' in '{world.name}', not also {found[1:]}"
            if world.seeds < MIN_RUNS_A1 and world.kind == "sim":
                yield f"seeds: A1 needs at least {MIN_RUNS_A1} runs for any verdict, got {world.seeds}"
        if claim == A5.id:
            for optimizer in ("adam", "sgd"):
                pairs = rollout_pairs(designs, A5.rollouts, optimizer)
                if len(pairs) > 1:
                    where = f"under {optimizer} in '{world.name}'"
                    yield f"claims: A5 reads {pairs[0]} {where}, not also {pairs[1:]}"
                if not pairs:
                    few, many = A5.rollouts
                    yield (
                        f"claims: A5 finds no pair of conditions that differ only in rollouts ({few} and "
                        f"{many}) under {optimizer} in '{world.name}'"
                    )
