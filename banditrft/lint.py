"""Settings that run but waste a study: what they do, said before anything is spent.

Errors are not found here: a study that cannot run never gets this far.
"""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

from banditrft.claims import (
    A1,
    A5,
    CLAIMS,
    lacking,
    placebo_conditions,
    rollout_pairs,
    single_query_conditions,
)
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.study import Cell, Study
from banditrft.theory import cautions
from banditrft.theory.generalisation import sign_overlap
from banditrft.theory.laws import round_law
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld, LumpedWorld, SequenceWorld, SimWorld

ANY_STEP = {"learning_rate": 1.0, "rounds": 1, "optimizer": "sgd", "weight_decay": 0.0, "grad_clip": None}
"""Fields of the optimiser that a round's law does not depend on, all alike."""
UNSTABLE_STEP = 4.0
"""Change of a query's log-odds by one rollout above which a single success decides the run."""


def lint(study: Study) -> list[str]:
    """Warnings about a resolved study, one line each, in the order of the file."""
    found: list[str] = []
    for cell in study.cells:
        found += [f"{cell.world.name}, {cell.condition}: {text}" for text in _cell(cell)]
    if study.worlds("llm") and all(c.design.updates_per_round == 1 for c in study.cells):
        found.append("updates_per_round: one everywhere, so no clip of the policy ratio ever acts")
    for claim in study.claims:
        found += list(_claim(study, claim))
    if study.in_force and not any(placebo_conditions(study.designs(w.name)) for w in study.worlds()):
        found.append(
            "conditions: no placebo (reward = 'random' or 'yoked'), so no gain can be distinguished from "
            "drift"
        )
    elif study.in_force:
        found += [text for w in study.worlds() for text in _without_placebo(w.name, study.designs(w.name))]
    return list(dict.fromkeys(found))


def _without_placebo(world: str, designs: Mapping[str, Design]) -> Iterator[str]:
    """Optimisers under which nothing can be distinguished from drift: a placebo has its condition's."""
    names = placebo_conditions(designs)
    there = {designs[n].optimizer for n in names}
    for optimizer in dict.fromkeys(d.optimizer for n, d in designs.items() if n not in names):
        if optimizer not in there:
            yield (
                f"{world}: no placebo (reward = 'random') with optimizer = '{optimizer}', so nothing that is "
                "claimed of it can be distinguished from drift"
            )


def _cell(cell: Cell) -> Iterator[str]:
    design, evaluation = cell.design, cell.evaluation
    yield from cautions.of_design(design)
    if evaluation.eval_every > design.rounds:
        yield f"eval_every: {evaluation.eval_every} exceeds rounds = {design.rounds}; only ends are seen"
    if isinstance(cell.world, LLMWorld):
        yield from _llm(cell.world, design)
    elif not isinstance(cell.world, ImportedWorld):
        yield from _sim(cell.world, design)


def _sim(world: SimWorld, design: Design) -> Iterator[str]:
    if design.batch_size > 1 and _pool(world) == 1:
        yield (
            f"batch_size: the pool holds one query, so a round has {design.batch_size} copies of it, each a "
            "group of its own"
        )
    if design.batch_size > _pool(world) > 1:
        yield f"batch_size: {design.batch_size} exceeds the pool of {_pool(world)} queries"
    base = _base(world)
    if base is None or not 0.0 < base < 1.0:
        return
    warned = _silent(design, base)
    if warned:
        yield warned
    step = cautions.largest_move(design, base, _gain(world, design))
    if step is not None and step > UNSTABLE_STEP:
        yield f"learning_rate: one success can move a query's log-odds by {step:.3g}; luck decides"


def _llm(world: LLMWorld, design: Design) -> Iterator[str]:
    """What a language model adds; the queries' base Pass@1 is known as a range only."""
    if world.train_items is None:
        low = world.queries.base_pass_at_1[0]
        warned = _silent(design, low) if 0.0 < low < 1.0 else None
        if warned:
            yield warned
    elif isinstance(world.train_items, int) and design.batch_size > world.train_items:
        yield f"batch_size: {design.batch_size} exceeds the pool of {world.train_items} queries"
    if world.engine == "torch" and world.importance_cap is not None and world.dtype == "float32":
        yield "importance_cap: inert, the torch engine samples from the learner's own weights in float32"
    rounded = world.lora is not None and world.dtype == "bfloat16" and world.engine == "vllm"
    if rounded and world.importance_cap is None:
        yield (
            "importance_cap: none, though vLLM samples from adapters merged and rounded to bfloat16, the "
            "learner trains them unrounded"
        )


def _pool(world: SimWorld) -> int:
    """Training queries of one seed."""
    return world.train_items if isinstance(world, ContextualWorld) else 1


def _base(world: SimWorld) -> float | None:
    """Base Pass@1 of the training queries; None where they differ."""
    if isinstance(world, LumpedWorld):
        return world.base_pass_at_1()
    if isinstance(world, SequenceWorld):
        return world.base()
    base = world.base_pass_at_1
    return base if isinstance(base, float) and world.features is None else None


def _silent(design: Design, base: float) -> str | None:
    """A warning where groups carry no signal at the base; none where their law is not known."""
    found = _silent_fraction(design.model_copy(update=ANY_STEP), base)
    return None if found is None else cautions.silent(found, base)


@lru_cache
def _silent_fraction(design: Design, base: float) -> float | None:
    """Share of groups without a signal; remembered, since conditions often differ in steps alone."""
    try:
        law = round_law(design, base)
    except InputError:
        return None
    return float(law.moments(math.log(base) - math.log1p(-base)).silent)


def _gain(world: SimWorld, design: Design) -> float:
    """Log-odds per unit of step of a query: SGD's of the signal, Adam's of its normalised step."""
    sgd = design.optimizer == "sgd"
    if isinstance(world, LumpedWorld):
        return 1.0 + 2.0 * world.shared**2 if sgd else 2.0 + 2.0 * world.shared
    if isinstance(world, SequenceWorld):
        wrong, fails = [1.0 - q for q in world.probabilities()], 1.0 - world.base()
        return sum(w * w for w in wrong) / fails**2 if sgd else sum(wrong) / fails
    size = world.dimension * world.noise**2 + world.transfer**2
    return size if sgd else sign_overlap(world.dimension) * math.sqrt(size)


def _claim(study: Study, claim: str) -> Iterator[str]:
    read = study.worlds()
    if claim in (A1.id, A5.id):
        read = [w for w in read if not isinstance(w, SequenceWorld)]
        if study.worlds() and not read:
            yield f"claims: {claim} is not read in a sequence: add a lumped or contextual world or an LLM"
    for world in read:
        designs = study.designs(world.name)
        lacks = lacking(CLAIMS[claim], designs)
        if lacks and claim != A5.id:
            yield f"claims: {claim} finds {lacks} in '{world.name}'"
        if claim == A1.id:
            found = single_query_conditions(designs)
            if len(found) > 1:
                yield f"claims: A1 reads '{found[0]}' in '{world.name}', not also {found[1:]}"
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
