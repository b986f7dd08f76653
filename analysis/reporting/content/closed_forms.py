"""Closed-form predictions (theory §2, §4, §6): curves, speed-ups and test Pass@1.

A simulated world is predicted from its settings alone. For a language model only the *ratio* of hitting
times is: its responses share parameters, so the mean field is taken at the level of the two classes,
right and wrong, with eps not binding, and over a range of step sizes, because how far one round moves its
log-odds is not known beforehand. What has no closed form yields None.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.claims.worlds import one_query
from analysis.loading.records import Cell, Records
from analysis.reporting.content.model import Prediction, Range
from analysis.verdict import Verdict
from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.predict import (
    hitting_ratio,
    hitting_ratio_contextual,
    hitting_ratio_sequence,
    predict_world,
    two_classes,
)
from banditrft.theory.sequence import positions_of
from banditrft.worlds import ContextualWorld, LumpedWorld, SequenceWorld, WorldSettings

STEPS = {"adam": (0.02, 0.1), "sgd": (0.5, 2.0)}
"""Class-level steps for a language model: log-odds per round (Adam), per unit of drift (SGD)."""
TARGET, POOL_TARGET = 0.99, 0.5
"""Pass@1 that a prediction is run up to where the horizon comes earlier; a pool may never come near .99."""
CLASS_ARMS = 1000
"""Arms of the class-level bandit; large, and immaterial without eps."""


@dataclass(frozen=True)
class Curve:
    """A predicted learning curve."""

    rounds: list[float]
    train: list[float]
    test: list[float] | None
    method: str


def curve(cell: Cell) -> Curve | None:
    """Predicted mean learning curve of a condition in a simulated world."""
    return _curve(cell.design, cell.world, cell.evaluation)


@functools.lru_cache(maxsize=512)
def _curve(design: Design, world: WorldSettings, evaluation: Evaluation) -> Curve | None:
    try:
        pool = isinstance(world, ContextualWorld) and not one_query(world)
        target = POOL_TARGET if pool else TARGET
        found = predict_world(design, world, target=target, evaluation=evaluation)
    except InputError:  # the closed forms do not cover this world or design
        return None
    values = found.curve
    return Curve(values["round"], values["pass_at_1"], values.get("test_pass_at_1"), found.method)


def ratio(
    records: Records, world: str, conditions: Sequence[str], target: float
) -> tuple[float, float] | None:
    """Predicted range of T(few) / T(many); both ends are equal where the settings fix it."""
    cell, other = (records.of(world)[name] for name in conditions)
    try:
        values = _ratios(cell, other.design, target)
    except InputError:
        return None
    values = [v for v in values if v == v]
    return (min(values), max(values)) if values else None


def _ratios(cell: Cell, many: Design, target: float) -> list[float]:
    few, world = cell.design, cell.world
    if isinstance(world, LumpedWorld):
        p0, arms, right = two_classes(world)
        return [hitting_ratio(few, many, p0=p0, num_arms=arms, num_correct=right, target=target)]
    if isinstance(world, ContextualWorld):
        return [hitting_ratio_contextual(few, many, world, target=target)]
    if isinstance(world, SequenceWorld):
        return [hitting_ratio_sequence(few, many, positions_of(world), target=target)]
    steps = STEPS["sgd" if few.optimizer == "sgd" else "adam"]
    bases = [p for p in cell.base.values() if 0 < p < target]
    ends = sorted({min(bases), max(bases)}) if bases else []
    return [
        hitting_ratio(_at(few, step), _at(many, step), p0=p0, num_arms=CLASS_ARMS, target=target)
        for p0 in ends
        for step in steps
    ]


def _at(design: Design, step: float) -> Design:
    return design.model_copy(update={"learning_rate": step, "adam_eps": 0.0})


def gain(cell: Cell) -> float | None:
    """Predicted gain in test Pass@1 over the base policy (contextual world only)."""
    found = curve(cell)
    return None if found is None or found.test is None else found.test[-1] - found.test[0]


def test_change(few: Cell, many: Cell) -> float | None:
    """Predicted final test Pass@1, many rollouts minus few (contextual world only)."""
    a, b = curve(few), curve(many)
    if a is None or b is None or a.test is None or b.test is None:
        return None
    return b.test[-1] - a.test[-1]


def predictions(records: Records, verdicts: list[Verdict]) -> dict[str, Prediction]:
    """Closed forms by "claim:world:component"; None where there is none."""
    found: dict[str, Prediction] = {}
    for verdict in verdicts:
        for part in verdict.parts:
            if part.kind == "ratio":
                target = part.setting.threshold or 0.9
                for world in (part.world, *(s.world for s in part.secondary if s.world)):
                    values = ratio(records, world, part.conditions, target)
                    ends: Range | None = None if values is None else {"low": values[0], "high": values[1]}
                    found[f"{verdict.claim}:{world}:{part.id}"] = ends
            elif (part.estimand, part.split) == ("final", "test") and part.comparator in (
                "base",
                "condition",
            ):
                cells = [records.of(part.world)[name] for name in part.conditions]
                key = f"{verdict.claim}:{part.world}:{part.id}"
                if key not in found:
                    found[key] = test_change(*cells) if len(cells) == 2 else gain(*cells)
    return found
