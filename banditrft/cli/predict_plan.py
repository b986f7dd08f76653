"""What `banditrft predict` computes: one design's prediction or a study's, as plain values for JSON.

Apart from the command, whose --help must not wait for SciPy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from banditrft import progress
from banditrft.cli.predict_plot import Panel, draw
from banditrft.design import Design, Evaluation, parse
from banditrft.errors import InputError
from banditrft.predict import Prediction, predict, predict_world, setting_of, what_if
from banditrft.study import Study, iterate
from banditrft.theory.cases import Setting, has_single_query, tabular
from banditrft.theory.estimates import estimate, hitting_cdf
from banditrft.theory.generalisation import difficulty
from banditrft.theory.prediction import PoolSetting, SequenceSetting
from banditrft.worlds import ContextualWorld, SequenceWorld, WorldSettings


@dataclass(frozen=True)
class Wanted:
    """What was asked for: see the command's flags."""

    target: float
    tokens_per_rollout: float | None
    budget: int | None
    what_if: bool
    curve: bool
    plot: Path | None


@dataclass(frozen=True)
class Place:
    """Where a design runs: how it is predicted there, alone and beside its neighbours."""

    predict: Callable[..., Prediction]
    setting: Setting | PoolSetting | SequenceSetting
    world: ContextualWorld | None


def plan_design(design: Design, p0: float | None, where: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Predict one design in the world that the flags describe.

    Args:
        design: The design.
        p0: Base Pass@1.
        where: Flags of the world by name.
        wanted: What to compute.

    Raises:
        InputError: A value is outside its domain, or has no closed form.
    """
    panels: list[Panel] = []
    with progress.busy("predicting (a target out of reach is followed for 2,500 steps, which takes longest)"):
        found = _predict("", design, _of_flags(p0, where), None, wanted, panels)
    if wanted.plot is not None:
        draw(panels, wanted.target, wanted.plot)
    return found


def plan_study(study: Study, wanted: Wanted) -> dict[str, Any]:
    """Predictions of a study's simulated cells; a cell without a closed form says why."""
    cells: list[dict[str, Any]] = []
    panels: list[Panel] = []
    if wanted.plot is not None and not study.worlds("sim"):
        raise InputError(f"--plot: there is nothing to draw, study '{study.name}' has no simulated world")
    for cell in progress.tracked(list(iterate(study, "sim")), "conditions"):
        where = {"world": cell.world.name, "condition": cell.condition}
        title = f"{cell.world.name}, {cell.condition}"
        try:
            found = _predict(title, cell.design, _of_world(cell.world), cell.evaluation, wanted, panels)
        except InputError as error:
            cells.append(where | {"method": None, "notes": [str(error)]})
            continue
        cells.append(where | found)
    if wanted.plot is not None:
        draw(panels, wanted.target, wanted.plot)
    return {"study": study.name, "target": wanted.target, "cells": cells}


def _predict(
    title: str,
    design: Design,
    place: Place,
    evaluation: Evaluation | None,
    wanted: Wanted,
    panels: list[Panel],
) -> dict[str, Any]:
    prediction = place.predict(
        design,
        target=wanted.target,
        evaluation=evaluation,
        tokens_per_rollout=wanted.tokens_per_rollout,
        band=wanted.plot is not None,
    )
    found = prediction.to_dict() | {"ceiling": None, "what_if": None}
    if place.world is not None and has_single_query(place.world):
        optimizer: Literal["sgd", "adam"] = "sgd" if design.optimizer == "sgd" else "adam"
        values = difficulty(place.world, prediction.p0, wanted.target, optimizer)
        found["ceiling"] = {name: None if math.isnan(value) else value for name, value in values.items()}
    if wanted.what_if or wanted.budget is not None:
        found["what_if"] = what_if(place.setting, design, wanted.target, budget=wanted.budget).to_dict()
    if wanted.plot is not None:
        times = None
        if not isinstance(place.setting, PoolSetting | SequenceSetting):
            case = place.setting(design)
            times = hitting_cdf(case, estimate(case, wanted.target), wanted.target)
        panels.append(Panel(title, found["curve"], None if times is None else times.tolist()))
    if not wanted.curve:
        del found["curve"]
    return found


def _of_world(world: WorldSettings) -> Place:
    contextual = world if isinstance(world, ContextualWorld) else None
    return Place(partial(predict_world, world=world), setting_of(world), contextual)


def _of_flags(p0: float | None, where: dict[str, Any]) -> Place:
    given = dict(where)
    if {"tokens", "profile"} & given.keys():
        given.pop("contextual")
        if given.pop("tree", False):
            given["prefixes"] = "tree"
        return _of_world(
            parse(SequenceWorld, {"seeds": 1} | ({} if p0 is None else {"base_pass_at_1": p0}) | given)
        )
    if p0 is None:
        raise InputError("--p0: is required without STUDY")
    if given.pop("contextual"):
        return _of_world(parse(ContextualWorld, {"seeds": 1, "base_pass_at_1": p0} | given))
    return Place(partial(predict, p0=p0, **given), tabular(p0, **given), None)
