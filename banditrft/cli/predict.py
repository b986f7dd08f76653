"""`banditrft predict`: closed forms for a planned run or study. Its flags are the fields of a Design."""

from typing import Any, get_args

import click
from pydantic.fields import FieldInfo

from banditrft.cli.common import find_study, print_json
from banditrft.design import Design, parse
from banditrft.errors import InputError
from banditrft.study import iterate

ROUNDS = 1000
"""`rounds` of a prediction that names none: the curve's length; it does not change the hitting time."""
COLUMNS = {
    "mean_rounds": "rounds",
    "sd_rounds": "sd",
    "rollouts_mean": "rollouts",
    "zero_signal_fraction": "no signal",
}


def _option(name: str, field: FieldInfo) -> click.Option:
    """A command-line option from one Design field; pydantic checks the value."""
    flag, help_ = ["--" + name.replace("_", "-"), name], field.description or ""
    if field.annotation is bool:
        return click.Option(flag, is_flag=True, default=None, help=help_)
    default = ROUNDS if name == "rounds" else None if field.is_required() else field.default
    if default is not None:
        help_ += f" [default: {default}]"
    if name == "betas":
        return click.Option(flag, type=float, nargs=2, default=None, help=help_)
    kinds: dict[Any, Any] = {int: int, float: float}
    choices = [c for c in get_args(field.annotation) if isinstance(c, str)]
    kind = click.Choice(choices) if choices and len(choices) == len(get_args(field.annotation)) else str
    return click.Option(flag, type=kinds.get(field.annotation, kind), default=None, help=help_)


def _design(values: dict[str, Any]) -> Design:
    given = {name: value for name, value in values.items() if value is not None}
    for name in ("grad_clip", "rate"):
        if given.get(name) not in (None, "base"):
            given[name] = _number(given[name])
    return parse(Design, {"rounds": ROUNDS} | given)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@click.command(name="predict")
@click.argument("study", metavar="[STUDY]", required=False)
@click.option("--p0", type=float, help="Base Pass@1 of the query, in (0, 1).")
@click.option("--num-arms", type=int, default=1000, help="Arms (distinct responses), K.")
@click.option("--num-correct", type=int, default=1, help="Correct arms, m.")
@click.option("--target", type=float, default=0.99, help="Pass@1 that counts as converged.")
@click.option("--curve", "with_curve", is_flag=True, help="Also give the predicted Pass@1 of every round.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    study: str | None,
    p0: float | None,
    num_arms: int,
    num_correct: int,
    target: float,
    with_curve: bool,
    as_json: bool,
    **fields: Any,
) -> int:
    """Predict rounds to converge, wasted groups and signal-to-noise before anything is run.

    Of one design, given by flags, or of every condition in the simulated worlds of STUDY. Exact for one
    rollout, the raw reward, SGD and one correct arm; a mean-field recursion elsewhere.
    """
    if study is not None:
        given = [name for name, value in {"p0": p0, **fields}.items() if value is not None]
        if given:
            raise InputError(f"--{given[0].replace('_', '-')}: STUDY says it already, got both")
        return _print_study(_predict_study(study, target, with_curve), as_json)
    if p0 is None:
        raise InputError("--p0: is required without STUDY")
    from banditrft.predict import predict

    found = predict(
        _design(fields), p0=p0, num_arms=num_arms, num_correct=num_correct, target=target
    ).to_dict()
    if not with_curve:
        del found["curve"]
    if as_json:
        print_json(found)
        return 0
    for key, value in found.items():
        if value not in (None, []):
            click.echo(f"{key.replace('_', ' '):22} {_readable(value)}")
    return 0


def _predict_study(name: str, target: float, with_curve: bool) -> dict[str, Any]:
    """Predictions of a study's simulated cells; a cell without a closed form says why."""
    from banditrft.predict import predict_world

    study = find_study(name)
    cells: list[dict[str, Any]] = []
    for cell in iterate(study, "sim"):
        where = {"world": cell.world.name, "condition": cell.condition}
        try:
            found = predict_world(
                cell.design, cell.world, target=target, evaluation=cell.evaluation
            ).to_dict()
        except InputError as error:
            cells.append(where | {"method": None, "notes": [str(error)]})
            continue
        if not with_curve:
            del found["curve"]
        cells.append(where | found)
    return {"study": study.name, "target": target, "cells": cells}


def _print_study(found: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(found)
        return 0
    heads = "".join(f"{head:>10}" for head in COLUMNS.values())
    click.echo(f"{'world':14}{'condition':22}{'method':12}{heads}   5% to 95%")
    for cell in found["cells"]:
        lead = f"{cell['world']:14}{cell['condition']:22}"
        if cell["method"] is None:
            click.echo(f"{lead}no closed form: {'; '.join(cell['notes'])}")
            continue
        numbers = "".join(f"{'-' if cell[key] is None else _readable(cell[key]):>10}" for key in COLUMNS)
        levels = cell["quantiles"]
        spread = f"{levels['0.05']:g} to {levels['0.95']:g}" if levels else "-"
        click.echo(f"{lead}{cell['method']:12}{numbers}   {spread}")
    return 0


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_readable(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


command.params += [_option(name, field) for name, field in Design.model_fields.items()]
