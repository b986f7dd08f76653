"""`banditrft predict`: closed forms for a planned run. Its flags are the fields of a Design."""

from typing import Any, get_args

import click
from pydantic.fields import FieldInfo

from banditrft.cli.common import print_json
from banditrft.design import Design, parse

ROUNDS = 1000
"""`rounds` of a prediction that names none: the curve's length; it does not change the hitting time."""


def _option(name: str, field: FieldInfo) -> click.Option:
    """A command-line option from one Design field; pydantic checks the value."""
    kinds: dict[Any, Any] = {int: int, float: float}
    kind = kinds.get(field.annotation, str)
    choices = [c for c in get_args(field.annotation) if isinstance(c, str)]
    default = None if field.is_required() or field.default is None else field.default
    shown = f"[default: {default}]" if default is not None else "[required]" if field.is_required() else ""
    if name == "rounds":
        shown = f"[default: {ROUNDS}]"
    flag = "--" + name.replace("_", "-")
    if field.annotation is bool:
        return click.Option([flag, name], is_flag=True, default=None, help=field.description)
    if name == "betas":
        return click.Option(
            [flag, name], type=float, nargs=2, default=None, help=f"{field.description} {shown}"
        )
    if choices and float not in [type(c) for c in get_args(field.annotation)] and name != "rate":
        kind = click.Choice(choices)
    return click.Option([flag, name], type=kind, default=None, help=f"{field.description} {shown}")


def _design(values: dict[str, Any]) -> Design:
    given = {name: value for name, value in values.items() if value is not None}
    if isinstance(given.get("rate"), str) and given["rate"] != "base":
        given["rate"] = _number(given["rate"])
    for name in ("grad_clip",):
        if name in given:
            given[name] = _number(given[name])
    return parse(Design, {"rounds": ROUNDS} | given)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@click.command(name="predict")
@click.option("--p0", type=float, required=True, help="Base Pass@1 of the query, in (0, 1).")
@click.option("--num-arms", type=int, default=1000, help="Arms (distinct responses), K.")
@click.option("--num-correct", type=int, default=1, help="Correct arms, m.")
@click.option("--target", type=float, default=0.99, help="Pass@1 that counts as converged.")
@click.option("--curve", "with_curve", is_flag=True, help="Also give the predicted Pass@1 of every round.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    p0: float, num_arms: int, num_correct: int, target: float, with_curve: bool, as_json: bool, **fields: Any
) -> int:
    """Predict rounds to converge, wasted groups and signal-to-noise before anything is run.

    Exact for one rollout, the raw reward, SGD and one correct arm; a mean-field recursion elsewhere.
    """
    from banditrft.predict import predict

    prediction = predict(_design(fields), p0=p0, num_arms=num_arms, num_correct=num_correct, target=target)
    found = prediction.to_dict()
    if not with_curve:
        del found["curve"]
    if as_json:
        print_json(found)
        return 0
    for key, value in found.items():
        if value in (None, []):
            continue
        click.echo(f"{key.replace('_', ' '):22} {_readable(value)}")
    return 0


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_readable(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


command.params += [_option(name, field) for name, field in Design.model_fields.items()]
